//! The replay extension: a subscribe names the position from which its channel is handed over, and every message tells its
//! own, so that a client that lost its session misses nothing.
//!
//! The broker does the work; this file only reads and writes `ext.replay`.

use crate::{
    bayeux::{Message, ProtocolError, Reply, text::text},
    broker::{Begin, Extension, session::State},
    engine::publication::Form,
};
use serde_json::value::RawValue;
use std::{borrow::Cow, collections::HashMap};

/// See the file's head.
#[derive(Debug, Default)]
pub struct Replay {
    /// Whether messages carry their position as `data.event.replayId`, for every session, asked for or not.
    pub salesforce: bool,
}

const NAME: &str = "replay";
/// Only what is published from now on.
const LIVE: i64 = -1;
/// Everything that is kept.
const ALL: i64 = -2;

impl Extension for Replay {
    fn opened(&self, message: &Message<'_>, session: &mut State, reply: &mut Reply) {
        let asked = message.ext_member(NAME).is_some_and(|asked| asked.get() == "true");
        if asked {
            reply.ext.push((NAME, "true".into()));
        }
        session.form = match (self.salesforce, asked) {
            (true, _) => Form::EventReplayId,
            (false, true) => Form::ExtReplay,
            (false, false) => Form::Plain,
        };
    }

    fn beginning(&self, message: &Message<'_>, pattern: &str) -> Result<Option<Begin>, ProtocolError> {
        let Some(map) = message.ext_member(NAME) else { return Ok(None) };
        let positions: Result<HashMap<Cow<'_, str>, &RawValue>, _> = serde_json::from_str(map.get());
        // `true` is what handshakes say; some clients say it everywhere.
        let Some(asked) = positions.ok().and_then(|positions| positions.get(pattern).copied()) else { return Ok(None) };
        begin(asked.get()).map(Some)
    }
}

/// A position as a number or as a text that holds one; `null` is the same as live.
fn begin(raw: &str) -> Result<Begin, ProtocolError> {
    let shown = text(raw).unwrap_or(Cow::Borrowed(raw));
    if raw == "null" {
        return Ok(Begin::Live);
    }
    match shown.trim().parse::<i64>() {
        Ok(LIVE) => Ok(Begin::Live),
        Ok(ALL) => Ok(Begin::All),
        Ok(position) if position >= 0 => Ok(Begin::After(position.unsigned_abs())),
        _ => Err(ProtocolError::ReplayInvalid(shown.into_owned().into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_numbers_or_texts_of_numbers() {
        assert_eq!(begin("-1"), Ok(Begin::Live));
        assert_eq!(begin("null"), Ok(Begin::Live));
        assert_eq!(begin("\"-2\""), Ok(Begin::All));
        assert_eq!(begin("17"), Ok(Begin::After(17)));
        assert_eq!(begin("\" 17 \""), Ok(Begin::After(17)));
        for bad in ["-3", "1.5", "\"x\"", "true", "{}", "99999999999999999999"] {
            let error = begin(bad).unwrap_err().to_string();
            assert!(error.starts_with("400::The replayId {") && error.contains("}"), "{bad}: {error}");
        }
    }
}
