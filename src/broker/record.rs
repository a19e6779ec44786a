//! What is kept of a session beside the log: enough to go on after a fault, a restart, or on another node.
//!
//! Written whenever it changes, read when a client names a session that is not here. Engines store it as opaque bytes.

use super::{
    Broker, Happening,
    browser::BrowserId,
    places::Place,
    policy::Identity,
    session::{End, Owed, Session, Standing, State, Subscription, Wakers},
    wall_clock_ms,
};
use crate::{
    bayeux::{ClientId, Seq},
    engine::{Answer, EngineError, publication::Form},
};
use serde::{Deserialize, Serialize};
use std::{collections::VecDeque, sync::Arc, time::Duration};
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
    /// How its messages are written.
    #[serde(default)]
    form: Form,
    /// Who it belongs to.
    #[serde(default)]
    identity: Arc<Identity>,
    /// Where the log holds what is addressed to it.
    #[serde(default, skip_serializing_if = "Owed::is_nothing")]
    owed: Owed,
    /// Where it stood when the broker stopped in good order; good for one start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    place: Option<Place>,
}

impl Record {
    /// Whether a stored record is that of a session.
    pub(super) fn is_one(bytes: &[u8]) -> bool {
        serde_json::from_slice::<Self>(bytes).is_ok()
    }

    /// The same with the place where it stands.
    pub(super) fn at(self, place: Place) -> Self {
        Self { place: Some(place), ..self }
    }

    pub(super) fn of(session: &Session, state: &State) -> Self {
        Self {
            subscriptions: state.subscriptions.iter().map(|s| (Arc::clone(&s.pattern), s.since)).collect(),
            browser: session.browser,
            ack: state.acked().is_some(),
            form: state.form,
            identity: Arc::clone(&state.identity),
            owed: state.owed(),
            place: None,
        }
    }
}

impl Broker {
    /// Stores the record of a session. Called with the session's lock held and awaited after it is released: engines
    /// store records in the order of these calls, so that an older one never replaces a newer one. A session that is over
    /// has no record.
    pub(super) fn save(&self, session: &Session, state: &State) -> Answer<Result<(), EngineError>> {
        if state.ended.is_some() {
            return Answer::Now(Ok(()));
        }
        self.store(session.id, &Record::of(session, state))
    }

    /// Stores the record of a session if its subscriptions changed since that was last done: whoever asked for the change
    /// may have left, or the engine may have refused, before it was.
    pub(super) async fn save_changes(&self, session: &Session) -> Result<(), EngineError> {
        let (saving, changes) = {
            let state = session.lock();
            let (changes, saved) = state.changes;
            if changes == saved {
                return Ok(());
            }
            (self.save(session, &state), changes)
        };
        saving.await?;
        let mut state = session.lock();
        state.changes.1 = state.changes.1.max(changes);
        Ok(())
    }

    /// Makes all sessions again whose records the engine kept, as after a restart, and remembers what was revoked. Called
    /// before anybody is served.
    ///
    /// # Errors
    /// When the engine cannot be asked.
    pub async fn recover(&self) -> Result<(), EngineError> {
        let newest = self.engine().newest();
        let stopped = self.take_stop().await?;
        let deadline = Instant::now() + self.settings().interval + self.settings().max_interval;
        let (mut count, mut refused) = (0, 0);
        for (id, bytes) in self.engine().records().await? {
            let Ok(record) = serde_json::from_slice::<Record>(&bytes) else {
                self.recover_revocation(id, &bytes, wall_clock_ms()).await?;
                continue;
            };
            // Who acknowledges tells where it stands; of others nobody knows after a crash.
            let stopped = stopped.as_ref().filter(|_| !record.ack);
            let stands = stopped.map_or(newest, |stopped| stopped.stands(record.place.as_ref()));
            let held: Vec<&str> = record.subscriptions.iter().map(|(pattern, _)| &**pattern).collect();
            let may_resume = self.policy().may_resume(&record.identity, &held);
            let standing = Standing {
                handed: stands,
                sent: newest,
                acked: record.ack.then_some(newest),
                resumed: record.ack,
                gap: None,
                owed: record.owed,
                // A browser that comes back to its stream knows better than anybody what it got.
                streams: Some(0),
                interval: Duration::ZERO,
                deadline,
                restored: VecDeque::new(),
            };
            let session = self.make(id, record, standing);
            self.metrics().sessions.inc();
            if may_resume {
                count += 1;
            } else {
                // Ended rather than left out, so that whoever was told of it hears that it is over.
                self.end(&session, End::Unauthorised).await;
                refused += 1;
            }
        }
        if count > 0 {
            tracing::info!(sessions = count, "sessions go on from their records");
        }
        if refused > 0 {
            tracing::info!(sessions = refused, "sessions do not go on: they held what is no longer allowed");
        }
        Ok(())
    }

    /// Ends a session whose lane failed and puts another in its place that goes on where it stood. What the session knows
    /// is newer than its record. Returns who was attached; `None` when it was over before.
    pub(super) fn replace(&self, old: &Session) -> Option<Wakers> {
        let (wakers, record, standing, changes) = {
            let mut state = old.lock();
            let wakers = state.end(End::LaneLost)?;
            (wakers, Record::of(old, &state), state.standing(), state.changes)
        };
        let session = self.make(old.id, record, standing);
        let mut state = session.lock();
        state.changes = changes;
        // The lane failed over something, and no other looks at what lies behind it.
        state.owe_anything(self.engine().newest());
        Some(wakers)
    }

    fn make(&self, id: ClientId, record: Record, standing: Standing) -> Arc<Session> {
        let lane = self.lane_of(id);
        let session = Arc::new(Session::new(id, lane, record.browser, standing.handed, standing.deadline));
        let patterns: Vec<_> = record.subscriptions.iter().map(|(pattern, _)| Arc::clone(pattern)).collect();
        {
            let mut state = session.lock();
            state.subscriptions =
                record.subscriptions.into_iter().map(|(pattern, since)| Subscription { pattern, since }).collect();
            state.identity = record.identity;
            state.form = record.form;
            // Before the lane can push: what it pushes must not overtake what is still to be read.
            state.stand_at(standing);
        }
        self.sessions().insert(Arc::clone(&session));
        self.enter_browser(&session);
        // The lane delivers from its own position on; what lies between is read from the log.
        let live_from = self.lane(lane).subscribe(&session, &patterns, || self.engine().newest());
        session.lock().read_from_log(live_from);
        self.tell(&session, &Happening::Resumed(patterns));
        session
    }
}
