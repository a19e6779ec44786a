//! The bodies of calls: `{"type", "timestamp", "data"}`, with the clients' data byte for byte as they sent it.
//!
//! Written by everything in this room that posts. Holds no logic.

use crate::broker::Asking;
use serde::Serialize;
use serde_json::value::RawValue;
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

#[derive(Serialize)]
struct Envelope<'a, T> {
    #[serde(rename = "type")]
    kind: &'a str,
    timestamp: String,
    data: T,
}

/// The body of a call of this type.
///
/// # Errors
/// When the data cannot be written as JSON, which would be a fault of ours.
pub fn body(kind: &str, data: impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Envelope { kind, timestamp: rfc3339(SystemTime::now()), data })
}

/// A moment as text, in UTC and to the millisecond.
pub fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

/// The same from the wall clock in milliseconds since 1970.
pub fn rfc3339_ms(ms: u64) -> String {
    // Later than year 9999 has no text.
    rfc3339(UNIX_EPOCH + Duration::from_millis(ms.min(253_402_300_799_999)))
}

/// Who asks, as calls and hooks tell it.
#[derive(Serialize)]
pub struct Who<'a> {
    session: Option<String>,
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<&'a str, &'a str>,
}

impl<'a> Who<'a> {
    /// Of all headers that were seen, only those in `forwarded` go out: others are for the policy alone.
    pub fn of(asking: &'a Asking, forwarded: &'a [String]) -> Self {
        let value = |name: &'a String| Some((name.as_str(), asking.credentials.as_ref()?.get(name)?));
        Self {
            session: asking.session.map(|id| id.to_string()),
            user: asking.who.user.as_deref(),
            headers: forwarded.iter().filter_map(value).collect(),
        }
    }
}

/// `data` of a service call.
#[derive(Serialize)]
pub struct ServiceCall<'a> {
    /// The service channel.
    pub channel: &'a str,
    /// The message id.
    pub id: Option<&'a RawValue>,
    /// What was sent.
    pub data: &'a RawValue,
    /// Who calls.
    #[serde(flatten)]
    pub who: Who<'a>,
}

/// `data` of a question to a hook.
#[derive(Serialize)]
pub struct HookCall<'a> {
    /// The channel of a publication, or the pattern of a subscription.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<&'a str>,
    /// What is to be published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<&'a RawValue>,
    /// What the handshake carried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ext: Option<&'a RawValue>,
    /// Who asks.
    #[serde(flatten)]
    pub who: Who<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc3339_and_never_panic() {
        assert_eq!(rfc3339_ms(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!(rfc3339_ms(u64::MAX), "9999-12-31T23:59:59.999Z");
    }
}
