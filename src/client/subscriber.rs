//! A subscriber over long-polling: handshake, subscribe, then one connect after the other.
//!
//! Used by `cli`'s subscribe. Comes back by itself after every loss: the same session after a broken connection, a new
//! session and new subscriptions when the server advises a handshake. Never gives up on what may pass, and never
//! retries what the server refused.

use super::{
    Error, Message,
    backoff::Backoff,
    endpoint::Endpoint,
    wire::{Advice, Incoming, Reconnect},
};
use serde_json::{Value, json};
use std::{collections::VecDeque, time::Duration};

/// How long the server may take to answer what it need not hold, and to answer a connect beyond its advertised timeout.
const NETWORK_DELAY: Duration = Duration::from_secs(10);
/// How long saying goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);
const LONG_POLLING: &str = "long-polling";

/// What a subscriber has to tell.
#[derive(Debug)]
pub enum Event {
    /// A message of a subscribed channel.
    Message(Message),
    /// The subscriptions stand, in a new session.
    Subscribed {
        /// The session.
        client_id: String,
    },
    /// Something went wrong that may pass; the next try comes after `pause`.
    Lost {
        /// What went wrong.
        reason: String,
        /// The wait before the next try.
        pause: Duration,
    },
}

/// The next thing to do.
#[derive(Debug)]
enum Stage {
    Handshake,
    Subscribe {
        client_id: String,
    },
    /// `fresh`: the first connect of a session, or the first after a failure, which the server shall answer at once.
    Connect {
        client_id: String,
        fresh: bool,
    },
}

/// A subscriber. Does something only while [`Subscriber::next`] is awaited.
#[derive(Debug)]
pub struct Subscriber {
    endpoint: Endpoint,
    patterns: Vec<String>,
    stage: Stage,
    advice: Advice,
    pub(super) backoff: Backoff,
    pause: Duration,
    events: VecDeque<Event>,
    last_id: u64,
}

impl Subscriber {
    /// A subscriber to `patterns` at the Bayeux endpoint `url`, with a token or an API key if one is needed; connects with
    /// the first [`Subscriber::next`].
    ///
    /// # Errors
    /// When the URL or the token cannot be used.
    pub fn new(url: &str, token: Option<&str>, patterns: Vec<String>) -> Result<Self, Error> {
        Ok(Self {
            endpoint: Endpoint::new(url, token)?,
            patterns,
            stage: Stage::Handshake,
            advice: Advice::default(),
            backoff: Backoff::default(),
            pause: Duration::ZERO,
            events: VecDeque::new(),
            last_id: 0,
        })
    }

    /// The next event, however long it takes.
    ///
    /// # Errors
    /// What will not pass: a refused handshake or subscription, an end of session that the server wants to be final.
    pub async fn next(&mut self) -> Result<Event, Error> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            tokio::time::sleep(std::mem::take(&mut self.pause)).await;
            let turn = match &self.stage {
                Stage::Handshake => self.handshake().await,
                Stage::Subscribe { client_id } => self.subscribe(client_id.clone()).await,
                Stage::Connect { client_id, fresh } => self.connect(client_id.clone(), *fresh).await,
            };
            match turn {
                Ok(()) => {}
                Err(error) if error.is_passing() => {
                    let wait = self.backoff.next();
                    self.lost(error.to_string(), wait);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Says goodbye, so that the server need not wait for the session to expire.
    pub async fn disconnect(mut self) {
        if let Stage::Subscribe { client_id } | Stage::Connect { client_id, .. } = &self.stage {
            let message = json!([{ "channel": "/meta/disconnect", "clientId": client_id, "id": "bye" }]);
            // The answer changes nothing: we are leaving.
            let _ = self.endpoint.exchange(message.to_string(), GOODBYE).await;
        }
    }

    async fn handshake(&mut self) -> Result<(), Error> {
        let message = json!({
            "channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": [LONG_POLLING],
        });
        let reply = self.send(vec![message], "/meta/handshake", NETWORK_DELAY).await?.remove(0);
        if !reply.succeeded() {
            return self.failed(&reply);
        }
        let types = reply.supported_connection_types.unwrap_or_default();
        if !types.is_empty() && !types.iter().any(|kind| kind == LONG_POLLING) {
            return Err(Error::Refused(format!("the server offers {} but not {LONG_POLLING}", types.join(", "))));
        }
        let client_id = reply.client_id.ok_or_else(|| Error::NotBayeux("a handshake reply without clientId".into()))?;
        self.stage = Stage::Subscribe { client_id };
        Ok(())
    }

    async fn subscribe(&mut self, client_id: String) -> Result<(), Error> {
        // One message a pattern, so that a refusal names its pattern.
        let message = |pattern| json!({ "channel": "/meta/subscribe", "clientId": client_id, "subscription": pattern });
        let messages = self.patterns.iter().map(message).collect();
        let replies = self.send(messages, "/meta/subscribe", NETWORK_DELAY).await?;
        if let Some((pattern, reply)) = self.patterns.iter().zip(&replies).find(|(_, reply)| !reply.succeeded()) {
            return match self.advice.reconnect {
                Reconnect::Handshake => self.failed(reply),
                _ => Err(Error::Refused(format!("{pattern}: {}", reply.error_text()))),
            };
        }
        self.events.push_back(Event::Subscribed { client_id: client_id.clone() });
        self.stage = Stage::Connect { client_id, fresh: true };
        Ok(())
    }

    async fn connect(&mut self, client_id: String, fresh: bool) -> Result<(), Error> {
        let mut message = json!({ "channel": "/meta/connect", "clientId": client_id, "connectionType": LONG_POLLING });
        if fresh {
            message["advice"] = json!({ "timeout": 0 });
        }
        let reply = self.send(vec![message], "/meta/connect", self.advice.timeout + NETWORK_DELAY).await?.remove(0);
        if !reply.succeeded() || self.advice.reconnect != Reconnect::Retry {
            return self.failed(&reply);
        }
        self.backoff.reset();
        self.pause = self.advice.interval;
        self.stage = Stage::Connect { client_id, fresh: false };
        Ok(())
    }

    /// Sends `messages`, which all go to `meta`, keeps what came along, and returns their replies in their order.
    async fn send(&mut self, messages: Vec<Value>, meta: &str, patience: Duration) -> Result<Vec<Incoming>, Error> {
        let first_id = self.last_id + 1;
        let mut messages = messages;
        for message in &mut messages {
            self.last_id += 1;
            message["id"] = self.last_id.to_string().into();
        }
        self.advice.reconnect = Reconnect::Retry;
        let incoming = self.endpoint.exchange(Value::from(messages).to_string(), patience).await?;
        let mut replies = Vec::new();
        for one in incoming {
            if let Some(advice) = &one.advice {
                self.advice.take(advice);
            }
            if one.is_reply_of(meta) {
                replies.push(one);
            } else if let Some(message) = one.into_message() {
                self.events.push_back(Event::Message(message));
            }
        }
        let position = |reply: &Incoming| reply.id.as_ref().and_then(Value::as_str).and_then(|id| id.parse().ok());
        replies.sort_by_key(|reply| position(reply).unwrap_or(u64::MAX));
        let expected = usize::try_from(self.last_id + 1 - first_id).unwrap_or(usize::MAX);
        match replies.len() == expected {
            true => Ok(replies),
            false => Err(Error::NotBayeux(format!("{} replies to {expected} of {meta}", replies.len()))),
        }
    }

    /// What follows from an unsuccessful reply, or from an advice that ends the session.
    fn failed(&mut self, reply: &Incoming) -> Result<(), Error> {
        let reason = reply.error_text();
        let worked = matches!(self.stage, Stage::Connect { fresh: false, .. });
        // Some servers forget the advice with a session that they do not know.
        let is_unknown = reason.starts_with("402:");
        match self.advice.reconnect {
            Reconnect::Never if matches!(self.stage, Stage::Handshake) => return Err(Error::Refused(reason)),
            Reconnect::Never => return Err(Error::Ended),
            Reconnect::Retry if !is_unknown => {
                let wait = self.backoff.next();
                self.lost(reason, wait);
            }
            Reconnect::Handshake | Reconnect::Retry => {
                self.stage = Stage::Handshake;
                // A session that worked and is gone may be replaced at once; one that never did waits.
                let wait = if worked { Duration::ZERO } else { self.backoff.next() };
                self.lost(reason, wait);
            }
        }
        Ok(())
    }

    /// Plans the next try, `wait` from now or later if the server advises so.
    fn lost(&mut self, reason: String, wait: Duration) {
        self.pause = wait.max(self.advice.interval);
        if let Stage::Connect { fresh, .. } = &mut self.stage {
            *fresh = true;
        }
        self.events.push_back(Event::Lost { reason, pause: self.pause });
    }
}
