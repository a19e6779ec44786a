//! One message as a peer sent it, borrowed from the request's bytes, its fields typed.
//!
//! Made by `decode`, read by the broker's verbs and by extensions. `data`, `id`, `ext` and `subscription` stay the raw
//! text of the peer: nothing here re-serialises them. A field of the wrong type is remembered as the message's fault.

use super::{
    error::ProtocolError,
    text::{Read, Text, text},
};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt, time::Duration};

/// Longest message id that is echoed.
pub const MAX_ID_BYTES: usize = 64 << 10;

/// A message from a peer.
#[derive(Clone, Debug, Default)]
pub struct Message<'a> {
    /// The channel; empty when it was missing or no string.
    pub channel: Cow<'a, str>,
    /// The id exactly as sent, when it is a string or a number.
    pub id: Option<&'a RawValue>,
    /// The session it claims to speak for; `None` when absent, `null` or empty.
    pub client_id: Option<Cow<'a, str>>,
    /// The payload exactly as sent; `null` is a payload.
    pub data: Option<&'a RawValue>,
    /// The `ext` object exactly as sent.
    pub ext: Option<&'a RawValue>,
    /// What the peer asks of this connect.
    pub advice: Option<AdviceRequest>,
    /// The `subscription` field exactly as sent, of whatever type.
    pub subscription: Option<&'a RawValue>,
    /// The connection types a handshake offers.
    pub supported_connection_types: Option<Vec<Cow<'a, str>>>,
    /// The transport a connect says it uses; informative only.
    pub connection_type: Option<Cow<'a, str>>,
    /// Whether it tells when it was sent. Peers do so in many formats, and nobody needs to read them.
    pub is_timestamped: bool,
    /// The first field that had the wrong JSON type.
    pub fault: Option<ProtocolError>,
}

/// The `advice` of a request: upper bounds for this request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AdviceRequest {
    /// Hold no longer than this.
    pub timeout: Option<Duration>,
    /// The peer announces to pause this long.
    pub interval: Option<Duration>,
}

impl<'a> Message<'a> {
    /// One member of `ext` exactly as sent.
    pub fn ext_member(&self, name: &str) -> Option<&'a RawValue> {
        let ext = self.ext?.get();
        // Every extension asks for its own, and nearly always it is not there: then nothing is parsed. With escapes a name
        // may be spelt in many ways.
        let may_hold = |bytes: &[u8]| memchr::memmem::find(ext.as_bytes(), bytes).is_some();
        if !may_hold(name.as_bytes()) && !may_hold(b"\\") {
            return None;
        }
        let members: std::collections::HashMap<Cow<'a, str>, &'a RawValue> = serde_json::from_str(ext).ok()?;
        members.get(name).copied()
    }

    /// The channels of a subscribe or unsubscribe, whether sent as one string or as an array of them.
    ///
    /// # Errors
    /// `SubscriptionMissing` when there are none, `Malformed` when it is neither string nor array of strings.
    pub fn subscriptions(&self) -> Result<Vec<Cow<'a, str>>, ProtocolError> {
        let wrong = || ProtocolError::malformed("subscription", "must be a string or an array of strings");
        let raw = self.subscription.map_or("null", RawValue::get);
        let names = match raw.as_bytes().first() {
            Some(b'"') => vec![text(raw).ok_or_else(wrong)?],
            Some(b'[') => strings(raw).ok_or_else(wrong)?,
            Some(b'n') => Vec::new(),
            _ => return Err(wrong()),
        };
        if names.is_empty() { Err(ProtocolError::SubscriptionMissing) } else { Ok(names) }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Message<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(MessageVisitor)
    }
}

struct MessageVisitor;

/// The fields of a message that mean something here; the rest is skipped unread.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Key {
    Channel,
    Id,
    ClientId,
    Data,
    Ext,
    Advice,
    Subscription,
    SupportedConnectionTypes,
    ConnectionType,
    Timestamp,
    #[serde(other)]
    Unknown,
}

impl<'de> Visitor<'de> for MessageVisitor {
    type Value = Message<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Message<'de>, A::Error> {
        let mut message = Message::default();
        let mut fault = Fault(None);
        let mut channel_seen = false;
        while let Some(key) = map.next_key::<Key>()? {
            if matches!(key, Key::Timestamp | Key::Unknown) {
                message.is_timestamped |= matches!(key, Key::Timestamp);
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            // Texts are read in one go; everything else is first cut out as it is.
            if let Some((field, place)) = message.text_field(&key) {
                channel_seen |= matches!(key, Key::Channel);
                let text = map.next_value_seed(Text)?;
                fault.note(put(text, place).map_err(|()| ProtocolError::malformed(field, "must be a string")));
                continue;
            }
            let raw: &'de RawValue = map.next_value()?;
            fault.note(message.set(&key, raw));
        }
        if !channel_seen {
            fault.note(Err(ProtocolError::malformed("channel", "missing")));
        }
        message.fault = fault.0;
        Ok(message)
    }
}

/// Keeps the first thing that went wrong.
struct Fault(Option<ProtocolError>);

impl Fault {
    fn note(&mut self, result: Result<(), ProtocolError>) {
        if let (None, Err(error)) = (&self.0, result) {
            self.0 = Some(error);
        }
    }
}

impl<'a> Message<'a> {
    fn set(&mut self, key: &Key, raw: &'a RawValue) -> Result<(), ProtocolError> {
        let null = raw.get() == "null";
        let wrong = |field: &'static str, what: &'static str| ProtocolError::malformed(field, what);
        match key {
            Key::Id => self.id = id(raw)?,
            Key::Data => self.data = Some(raw),
            Key::Ext => {
                self.ext = match raw.get().as_bytes() {
                    [b'{', ..] => Some(raw),
                    _ if null || is_empty_array(raw.get()) => None,
                    _ => return Err(wrong("ext", "must be an object")),
                };
            }
            Key::Advice if null => {}
            Key::Advice => self.advice = Some(advice(raw).ok_or_else(|| wrong("advice", "must be an object"))?),
            Key::Subscription => self.subscription = (!null).then_some(raw),
            Key::SupportedConnectionTypes if null => {}
            Key::SupportedConnectionTypes => {
                let types = strings(raw.get())
                    .ok_or_else(|| wrong("supportedConnectionTypes", "must be an array of strings"))?;
                self.supported_connection_types = Some(types);
            }
            Key::Channel | Key::ClientId | Key::ConnectionType | Key::Timestamp | Key::Unknown => {}
        }
        Ok(())
    }
}

/// Where a text goes.
enum Place<'m, 'a> {
    /// It must be there.
    Needed(&'m mut Cow<'a, str>),
    /// `null` and nothing at all are the same as absent.
    Optional(&'m mut Option<Cow<'a, str>>),
}

impl<'a> Message<'a> {
    fn text_field(&mut self, key: &Key) -> Option<(&'static str, Place<'_, 'a>)> {
        match key {
            Key::Channel => Some(("channel", Place::Needed(&mut self.channel))),
            Key::ClientId => Some(("clientId", Place::Optional(&mut self.client_id))),
            Key::ConnectionType => Some(("connectionType", Place::Optional(&mut self.connection_type))),
            _ => None,
        }
    }
}

fn put<'a>(read: Read<'a>, place: Place<'_, 'a>) -> Result<(), ()> {
    match (read, place) {
        (Read::Text(text), Place::Needed(needed)) => *needed = text,
        (Read::Text(text), Place::Optional(optional)) => *optional = Some(text).filter(|text| !text.is_empty()),
        (Read::Null, Place::Optional(optional)) => *optional = None,
        _ => return Err(()),
    }
    Ok(())
}

fn strings(raw: &str) -> Option<Vec<Cow<'_, str>>> {
    let items: Vec<&RawValue> = serde_json::from_str(raw).ok()?;
    items.into_iter().map(|item| text(item.get())).collect()
}

fn is_empty_array(raw: &str) -> bool {
    raw.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).is_some_and(|inner| inner.trim().is_empty())
}

fn id(raw: &RawValue) -> Result<Option<&RawValue>, ProtocolError> {
    match raw.get().as_bytes() {
        [b'n', ..] => Ok(None),
        [b'"' | b'-' | b'0'..=b'9', ..] if raw.get().len() <= MAX_ID_BYTES => Ok(Some(raw)),
        [b'"' | b'-' | b'0'..=b'9', ..] => Err(ProtocolError::MessageIdInvalid),
        _ => Err(ProtocolError::malformed("id", "must be a string or a number")),
    }
}

fn advice(raw: &RawValue) -> Option<AdviceRequest> {
    #[derive(Deserialize)]
    struct Fields<'a> {
        #[serde(borrow)]
        timeout: Option<&'a RawValue>,
        #[serde(borrow)]
        interval: Option<&'a RawValue>,
    }
    if !raw.get().starts_with('{') {
        return None;
    }
    let fields: Fields<'_> = serde_json::from_str(raw.get()).ok()?;
    Some(AdviceRequest { timeout: fields.timeout.and_then(millis), interval: fields.interval.and_then(millis) })
}

/// A non-negative number of milliseconds; anything else counts as not said.
fn millis(raw: &RawValue) -> Option<Duration> {
    let ms: f64 = raw.get().parse().ok()?;
    (ms >= 0.0).then(|| Duration::try_from_secs_f64(ms / 1000.0).unwrap_or(Duration::MAX))
}
