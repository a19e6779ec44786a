//! The sweep: ends sessions that were silent for too long, and lets the log and the throttle forget.
//!
//! One task of the broker. Looks at every session, wakes nobody who has nothing to hear.

use super::{Broker, session::End, wall_clock_ms};
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
        self.engine().sweep(now_ms);
        self.throttle().sweep(now);
    }
}
