//! Watches connections for peers that take too long: over a request's head, idle between requests, or reading what is
//! written to them.
//!
//! Connections note what they do in two atomics; one task looks at all of them now and then, and sets the clock they
//! read. That costs a request a few stores, where a timer for each would cost an allocation and a lock.

use crate::transport::TransportSettings;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
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

/// A clock that costs one load to read: milliseconds since the server began, set anew at each look.
#[derive(Clone, Debug, Default)]
pub struct Ticks(Arc<AtomicU64>);

impl Ticks {
    fn now(&self) -> u64 {
        self.0.load(Relaxed)
    }

    fn set(&self, since_start: Duration) {
        self.0.store(u64::try_from(since_start.as_millis()).unwrap_or(u64::MAX >> 2), Relaxed);
    }
}

/// Where one connection stands.
#[derive(Debug)]
pub struct Progress {
    ticks: Ticks,
    /// When the phase began, and the phase in the low two bits.
    phase: AtomicU64,
    /// When a write began to wait, plus one; 0 when none does.
    blocked: AtomicU64,
    /// Requests at once on a connection that carries many; `ONE` on any other.
    running: AtomicU32,
}

/// The connection carries one request after the other.
const ONE: u32 = u32::MAX;

impl Progress {
    /// A connection accepted now.
    pub fn new(ticks: Ticks) -> Self {
        let progress =
            Self { ticks, phase: AtomicU64::new(0), blocked: AtomicU64::new(0), running: AtomicU32::new(ONE) };
        progress.enter(Phase::Head);
        progress
    }

    /// Bytes came in.
    pub fn read(&self) {
        if self.phase() == Phase::Idle && !self.is_multiplexed() {
            self.enter(Phase::Head);
        }
    }

    /// Bytes went out.
    pub fn wrote(&self) {
        if self.blocked.load(Relaxed) != 0 {
            self.blocked.store(0, Relaxed);
        }
        if self.phase() == Phase::Idle {
            self.enter(Phase::Idle);
        }
    }

    /// Bytes did not go out.
    pub fn blocked(&self) {
        if self.blocked.load(Relaxed) == 0 {
            self.blocked.store(self.ticks.now() + 1, Relaxed);
        }
    }

    /// Whether bytes wait for the peer to read.
    pub fn is_blocked(&self) -> bool {
        self.blocked.load(Relaxed) != 0
    }

    /// A request is whole and is being handled.
    pub fn busy(&self) {
        self.enter(Phase::Busy);
    }

    /// The request was answered; its body may still be on its way.
    pub fn idle(&self) {
        if !self.is_multiplexed() {
            self.enter(Phase::Idle);
        }
    }

    /// From now on the connection carries many requests at once, told by `began` and `ended`. What comes in between them
    /// need not be a head.
    pub fn multiplex(&self) {
        self.running.store(0, Relaxed);
        self.enter(Phase::Idle);
    }

    fn is_multiplexed(&self) -> bool {
        self.running.load(Relaxed) != ONE
    }

    /// One of many requests began.
    pub fn began(&self) {
        self.running.fetch_add(1, Relaxed);
        self.enter(Phase::Busy);
    }

    /// One of many requests was answered or given up.
    pub fn ended(&self) {
        if self.running.fetch_sub(1, Relaxed) == 1 {
            self.enter(Phase::Idle);
        }
    }

    fn enter(&self, phase: Phase) {
        self.phase.store(self.ticks.now() << 2 | phase as u64, Relaxed);
    }

    fn phase(&self) -> Phase {
        match self.phase.load(Relaxed) & 3 {
            0 => Phase::Idle,
            1 => Phase::Head,
            _ => Phase::Busy,
        }
    }

    /// Why the connection should end now, if it should.
    fn overdue(&self, bounds: &Bounds) -> Option<&'static str> {
        let now = self.ticks.now();
        let over = |since: u64, bound: Duration| u128::from(now.saturating_sub(since)) >= bound.as_millis();
        let since = self.phase.load(Relaxed) >> 2;
        let blocked = self.blocked.load(Relaxed);
        match self.phase() {
            _ if blocked != 0 && over(blocked - 1, bounds.write) => Some("a write made no progress"),
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
    /// The clock that its connections read.
    pub ticks: Ticks,
    bounds: Bounds,
    connections: Mutex<HashMap<u64, (Arc<Progress>, AbortHandle)>>,
}

impl Watch {
    /// Watches by these settings.
    pub fn new(settings: &TransportSettings) -> Self {
        let bounds =
            Bounds { head: settings.header_read_timeout, idle: settings.idle_timeout, write: settings.write_timeout };
        Self { ticks: Ticks::default(), bounds, connections: Mutex::default() }
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
        let start = Instant::now();
        loop {
            tick.tick().await;
            self.ticks.set(start.elapsed());
            self.look();
        }
    }

    fn look(&self) {
        self.connections.lock().retain(|_, (progress, task)| match progress.overdue(&self.bounds) {
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

    #[test]
    fn each_phase_has_its_bound() {
        let ticks = Ticks::default();
        let progress = Progress::new(ticks.clone());
        let at = |s| ticks.set(Duration::from_secs(s));
        let overdue = || progress.overdue(&bounds()).is_some();
        at(9);
        assert!(!overdue());
        at(10);
        assert!(overdue(), "the first head is on the clock from the start");
        progress.busy();
        at(500);
        assert!(!overdue(), "held requests may take long");
        progress.idle();
        at(580);
        progress.wrote();
        at(600);
        assert!(!overdue(), "a stream that writes is not idle");
        progress.read();
        at(609);
        progress.read();
        at(610);
        assert!(overdue(), "dripping bytes does not reset the clock");
        progress.busy();
        progress.idle();
        at(700);
        assert!(overdue(), "idle connections end too");
    }

    #[test]
    fn many_requests_at_once_end_one_by_one() {
        let ticks = Ticks::default();
        let progress = Progress::new(ticks.clone());
        let at = |s| ticks.set(Duration::from_secs(s));
        let overdue = || progress.overdue(&bounds()).is_some();
        progress.multiplex();
        progress.read();
        at(50);
        assert!(!overdue(), "what comes in need not be a head");
        progress.began();
        progress.began();
        progress.idle();
        progress.ended();
        at(500);
        assert!(!overdue(), "one of them is held");
        progress.ended();
        at(589);
        assert!(!overdue());
        at(590);
        assert!(overdue());
    }

    #[test]
    fn a_write_must_make_progress() {
        let ticks = Ticks::default();
        let progress = Progress::new(ticks.clone());
        let at = |s| ticks.set(Duration::from_secs(s));
        progress.busy();
        progress.blocked();
        at(20);
        progress.blocked();
        at(30);
        assert!(progress.overdue(&bounds()).is_some());
        progress.wrote();
        assert_eq!(progress.overdue(&bounds()), None);
    }
}
