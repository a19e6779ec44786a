//! The shared exchange: messages in, replies out, the same for every transport.
//!
//! Called by each transport with what it decoded. Handles a batch in order; connects come last, because they may be
//! held, and what happens to them afterwards is the transport's own affair. Only those that stand before their session's
//! disconnect come before it.

use super::limiter::HandshakeLimiter;
use crate::{
    bayeux::{ClientId, DecodeLimits, Message, ProtocolError, Reply, encode, reply::meta},
    broker::{
        Broker, Caller, Connect, Delivery, Last, Session,
        metrics::{RateLabel, RatedBy, RatedWhat},
    },
};
use bytes::Bytes;
use std::{sync::Arc, time::Duration};

/// The exchange of one mount.
pub struct Exchange {
    /// The broker behind it.
    pub broker: Broker,
    limiter: HandshakeLimiter,
    /// Bounds on one request.
    pub limits: DecodeLimits,
}

/// What became of a batch.
#[derive(Default)]
pub struct Dispatched {
    /// The replies to everything but connects, in request order.
    pub replies: Vec<Reply>,
    /// The connects, in request order.
    pub connects: Vec<Due>,
    /// The session that a handshake made.
    pub opened: Option<Arc<Session>>,
    /// How long the answer should wait: somebody keeps asking for a session that does not exist.
    pub delay: Duration,
}

/// What there is to answer to a connect.
pub enum Due {
    /// What the broker made of it.
    Now(Connect),
    /// It was answered before its session said goodbye in the same batch.
    Before(Box<Last>),
}

impl Exchange {
    /// An exchange on a broker.
    pub fn new(broker: Broker, limiter: HandshakeLimiter, limits: DecodeLimits) -> Self {
        Self { broker, limiter, limits }
    }

    /// Handles a batch.
    ///
    /// # Errors
    /// When the batch as a whole is not allowed; then nothing of it took effect. Each message has its refusal, so that
    /// clients who wait for one by its id do not wait for ever.
    pub async fn dispatch(&self, caller: &Caller, messages: &[Message<'_>]) -> Result<Dispatched, Vec<Reply>> {
        if messages.len() > 1 && messages.iter().any(|m| m.channel == meta::HANDSHAKE) {
            let alone = ProtocolError::malformed("handshake", "must be the only message of its request");
            return Err(messages.iter().map(|message| Reply::refuse(message, alone.clone())).collect());
        }
        let mut done = Dispatched::default();
        let mut rest = messages;
        while let Some(message) = rest.first() {
            let run = rest.iter().take_while(|m| is_publish(m)).count();
            if run > 0 {
                let publishes: Vec<&Message<'_>> = rest[..run].iter().collect();
                let replies = self.broker.publish(caller, &publishes).await;
                let answered = publishes.iter().zip(replies);
                done.replies.extend(answered.map(|(message, reply)| self.broker.received(message).added_to(reply)));
                rest = &rest[run..];
                continue;
            }
            self.handle(caller, message, &messages[..messages.len() - rest.len()], &mut done).await;
            rest = &rest[1..];
        }
        self.connect(caller, messages, messages.len() > 1, &mut done).await;
        done.delay = self.delay(caller, messages, &done);
        Ok(done)
    }

    /// Handles the connects among `messages` that were not handled yet.
    async fn connect(&self, caller: &Caller, messages: &[Message<'_>], batched: bool, done: &mut Dispatched) {
        let handled = done.connects.len();
        let connects = || messages.iter().filter(|m| is_connect(m)).skip(handled);
        // Exactly as long as needed: it lives as long as the connect is held.
        done.connects.reserve_exact(connects().count());
        for message in connects() {
            done.connects.push(Due::Now(self.broker.connect(caller, message, batched).await));
        }
    }

    /// Answers what its session asked for `before` it says goodbye.
    async fn connect_before(
        &self,
        caller: &Caller,
        goodbye: &Message<'_>,
        before: &[Message<'_>],
        done: &mut Dispatched,
    ) {
        self.connect(caller, before, true, done).await;
        let leaving = goodbye.client_id.as_deref().and_then(ClientId::parse);
        for due in std::mem::take(&mut done.connects) {
            done.connects.push(match due {
                Due::Now(Connect::Planned(plan)) if Some(plan.session.id) == leaving => {
                    Due::Before(Box::new(self.broker.answer_last(plan).await))
                }
                other => other,
            });
        }
    }

    /// Handles one message; `before` are those of its batch that stand before it.
    async fn handle(&self, caller: &Caller, message: &Message<'_>, before: &[Message<'_>], done: &mut Dispatched) {
        if message.channel == meta::CONNECT {
            return;
        }
        let additions = self.broker.received(message);
        let reply = match &*message.channel {
            meta::HANDSHAKE => match self.limiter.check(caller.peer) {
                Ok(()) => {
                    let (reply, opened) = self.broker.handshake(caller, message).await;
                    done.opened = opened;
                    reply
                }
                Err(wait) => {
                    let label = RateLabel { by: RatedBy::Address, what: RatedWhat::Handshake };
                    self.broker.metrics().rate_limited.get_or_create(&label).inc();
                    self.broker.refuse_handshake(message, ProtocolError::RateLimited(Some(wait)))
                }
            },
            meta::SUBSCRIBE => self.broker.subscribe(caller, message).await,
            meta::UNSUBSCRIBE => self.broker.unsubscribe(caller, message).await,
            meta::DISCONNECT => {
                if message.fault.is_none() && before.iter().any(is_connect) {
                    Box::pin(self.connect_before(caller, message, before, done)).await;
                }
                self.broker.disconnect(caller, message).await
            }
            _ => Reply::refuse(message, message.fault.clone().unwrap_or(ProtocolError::ChannelDenied)),
        };
        done.replies.push(additions.added_to(reply));
    }

    /// Only the first unknown session of a batch counts: one request is one question.
    fn delay(&self, caller: &Caller, messages: &[Message<'_>], done: &Dispatched) -> Duration {
        let unknown = |reply: &Reply| matches!(reply.error, Some(ProtocolError::SessionUnknown(_)));
        let refused = |due: &Due| matches!(due, Due::Now(Connect::Refused(reply)) if unknown(reply));
        if done.replies.iter().any(unknown) || done.connects.iter().any(refused) {
            messages.first().map_or(Duration::ZERO, |first| self.broker.unknown_session_delay(caller, first))
        } else {
            Duration::ZERO
        }
    }
}

fn is_connect(message: &Message<'_>) -> bool {
    message.channel == meta::CONNECT
}

/// Everything outside `/meta/` is a publish, also what turns out not to be publishable.
fn is_publish(message: &Message<'_>) -> bool {
    !(message.channel.starts_with("/meta/") || message.channel == "/meta")
}

/// The array of one response: messages first, then replies.
pub struct Frame(Vec<u8>);

impl Frame {
    /// An empty array with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        let mut out = Vec::with_capacity(capacity + 2);
        out.push(b'[');
        Self(out)
    }

    /// Adds the messages of a delivery.
    pub fn deliver(&mut self, delivery: &Delivery) {
        for publication in &delivery.publications {
            self.raw(publication.draft.encoded());
        }
    }

    /// Adds a reply.
    pub fn reply(&mut self, reply: &Reply) {
        self.separate();
        encode::reply(reply, &mut self.0);
    }

    /// Adds an encoded message.
    pub fn raw(&mut self, encoded: &[u8]) {
        self.separate();
        self.0.extend_from_slice(encoded);
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.0.len() == 1
    }

    /// The finished array.
    pub fn finish(mut self) -> Bytes {
        self.0.push(b']');
        self.0.into()
    }

    fn separate(&mut self) {
        if !self.is_empty() {
            self.0.push(b',');
        }
    }
}

/// What a client is told when the broker ended its session.
pub const GOODBYE: &[u8] = br#"{"channel":"/meta/disconnect","successful":true}"#;
