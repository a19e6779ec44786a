//! The settings of the engine room: which engine holds the log, and how much of it is kept. Nested by `config`.

use super::{idempotency::Keys, retention::Bounds};
use serde::{Deserialize, Serialize};
use std::{path::PathBuf, time::Duration};

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
    /// Settings of the engine on disk.
    pub disk: DiskSettings,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            kind: EngineKind::default(),
            idempotency_window: Duration::from_secs(120),
            max_idempotent_publishes: 100_000,
            max_retained_channels: 10_000,
            memory: MemorySettings::default(),
            disk: DiskSettings::default(),
        }
    }
}

impl EngineSettings {
    /// An empty memory for idempotency keys.
    pub fn keys(&self) -> Keys {
        Keys::new(self.idempotency_window, self.max_idempotent_publishes)
    }

    /// What the chosen engine keeps of channels of which the settings say nothing else.
    pub fn bounds(&self) -> Bounds {
        match self.kind {
            EngineKind::Memory => self.memory.bounds(),
            EngineKind::Disk => self.disk.bounds(),
        }
    }
}

/// The engines there are.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// A bounded ring in this process; forgotten at exit.
    #[default]
    Memory,
    /// A log of files and a store of records in a folder; survives a crash of the process or the machine.
    Disk,
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

/// When something counts as stored.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// When it is on the medium: survives a power failure.
    #[default]
    Sync,
    /// When the operating system has it: survives the end of the process, not of the machine.
    Os,
}

/// `[engine.disk]`: where it is, how safe, how much of the log is kept, and what it may hold in memory.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiskSettings {
    /// The folder that holds everything; made if it is missing. One process at a time.
    pub path: PathBuf,
    /// When a publish is acknowledged.
    pub durability: Durability,
    /// Messages kept.
    pub max_messages: usize,
    /// Bytes of messages kept.
    #[serde(with = "crate::units::size")]
    pub max_bytes: usize,
    /// How long a message is kept.
    #[serde(with = "crate::units::duration")]
    pub max_age: Duration,
    /// Messages written and synced together.
    pub max_group: usize,
    /// Bytes of messages written and synced together.
    #[serde(with = "crate::units::size")]
    pub max_group_bytes: usize,
    /// Publishes, and as many changes of sessions, that may wait to be written; further ones are refused.
    pub max_waiting: usize,
    /// Bytes of messages that may wait to be written.
    #[serde(with = "crate::units::size")]
    pub max_waiting_bytes: usize,
    /// Newest messages held in memory; readers further back read from disk.
    pub cache_messages: usize,
    /// Bytes of newest messages held in memory.
    #[serde(with = "crate::units::size")]
    pub cache_bytes: usize,
    /// Bytes of session records held in memory.
    #[serde(with = "crate::units::size")]
    pub record_cache_bytes: usize,
    /// Bytes of each class's newest messages that are checked at start; older ones are checked when they are read.
    #[serde(with = "crate::units::size")]
    pub check_bytes: usize,
    /// Reads from disk at once; further readers wait.
    pub max_reads: usize,
}

impl Default for DiskSettings {
    fn default() -> Self {
        Self {
            path: PathBuf::from("bayeuxd-data"),
            durability: Durability::default(),
            max_messages: 1_000_000,
            max_bytes: 1 << 30,
            max_age: Duration::from_secs(7 * 24 * 3600),
            max_group: 2_000,
            max_group_bytes: 4 << 20,
            max_waiting: 10_000,
            max_waiting_bytes: 64 << 20,
            cache_messages: 20_000,
            cache_bytes: 64 << 20,
            record_cache_bytes: 16 << 20,
            check_bytes: 1 << 30,
            max_reads: 8,
        }
    }
}

impl DiskSettings {
    /// How much of the log is kept, as bounds of a class.
    pub fn bounds(&self) -> Bounds {
        Bounds { max_messages: self.max_messages, max_bytes: self.max_bytes, max_age: self.max_age }
    }

    fn validate(&self, problem: &mut dyn FnMut(&str, String)) {
        if self.path.as_os_str().is_empty() {
            problem("disk.path", "must name a folder".into());
        }
        let counts = [
            ("disk.max_messages", self.max_messages),
            ("disk.max_group", self.max_group),
            ("disk.max_waiting", self.max_waiting),
            ("disk.cache_messages", self.cache_messages),
            ("disk.max_reads", self.max_reads),
        ];
        for (key, _) in counts.iter().filter(|(_, n)| *n == 0) {
            problem(key, "must be at least 1".into());
        }
        let sizes = [
            ("disk.max_bytes", self.max_bytes, 1 << 20, "1MiB"),
            ("disk.max_waiting_bytes", self.max_waiting_bytes, 1 << 20, "1MiB"),
            ("disk.record_cache_bytes", self.record_cache_bytes, 1 << 20, "1MiB"),
            ("disk.max_group_bytes", self.max_group_bytes, 1 << 16, "64KiB"),
            ("disk.cache_bytes", self.cache_bytes, 1 << 16, "64KiB"),
        ];
        for (key, _, _, least) in sizes.iter().filter(|(_, size, least, _)| size < least) {
            problem(key, format!("must be at least {least}"));
        }
        if self.max_group_bytes > 1 << 30 {
            problem("disk.max_group_bytes", "must be at most 1GiB".into());
        }
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
        self.disk.validate(problem);
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
