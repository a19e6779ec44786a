//! A small Bayeux client: publishing without a session, subscribing over long-polling, and asking how a server is.
//!
//! Used by `cli` (and a bench). It speaks to any Bayeux server and therefore knows nothing of this one: no type of
//! another room is ever used here.

mod backoff;
mod connector;
mod endpoint;
mod health;
mod publish;
mod subscriber;
#[cfg(test)]
mod tests;
mod wire;

pub(crate) use backoff::Backoff;
pub(crate) use connector::connector;
pub use health::health;
pub use publish::{Publication, Publisher};
pub use subscriber::{Event, Subscriber};
pub use wire::Message;

use std::fmt;

/// Why the server did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The URL cannot be used.
    Url(String),
    /// The token cannot be sent.
    Token(String),
    /// No connection, or it broke, or no answer in time.
    Unreachable(String),
    /// An HTTP status other than success, without a Bayeux error in its body.
    Status(u16),
    /// The answer is not what a Bayeux server says.
    NotBayeux(String),
    /// The server said no, in its own words.
    Refused(String),
    /// The server ended the session and advised not to come back.
    Ended,
}

impl Error {
    /// Whether the same request may succeed a little later.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Status(status) => *status >= 500 || matches!(status, 408 | 429),
            Self::Url(_) | Self::Token(_) | Self::NotBayeux(_) | Self::Refused(_) | Self::Ended => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(why) => write!(f, "the URL cannot be used: {why}"),
            Self::Token(why) => write!(f, "the token cannot be used: {why}"),
            Self::Unreachable(why) => write!(f, "the server cannot be reached: {why}"),
            Self::Status(status) => write!(f, "the server answered with HTTP status {status}"),
            Self::NotBayeux(why) => write!(f, "the answer is not Bayeux: {why}"),
            Self::Refused(why) => write!(f, "refused: {why}"),
            Self::Ended => f.write_str("the server ended the session"),
        }
    }
}

impl std::error::Error for Error {}
