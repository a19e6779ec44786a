//! Planned restarts: where each session stands is written down when the broker stops, so that those who do not acknowledge
//! go on there, too. After a crash nobody knows what was under way to them, and they go on with what is new.
//!
//! Called by the server when everything has been answered, and at recovery. What is written down counts for one start only:
//! a crash after it must not bring back what was delivered since.

use super::{Broker, lane::Lane, record::Record, session::State};
use crate::{
    bayeux::{ClientId, Seq},
    engine::{Answer, EngineError},
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Records written at once: an engine takes only so many that wait.
const AT_ONCE: usize = 256;

/// Says that the broker stopped in good order.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Stopped {
    /// Where sessions stand that have no place of their own.
    stopped_at: Seq,
    /// Which stop it was: places that were written down at an older one are over.
    stop: u64,
}

/// Where a session stood at a stop.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Place {
    stop: u64,
    at: Seq,
}

impl Stopped {
    /// Where a session stands whose record holds this place, or none.
    pub(super) fn stands(&self, place: Option<&Place>) -> Seq {
        place.filter(|place| place.stop == self.stop).map_or(self.stopped_at, |place| place.at)
    }
}

fn id_of_stop() -> ClientId {
    ClientId::of_name("stopped in good order")
}

impl Broker {
    /// How far each lane has shown the log to its sessions; asked before they end.
    pub(super) fn lane_positions(&self) -> Vec<Seq> {
        self.lanes().iter().map(Lane::position).collect()
    }

    /// Writes down where each session stands. Called after [`Broker::stop`], when everything has been answered.
    pub async fn keep_places(&self) {
        let Some(shown) = self.stopped_at() else { return };
        if let Err(error) = self.write_places(shown).await {
            tracing::warn!(%error, "where sessions stand could not be stored; who does not acknowledge goes on with what is new");
        }
    }

    async fn write_places(&self, shown: &[Seq]) -> Result<(), EngineError> {
        let stopped_at = shown.iter().copied().min().unwrap_or_default();
        let (stop, _) = Uuid::new_v4().as_u64_pair();
        let mut saving = Vec::new();
        for session in self.sessions().filter(|_| true) {
            let record = {
                let state = session.lock();
                let at = place(&state, shown.get(session.lane).copied().unwrap_or(stopped_at));
                let expects = !state.subscriptions.is_empty() || state.first_waiting().is_some();
                // Who acknowledges tells it better.
                if !expects || state.acked().is_some() || at == stopped_at {
                    continue;
                }
                Record::of(&session, &state).at(Place { stop, at })
            };
            saving.push(self.store(session.id, &record));
            if saving.len() >= AT_ONCE {
                all(&mut saving).await?;
            }
        }
        all(&mut saving).await?;
        self.store(id_of_stop(), &Stopped { stopped_at, stop }).await
    }

    /// Stores a record of any kind.
    pub(super) fn store(&self, id: ClientId, record: &impl Serialize) -> Answer<Result<(), EngineError>> {
        match serde_json::to_vec(record) {
            Ok(bytes) => self.engine().save(id, Bytes::from(bytes)),
            Err(error) => Answer::Now(Err(EngineError::Unavailable(error.to_string()))),
        }
    }

    /// Where sessions stand, if the broker stopped in good order before this start. Tells it once.
    pub(super) async fn take_stop(&self) -> Result<Option<Stopped>, EngineError> {
        let stored = self.engine().load(id_of_stop()).await?;
        let Some(stopped) = stored.and_then(|bytes| serde_json::from_slice::<Stopped>(&bytes).ok()) else {
            return Ok(None);
        };
        self.engine().forget(id_of_stop()).await?;
        Ok(Some(stopped))
    }
}

/// Everything up to here a session has, when its lane has shown it the log up to `shown`.
fn place(state: &State, shown: Seq) -> Seq {
    match state.first_waiting() {
        Some(first) => first - 1,
        None => state.handed().max(shown),
    }
}

async fn all(saving: &mut Vec<Answer<Result<(), EngineError>>>) -> Result<(), EngineError> {
    for answer in saving.drain(..) {
        answer.await?;
    }
    Ok(())
}
