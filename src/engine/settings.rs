//! The settings of the engine room: which engine holds the log, and how much of it is kept. Nested by `config`.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// `[engine]`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineSettings {
    /// Which engine holds the log.
    pub kind: EngineKind,
    /// Settings of the in-memory engine.
    pub memory: MemorySettings,
}

/// The engines there are.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// A bounded ring in this process; forgotten at exit.
    #[default]
    Memory,
}

/// `[engine.memory]`: how much of the log is kept. Whichever bound is met first cuts its tail.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MemorySettings {
    /// Messages kept.
    pub max_messages: usize,
    /// Bytes of messages kept.
    #[serde(with = "crate::units::size")]
    pub max_bytes: usize,
    /// How long a message is kept.
    #[serde(with = "crate::units::duration")]
    pub max_age: Duration,
}

impl Default for MemorySettings {
    fn default() -> Self {
        Self { max_messages: 100_000, max_bytes: 64 << 20, max_age: Duration::from_secs(3600) }
    }
}

impl EngineSettings {
    /// Reports every value that cannot work, as (key within the section, what is wrong).
    pub fn validate(&self, problem: &mut dyn FnMut(&str, String)) {
        if self.memory.max_messages == 0 {
            problem("memory.max_messages", "must be at least 1".into());
        }
        if self.memory.max_bytes < 1 << 16 {
            problem("memory.max_bytes", "must be at least 64KiB".into());
        }
    }
}
