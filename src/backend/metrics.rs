//! What this room counts. Registered once by the server; labels are closed sets or names from the
//! configuration, never what a client chose.

use super::target::Failure;
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use std::{sync::Arc, time::Duration};

/// Seconds that divide the histogram of calls.
const BUCKETS: [f64; 9] = [0.001, 0.005, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// The counters of calls to backends.
#[derive(Clone)]
pub struct Metrics {
    /// Requests that were sent, by what came back.
    pub requests: Family<OutcomeLabel, Counter>,
    /// How long they took.
    pub duration: Histogram,
    /// Times a backend was left in peace after too many failures.
    pub pauses: Counter,
    /// Service calls, by what the caller was told.
    pub service_calls: Family<OutcomeLabel, Counter>,
    /// Questions to hooks, by what came back.
    pub questions: Family<OutcomeLabel, Counter>,
    /// Publications and events that feeds delivered.
    pub fed: Family<FeedLabel, Counter>,
    /// Times a batch was not taken.
    pub feed_failures: Family<FeedLabel, Counter>,
    /// Positions between a feed and the end of the log.
    pub feed_behind: Family<FeedLabel, Gauge>,
    /// Positions that the log did not keep until a feed came there.
    pub feed_gaps: Family<FeedLabel, Counter>,
    /// Batches that were given up.
    pub dead_letters: Family<FeedLabel, Counter>,
    /// Events that were put into the log.
    pub events: Counter,
    /// Events that happened faster than they could be recorded.
    pub events_lost: Counter,
}

/// Label of what feeds count.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct FeedLabel {
    /// The name of the feed, from the configuration.
    pub feed: Arc<str>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            duration: Histogram::new(BUCKETS),
            pauses: Counter::default(),
            service_calls: Family::default(),
            questions: Family::default(),
            fed: Family::default(),
            feed_failures: Family::default(),
            feed_behind: Family::default(),
            feed_gaps: Family::default(),
            dead_letters: Family::default(),
            events: Counter::default(),
            events_lost: Counter::default(),
        }
    }
}

/// Label of [`Metrics::requests`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabel {
    /// What came back.
    pub outcome: Outcome,
}

/// What came back, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Outcome {
    /// A status of success.
    Success,
    /// Nothing in time.
    Timeout,
    /// Nothing was sent: too many calls at once.
    Busy,
    /// Nothing was sent: it is left in peace.
    Paused,
    /// No connection.
    Unreachable,
    /// A redirect.
    Redirect,
    /// Another status.
    Status,
    /// Too many bytes.
    TooLarge,
    /// Not what was asked for.
    Garbage,
}

impl Metrics {
    /// Makes the counters known under their public names.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("backend");
        registry.register("requests", "Requests to backends, by what came back", self.requests.clone());
        registry.register_with_unit("request_duration", "How long they took", Unit::Seconds, self.duration.clone());
        registry.register("pauses", "Times a backend was left in peace after failures", self.pauses.clone());
        registry.register("service_calls", "Service calls, by their outcome", self.service_calls.clone());
        registry.register("questions", "Questions to hooks, by what came back", self.questions.clone());
        registry.register("fed", "Publications and events that feeds delivered", self.fed.clone());
        registry.register("feed_failures", "Times a batch was not taken", self.feed_failures.clone());
        registry.register("feed_behind", "Positions between a feed and the end of the log", self.feed_behind.clone());
        registry.register("feed_gaps", "Positions the log did not keep for a feed", self.feed_gaps.clone());
        registry.register("dead_letters", "Batches that were given up", self.dead_letters.clone());
        registry.register("events", "Events put into the log", self.events.clone());
        registry.register("events_lost", "Events that could not be recorded", self.events_lost.clone());
    }

    pub(super) fn requested(&self, failure: Option<&Failure>, took: Duration) {
        self.requests.get_or_create(&OutcomeLabel { outcome: Outcome::of(failure) }).inc();
        self.duration.observe(took.as_secs_f64());
    }

    pub(super) fn asked(&self, failure: Option<&Failure>) {
        self.questions.get_or_create(&OutcomeLabel { outcome: Outcome::of(failure) }).inc();
    }

    pub(super) fn called(&self, failure: Option<&Failure>) {
        self.service_calls.get_or_create(&OutcomeLabel { outcome: Outcome::of(failure) }).inc();
    }
}

impl Metrics {
    pub(super) fn fed(&self, feed: &Arc<str>, items: usize) {
        self.fed.get_or_create(&label(feed)).inc_by(items as u64);
    }

    pub(super) fn feed_failed(&self, feed: &Arc<str>) {
        self.feed_failures.get_or_create(&label(feed)).inc();
    }

    pub(super) fn feed_lag(&self, feed: &Arc<str>, positions: u64) {
        self.feed_behind.get_or_create(&label(feed)).set(i64::try_from(positions).unwrap_or(i64::MAX));
    }

    pub(super) fn feed_gap(&self, feed: &Arc<str>, positions: u64) {
        self.feed_gaps.get_or_create(&label(feed)).inc_by(positions);
    }

    pub(super) fn dead_letter(&self, feed: &Arc<str>) {
        self.dead_letters.get_or_create(&label(feed)).inc();
    }
}

fn label(feed: &Arc<str>) -> FeedLabel {
    FeedLabel { feed: Arc::clone(feed) }
}

impl Outcome {
    fn of(failure: Option<&Failure>) -> Self {
        match failure {
            None => Self::Success,
            Some(Failure::Timeout) => Self::Timeout,
            Some(Failure::Busy) => Self::Busy,
            Some(Failure::Paused) => Self::Paused,
            Some(Failure::Unreachable(_)) => Self::Unreachable,
            Some(Failure::Redirect) => Self::Redirect,
            Some(Failure::Status(_)) => Self::Status,
            Some(Failure::TooLarge) => Self::TooLarge,
            Some(Failure::Garbage(_)) => Self::Garbage,
        }
    }
}
