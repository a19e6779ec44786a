//! What a session receives, in order, whatever the transport.
//!
//! Called by cases about delivery. To show that something does not arrive, nothing waits: a marker is published behind
//! it, and since everybody sees messages in log order, what did not come before the marker will not come at all.

use super::Peer;
use crate::{context::PATIENCE, transport::Transport, wire::message::Message};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::time::Instant;

/// How long one poll for messages may be held.
const POLL_MS: u64 = 1000;

impl Peer {
    /// The next messages, exactly so many.
    pub async fn receive(&mut self, count: usize) -> Result<Vec<Message>> {
        let deadline = Instant::now() + PATIENCE;
        self.gather();
        while self.inbox.len() < count {
            let have = self.inbox.len();
            ensure!(Instant::now() < deadline, "{have} of {count} messages arrived in {PATIENCE:?}");
            self.fetch().await.with_context(|| format!("after {have} of {count} messages"))?;
        }
        Ok(self.inbox.drain(..count).collect())
    }

    /// The next message.
    pub async fn receive_one(&mut self) -> Result<Message> {
        self.receive(1).await?.pop().context("nothing received")
    }

    /// Everything that arrives up to a message on this channel, without that one.
    pub async fn receive_until(&mut self, channel: &str) -> Result<Vec<Message>> {
        let deadline = Instant::now() + PATIENCE;
        let mut received = Vec::new();
        loop {
            self.gather();
            while let Some(message) = self.inbox.pop_front() {
                if message.channel() == channel {
                    return Ok(received);
                }
                received.push(message);
            }
            ensure!(Instant::now() < deadline, "the marker on {channel} did not arrive in {PATIENCE:?}");
            self.fetch().await?;
        }
    }

    /// Everything this session was sent so far: up to a marker that `publisher` publishes now.
    pub async fn received_so_far(&mut self, publisher: &mut Peer) -> Result<Vec<Message>> {
        let marker = self.cx.channel(&format!("marker-{}", uuid::Uuid::new_v4().simple()));
        self.subscribe(&marker).await?;
        publisher.publish(&marker, json!("marker")).await?;
        self.receive_until(&marker).await
    }

    /// Fails when the session was sent anything so far.
    pub async fn nothing_so_far(&mut self, publisher: &mut Peer) -> Result<()> {
        let received = self.received_so_far(publisher).await?;
        let first = received.first().map(|message| message.raw.clone()).unwrap_or_default();
        ensure!(received.is_empty(), "{} messages arrived that must not: {first}", received.len());
        Ok(())
    }

    /// Moves what the socket heard in the meantime to the inbox.
    fn gather(&mut self) {
        if let Some(socket) = &self.socket {
            let heard = socket.journal[self.looked_at..].iter().filter(|message| message.is_event()).cloned();
            self.inbox.extend(heard);
            self.looked_at = socket.journal.len();
        }
    }

    async fn fetch(&mut self) -> Result<()> {
        match self.transport {
            Transport::WebSocket => {
                let socket = self.socket.as_mut().context("no socket")?;
                socket.frame(PATIENCE).await?;
                self.gather();
            }
            Transport::EventSource | Transport::Iframe => {
                let stream = self.stream.as_mut().context("no stream is open")?;
                let messages = stream.messages(PATIENCE).await?;
                self.inbox.extend(messages.into_iter().filter(Message::is_event));
            }
            Transport::LongPolling | Transport::CallbackPolling => {
                let turn = self.connect(Some(json!({"timeout": POLL_MS}))).await?;
                let reply = turn.reply()?;
                ensure!(reply.successful(), "the connect was refused: {}", reply.raw);
            }
        }
        Ok(())
    }
}
