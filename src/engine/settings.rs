//! The settings of the engine room: which engine holds the log, and how much of it is kept. Nested by `config`.

use super::{idempotency::Keys, retention::Bounds};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// `[engine]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineSettings {
    /// Which engine holds the log.
    pub kind: EngineKind,
    /// How long an idempotency key is remembered.
    #[serde(with = "crate::units::duration")]
    pub idempotency_window: Duration,
    /// Publishes with an idempotency key remembered at once; the oldest are forgotten first.
    pub max_idempotent_publishes: usize,
    /// Channels of which the newest message is kept (`retain_last`); the one that was quiet longest makes room.
    pub max_retained_channels: usize,
    /// Settings of the in-memory engine.
    pub memory: MemorySettings,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            kind: EngineKind::default(),
            idempotency_window: Duration::from_secs(120),
            max_idempotent_publishes: 100_000,
            max_retained_channels: 10_000,
            memory: MemorySettings::default(),
        }
    }
}

impl EngineSettings {
    /// An empty memory for idempotency keys.
    pub fn keys(&self) -> Keys {
        Keys::new(self.idempotency_window, self.max_idempotent_publishes)
    }
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

impl MemorySettings {
    /// The same as bounds of a class.
    pub fn bounds(&self) -> Bounds {
        Bounds { max_messages: self.max_messages, max_bytes: self.max_bytes, max_age: self.max_age }
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

/// `retain = { messages = 1000, bytes = "1MiB", age = "1h" }`: what is left out is as the engine's default.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct Retain {
    /// Messages kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<usize>,
    /// Bytes kept.
    #[serde(skip_serializing_if = "Option::is_none", with = "crate::units::optional_size")]
    pub bytes: Option<usize>,
    /// How long a message is kept.
    #[serde(skip_serializing_if = "Option::is_none", with = "crate::units::optional_duration")]
    pub age: Option<Duration>,
}

impl Retain {
    /// These bounds where they are given, the default's where not.
    pub fn over(self, default: Bounds) -> Bounds {
        Bounds {
            max_messages: self.messages.unwrap_or(default.max_messages),
            max_bytes: self.bytes.unwrap_or(default.max_bytes),
            max_age: self.age.unwrap_or(default.max_age),
        }
    }
}
