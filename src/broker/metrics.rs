//! What the broker counts. Every drop has a reason and a counter here.
//!
//! Incremented by the broker's files, registered once by the server. Labels are closed sets, never a channel or an id.

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// The broker's counters.
#[derive(Clone, Default)]
pub struct Metrics {
    /// Sessions made.
    pub handshakes: Counter,
    /// Sessions that ended, by cause.
    pub sessions_ended: Family<EndLabel, Counter>,
    /// Sessions open now.
    pub sessions: Gauge,
    /// Messages that got their place in the log.
    pub publications: Counter,
    /// Messages that the log would not take, so that their publishers were told.
    pub unavailable: Counter,
    /// Messages that were sent again under an idempotency key and not appended again.
    pub repeated: Counter,
    /// Messages handed to transports.
    pub deliveries: Counter,
    /// Messages that came back because they could not be written.
    pub restored: Counter,
    /// Messages that a session will not get, by reason.
    pub dropped: Family<DropLabel, Counter>,
    /// Times a session's queue was given up for reading from the log.
    pub fell_behind: Counter,
    /// Answers of service calls that the log would not take.
    pub answers_lost: Counter,
    /// Fan-out lanes that failed and were started again.
    pub lane_restarts: Counter,
    /// What was refused because it came too often.
    pub rate_limited: RateCounters,
}

/// Refusals of what came too often, by whose bucket was empty and what it was for.
pub type RateCounters = Family<RateLabel, Counter>;

/// Label of [`RateCounters`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RateLabel {
    /// Whose bucket was empty.
    pub by: RatedBy,
    /// What was asked for.
    pub what: RatedWhat,
}

/// Whose bucket, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum RatedBy {
    /// One session's.
    Session,
    /// One user's.
    User,
    /// One API key's.
    Backend,
    /// One address's.
    Address,
}

/// What is rated, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum RatedWhat {
    /// A message.
    Publish,
    /// A channel to subscribe to.
    Subscribe,
    /// A session.
    Handshake,
}

/// Label of [`Metrics::sessions_ended`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct EndLabel {
    /// Why.
    pub cause: EndCause,
}

/// Why a session ended, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum EndCause {
    /// The client said goodbye.
    Disconnected,
    /// The broker or its operator ended it.
    Kicked,
    /// It was silent for too long.
    Expired,
    /// It fell behind what the log keeps.
    Gap,
    /// The client connected but did nothing.
    Inactive,
    /// What it was made with expired or was revoked.
    Unauthorised,
}

/// Label of [`Metrics::dropped`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DropLabel {
    /// Why.
    pub reason: DropReason,
}

/// Why a session does not get a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum DropReason {
    /// The session was over when the message could not be written.
    SessionEnded,
    /// The log did not keep it long enough for this reader.
    NotRetained,
}

impl Metrics {
    /// Makes the counters known under their public names.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("handshakes", "Sessions made", self.handshakes.clone());
        registry.register("sessions_ended", "Sessions that ended, by cause", self.sessions_ended.clone());
        registry.register("sessions", "Sessions open now", self.sessions.clone());
        registry.register("publications", "Messages appended to the log", self.publications.clone());
        registry.register("unavailable", "Messages that the log would not take", self.unavailable.clone());
        registry.register("repeated", "Messages not appended again, by idempotency key", self.repeated.clone());
        registry.register("deliveries", "Messages handed to transports", self.deliveries.clone());
        registry.register("restored", "Messages put back after a failed write", self.restored.clone());
        registry.register("dropped", "Messages a session will not get, by reason", self.dropped.clone());
        registry.register("fell_behind", "Queues given up for reading from the log", self.fell_behind.clone());
        registry.register("answers_lost", "Service answers that the log would not take", self.answers_lost.clone());
        registry.register("rate_limited", "Refused for coming too often, by whose rate", self.rate_limited.clone());
        registry.register("lane_restarts", "Fan-out lanes restarted after a fault", self.lane_restarts.clone());
    }

    /// Counts messages that a session will not get.
    pub fn drop_messages(&self, reason: DropReason, count: u64) {
        self.dropped.get_or_create(&DropLabel { reason }).inc_by(count);
    }
}
