//! `/meta/handshake`: makes a session. An older session of the same client lives on until it expires.

use crate::{
    bayeux::{ClientId, ConnectionType, Message, ProtocolError, Reconnect, Reply, reply::HandshakeReply},
    broker::{Broker, Caller, Denial, End, Happening, Session, outside::new_client_id},
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// How long a client that was refused for lack of room is asked to wait.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// The shortest wait that is worth a try.
const LEAST_WAIT: Duration = Duration::from_millis(100);

/// Why there is no session, and when to ask again if whoever refused it says so.
struct Refusal {
    error: ProtocolError,
    wait: Option<Duration>,
}

impl From<ProtocolError> for Refusal {
    fn from(error: ProtocolError) -> Self {
        Self { error, wait: None }
    }
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        let wait = if let Denial::NotNow(_, wait) = &denial { Some(*wait) } else { None };
        Self { error: denial.error(ProtocolError::HandshakeDenied), wait }
    }
}

impl Broker {
    /// Handles a handshake. The reply stands alone in its response; the session is returned beside it.
    pub async fn handshake(&self, caller: &Caller, message: &Message<'_>) -> (Reply, Option<Arc<Session>>) {
        let mut reply = Reply::to(message);
        match self.try_handshake(caller, message, &mut reply).await {
            Ok(session) => {
                reply.handshake = Some(self.handshake_reply(Some(session.id)));
                if caller.transport == ConnectionType::WebSocket {
                    reply.advice = Some(self.advice());
                }
                (reply, Some(session))
            }
            Err(Refusal { error, wait }) => {
                let mut reply = self.refuse_handshake(message, error);
                if let Some(wait) = wait {
                    reply.advice = Some(self.advice().with(Reconnect::Handshake).after(wait.max(LEAST_WAIT)));
                }
                (reply, None)
            }
        }
    }

    /// A refused handshake: says whether and when to come back.
    pub fn refuse_handshake(&self, message: &Message<'_>, mut error: ProtocolError) -> Reply {
        let advice = self.advice();
        let (advice, list) = match &mut error {
            // The advice says how long; the error need not say it again.
            ProtocolError::RateLimited(wait) => {
                let wait = wait.take().unwrap_or(RETRY_AFTER);
                (Some(advice.with(Reconnect::Handshake).after(wait.max(LEAST_WAIT))), false)
            }
            ProtocolError::NoCommonConnectionType(_) => (Some(advice.with(Reconnect::None)), true),
            ProtocolError::HandshakeDenied(_) | ProtocolError::NotAuthenticated(_) => {
                (Some(advice.with(Reconnect::None)), false)
            }
            ProtocolError::Malformed(..) | ProtocolError::MessageIdInvalid => (None, false),
            _ => (Some(advice.with(Reconnect::Handshake).after(RETRY_AFTER)), false),
        };
        let handshake = list.then(|| self.handshake_reply(None));
        Reply { advice, handshake, ..Reply::refuse(message, error) }
    }

    async fn try_handshake(
        &self,
        caller: &Caller,
        message: &Message<'_>,
        reply: &mut Reply,
    ) -> Result<Arc<Session>, Refusal> {
        if let Some(fault) = &message.fault {
            return Err(fault.clone().into());
        }
        self.check_connection_types(message)?;
        if self.is_stopping() {
            return Err(ProtocolError::ShuttingDown.into());
        }
        let who = self.policy().identify(caller.credentials.as_ref(), message.ext).await?;
        let asking = caller.asking(Arc::clone(&who), None);
        self.policy().may_handshake(&asking, message.ext).await?;
        if self.sessions().count() >= self.settings().max_sessions {
            return Err(ProtocolError::TooManySessions.into());
        }
        let id = new_client_id();
        let deadline = Instant::now() + self.settings().interval + self.settings().max_interval;
        let session = Arc::new(Session::new(id, self.lane_of(id), caller.browser, self.engine().newest(), deadline));
        // In the table before its record is written: if whoever asked leaves meanwhile, both expire.
        self.sessions().insert(Arc::clone(&session));
        self.enter_browser(&session);
        self.metrics().handshakes.inc();
        self.metrics().sessions.inc();
        let saving = {
            let mut state = session.lock();
            state.identity = who;
            self.extensions().iter().for_each(|e| e.opened(message, &mut state, reply));
            self.save(&session, &state)
        };
        self.tell(&session, &Happening::SessionAdded);
        if saving.await.is_err() {
            self.end(&session, End::Kicked).await;
            return Err(ProtocolError::EngineUnavailable.into());
        }
        Ok(session)
    }

    fn check_connection_types(&self, message: &Message<'_>) -> Result<(), ProtocolError> {
        let Some(theirs) = &message.supported_connection_types else { return Ok(()) };
        let common = theirs.iter().filter_map(|name| ConnectionType::parse(name));
        if common.into_iter().any(|t| self.connection_types().contains(&t)) {
            return Ok(());
        }
        Err(ProtocolError::NoCommonConnectionType(theirs.join(" ")))
    }

    fn handshake_reply(&self, id: Option<ClientId>) -> HandshakeReply {
        HandshakeReply {
            client_id: id.map(|id| id.to_string()),
            connection_types: self.connection_types().iter().flat_map(|t| names(*t)).copied().collect(),
        }
    }
}

/// The names that a transport is listed under. Faye has a name of its own for long-polling from another origin, and
/// without it falls back to callback-polling, which cannot carry large messages.
fn names(transport: ConnectionType) -> &'static [&'static str] {
    match transport {
        ConnectionType::WebSocket => &["websocket"],
        ConnectionType::EventSource => &["eventsource"],
        ConnectionType::LongPolling => &["long-polling", "cross-origin-long-polling"],
        ConnectionType::CallbackPolling => &["callback-polling"],
        ConnectionType::Iframe => &["iframe"],
    }
}
