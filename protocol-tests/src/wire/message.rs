//! One Bayeux message as it came: its exact bytes, and the same parsed, so that a case can look at either.
//!
//! Called by every reader of the suite. Never normalises: `raw` is what stood between the commas of the server's array.

use anyhow::{Context, Result};
use serde_json::{Value, value::RawValue};
use std::{collections::HashMap, ops::Deref};

/// A message from the server. Dereferences to its parsed form.
#[derive(Clone, Debug)]
pub struct Message {
    /// The bytes of the object as the server wrote them.
    pub raw: String,
    value: Value,
}

impl Deref for Message {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.value
    }
}

impl Message {
    /// Reads an array of messages; anything else is not a Bayeux answer.
    pub fn array(text: &str) -> Result<Vec<Self>> {
        let elements: Vec<&RawValue> =
            serde_json::from_str(text).with_context(|| format!("not a JSON array: {}", excerpt(text)))?;
        elements.into_iter().map(|element| Self::one(element.get())).collect()
    }

    fn one(raw: &str) -> Result<Self> {
        Ok(Self { value: serde_json::from_str(raw)?, raw: raw.to_owned() })
    }

    /// Whether this answers a request: it has a verdict and no payload.
    pub fn is_reply(&self) -> bool {
        self.get("successful").is_some() && self.get("data").is_none()
    }

    /// Whether this is something published, on its way to a subscriber.
    pub fn is_event(&self) -> bool {
        !self.is_reply() && !self.channel().starts_with("/meta/")
    }

    /// The channel, or nothing when there is none.
    pub fn channel(&self) -> &str {
        self["channel"].as_str().unwrap_or_default()
    }

    /// The `error` text, or nothing.
    pub fn error(&self) -> &str {
        self["error"].as_str().unwrap_or_default()
    }

    /// Whether the verdict is `true`, as a JSON boolean.
    pub fn successful(&self) -> bool {
        self["successful"] == Value::Bool(true)
    }

    /// The exact bytes of one field.
    pub fn raw_field(&self, name: &str) -> Option<String> {
        let fields: HashMap<String, &RawValue> = serde_json::from_str(&self.raw).ok()?;
        fields.get(name).map(|field| field.get().to_owned())
    }

    /// The names of all fields, in order of their spelling.
    pub fn field_names(&self) -> Vec<String> {
        self.as_object().map(|object| object.keys().cloned().collect()).unwrap_or_default()
    }
}

/// The head of a text, for messages to people.
pub fn excerpt(text: &str) -> String {
    const LONGEST: usize = 300;
    let mut head: String = text.chars().take(LONGEST).collect();
    if head.len() < text.len() {
        head.push('…');
    }
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_a_field_survive() {
        let messages = Message::array(r#"[{"data": {"n":1.10,"n":12345678901234567890} ,"channel":"/a"}]"#).unwrap();
        assert_eq!(messages[0].raw_field("data").unwrap(), r#"{"n":1.10,"n":12345678901234567890}"#);
        assert_eq!(messages[0].channel(), "/a");
    }

    #[test]
    fn a_verdict_without_payload_is_a_reply_and_nothing_else_is() {
        let text = r#"[{"channel":"/a","successful":true},{"channel":"/a","data":1,"successful":true},{"channel":"/a","data":null}]"#;
        let kinds: Vec<bool> = Message::array(text).unwrap().iter().map(Message::is_reply).collect();
        assert_eq!(kinds, [true, false, false]);
    }

    #[test]
    fn anything_but_an_array_of_json_is_refused() {
        for bad in ["{}", "", "[1", "null"] {
            assert!(Message::array(bad).is_err(), "{bad}");
        }
    }
}
