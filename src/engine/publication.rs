//! A publication: a message that has its place in the log, encoded once for all who receive it.
//!
//! Made by the broker as a `Draft`, numbered by the engine, shared by every queue as an `Arc`. Never changed after that.

use crate::bayeux::{ClientId, ProtocolError, Seq, encode};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::sync::{Arc, OnceLock};

/// A message that waits for its place in the log.
#[derive(Clone, Debug)]
pub struct Draft {
    /// `[{...}]`: a whole response or frame when it goes alone.
    framed: Bytes,
    channel_len: u32,
    data_len: u32,
    /// The session that published it, when one did.
    pub publisher: Option<ClientId>,
    /// The one session it is for; `None` is for all subscribers.
    pub to: Option<ClientId>,
    /// The one session that does not get it, although it subscribed.
    pub without: Option<ClientId>,
    /// A name by which a second sending of the same is known.
    pub key: Option<Arc<str>>,
    /// When it was accepted: the wall clock in milliseconds.
    pub time_ms: u64,
}

impl Draft {
    /// Encodes a message. `channel` must have been checked: it is written without escaping.
    pub fn new(channel: &str, data: &RawValue, ext: Option<&str>, time_ms: u64) -> Self {
        Self {
            framed: encode::publication(channel, data, ext).into(),
            channel_len: u32::try_from(channel.len()).unwrap_or(u32::MAX),
            data_len: u32::try_from(data.get().len()).unwrap_or(u32::MAX),
            publisher: None,
            to: None,
            without: None,
            key: None,
            time_ms,
        }
    }

    /// The answer to a service call: it carries the call's `id`, the `ext` that goes with it, and when it failed, why.
    pub fn answer(
        channel: &str,
        id: Option<&RawValue>,
        outcome: &Result<Box<RawValue>, ProtocolError>,
        ext: Option<&str>,
        time_ms: u64,
    ) -> Self {
        let (framed, data_len) = encode::answer(channel, id, outcome, ext);
        Self {
            framed: framed.into(),
            channel_len: u32::try_from(channel.len()).unwrap_or(u32::MAX),
            data_len: u32::try_from(data_len).unwrap_or(u32::MAX),
            publisher: None,
            to: None,
            without: None,
            key: None,
            time_ms,
        }
    }

    /// As an engine stored it: the encoded form, with the bytes of its channel and its data.
    pub(super) fn stored(framed: Bytes, lengths: (u32, u32), time_ms: u64) -> Self {
        let (channel_len, data_len) = lengths;
        Self { framed, channel_len, data_len, publisher: None, to: None, without: None, key: None, time_ms }
    }

    /// Bytes of its channel and of its data in the encoded form.
    pub(super) fn lengths(&self) -> (u32, u32) {
        (self.channel_len, self.data_len)
    }

    /// Gives it an idempotency key.
    #[must_use]
    pub fn once(self, key: impl Into<Arc<str>>) -> Self {
        Self { key: Some(key.into()), ..self }
    }

    /// Marks who published it.
    #[must_use]
    pub fn from(self, publisher: Option<ClientId>) -> Self {
        Self { publisher, ..self }
    }

    /// Addresses it to one session.
    #[must_use]
    pub fn to(self, session: ClientId) -> Self {
        Self { to: Some(session), ..self }
    }

    /// Keeps it from one session.
    #[must_use]
    pub fn without(self, session: Option<ClientId>) -> Self {
        Self { without: session, ..self }
    }

    /// Its JSON object as subscribers receive it.
    pub fn encoded(&self) -> &[u8] {
        self.framed.get(1..self.framed.len() - 1).unwrap_or_default()
    }

    /// The same as the only element of an array, shared by all who send it alone.
    pub fn framed(&self) -> &Bytes {
        &self.framed
    }

    /// The channel it was published to.
    pub fn channel(&self) -> &str {
        self.text(encode::PUBLICATION_HEAD.len(), self.channel_len as usize)
    }

    /// The payload, byte for byte as the publisher sent it.
    pub fn data(&self) -> &str {
        let start = encode::PUBLICATION_HEAD.len() + self.channel_len as usize + encode::PUBLICATION_DATA.len();
        self.text(start, self.data_len as usize)
    }

    fn text(&self, start: usize, len: usize) -> &str {
        self.encoded().get(start..start + len).and_then(|part| std::str::from_utf8(part).ok()).unwrap_or_default()
    }
}

/// How a message is written for a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Form {
    /// As it was published.
    #[default]
    Plain,
    /// With its position as `ext.replay.id`.
    ExtReplay,
    /// With its position as `data.event.replayId`.
    EventReplayId,
}

/// A message with its place in the log.
#[derive(Debug)]
pub struct Publication {
    /// Its position.
    pub seq: Seq,
    /// The message.
    pub draft: Draft,
    form: Form,
    /// The same in another form, made when it is first asked for.
    other: OnceLock<Arc<Publication>>,
}

impl Publication {
    /// A message at its place.
    pub fn new(seq: Seq, draft: Draft) -> Self {
        Self { seq, draft, form: Form::Plain, other: OnceLock::new() }
    }

    /// The same in the form that a session asked for; written once, however many receive it.
    pub fn in_form(self: &Arc<Self>, form: Form) -> Arc<Self> {
        if form == self.form || self.form != Form::Plain {
            return Arc::clone(self);
        }
        let other = self.other.get_or_init(|| self.written(form));
        if other.form == form { Arc::clone(other) } else { self.written(form) }
    }

    fn written(&self, form: Form) -> Arc<Self> {
        let framed = match form {
            Form::EventReplayId => {
                let at = self.rest_at() - self.draft.data_len as usize;
                encode::with_event_replay_id(self.draft.encoded(), at, self.draft.data(), self.seq)
            }
            Form::Plain | Form::ExtReplay => encode::with_replay_id(self.draft.encoded(), self.rest_at(), self.seq),
        };
        let draft = Draft { framed: framed.into(), ..self.draft.clone() };
        Arc::new(Self { seq: self.seq, draft, form, other: OnceLock::new() })
    }

    /// Where what follows `data` begins in the encoded form.
    fn rest_at(&self) -> usize {
        let head = encode::PUBLICATION_HEAD.len() + encode::PUBLICATION_DATA.len();
        head + self.draft.channel_len as usize + self.draft.data_len as usize
    }

    /// Bytes it counts for in queues and in the log: its JSON and what carries it.
    pub fn weight(&self) -> usize {
        self.draft.framed.len() + size_of::<Self>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channel_and_data_are_found_again_in_the_encoded_form() {
        let data = RawValue::from_string(r#"{"a":"\u00e9 é","n":1.10}"#.into()).unwrap();
        let draft = Draft::new("/a/b", &data, Some(r#"{"binary":{}}"#), 0);
        assert_eq!(draft.channel(), "/a/b");
        assert_eq!(draft.data(), data.get());
        assert_eq!(
            std::str::from_utf8(draft.encoded()).unwrap(),
            r#"{"channel":"/a/b","data":{"a":"\u00e9 é","n":1.10},"ext":{"binary":{}}}"#
        );
    }
}
