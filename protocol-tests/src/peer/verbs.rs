//! The verbs of Bayeux as one session says them.
//!
//! Called by cases. The short forms (`subscribe`, `publish`, …) insist on success; a case that expects a refusal builds
//! the message and asks. Never sends two messages where one was meant.

use super::{Peer, Pending, Turn};
use crate::wire::message::Message;
use anyhow::{Result, ensure};
use serde_json::{Value, json};

impl Peer {
    /// A fresh id, a string.
    pub fn id(&mut self) -> String {
        self.last_id += 1;
        format!("i{}", self.last_id)
    }

    /// A message of this session with a fresh id and these further fields.
    pub fn message(&mut self, channel: &str, fields: Value) -> Value {
        let mut message = json!({"channel": channel, "clientId": self.client_id, "id": self.id()});
        if let (Some(message), Value::Object(fields)) = (message.as_object_mut(), fields) {
            message.extend(fields);
        }
        message
    }

    /// A handshake that offers the transport in use.
    pub fn handshake_message(&mut self) -> Value {
        let types = [self.transport.name()];
        json!({"channel": "/meta/handshake", "id": self.id(), "version": "1.0", "supportedConnectionTypes": types})
    }

    /// A connect, with or without request advice.
    pub fn connect_message(&mut self, advice: Option<Value>) -> Value {
        let mut message = self.message("/meta/connect", json!({"connectionType": self.transport.name()}));
        if let Some(advice) = advice {
            message["advice"] = advice;
        }
        message
    }

    /// A subscribe to a channel or to several.
    pub fn subscribe_message(&mut self, subscription: impl Into<Value>) -> Value {
        self.message("/meta/subscribe", json!({"subscription": subscription.into()}))
    }

    /// An unsubscribe from a channel or from several.
    pub fn unsubscribe_message(&mut self, subscription: impl Into<Value>) -> Value {
        self.message("/meta/unsubscribe", json!({"subscription": subscription.into()}))
    }

    /// A publish.
    pub fn publish_message(&mut self, channel: &str, data: impl Into<Value>) -> Value {
        self.message(channel, json!({"data": data.into()}))
    }

    /// Subscribes.
    pub async fn subscribe(&mut self, channel: &str) -> Result<()> {
        let message = self.subscribe_message(channel);
        self.succeed(message).await.map(drop)
    }

    /// Unsubscribes.
    pub async fn unsubscribe(&mut self, channel: &str) -> Result<()> {
        let message = self.unsubscribe_message(channel);
        self.succeed(message).await.map(drop)
    }

    /// Publishes.
    pub async fn publish(&mut self, channel: &str, data: impl Into<Value>) -> Result<Message> {
        let message = self.publish_message(channel, data);
        self.succeed(message).await
    }

    /// Publishes data whose every byte matters.
    pub async fn publish_bytes(&mut self, channel: &str, data: &str) -> Result<()> {
        let id = Value::from(self.id());
        let (channel, client_id) = (Value::from(channel), Value::from(self.client_id.as_str()));
        let body = format!(r#"[{{"channel":{channel},"clientId":{client_id},"id":{id},"data":{data}}}]"#);
        let pending = self.start_text(&body, vec![id]).await?;
        let turn = self.finish(pending).await?;
        ensure!(turn.reply()?.successful(), "refused: {}", turn.text());
        Ok(())
    }

    /// Sends a connect and waits for its answer.
    pub async fn connect(&mut self, advice: Option<Value>) -> Result<Turn> {
        let message = self.connect_message(advice);
        self.ask(&[message]).await
    }

    /// Sends a connect that is allowed to be held, and makes sure that it is.
    pub async fn hold(&mut self) -> Result<Pending> {
        self.hold_with(json!({"timeout": 6000})).await
    }

    /// The same with this request advice.
    pub async fn hold_with(&mut self, advice: Value) -> Result<Pending> {
        let message = self.connect_message(Some(advice));
        let mut pending = self.start(&[message]).await?;
        ensure!(self.is_held(&mut pending).await?, "the connect was answered instead of held");
        Ok(pending)
    }

    /// Ends the session.
    pub async fn disconnect(&mut self) -> Result<Message> {
        let message = self.message("/meta/disconnect", json!({}));
        self.succeed(message).await
    }

    async fn succeed(&mut self, message: Value) -> Result<Message> {
        let reply = self.ask_one(message).await?;
        ensure!(reply.successful(), "refused: {}", reply.raw);
        Ok(reply)
    }
}
