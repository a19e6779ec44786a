//! What goes over the wire, as far as this client cares. Used by the whole room; never interprets `data`.

use super::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, value::RawValue};
use std::time::Duration;

/// A message of a channel, as it was received.
#[derive(Clone, Debug, Serialize)]
pub struct Message {
    /// The channel it was published to.
    pub channel: String,
    /// What was published, byte for byte.
    pub data: Box<RawValue>,
    /// What the server's extensions added, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ext: Option<Box<RawValue>>,
}

/// Anything a server sends: a reply, or a message of a channel.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Incoming {
    pub(super) channel: Option<String>,
    pub(super) id: Option<Value>,
    pub(super) client_id: Option<String>,
    pub(super) successful: Option<bool>,
    pub(super) error: Option<String>,
    pub(super) advice: Option<IncomingAdvice>,
    pub(super) supported_connection_types: Option<Vec<String>>,
    #[serde(default, deserialize_with = "even_null")]
    pub(super) data: Option<Box<RawValue>>,
    pub(super) ext: Option<Box<RawValue>>,
}

/// `null` is data too; an absent field is none.
fn even_null<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(from).map(Some)
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct IncomingAdvice {
    reconnect: Option<String>,
    interval: Option<u64>,
    timeout: Option<u64>,
}

impl Incoming {
    pub(super) fn is_reply_of(&self, meta: &str) -> bool {
        self.channel.as_deref() == Some(meta)
    }

    pub(super) fn succeeded(&self) -> bool {
        self.successful == Some(true)
    }

    /// The server's words for what went wrong.
    pub(super) fn error_text(&self) -> String {
        self.error.clone().unwrap_or_else(|| "no reason given".into())
    }

    /// The message of a channel that this is, unless it is a reply.
    pub(super) fn into_message(self) -> Option<Message> {
        match (self.channel, self.data) {
            (Some(channel), Some(data)) if !channel.starts_with("/meta/") => {
                Some(Message { channel, data, ext: self.ext })
            }
            _ => None,
        }
    }
}

/// What the server wants done when a session is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Reconnect {
    #[default]
    Retry,
    Handshake,
    Never,
}

/// The advice in force. Each field holds until a newer one comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Advice {
    pub(super) reconnect: Reconnect,
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
}

impl Default for Advice {
    /// Until the server says otherwise; the timeout is what most servers hold at most.
    fn default() -> Self {
        Self { reconnect: Reconnect::Retry, interval: Duration::ZERO, timeout: Duration::from_secs(60) }
    }
}

impl Advice {
    pub(super) fn take(&mut self, newer: &IncomingAdvice) {
        match newer.reconnect.as_deref() {
            Some("retry") => self.reconnect = Reconnect::Retry,
            Some("handshake") => self.reconnect = Reconnect::Handshake,
            Some("none") => self.reconnect = Reconnect::Never,
            _ => {}
        }
        if let Some(ms) = newer.interval {
            self.interval = Duration::from_millis(ms);
        }
        if let Some(ms) = newer.timeout {
            self.timeout = Duration::from_millis(ms);
        }
    }
}

/// Reads a body: an array of messages, or one bare message.
pub(super) fn decode(body: &[u8]) -> Result<Vec<Incoming>, Error> {
    let is_array = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let decoded = match is_array {
        true => serde_json::from_slice(body),
        false => serde_json::from_slice(body).map(|one| vec![one]),
    };
    decoded.map_err(|error| Error::NotBayeux(error.to_string()))
}
