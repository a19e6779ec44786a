//! The activity extension: a client that only connects, for too long, is told goodbye and to stay away. Off by default.
//!
//! Looked at when a connect comes, as that is when such a client can be told; who does not even connect expires.

use super::settings;
use crate::{
    bayeux::Message,
    broker::{End, Extension, session::State},
};
use std::time::Duration;
use tokio::time::Instant;

/// See the file's head.
pub struct Activity {
    /// How long a client may do nothing.
    pub max_inactivity: Duration,
    /// What counts as doing something.
    pub counts: settings::Activity,
}

impl Extension for Activity {
    fn connecting(&self, _: &Message<'_>, session: &mut State, now: Instant) -> Option<End> {
        let handed = session.handed();
        let was_given = handed > std::mem::replace(&mut session.handed_before, handed);
        if was_given && self.counts == settings::Activity::Both {
            session.active = Some(now);
        }
        // Of sessions that go on from a record the first connect is the first that is known.
        let active = *session.active.get_or_insert(now);
        (now.duration_since(active) > self.max_inactivity).then_some(End::Inactive)
    }
}
