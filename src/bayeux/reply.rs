//! The broker's answer to one message. Exactly one exists per request message.
//!
//! Made by the broker's verbs, decorated by extensions, written by `encode`. Never holds `data`, never a `null`.

use super::{advice::Advice, error::ProtocolError, message::Message};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// What one request message is answered.
#[derive(Debug, Default)]
pub struct Reply {
    /// The channel of the request; absent when it had none.
    pub channel: Option<Cow<'static, str>>,
    /// The request's id, as it was sent.
    pub id: Option<Box<RawValue>>,
    /// `None` when it succeeded.
    pub error: Option<ProtocolError>,
    /// Echo of the request's `subscription`.
    pub subscription: Option<Box<RawValue>>,
    /// What to do next.
    pub advice: Option<Advice>,
    /// What a successful handshake tells.
    pub handshake: Option<HandshakeReply>,
    /// Members of `ext` that were negotiated, each as raw JSON.
    pub ext: Vec<(&'static str, String)>,
    /// When it left, for peers that tell the same of their messages.
    pub timestamp: Option<Box<str>>,
}

/// The extra fields of a handshake reply.
#[derive(Debug)]
pub struct HandshakeReply {
    /// The new session, when there is one.
    pub client_id: Option<String>,
    /// The transports that are offered.
    pub connection_types: Vec<&'static str>,
}

impl Reply {
    /// A successful answer to `message`.
    pub fn to(message: &Message<'_>) -> Self {
        Self {
            channel: (!message.channel.is_empty()).then(|| static_name(&message.channel)),
            id: message.id.map(ToOwned::to_owned),
            ..Self::default()
        }
    }

    /// A refusal of `message`.
    pub fn refuse(message: &Message<'_>, error: ProtocolError) -> Self {
        Self { error: Some(error), ..Self::to(message) }
    }

    /// A refusal that answers no message in particular: the whole request was bad.
    pub fn refuse_all(error: ProtocolError) -> Self {
        Self { error: Some(error), ..Self::default() }
    }

    /// The same reply as a failure.
    #[must_use]
    pub fn failed(self, error: ProtocolError) -> Self {
        Self { error: Some(error), ..self }
    }

    /// The same reply with advice.
    #[must_use]
    pub fn advise(self, advice: Advice) -> Self {
        Self { advice: Some(advice), ..self }
    }

    /// Whether the request succeeded.
    pub fn is_successful(&self) -> bool {
        self.error.is_none()
    }
}

/// The meta channels of the protocol, spelt once, so that answering them copies no text.
pub mod meta {
    /// Makes a session.
    pub const HANDSHAKE: &str = "/meta/handshake";
    /// Asks for messages.
    pub const CONNECT: &str = "/meta/connect";
    /// Ends a session.
    pub const DISCONNECT: &str = "/meta/disconnect";
    /// Asks for channels.
    pub const SUBSCRIBE: &str = "/meta/subscribe";
    /// Gives channels back.
    pub const UNSUBSCRIBE: &str = "/meta/unsubscribe";
    /// All of them.
    pub const ALL: [&str; 5] = [CONNECT, SUBSCRIBE, UNSUBSCRIBE, HANDSHAKE, DISCONNECT];
}

fn static_name(channel: &str) -> Cow<'static, str> {
    match meta::ALL.iter().find(|known| **known == channel) {
        Some(known) => Cow::Borrowed(*known),
        None => Cow::Owned(channel.to_owned()),
    }
}
