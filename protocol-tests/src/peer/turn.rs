//! What came back for one request: messages and replies in the order in which they arrived.
//!
//! Made by `Peer::finish`. Never hides a message: whatever the server put into the answer is in the turn.

use crate::wire::message::Message;
use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The answer to one request. Over a WebSocket, everything that was heard up to the last of its replies.
#[derive(Clone, Debug)]
pub struct Turn {
    /// All messages, in order.
    pub messages: Vec<Message>,
    /// The ids of the request, in order.
    pub ids: Vec<Value>,
}

impl Turn {
    /// What others published.
    pub fn events(&self) -> Vec<&Message> {
        self.messages.iter().filter(|message| message.is_event()).collect()
    }

    /// The one reply to the only message of the request.
    pub fn reply(&self) -> Result<&Message> {
        let [id] = &self.ids[..] else { anyhow::bail!("the request had {} messages", self.ids.len()) };
        self.reply_to(id)
    }

    /// The one reply to the message at this place of the request.
    pub fn nth(&self, place: usize) -> Result<&Message> {
        self.reply_to(self.ids.get(place).context("the request had fewer messages")?)
    }

    /// The replies in the order of the request, one for each message and no more.
    pub fn replies(&self) -> Result<Vec<&Message>> {
        self.ids.iter().map(|id| self.reply_to(id)).collect()
    }

    fn reply_to(&self, id: &Value) -> Result<&Message> {
        let found: Vec<&Message> = self.messages.iter().filter(|m| m.is_reply() && m["id"] == *id).collect();
        ensure!(found.len() == 1, "{} replies with the id {id} in {}", found.len(), self.text());
        Ok(found[0])
    }

    /// Everything as text, for messages to people.
    pub fn text(&self) -> String {
        crate::wire::message::excerpt(&self.messages.iter().map(|m| m.raw.as_str()).collect::<Vec<_>>().join(","))
    }
}
