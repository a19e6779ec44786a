//! What the engine on disk counts. Incremented by the writer, registered once by the server.

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// Seconds that a group takes: from a fast disk's sync to one in trouble.
const BUCKETS: [f64; 12] = [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0, 10.0];

/// The writer's counters.
#[derive(Clone)]
pub(super) struct Metrics {
    /// Time from the first byte of a group until it is as safe as `durability` says.
    pub write: Histogram,
    /// Messages in groups that were stored.
    pub stored: Counter,
    /// Messages in groups that could not be stored: their publishers were told.
    pub refused: Counter,
    /// 1 while the last group could not be stored.
    pub failing: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            write: Histogram::new(BUCKETS),
            stored: Counter::default(),
            refused: Counter::default(),
            failing: Gauge::default(),
        }
    }
}

impl Metrics {
    /// Makes the counters known under their public names.
    pub(super) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("disk");
        registry.register_with_unit("write", "How long a group took to be safe", Unit::Seconds, self.write.clone());
        registry.register("stored", "Messages stored, also those for one session", self.stored.clone());
        registry.register("refused", "Messages that could not be stored", self.refused.clone());
        registry.register("failing", "1 while the log cannot be written", self.failing.clone());
    }
}
