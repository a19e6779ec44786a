//! The settings of the broker room: how long, how many, how much. Nested by `config`, read by the whole room.
//! Names follow CometD's options in snake case, so that an operator who knows one knows the other.

use crate::{
    bayeux::{ChannelLimits, Pattern},
    engine::Retain,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// `[broker]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct BrokerSettings {
    /// How long a `/meta/connect` is held when nothing arrives, as advertised; the broker answers at 95 % of it.
    #[serde(with = "crate::units::duration")]
    pub timeout: Duration,
    /// The pause clients are advised to make between two connects.
    #[serde(with = "crate::units::duration")]
    pub interval: Duration,
    /// How long after `interval` a session may stay silent before it expires.
    #[serde(with = "crate::units::duration")]
    pub max_interval: Duration,
    /// How long a disconnect waits for the same client's next poll when that may be under way: coming later, it would meet
    /// an unknown session, and some clients then report that they could not disconnect. 0 does not wait.
    #[serde(with = "crate::units::duration")]
    pub disconnect_grace: Duration,
    /// How often expired sessions are looked for.
    #[serde(with = "crate::units::duration")]
    pub sweep_period: Duration,
    /// Messages a session's queue may hold; a reader further behind is served from the log.
    pub max_queue: usize,
    /// Bytes a session's queue may hold.
    #[serde(with = "crate::units::size")]
    pub max_queue_bytes: usize,
    /// Bytes of messages in one delivery (one response, one burst of frames); the rest follows in the next.
    #[serde(with = "crate::units::size")]
    pub max_delivery_bytes: usize,
    /// What a reader is told whose place in the log is no longer kept.
    pub on_gap: OnGap,
    /// Subscriptions a session may hold.
    pub max_subscriptions: usize,
    /// Sessions open at once.
    pub max_sessions: usize,
    /// Whether publishers receive their own messages when subscribed.
    pub broadcast_to_publisher: bool,
    /// Bytes in a channel name.
    pub max_channel_bytes: usize,
    /// Segments in a channel name.
    pub max_channel_segments: usize,
    /// Held polls of one browser (by cookie, over HTTP/1.1) before further ones are told to poll; 0 holds none.
    pub max_sessions_per_browser: usize,
    /// The interval advised to surplus tabs of one browser.
    #[serde(with = "crate::units::duration")]
    pub multi_session_interval: Duration,
    /// Whether a request must carry the browser cookie its session was made with.
    pub require_cookie: bool,
    /// What unknown sessions are told; some clients look for `403::Unknown client`.
    pub unknown_session_error: String,
    /// Wait before the second `session_unknown` answer to one peer; doubles up to `unknown_session_max_delay`.
    #[serde(with = "crate::units::duration")]
    pub unknown_session_delay: Duration,
    /// The longest such wait.
    #[serde(with = "crate::units::duration")]
    pub unknown_session_max_delay: Duration,
    /// Fan-out lanes; 0 means one per core.
    pub lanes: usize,
}

impl Default for BrokerSettings {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            interval: Duration::ZERO,
            max_interval: Duration::from_secs(60),
            disconnect_grace: Duration::from_millis(50),
            sweep_period: Duration::from_secs(1),
            max_queue: 1000,
            max_queue_bytes: 1 << 20,
            max_delivery_bytes: 1 << 20,
            on_gap: OnGap::Signal,
            max_subscriptions: 1000,
            max_sessions: 100_000,
            broadcast_to_publisher: true,
            max_channel_bytes: 255,
            max_channel_segments: 16,
            max_sessions_per_browser: 4,
            multi_session_interval: Duration::from_secs(2),
            require_cookie: false,
            unknown_session_error: "402::session_unknown".into(),
            unknown_session_delay: Duration::from_secs(1),
            unknown_session_max_delay: Duration::from_secs(5),
            lanes: 0,
        }
    }
}

impl BrokerSettings {
    /// Bounds on channel names.
    pub fn channel_limits(&self) -> ChannelLimits {
        ChannelLimits { bytes: self.max_channel_bytes, segments: self.max_channel_segments }
    }

    /// Reports every value that cannot work, as (key within the section, what is wrong).
    pub fn validate(&self, problem: &mut dyn FnMut(&str, String)) {
        if self.timeout < Duration::from_millis(100) {
            problem("timeout", "must be at least 100ms: every poll would return at once".into());
        }
        if self.sweep_period < Duration::from_millis(10) {
            problem("sweep_period", "must be at least 10ms".into());
        }
        for (key, value) in [
            ("max_queue", self.max_queue),
            ("max_queue_bytes", self.max_queue_bytes),
            ("max_delivery_bytes", self.max_delivery_bytes),
            ("max_subscriptions", self.max_subscriptions),
            ("max_sessions", self.max_sessions),
            ("max_channel_segments", self.max_channel_segments),
        ] {
            if value == 0 {
                problem(key, "must be at least 1".into());
            }
        }
        if self.max_channel_bytes < 2 {
            problem("max_channel_bytes", "must be at least 2: the shortest channel is like \"/a\"".into());
        }
        if !crate::bayeux::error::is_well_formed(&self.unknown_session_error) {
            problem("unknown_session_error", "must look like code:args:text, for example 402::session_unknown".into());
        }
    }
}

/// What happens to a reader that the log cannot serve any more.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum OnGap {
    /// Its next connect reply says which positions are lost, and it goes on.
    #[default]
    Signal,
    /// Its session ends, so that the client begins anew.
    Rehandshake,
}

/// One `[[channel]]`: settings of all channels that a pattern matches. Of several that match, the first one that says
/// something about a setting decides it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelSettings {
    /// The channels it is for, like `/orders/**`.
    pub pattern: String,
    /// How much of them is kept, all of them together: `{ messages = 1000, bytes = "1MiB", age = "1h" }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retain: Option<Retain>,
    /// Whether the newest message of each is kept and given to new subscribers at once.
    #[serde(default)]
    pub retain_last: bool,
    /// How long a message may wait for others before it is delivered.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::units::optional_duration")]
    pub lazy: Option<Duration>,
    /// Whether it is listed also while nobody subscribes to it. A pattern without wildcards.
    #[serde(default)]
    pub persistent: bool,
}

impl ChannelSettings {
    /// Reports every value that cannot work, as (key within the entry, what is wrong).
    pub fn validate(&self, limits: ChannelLimits, problem: &mut dyn FnMut(&str, String)) {
        match Pattern::parse(&self.pattern, limits) {
            None => problem("pattern", format!("\"{}\" is no channel or pattern like \"/orders/**\"", self.pattern)),
            Some(Pattern::Exact(_)) => {}
            Some(_) if self.persistent => problem("persistent", "needs a pattern without wildcards".into()),
            Some(_) => {}
        }
        if self.retain.is_some_and(|r| r.messages == Some(0)) {
            problem("retain.messages", "must be at least 1".into());
        }
    }
}
