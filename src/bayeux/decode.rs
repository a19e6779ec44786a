//! Bytes to messages: the body of a request, or one WebSocket message.
//!
//! Called by the transports' shared exchange. Bounds come first: nothing is built for what is refused, and nothing a
//! peer sends makes this recurse deeper than the limit or allocate more than the limit on messages.

use super::{error::ProtocolError, message::Message};
use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, SeqAccess, Visitor},
};
use std::fmt;

/// Bounds on one request.
#[derive(Clone, Copy, Debug)]
pub struct DecodeLimits {
    /// Most messages in one request.
    pub messages: usize,
    /// Deepest nesting of arrays and objects, the outer array included.
    pub depth: usize,
}

/// Why a whole request was refused. The HTTP status is the error's code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRequest(pub ProtocolError);

impl BadRequest {
    /// A malformed request: where, and what was wrong.
    pub fn malformed(
        place: impl Into<std::borrow::Cow<'static, str>>,
        what: impl Into<std::borrow::Cow<'static, str>>,
    ) -> Self {
        Self(ProtocolError::Malformed(place.into(), what.into()))
    }
}

/// The messages of one request.
#[derive(Debug)]
pub struct Decoded<'a> {
    /// In the order they came.
    pub messages: Vec<Message<'a>>,
    /// Whether the peer sent one object without an array around it.
    pub bare: bool,
}

/// Reads an array of messages or one bare message.
///
/// # Errors
/// When the bytes are not UTF-8, not JSON, nested too deep, more messages than allowed, or anything but objects.
pub fn decode(body: &[u8], limits: DecodeLimits) -> Result<Decoded<'_>, BadRequest> {
    let text = std::str::from_utf8(body)
        .map_err(|e| BadRequest::malformed(format!("byte {}", e.valid_up_to()), "invalid UTF-8"))?;
    if deeper_than(body, limits.depth) {
        return Err(BadRequest::malformed("body", "nested too deep"));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let (messages, bare) = match text.trim_start_matches([' ', '\t', '\r', '\n']).as_bytes().first() {
        Some(b'[') => (Messages { limit: limits.messages }.deserialize(&mut json).map_err(explain)?, false),
        Some(b'{') => (vec![serde::Deserialize::deserialize(&mut json).map_err(explain)?], true),
        None => return Err(BadRequest::malformed("body", "empty")),
        Some(_) => return Err(BadRequest::malformed("body", "neither an array nor an object")),
    };
    json.end().map_err(explain)?;
    Ok(Decoded { messages, bare })
}

/// What `Messages` says when the limit is met; recognised again by `explain`, as serde errors carry only text.
const TOO_MANY: &str = "too many messages";

fn explain(error: serde_json::Error) -> BadRequest {
    let what = error.to_string();
    if what.starts_with(TOO_MANY) {
        return BadRequest(ProtocolError::TooManyMessages);
    }
    let what = what.split(" at line ").next().unwrap_or("not JSON").to_owned();
    BadRequest::malformed(format!("line {} column {}", error.line(), error.column()), what)
}

/// The outer array, read up to its limit.
struct Messages {
    limit: usize,
}

impl<'de> DeserializeSeed<'de> for Messages {
    type Value = Vec<Message<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Messages {
    type Value = Vec<Message<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut messages = Vec::new();
        while messages.len() < self.limit {
            let Some(message) = seq.next_element()? else { return Ok(messages) };
            messages.push(message);
        }
        match seq.next_element::<IgnoredAny>()? {
            None => Ok(messages),
            Some(_) => Err(A::Error::custom(TOO_MANY)),
        }
    }
}

/// Whether arrays and objects nest deeper than `limit`. Most bodies hold fewer brackets than that: one quick look.
pub fn deeper_than(body: &[u8], limit: usize) -> bool {
    if memchr::memchr2_iter(b'{', b'[', body).nth(limit).is_none() {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for &byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const LIMITS: DecodeLimits = DecodeLimits { messages: 3, depth: 5 };

    fn refused(body: &str) -> String {
        decode(body.as_bytes(), LIMITS).expect_err(body).0.to_string()
    }

    #[test]
    fn arrays_and_bare_objects_are_told_apart() {
        let many = decode(br#" [{"channel":"/a"},{"channel":"\/b"}]"#, LIMITS).unwrap();
        assert!(!many.bare);
        assert_eq!(many.messages[1].channel, "/b");
        assert!(decode(br#"{"channel":"/a"}"#, LIMITS).unwrap().bare);
        assert!(decode(b"[]", LIMITS).unwrap().messages.is_empty());
    }

    #[test]
    fn data_and_id_keep_every_byte() {
        let body =
            r#"[{"channel":"/a","id":007.0,"data":{"n":12345678901234567890,"f":1.10,"a":1,"a":2,"s":"\u00e9\/"}}]"#;
        assert!(decode(body.as_bytes(), LIMITS).is_err(), "007 is no JSON number");
        let body = body.replace("007.0", "7.0");
        let decoded = decode(body.as_bytes(), LIMITS).unwrap();
        assert_eq!(decoded.messages[0].id.unwrap().get(), "7.0");
        assert_eq!(
            decoded.messages[0].data.unwrap().get(),
            r#"{"n":12345678901234567890,"f":1.10,"a":1,"a":2,"s":"\u00e9\/"}"#
        );
    }

    #[test]
    fn what_is_no_request_is_refused_with_a_place() {
        assert_eq!(refused(""), "400:body:empty");
        assert_eq!(refused("null"), "400:body:neither an array nor an object");
        assert!(refused("[{]").starts_with("400:line 1 column"), "{}", refused("[{]"));
        assert!(refused("[1]").contains("expected a message object"));
        assert!(refused("[null]").starts_with("400:"));
        assert!(refused("[[\"/a\"]]").starts_with("400:"));
        assert!(refused("[{}] x").starts_with("400:"));
        assert!(decode(b"[{\"channel\":\"/\xff\"}]", LIMITS).unwrap_err().0.to_string().ends_with("invalid UTF-8"));
    }

    #[test]
    fn bounds_are_exact() {
        assert!(decode(b"[{},{},{}]", LIMITS).is_ok());
        assert_eq!(refused("[{},{},{},{}]"), "413::too_many_messages");
        assert!(decode(br#"[{"channel":"/a","data":[[[1]]]}]"#, LIMITS).is_ok());
        assert_eq!(refused(r#"[{"channel":"/a","data":[[[[1]]]]}]"#), "400:body:nested too deep");
        assert!(
            decode(br#"[{"channel":"/a","data":"[[[[[[[[{{{\"[["}]"#, LIMITS).is_ok(),
            "brackets in strings do not nest"
        );
    }

    #[test]
    fn wrong_types_are_the_fault_of_their_message_alone() {
        let fault = |fields: &str| {
            let body = format!("[{{{fields}}},{{\"channel\":\"/ok\"}}]");
            let decoded = decode(body.as_bytes(), LIMITS).unwrap();
            assert_eq!(decoded.messages[1].fault, None);
            decoded.messages[0].fault.as_ref().map(ToString::to_string)
        };
        assert_eq!(fault(r#""channel":5"#).unwrap(), "400:channel:must be a string");
        assert_eq!(fault("").unwrap(), "400:channel:missing");
        assert_eq!(fault(r#""channel":"/a","clientId":5"#).unwrap(), "400:clientId:must be a string");
        assert_eq!(fault(r#""channel":"/a","advice":"x""#).unwrap(), "400:advice:must be an object");
        assert_eq!(fault(r#""channel":"/a","ext":"x""#).unwrap(), "400:ext:must be an object");
        assert_eq!(fault(r#""channel":"/a","id":{}"#).unwrap(), "400:id:must be a string or a number");
        assert_eq!(fault(r#""channel":"/a","ext":[],"clientId":null,"timestamp":1,"id":null"#), None);
    }

    #[test]
    fn advice_reads_only_numbers() {
        let timeout = |value: &str| {
            let body = format!("[{{\"channel\":\"/meta/connect\",\"advice\":{{\"timeout\":{value}}}}}]");
            decode(body.as_bytes(), LIMITS).unwrap().messages[0].advice.unwrap().timeout
        };
        assert_eq!(timeout("500"), Some(Duration::from_millis(500)));
        assert_eq!(timeout("1e300"), Some(Duration::MAX));
        assert_eq!(timeout("\"0\""), None);
        assert_eq!(timeout("-1"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = decode(&body, LIMITS);
        }
    }
}
