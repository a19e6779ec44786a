//! Service calls: what clients publish to `/service/**` goes to whoever serves that channel, and the answer comes back
//! to the calling session alone, through the log.
//!
//! The trait is here; the room that calls the user's backends implements it. A channel nobody serves is acknowledged and
//! means nothing.

use super::{Broker, policy::Asking, wall_clock_ms};
use crate::{
    bayeux::{ClientId, ProtocolError},
    engine::{Answer, Draft},
};
use serde_json::value::RawValue;
use std::time::Duration;

/// A publish to a service channel.
#[derive(Clone, Debug)]
pub struct Call {
    /// Who calls; its session is where the answer goes.
    pub asking: Asking,
    /// The service channel.
    pub channel: String,
    /// The message id, by which the client knows the answer.
    pub id: Option<Box<RawValue>>,
    /// What was sent.
    pub data: Box<RawValue>,
    /// The `ext` that extensions let travel with it.
    pub ext: Option<String>,
}

/// What a service answered: the `data` of the answer, or why there is none.
pub type Outcome = Result<Box<RawValue>, ProtocolError>;

/// Serves channels below `/service/`.
pub trait Services: Send + Sync + 'static {
    /// Takes a call. `None` when nobody serves its channel.
    fn call(&self, call: &Call) -> Option<Answer<Outcome>>;
}

/// Nobody serves anything.
#[derive(Debug, Default)]
pub struct NoServices;

impl Services for NoServices {
    fn call(&self, _: &Call) -> Option<Answer<Outcome>> {
        None
    }
}

/// How often the log is asked to take an answer, and the pause before it is asked again.
const ATTEMPTS: u32 = 5;
const RETRY: Duration = Duration::from_millis(200);

impl Broker {
    /// Hands a call to whoever serves its channel; the answer follows when it is there.
    pub(super) fn call_service(&self, session: ClientId, call: Call) {
        let Some(answer) = self.services().call(&call) else { return };
        let broker = self.clone();
        self.calls().spawn(async move {
            let outcome = answer.await;
            let ext = broker.answer_ext(call.ext, &outcome);
            let (id, now_ms) = (call.id.as_deref(), wall_clock_ms());
            let draft = Draft::answer(&call.channel, id, &outcome, ext.as_deref(), now_ms).to(session);
            broker.append_answer(&call.channel, draft).await;
        });
    }

    /// The `ext` of the call goes with its answer if that is data of the same kind.
    fn answer_ext(&self, ext: Option<String>, outcome: &Outcome) -> Option<String> {
        let data = outcome.as_ref().ok()?;
        ext.filter(|_| self.extensions().iter().all(|e| e.goes_with_answer(data)))
    }

    /// A log that is unavailable for a moment loses no answer.
    async fn append_answer(&self, channel: &str, draft: Draft) {
        for attempt in 1..=ATTEMPTS {
            match self.append(vec![draft.clone()]).await {
                Ok(_) => return,
                Err(error) if attempt == ATTEMPTS => {
                    tracing::error!(%error, channel, "the answer of a service call is lost");
                    self.metrics().answers_lost.inc();
                }
                Err(_) => tokio::time::sleep(RETRY * attempt).await,
            }
        }
    }

    /// Waits until every call that is out has its answer in the log and in the queue of its session.
    pub async fn calls_are_answered(&self) {
        self.calls().close();
        self.calls().wait().await;
        let newest = self.engine().newest();
        for lane in self.lanes() {
            lane.caught_up(newest).await;
        }
    }

    /// Waits until everything is done that the broker does beside answering.
    pub async fn duties_are_done(&self) {
        self.duties().close();
        self.duties().wait().await;
    }
}
