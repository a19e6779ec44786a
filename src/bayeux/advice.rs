//! Advice: what the broker asks a client to do next. Always the full triple, because clients replace the whole object.
//!
//! Built by the broker, written by `encode`. Never carries a fraction, never omits a member.

use std::time::Duration;

/// What the client should do after this reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reconnect {
    /// Send the next `/meta/connect`.
    Retry,
    /// Forget the session and handshake again.
    Handshake,
    /// Do not come back.
    None,
}

impl Reconnect {
    /// The wire word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Handshake => "handshake",
            Self::None => "none",
        }
    }
}

/// The `advice` object of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advice {
    /// What to do next.
    pub reconnect: Reconnect,
    /// The pause before doing it.
    pub interval: Duration,
    /// How long the broker will hold the next connect.
    pub timeout: Duration,
    /// Set when another tab of the same browser holds the connection slot.
    pub multiple_clients: bool,
}

impl Advice {
    /// The normal advice: come back at once, be held for `timeout`.
    pub fn retry(interval: Duration, timeout: Duration) -> Self {
        Self { reconnect: Reconnect::Retry, interval, timeout, multiple_clients: false }
    }

    /// Same times, another next step.
    #[must_use]
    pub fn with(self, reconnect: Reconnect) -> Self {
        Self { reconnect, ..self }
    }

    /// Same advice with another pause.
    #[must_use]
    pub fn after(self, interval: Duration) -> Self {
        Self { interval, ..self }
    }
}
