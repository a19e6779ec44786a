//! What a client can ask for, one file per verb. Each takes the caller and the message and gives the reply.
//!
//! Called by the transports' exchange, which knows in which order a batch is handled. Nothing here writes to a socket.

pub mod connect;
pub mod disconnect;
pub mod handshake;
pub mod publish;
pub mod subscribe;
pub mod unsubscribe;

use crate::broker::{Broker, Session};
use tokio::time::Instant;

impl Broker {
    /// A session that speaks lives at least `max_interval` longer.
    pub(crate) fn touch(&self, session: &Session) {
        let now = Instant::now();
        let least = now + self.settings().max_interval;
        let mut state = session.lock();
        state.active = Some(now);
        state.deadline = state.deadline.max(least);
    }
}
