//! The sweep: ends sessions that were silent for too long or whose identity is over, and lets the log, the throttle
//! and the list of revocations forget.
//!
//! One task of the broker. Looks at every session, wakes nobody who has nothing to hear.

use super::{Broker, Session, session::End, wall_clock_ms};
use std::sync::Arc;
use tokio::time::{Instant, MissedTickBehavior};

impl Broker {
    pub(super) async fn sweep_for_ever(self) {
        let mut tick = tokio::time::interval(self.settings().sweep_period);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.is_stopping() {
            tick.tick().await;
            self.sweep(Instant::now(), wall_clock_ms()).await;
        }
    }

    /// One pass.
    pub(super) async fn sweep(&self, now: Instant, now_ms: u64) {
        let expired = self.sessions().filter(|session| session.lock().deadline <= now);
        for session in expired {
            // It may have spoken since it was looked at.
            if session.lock().deadline <= now && self.end(&session, End::Expired).await {
                tracing::debug!(session = ?session.id, "a session expired");
            }
        }
        self.end_those_over(now_ms).await;
        self.forget_revocations(now_ms).await;
        self.engine().sweep(now_ms);
        self.throttle().sweep(now);
    }

    /// Ends the sessions of this node whose identity is over; returns how many there were.
    pub async fn end_those_over(&self, now_ms: u64) -> usize {
        let mut count = 0;
        for session in self.sessions().filter(|session| self.is_over(session, now_ms)) {
            count += usize::from(self.end_if_over(&session, now_ms).await);
        }
        count
    }

    /// Ends a session whose identity is over; whether it was.
    pub(super) async fn end_if_over(&self, session: &Arc<Session>, now_ms: u64) -> bool {
        let is_over = self.is_over(session, now_ms);
        if is_over && self.end(session, End::Unauthorised).await {
            tracing::debug!(session = ?session.id, "the identity of a session is over");
        }
        is_over
    }

    fn is_over(&self, session: &Session, now_ms: u64) -> bool {
        let state = session.lock();
        !state.identity.is_anonymous() && self.policy().is_over(&state.identity, now_ms)
    }
}
