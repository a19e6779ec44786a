//! What this room counts. Registered once by the server; labels are closed sets, never a URL or a channel.

use super::target::Failure;
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};
use std::time::Duration;

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
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            duration: Histogram::new(BUCKETS),
            pauses: Counter::default(),
            service_calls: Family::default(),
            questions: Family::default(),
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
