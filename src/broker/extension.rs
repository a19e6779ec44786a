//! Where extensions take part: at the handshake, when a connect comes, when a reply leaves, and in what travels on.
//!
//! The trait is here, the extensions are in their own room above; the server decides which there are. An extension sees
//! messages and session state, never a transport. A message without `ext` and `timestamp` costs them nothing.

use super::{
    Broker,
    replay::Begin,
    session::{End, State},
    wall_clock_ms,
};
use crate::bayeux::{Message, ProtocolError, Reply, Seq};
use serde_json::value::RawValue;
use tokio::time::Instant;

/// A Bayeux extension. Every method does nothing unless the extension says otherwise.
pub trait Extension: Send + Sync + 'static {
    /// A handshake made a session: what the client asks for may be granted in the reply.
    fn opened(&self, _message: &Message<'_>, _session: &mut State, _reply: &mut Reply) {}

    /// A message came. Gives what its reply will say when it leaves, whatever becomes of the message.
    fn received(&self, _message: &Message<'_>, _at: Clock) -> Option<Addition> {
        None
    }

    /// Where a new subscription to `pattern` begins, if the client says so.
    ///
    /// # Errors
    /// When it says something that makes no sense; the subscribe is then refused.
    fn beginning(&self, _message: &Message<'_>, _pattern: &str) -> Result<Option<Begin>, ProtocolError> {
        Ok(None)
    }

    /// A connect of a session came. The session ends if the extension says so.
    fn connecting(&self, _message: &Message<'_>, _session: &mut State, _now: Instant) -> Option<End> {
        None
    }

    /// The reply of a connect leaves, together with everything up to `position` if there are messages in it.
    fn answering(&self, _session: &State, _position: Option<Seq>, _reply: &mut Reply) {}

    /// The member of a publisher's `ext` that goes on to receivers as it came.
    fn travelling(&self) -> Option<&'static str> {
        None
    }

    /// Whether what travelled with a service call may go with this answer to it too.
    fn goes_with_answer(&self, _data: &RawValue) -> bool {
        true
    }
}

/// A moment, by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// By the clock that never goes back: for spans.
    pub steady: Instant,
    /// By the clock on the wall: milliseconds since 1970.
    pub wall_ms: u64,
}

impl Clock {
    /// This moment.
    pub fn now() -> Self {
        Self { steady: Instant::now(), wall_ms: wall_clock_ms() }
    }
}

/// What an extension writes into a reply at the moment it leaves.
pub type Addition = Box<dyn FnOnce(&mut Reply, Clock) + Send + Sync>;

/// What all of them write into one reply; nearly always nothing, and then nothing is allocated.
#[derive(Default)]
pub struct Additions(Vec<Addition>);

impl Additions {
    /// The reply leaves now.
    pub fn add_to(self, reply: &mut Reply) {
        if self.0.is_empty() {
            return;
        }
        let now = Clock::now();
        self.0.into_iter().for_each(|addition| addition(reply, now));
    }

    /// The same with the reply given back.
    #[must_use]
    pub fn added_to(self, mut reply: Reply) -> Reply {
        self.add_to(&mut reply);
        reply
    }
}

impl Broker {
    /// A message came: what extensions will say in its reply.
    pub fn received(&self, message: &Message<'_>) -> Additions {
        if message.ext.is_none() && !message.is_timestamped {
            return Additions::default();
        }
        let at = Clock::now();
        Additions(self.extensions().iter().filter_map(|e| e.received(message, at)).collect())
    }
}
