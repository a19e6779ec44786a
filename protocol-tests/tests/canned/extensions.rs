//! The extensions of the canned server, as far as the chosen cases look: ack, timesync, binary, idempotent publishes, and
//! the refusal of a replay.

use super::{Canned, Flaw, Incoming};
use serde_json::{Value, json};
use std::time::Duration;

const REPLAY_TEXT: &str =
    "you provided was invalid.  Please provide a valid ID, -2 to replay all events, or -1 to replay only new events.";

impl Canned {
    /// What the reply of a meta message tells, `held` after the message came.
    pub(crate) fn timesync(&self, message: &Value, held: Duration) -> Option<Value> {
        let said = message["ext"]["timesync"].as_object()?;
        let p = if self.has(Flaw::HoldNotMeasured) { 0 } else { held.as_millis() as u64 };
        Some(json!({"tc": said.get("tc")?, "ts": 1_000_000, "p": p, "a": 0}))
    }

    /// The `ext` that subscribers see.
    pub(crate) fn travelling(&self, message: &Incoming) -> String {
        match message.fields["ext"].get("binary") {
            Some(_) if self.has(Flaw::DropsBinaryMarker) => String::new(),
            Some(_) => format!(r#","ext":{{"binary":{}}}"#, message.binary.as_deref().unwrap_or("{}")),
            None => String::new(),
        }
    }

    /// The refusal of a subscribe that asks for a replay; there is never anything to replay here.
    pub(crate) fn replay_refused(&self, fields: &Value) -> Option<String> {
        let asked = fields["ext"]["replay"].as_object()?.get(fields["subscription"].as_str()?)?;
        let shown = asked.as_str().map_or_else(|| asked.to_string(), str::to_owned);
        let refused = !["-1", "-2", "null"].contains(&shown.as_str());
        let text = if self.has(Flaw::OneBlank) { REPLAY_TEXT.replace("  ", " ") } else { REPLAY_TEXT.into() };
        refused.then(|| format!("400::The replayId {{{shown}}} {text}"))
    }

    /// The place of a publish with a key, and whether it was there before.
    pub(crate) fn once(&self, key: &Value) -> (u64, bool) {
        let mut keys = self.keys.lock().unwrap();
        let known = keys.iter().position(|known| known == key);
        if let Some(place) = known {
            return (place as u64, !self.has(Flaw::PublishesTwice));
        }
        keys.push(key.clone());
        (keys.len() as u64 - 1, false)
    }
}
