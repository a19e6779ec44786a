//! The settings of the extension room: what extensions do for clients that use them. Nested by `config`.
//!
//! Ack, replay and binary have none: they do nothing until a client asks.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// `[extension]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExtensionSettings {
    /// Whether clients that send `ext.timesync` are told what they need to know the broker's clock.
    pub timesync: bool,
    /// How wrong a client's idea of the broker's clock may be before it is told again; new clients are always told.
    #[serde(with = "crate::units::duration")]
    pub timesync_accuracy: Duration,
    /// Whether replies to messages that carry a `timestamp` carry one too.
    pub timestamp: bool,
    /// How long a client may do nothing but connect before its session is ended; `"0s"` is for ever.
    #[serde(with = "crate::units::duration")]
    pub max_inactivity: Duration,
    /// What counts as doing something.
    pub activity: Activity,
}

/// Whose doing keeps a session.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Activity {
    /// What the client sends, connects apart.
    #[default]
    Client,
    /// Also the messages that it is sent.
    Both,
}

impl Default for ExtensionSettings {
    fn default() -> Self {
        Self {
            timesync: true,
            timesync_accuracy: Duration::from_millis(25),
            timestamp: false,
            max_inactivity: Duration::ZERO,
            activity: Activity::default(),
        }
    }
}

impl ExtensionSettings {
    /// Reports every value that cannot work, as (key within the section, what is wrong).
    pub fn validate(&self, problem: &mut dyn FnMut(&str, String)) {
        let shortest = Duration::from_millis(100);
        if !self.max_inactivity.is_zero() && self.max_inactivity < shortest {
            problem("max_inactivity", "must be 0s, which is for ever, or at least 100ms".into());
        }
    }
}
