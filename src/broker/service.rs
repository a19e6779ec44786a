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

impl Broker {
    /// Hands a call to whoever serves its channel; the answer follows when it is there.
    pub(super) fn call_service(&self, session: ClientId, call: Call) {
        let Some(answer) = self.services().call(&call) else { return };
        let broker = self.clone();
        tokio::spawn(async move {
            let outcome = answer.await;
            let draft = Draft::answer(&call.channel, call.id.as_deref(), &outcome, wall_clock_ms()).to(session);
            if let Err(error) = broker.append(vec![draft]).await {
                tracing::warn!(%error, channel = call.channel, "the answer of a service call is lost");
            }
        });
    }
}
