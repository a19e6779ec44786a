//! What happens to sessions and channels, for those who want to hear of it.
//!
//! The broker tells; rooms above listen. Telling never waits and is never done with a lock held.

use super::{Broker, policy::Identity, session::End};
use crate::bayeux::{ClientId, Seq};
use std::sync::Arc;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Happening {
    /// A handshake made a session.
    SessionAdded,
    /// A session is over.
    SessionRemoved(End),
    /// A session asked for these.
    Subscribed(Vec<Arc<str>>),
    /// A session goes on from its record, in which it holds these.
    Resumed(Vec<Arc<str>>),
    /// A session gave these back, or is about to be removed while it holds them.
    Unsubscribed(Vec<Arc<str>>),
    /// Positions that a session will not get, because they are no longer kept: first and last.
    Gap(Seq, Seq),
}

/// Listens. Called on the tasks that serve clients: must return at once.
pub trait Observer: Send + Sync + 'static {
    /// Something happened to a session.
    fn happened(&self, session: ClientId, who: &Arc<Identity>, what: &Happening);
}

impl Broker {
    /// Whether a session holds exactly this channel or pattern now.
    pub(crate) fn holds(&self, session: ClientId, pattern: &str) -> bool {
        self.sessions().get(session).is_some_and(|session| {
            let state = session.lock();
            state.ended.is_none() && state.subscriptions.iter().any(|s| *s.pattern == *pattern)
        })
    }
}
