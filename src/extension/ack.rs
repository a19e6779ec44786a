//! The ack extension: the client says with each connect up to where everything arrived, and what it did not get is sent
//! again. The number is the log position of the newest message it was handed.
//!
//! The session does the work; this file only reads and writes `ext.ack`.

use crate::{
    bayeux::{Message, Reply, Seq},
    broker::{End, Extension, session::State},
};
use tokio::time::Instant;

/// See the file's head.
pub struct Ack;

const NAME: &str = "ack";

impl Extension for Ack {
    fn opened(&self, message: &Message<'_>, session: &mut State, reply: &mut Reply) {
        if message.ext_member(NAME).is_some_and(|asked| asked.get() == "true") {
            let from = session.handed();
            session.begin_acks(from);
            reply.ext.push((NAME, "true".into()));
        }
    }

    fn connecting(&self, message: &Message<'_>, session: &mut State, _: Instant) -> Option<End> {
        if session.acked().is_some() {
            let position: Option<Seq> = message.ext_member(NAME).and_then(|number| number.get().parse().ok());
            session.acknowledge(position);
        }
        None
    }

    fn answering(&self, session: &State, position: Option<Seq>, reply: &mut Reply) {
        // Without messages the last number that the client gave is the only one that cannot claim too much.
        if let Some(acked) = session.acked() {
            reply.ext.push((NAME, position.unwrap_or(acked).to_string()));
        }
    }
}
