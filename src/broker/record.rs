//! What is kept of a session beside the log: enough to go on after a fault, a restart, or on another node.
//!
//! Written whenever it changes, read when a client names a session that is not here. Engines store it as opaque bytes.

use super::{
    Broker, Happening,
    browser::BrowserId,
    policy::Identity,
    session::{Session, State, Subscription},
};
use crate::{
    bayeux::{ClientId, Seq},
    engine::{Answer, EngineError},
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::time::Instant;

/// The stored form of a session. Fields added later must have defaults: older records stay readable.
#[derive(Debug, Deserialize, Serialize)]
pub struct Record {
    /// What it asked for, each with the position it began at.
    subscriptions: Vec<(Arc<str>, Seq)>,
    /// The browser cookie it was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    browser: Option<BrowserId>,
    /// Whether it acknowledges what it receives.
    #[serde(default)]
    ack: bool,
    /// Who it belongs to.
    #[serde(default)]
    identity: Arc<Identity>,
}

impl Broker {
    /// Stores the record of a session. Called with the session's lock held and awaited after it is released: engines
    /// store records in the order of these calls, so that an older one never replaces a newer one.
    pub(super) fn save(&self, session: &Session, state: &State) -> Answer<Result<(), EngineError>> {
        let record = Record {
            subscriptions: state.subscriptions.iter().map(|s| (Arc::clone(&s.pattern), s.since)).collect(),
            browser: session.browser,
            ack: state.acked().is_some(),
            identity: Arc::clone(&state.identity),
        };
        match serde_json::to_vec(&record) {
            Ok(bytes) => self.engine().save(session.id, Bytes::from(bytes)),
            Err(error) => Answer::Now(Err(EngineError::Unavailable(error.to_string()))),
        }
    }

    /// Makes a session from its record, with everything after `handed` still to deliver; if it acknowledges, what came
    /// after `acked` may be asked for again. Replaces a failed session of the same id. `None` when there is no record.
    ///
    /// # Errors
    /// When the engine cannot be asked.
    pub(super) async fn revive(
        &self,
        id: ClientId,
        handed: Seq,
        acked: Option<Seq>,
        deadline: Instant,
    ) -> Result<Option<Arc<Session>>, EngineError> {
        let Some(bytes) = self.engine().load(id).await? else { return Ok(None) };
        let Ok(record) = serde_json::from_slice::<Record>(&bytes) else {
            tracing::error!(session = ?id, "the record of a session cannot be read; the session is given up");
            return Ok(None);
        };
        let lane = self.lane_of(id);
        let session = Arc::new(Session::new(id, lane, record.browser, handed, deadline));
        let patterns: Vec<_> = record.subscriptions.iter().map(|(pattern, _)| Arc::clone(pattern)).collect();
        {
            let mut state = session.lock();
            state.subscriptions =
                record.subscriptions.into_iter().map(|(pattern, since)| Subscription { pattern, since }).collect();
            state.identity = record.identity;
            if record.ack {
                state.begin_acks(acked.unwrap_or(handed));
            }
            // Before the lane can push: what it pushes must not overtake what is still to be read.
            state.start_behind();
        }
        self.sessions().insert(Arc::clone(&session));
        self.enter_browser(&session);
        // The lane delivers from its own position on; what lies between is read from the log.
        let live_from = self.lane(lane).subscribe(&session, &patterns, || self.engine().newest());
        session.lock().read_from_log(live_from);
        self.tell(&session, &Happening::Resumed(patterns));
        Ok(Some(session))
    }
}
