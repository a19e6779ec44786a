//! Watches connections for peers that take too long: over a request's head, idle between requests, or reading what is
//! written to them.
//!
//! Connections note what they do in two atomics; one task looks at all of them now and then. That costs a request two
//! stores, where a timer for each would cost an allocation and a lock.

use crate::transport::TransportSettings;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    task::AbortHandle,
    time::{Instant, MissedTickBehavior},
};

/// How often connections are looked at; bounds are met to within this.
const PERIOD: Duration = Duration::from_secs(1);

/// What a connection is doing. The numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Between requests.
    Idle = 0,
    /// A request's head is coming in.
    Head = 1,
    /// A request is being handled.
    Busy = 2,
}

/// Where one connection stands.
#[derive(Debug)]
pub struct Progress {
    started: Instant,
    /// Milliseconds since `started`, and the phase in the low two bits.
    phase: AtomicU64,
    /// When a write began to wait, in milliseconds since `started`; 0 when none does.
    blocked: AtomicU64,
}

impl Progress {
    /// A connection accepted now.
    pub fn new(now: Instant) -> Self {
        Self { started: now, phase: AtomicU64::new(Phase::Head as u64), blocked: AtomicU64::new(0) }
    }

    /// Bytes came in.
    pub fn read(&self, now: Instant) {
        if self.phase() == Phase::Idle {
            self.enter(Phase::Head, now);
        }
    }

    /// Bytes went out.
    pub fn wrote(&self, now: Instant) {
        if self.blocked.load(Relaxed) != 0 {
            self.blocked.store(0, Relaxed);
        }
        if self.phase() == Phase::Idle {
            self.enter(Phase::Idle, now);
        }
    }

    /// Bytes did not go out.
    pub fn blocked(&self, now: Instant) {
        if self.blocked.load(Relaxed) == 0 {
            self.blocked.store(self.ms(now).max(1), Relaxed);
        }
    }

    /// A request is whole and is being handled.
    pub fn busy(&self, now: Instant) {
        self.enter(Phase::Busy, now);
    }

    /// The request was answered; its body may still be on its way.
    pub fn idle(&self, now: Instant) {
        self.enter(Phase::Idle, now);
    }

    fn enter(&self, phase: Phase, now: Instant) {
        self.phase.store(self.ms(now) << 2 | phase as u64, Relaxed);
    }

    fn phase(&self) -> Phase {
        match self.phase.load(Relaxed) & 3 {
            0 => Phase::Idle,
            1 => Phase::Head,
            _ => Phase::Busy,
        }
    }

    fn ms(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX >> 2)
    }

    /// Why the connection should end now, if it should.
    fn overdue(&self, now: Instant, bounds: &Bounds) -> Option<&'static str> {
        let now = self.ms(now);
        let over = |since: u64, bound: Duration| u128::from(now.saturating_sub(since)) >= bound.as_millis();
        let since = self.phase.load(Relaxed) >> 2;
        let blocked = self.blocked.load(Relaxed);
        match self.phase() {
            _ if blocked != 0 && over(blocked, bounds.write) => Some("a write made no progress"),
            Phase::Head if over(since, bounds.head) => Some("a request's head took too long"),
            Phase::Idle if over(since, bounds.idle) => Some("idle"),
            _ => None,
        }
    }
}

/// How long each thing may take.
struct Bounds {
    head: Duration,
    idle: Duration,
    write: Duration,
}

/// All connections of a server.
pub struct Watch {
    bounds: Bounds,
    connections: Mutex<HashMap<u64, (Arc<Progress>, AbortHandle)>>,
}

impl Watch {
    /// Watches by these settings.
    pub fn new(settings: &TransportSettings) -> Self {
        let bounds = Bounds {
            head: settings.header_read_timeout,
            idle: settings.idle_timeout,
            write: settings.write_timeout,
        };
        Self { bounds, connections: Mutex::default() }
    }

    /// Begins to watch a connection, served by the task of this handle.
    pub fn add(&self, number: u64, progress: Arc<Progress>, task: AbortHandle) {
        self.connections.lock().insert(number, (progress, task));
    }

    /// Stops watching a connection.
    pub fn remove(&self, number: u64) {
        self.connections.lock().remove(&number);
    }

    /// Looks again and again.
    pub async fn run(&self) {
        let mut tick = tokio::time::interval(PERIOD);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.look(Instant::now());
        }
    }

    fn look(&self, now: Instant) {
        self.connections.lock().retain(|_, (progress, task)| match progress.overdue(now, &self.bounds) {
            Some(reason) => {
                tracing::debug!(reason, "a connection is closed");
                task.abort();
                false
            }
            // A task that ended before it was added could not remove itself.
            None => !task.is_finished(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds() -> Bounds {
        Bounds { head: Duration::from_secs(10), idle: Duration::from_secs(90), write: Duration::from_secs(30) }
    }

    #[tokio::test(start_paused = true)]
    async fn each_phase_has_its_bound() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let progress = Progress::new(start);
        assert_eq!(progress.overdue(at(9), &bounds()), None);
        assert!(progress.overdue(at(10), &bounds()).is_some(), "the first head is on the clock from the start");
        progress.busy(at(5));
        assert_eq!(progress.overdue(at(500), &bounds()), None, "held requests may take long");
        progress.idle(at(500));
        assert_eq!(progress.overdue(at(589), &bounds()), None);
        progress.wrote(at(580));
        assert_eq!(progress.overdue(at(600), &bounds()), None, "a stream that writes is not idle");
        progress.read(at(600));
        progress.read(at(609));
        assert!(progress.overdue(at(610), &bounds()).is_some(), "dripping bytes does not reset the clock");
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_must_make_progress() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let progress = Progress::new(start);
        progress.busy(at(0));
        progress.blocked(at(1));
        progress.blocked(at(20));
        assert!(progress.overdue(at(31), &bounds()).is_some());
        progress.wrote(at(31));
        assert_eq!(progress.overdue(at(32), &bounds()), None);
    }
}
