//! `/meta/connect`: asks for messages. This file decides whether it is held and what advice its reply carries; `hold.rs`
//! holds it for polls, the transports of streams hold it themselves beside what they push.

use crate::{
    bayeux::{Advice, ConnectionType, Message, ProtocolError, Reconnect, Reply, Seq},
    broker::{Additions, Broker, Caller, End, IDENTITY_OVER, Place, Session, session::State},
};
use std::{sync::Arc, task::Waker, time::Duration};
use tokio::time::Instant;

/// Longest pause a client may announce; its session is kept for as long, so it is bounded.
const MAX_ANNOUNCED_INTERVAL: Duration = Duration::from_secs(600);
/// The part of the advertised timeout that is really held: some clients give up at exactly the advertised time.
const HELD_PERCENT: u32 = 95;

/// What becomes of a connect.
pub enum Connect {
    /// Its reply is known.
    Refused(Box<Reply>),
    /// It is accepted: held, or answered at once with what waits.
    Planned(Box<Plan>),
}

/// An accepted connect and how it will be answered.
pub struct Plan {
    /// The session that connects.
    pub session: Arc<Session>,
    /// How long it is held when nothing happens; zero is not at all.
    pub hold: Duration,
    /// The attachment that this connect is; `None` when the transport holds it itself.
    pub attachment: Option<(Place, u64)>,
    reply: Reply,
    /// What extensions add when the reply leaves.
    additions: Additions,
    advice: Advice,
    tell: bool,
}

impl Plan {
    /// The reply when the hold ended normally, with messages up to `position` or by time. `None` is by time.
    pub fn answer(mut self, broker: &Broker, position: Option<Seq>) -> Reply {
        let reply = self.with_extensions(broker, position);
        if self.tell { reply.advise(self.advice) } else { reply }
    }

    /// The reply to a connect that a newer one replaced: success, no messages, no advice.
    pub fn superseded(mut self, broker: &Broker) -> Reply {
        self.with_extensions(broker, None)
    }

    /// The reply when the session ended meanwhile.
    pub fn ended(mut self, broker: &Broker, end: End) -> Reply {
        match end {
            End::Disconnected | End::Kicked => {
                self.with_extensions(broker, None).advise(self.advice.with(Reconnect::None))
            }
            End::Expired | End::Gap => self.unknown(broker, Reconnect::Handshake),
            End::Inactive => self.unknown(broker, Reconnect::None),
            End::Unauthorised => {
                let error = ProtocolError::NotAuthenticated(IDENTITY_OVER.into());
                let mut reply = self.reply.failed(error).advise(self.advice.with(Reconnect::Handshake));
                self.additions.add_to(&mut reply);
                reply
            }
            End::ShuttingDown | End::LaneLost => self.answer(broker, None),
        }
    }

    /// Its session says goodbye in the same request: the reply tells that no other connect follows.
    pub(in crate::broker) fn makes_last(&mut self) {
        self.advice = self.advice.with(Reconnect::None);
        self.tell = true;
    }

    /// Whether no other connect follows.
    pub(in crate::broker) fn is_last(&self) -> bool {
        self.advice.reconnect == Reconnect::None
    }

    fn unknown(mut self, broker: &Broker, next: Reconnect) -> Reply {
        self.push_gap();
        let error = ProtocolError::SessionUnknown(broker.settings().unknown_session_error.clone().into());
        let mut reply = self.reply.failed(error).advise(self.advice.with(next));
        self.additions.add_to(&mut reply);
        reply
    }

    /// Tells the client of positions that it will not get.
    fn push_gap(&mut self) {
        if let Some((first, last)) = self.session.lock().tell_gap() {
            self.reply.ext.push(("gap", format!("{{\"first\":{first},\"last\":{last}}}")));
        }
    }

    fn with_extensions(&mut self, broker: &Broker, position: Option<Seq>) -> Reply {
        self.push_gap();
        let mut reply = std::mem::take(&mut self.reply);
        let state = self.session.lock();
        broker.extensions().iter().for_each(|e| e.answering(&state, position, &mut reply));
        drop(state);
        std::mem::take(&mut self.additions).add_to(&mut reply);
        reply
    }
}

impl Broker {
    /// Handles a connect. `batched` says that other messages came in the same request: then nothing is held.
    pub async fn connect(&self, caller: &Caller, message: &Message<'_>, batched: bool) -> Connect {
        let additions = self.received(message);
        let refused = match &message.fault {
            Some(fault) => Reply::refuse(message, fault.clone()),
            None => match self.session(caller, message).await {
                Ok(session) => {
                    let (mut plan, ending) = self.plan(caller, message, batched, session);
                    plan.additions = additions;
                    if plan.hold.is_zero() {
                        // Whoever does not wait expects what was accepted before it asked.
                        Box::pin(self.lane(plan.session.lane).caught_up(self.engine().newest())).await;
                    }
                    if let Some(end) = ending {
                        Box::pin(self.end(&plan.session, end)).await;
                    }
                    return Connect::Planned(plan);
                }
                Err(error) => self.refuse_unknown(message, error),
            },
        };
        Connect::Refused(Box::new(additions.added_to(refused)))
    }

    /// How a connect is answered, and whether an extension ends its session instead.
    fn plan(
        &self,
        caller: &Caller,
        message: &Message<'_>,
        batched: bool,
        session: Arc<Session>,
    ) -> (Box<Plan>, Option<End>) {
        let asked = message.advice.unwrap_or_default();
        let transport = speaks_over(caller, message);
        let mut advice = self.advice();
        if let Some(interval) = asked.interval {
            advice.interval = interval.min(MAX_ANNOUNCED_INTERVAL);
        }
        let full = self.settings().timeout * HELD_PERCENT / 100;
        let mut hold = asked.timeout.map_or(full, |t| t.min(full));
        let others = self.held_by_others(&session);
        let mut state = session.lock();
        let now = Instant::now();
        let ending = self.extensions().iter().fold(None, |end, e| e.connecting(message, &mut state, now).or(end));
        let place = match transport {
            ConnectionType::WebSocket => None,
            // The stream delivers and the connect is only a heartbeat, unless deliveries must be acknowledged.
            ConnectionType::EventSource | ConnectionType::Iframe if state.acked().is_none() => Some(Place::Heartbeat),
            _ => Some(Place::Delivery),
        };
        // The first connect after a handshake or a change of transport is answered at once, so that the client learns
        // that it works.
        if batched || self.is_stopping() || state.advised.is_none_or(|(last, _)| last != transport) {
            hold = Duration::ZERO;
        }
        // A stream's heartbeat beside other tabs is a connection that they need more.
        let limit = match place {
            Some(Place::Heartbeat) => 1,
            _ => self.settings().max_sessions_per_browser,
        };
        if !hold.is_zero() && others >= limit && place.is_some() && !caller.multiplexed && !state.has_messages() {
            advice = Advice { multiple_clients: true, ..advice.after(self.settings().multi_session_interval) };
            hold = Duration::ZERO;
        }
        // Whoever holds the connect hears of the end before it is answered.
        if ending.is_some() {
            hold = full;
        }
        let entered = self.enter(&mut state, (transport, advice), hold, place.map(|p| (p, !caller.multiplexed)));
        drop(state);
        if let Some(older) = entered.older {
            older.wake();
        }
        let Entered { news, attachment, .. } = entered;
        let tell = news || message.advice.is_some() || transport == ConnectionType::WebSocket;
        let (reply, additions) = (Reply::to(message), Additions::default());
        (Box::new(Plan { session, hold, attachment, reply, additions, advice, tell }), ending)
    }

    /// Notes the connect in the session: its deadline, its advice, and its attachment.
    fn enter(
        &self,
        state: &mut State,
        advised: (ConnectionType, Advice),
        hold: Duration,
        place: Option<(Place, bool)>,
    ) -> Entered {
        state.interval = advised.1.interval;
        state.deadline = Instant::now() + hold + state.interval + self.settings().max_interval;
        let news = state.advised.replace(advised) != Some(advised);
        let Some((place, occupies)) = place else { return Entered { news, attachment: None, older: None } };
        let (epoch, older) = state.attach(place, occupies);
        Entered { news, attachment: Some((place, epoch)), older }
    }

    /// Notes that a connect was answered: from now on the client's silence counts.
    pub fn answered(&self, session: &Session) {
        let mut state = session.lock();
        state.deadline = Instant::now() + state.interval + self.settings().max_interval;
    }
}

/// What entering a connect in its session gave.
struct Entered {
    /// Whether its advice is news to the client.
    news: bool,
    attachment: Option<(Place, u64)>,
    /// The attachment that it replaced, to be woken without the lock.
    older: Option<Waker>,
}

/// The transport a connect belongs to: streams that only go down have their connects sent by POST.
fn speaks_over(caller: &Caller, message: &Message<'_>) -> ConnectionType {
    let named = message.connection_type.as_deref().and_then(ConnectionType::parse);
    match named {
        Some(stream @ (ConnectionType::EventSource | ConnectionType::Iframe))
            if caller.transport == ConnectionType::LongPolling =>
        {
            stream
        }
        _ => caller.transport,
    }
}
