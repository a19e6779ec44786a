//! The Bayeux protocol as values: channels, messages, replies, advice, errors and their JSON.
//!
//! Everything here is pure: no clock, no I/O, no logging, no async. Used by every room above; uses none of them.

pub mod advice;
pub mod channel;
pub mod client_id;
pub mod connection_type;
pub mod decode;
pub mod encode;
pub mod error;
pub mod message;
pub mod reply;
pub mod text;

pub use advice::{Advice, Reconnect};
pub use channel::{ChannelKind, ChannelLimits, Pattern};
pub use client_id::ClientId;
pub use connection_type::ConnectionType;
pub use decode::{BadRequest, DecodeLimits, decode};
pub use error::ProtocolError;
pub use message::Message;
pub use reply::Reply;

/// A position in the log. Starts at the clock in microseconds, stays below 2^53, so that a JSON number carries it.
pub type Seq = u64;
