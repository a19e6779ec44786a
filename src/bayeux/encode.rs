//! Messages and replies to bytes.
//!
//! Called by the broker (once per publication) and by the exchange (once per response). Raw JSON from peers is copied
//! as it is; only names and texts of our own are written, and those go through a JSON writer when they could need it.

use super::{Seq, advice::Advice, error::ProtocolError, reply::Reply};
use serde_json::value::RawValue;

/// Writes a publication the way every subscriber receives it: `channel`, `data`, and the `ext` that extensions own, as
/// the only element of an array, so that it can go alone without being copied.
/// The channel was checked before, so it holds nothing that JSON escapes.
pub fn publication(channel: &str, data: &RawValue, ext: Option<&str>) -> Vec<u8> {
    let ext_len = ext.map_or(0, |e| e.len() + 7);
    let mut out = Vec::with_capacity(channel.len() + data.get().len() + ext_len + 25);
    out.push(b'[');
    out.extend_from_slice(PUBLICATION_HEAD.as_bytes());
    out.extend_from_slice(channel.as_bytes());
    out.extend_from_slice(PUBLICATION_DATA.as_bytes());
    out.extend_from_slice(data.get().as_bytes());
    if let Some(ext) = ext {
        out.extend_from_slice(b",\"ext\":");
        out.extend_from_slice(ext.as_bytes());
    }
    out.extend_from_slice(b"}]");
    out
}

/// A publication with its position as `ext.replay.id`. `rest` is where what follows `data` begins in it.
pub fn with_replay_id(encoded: &[u8], rest: usize, position: Seq) -> Vec<u8> {
    let (before, after) = encoded.split_at(rest.min(encoded.len()));
    let mut out = Vec::with_capacity(encoded.len() + 48);
    out.push(b'[');
    out.extend_from_slice(before);
    let id = format!("\"replay\":{{\"id\":{position}}}");
    match after.strip_prefix(b",\"ext\":{") {
        Some(own) => {
            out.extend_from_slice(b",\"ext\":{");
            out.extend_from_slice(id.as_bytes());
            if !own.starts_with(b"}") {
                out.push(b',');
            }
            out.extend_from_slice(own);
        }
        None => {
            out.extend_from_slice(b",\"ext\":{");
            out.extend_from_slice(id.as_bytes());
            out.push(b'}');
            out.extend_from_slice(after);
        }
    }
    out.push(b']');
    out
}

/// A publication with its position as `data.event.replayId`, in place of what its publisher may have put there. Data that
/// is no object stays as it is. `at` is where `data` begins.
pub fn with_event_replay_id(encoded: &[u8], at: usize, data: &str, position: Seq) -> Vec<u8> {
    let event = |own: Option<&RawValue>| {
        let own = own.and_then(|raw| members(raw.get())).unwrap_or_default();
        let own = own.into_iter().filter(|(name, _)| name != "replayId");
        object(own.map(|(name, raw)| (name, raw.get().to_owned())).chain([("replayId".into(), position.to_string())]))
    };
    let written = members(data).map(|members| {
        let own = members.iter().find(|(name, _)| name == "event").map(|(_, raw)| *raw);
        let rest = members.into_iter().filter(|(name, _)| name != "event");
        object(rest.map(|(name, raw)| (name, raw.get().to_owned())).chain([("event".into(), event(own))]))
    });
    let mut out = Vec::with_capacity(encoded.len() + 64);
    out.push(b'[');
    out.extend_from_slice(&encoded[..at]);
    out.extend_from_slice(written.as_deref().unwrap_or(data).as_bytes());
    out.extend_from_slice(&encoded[at + data.len()..]);
    out.push(b']');
    out
}

/// The members of an object in their order, each as it is written; `None` when it is none.
fn members(json: &str) -> Option<Vec<(String, &RawValue)>> {
    let members: indexmap::IndexMap<String, &RawValue> = serde_json::from_str(json).ok()?;
    Some(members.into_iter().collect())
}

fn object(members: impl Iterator<Item = (String, String)>) -> String {
    let mut out = vec![b'{'];
    for (name, raw) in members {
        if out.len() > 1 {
            out.push(b',');
        }
        string(&name, &mut out);
        out.push(b':');
        out.extend_from_slice(raw.as_bytes());
    }
    out.push(b'}');
    String::from_utf8(out).unwrap_or_default()
}

/// Writes the answer to a service call in the same form, with the call's `id`; a failure says why in `error` and `data`.
/// Returns the bytes and the length of `data` in them.
pub fn answer(
    channel: &str,
    id: Option<&RawValue>,
    outcome: &Result<Box<RawValue>, ProtocolError>,
    ext: Option<&str>,
) -> (Vec<u8>, usize) {
    let failure;
    let data = match outcome {
        Ok(data) => data.get(),
        Err(error) => {
            failure = serde_json::json!({ "error": error.to_string() }).to_string();
            &failure
        }
    };
    let mut out = Vec::with_capacity(channel.len() + data.len() + 128);
    out.push(b'[');
    for part in [PUBLICATION_HEAD, channel, PUBLICATION_DATA, data] {
        out.extend_from_slice(part.as_bytes());
    }
    if let Some(id) = id {
        out.push(b',');
        field("id", id.get(), &mut out);
    }
    out.push(b',');
    field("successful", if outcome.is_ok() { "true" } else { "false" }, &mut out);
    if let Err(error) = outcome {
        out.extend_from_slice(b",\"error\":");
        string(&error.to_string(), &mut out);
    }
    if let Some(ext) = ext {
        out.push(b',');
        field("ext", ext, &mut out);
    }
    out.extend_from_slice(b"}]");
    (out, data.len())
}

/// What precedes the channel in an encoded publication.
pub const PUBLICATION_HEAD: &str = "{\"channel\":\"";
/// What stands between channel and data.
pub const PUBLICATION_DATA: &str = "\",\"data\":";

/// Writes one reply.
pub fn reply(reply: &Reply, out: &mut Vec<u8>) {
    out.push(b'{');
    if let Some(channel) = &reply.channel {
        out.extend_from_slice(b"\"channel\":");
        string(channel, out);
        out.push(b',');
    }
    if let Some(id) = &reply.id {
        field("id", id.get(), out);
        out.push(b',');
    }
    if let Some(subscription) = &reply.subscription {
        field("subscription", subscription.get(), out);
        out.push(b',');
    }
    field("successful", if reply.is_successful() { "true" } else { "false" }, out);
    if let Some(error) = &reply.error {
        out.extend_from_slice(b",\"error\":");
        string(&error.to_string(), out);
    }
    if let Some(handshake) = &reply.handshake {
        self::handshake(handshake, out);
    }
    if let Some(advice) = &reply.advice {
        out.push(b',');
        self::advice(advice, out);
    }
    if !reply.ext.is_empty() {
        out.extend_from_slice(b",\"ext\":{");
        for (n, (name, value)) in reply.ext.iter().enumerate() {
            if n > 0 {
                out.push(b',');
            }
            field(name, value, out);
        }
        out.push(b'}');
    }
    if let Some(timestamp) = &reply.timestamp {
        out.extend_from_slice(b",\"timestamp\":");
        string(timestamp, out);
    }
    out.push(b'}');
}

fn handshake(handshake: &super::reply::HandshakeReply, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"version\":\"1.0\",\"minimumVersion\":\"1.0\"");
    if let Some(id) = &handshake.client_id {
        out.extend_from_slice(b",\"clientId\":");
        string(id, out);
    }
    out.extend_from_slice(b",\"supportedConnectionTypes\":[");
    for (n, name) in handshake.connection_types.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        string(name, out);
    }
    out.push(b']');
}

fn advice(advice: &Advice, out: &mut Vec<u8>) {
    use std::io::Write;
    let multiple = if advice.multiple_clients { "\"multiple-clients\":true," } else { "" };
    // Writing to a Vec cannot fail.
    let _ = write!(
        out,
        "\"advice\":{{{multiple}\"reconnect\":\"{}\",\"interval\":{},\"timeout\":{}}}",
        advice.reconnect.as_str(),
        advice.interval.as_millis(),
        advice.timeout.as_millis(),
    );
}

fn field(name: &str, raw: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    out.extend_from_slice(raw.as_bytes());
}

/// Writes a JSON string; names without anything to escape, which is nearly all, are copied.
fn string(text: &str, out: &mut Vec<u8>) {
    if text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        // A string always serialises, and writing to a Vec cannot fail.
        let _ = serde_json::to_writer(out, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bayeux::{DecodeLimits, ProtocolError, Reconnect, decode, reply::HandshakeReply};
    use proptest::prelude::*;
    use std::time::Duration;

    fn written(r: &Reply) -> serde_json::Value {
        let mut out = Vec::new();
        reply(r, &mut out);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_full_handshake_reply_is_what_the_contract_shows() {
        let body = br#"[{"channel":"/meta/handshake","id":12}]"#;
        let decoded = decode(body, DecodeLimits { messages: 1, depth: 9 }).unwrap();
        let mut r = Reply::to(&decoded.messages[0]);
        r.handshake =
            Some(HandshakeReply { client_id: Some("abc".into()), connection_types: vec!["websocket", "long-polling"] });
        r.advice = Some(Advice::retry(Duration::ZERO, Duration::from_secs(30)).with(Reconnect::Retry));
        r.ext.push(("ack", "true".into()));
        assert_eq!(
            written(&r),
            serde_json::json!({"channel":"/meta/handshake","id":12,"successful":true,"version":"1.0",
                "minimumVersion":"1.0","clientId":"abc","supportedConnectionTypes":["websocket","long-polling"],
                "advice":{"reconnect":"retry","interval":0,"timeout":30000},"ext":{"ack":true}})
        );
    }

    #[test]
    fn a_refusal_without_a_message_is_just_the_error() {
        let r = Reply::refuse_all(ProtocolError::malformed("body", "empty"));
        assert_eq!(written(&r), serde_json::json!({"successful":false,"error":"400:body:empty"}));
    }

    proptest! {
        #[test]
        fn data_survives_decode_and_encode_byte_for_byte(
            text in "\\PC{0,40}", int in any::<i128>(), tail in "[0-9]{1,30}", ws in "[ \t\r\n]{0,3}",
        ) {
            let string = serde_json::to_string(&text).unwrap();
            let data = format!("{{{ws}\"s\":{string},\"i\":{int},\"f\":1.{tail}0,\"e\":\"\\u00e9\\/\"{ws}}}");
            let body = format!("[{{\"channel\":\"/a/b\",\"data\":{data}}}]");
            let decoded = decode(body.as_bytes(), DecodeLimits { messages: 1, depth: 9 }).unwrap();
            let out = publication("/a/b", decoded.messages[0].data.unwrap(), None);
            prop_assert_eq!(String::from_utf8(out).unwrap(), format!("[{{\"channel\":\"/a/b\",\"data\":{data}}}]"));
        }
    }
}
