//! Fan-out lanes: each owns a share of the sessions and its own channel index, and reads the log in order. So the order
//! per session needs no lock across sessions, and fan-out uses all cores.
//!
//! Started by `Broker::start` under a supervisor: a lane that panics is started again and its sessions go on where
//! they stood. A lane never waits for a session: it pushes into queues and wakes whoever holds them.

use super::{
    Broker,
    index::ChannelIndex,
    replay::is_entry,
    session::{QueueLimits, Session},
};
use crate::{
    bayeux::{ClientId, Seq},
    engine::Publication,
};
use futures_util::FutureExt;
use parking_lot::Mutex;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Waker,
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// Publications a lane takes from the log at once; those to one session then leave together.
const CHUNK: usize = 256;
/// How long a lane waits before it asks an unavailable log again.
const RETRY: Duration = Duration::from_millis(200);

/// How long anybody waits for a lane to catch up.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// A share of the sessions.
pub struct Lane {
    index: Mutex<ChannelIndex>,
    position: AtomicU64,
    progress: Notify,
    /// Set by tests: the next publication makes this lane panic.
    #[cfg(test)]
    pub fault: std::sync::atomic::AtomicBool,
}

impl Lane {
    /// A lane that starts reading after `position`.
    pub fn new(position: Seq) -> Self {
        Self {
            index: Mutex::default(),
            position: AtomicU64::new(position),
            progress: Notify::new(),
            #[cfg(test)]
            fault: std::sync::atomic::AtomicBool::new(false),
        }
    }

    /// How far it has read.
    pub fn position(&self) -> Seq {
        self.position.load(Ordering::Acquire)
    }

    /// Waits until it has read up to `position`, but not for ever: a log that cannot be read stops all lanes.
    pub async fn caught_up(&self, position: Seq) {
        if self.position() >= position {
            return;
        }
        let caught_up = async {
            loop {
                let moved = self.progress.notified();
                if self.position() >= position {
                    return;
                }
                moved.await;
            }
        };
        if tokio::time::timeout(LONGEST_WAIT, caught_up).await.is_err() {
            tracing::warn!(position, "a lane did not catch up in time");
        }
    }

    /// Adds subscriptions. `begin` is asked for the position they begin at while the lane stands still, so that nothing
    /// between the two is lost or delivered twice.
    pub fn subscribe(&self, session: &Arc<Session>, patterns: &[Arc<str>], begin: impl FnOnce() -> Seq) -> Seq {
        let mut index = self.index.lock();
        let since = begin();
        for pattern in patterns {
            index.add(pattern, session, since);
        }
        since
    }

    /// Removes subscriptions.
    pub fn unsubscribe(&self, session: &Arc<Session>, patterns: impl IntoIterator<Item = impl AsRef<str>>) {
        let mut index = self.index.lock();
        for pattern in patterns {
            index.remove(pattern.as_ref(), session.id);
        }
    }

    /// How many sessions of this lane a publication to `channel` is for.
    pub fn count(&self, channel: &str, without: Option<ClientId>) -> usize {
        self.index.lock().count(channel, without)
    }

    /// Calls `each` for the sessions that a publication to `channel` is for; of a pattern, for those that hold it.
    pub fn holders(&self, channel: &str, each: &mut dyn FnMut(&Arc<Session>)) {
        self.index.lock().holders(channel, each);
    }

    /// The first `limit` names that are held and wanted, each with how many sessions of this lane hold it.
    pub fn names(&self, wanted: &dyn Fn(&str) -> bool, limit: usize) -> BTreeMap<Box<str>, usize> {
        self.index.lock().names(wanted, limit)
    }

    fn moved_to(&self, position: Seq) {
        self.position.store(position, Ordering::Release);
        self.progress.notify_waiters();
    }
}

impl Broker {
    /// Runs lane `number` until the broker is dropped, whatever happens inside.
    pub(super) async fn supervise(self, number: usize) {
        loop {
            let broker = self.clone();
            match tokio::spawn(async move { broker.run_lane(number).await }).await {
                Ok(()) => return,
                Err(fault) if fault.is_panic() => {
                    tracing::error!(lane = number, "a fan-out lane failed; its sessions go on from their records");
                    self.metrics().lane_restarts.inc();
                    self.rebuild_lane(number);
                }
                Err(_) => return,
            }
        }
    }

    async fn run_lane(&self, number: usize) {
        let lane = self.lane(number);
        let mut head = self.engine().head();
        let mut wakers = Vec::new();
        // Sessions whose queues hold only what may wait, by when it may not any longer.
        let mut waiting = BinaryHeap::new();
        loop {
            let position = lane.position();
            match until_due(waiting.peek(), head.wait_for(|head| *head > position).map(|news| news.is_ok())).await {
                None => {
                    self.urge_waiting(&mut waiting);
                    continue;
                }
                Some(false) => return,
                Some(true) => {}
            }
            match self.engine().read(position, CHUNK).await {
                Ok(batch) => {
                    if let Some(last) = batch.lost.iter().map(|lost| lost.last).max() {
                        tracing::error!(lane = number, last, "a lane fell behind what the log keeps");
                        self.make_all_catch_up(number, last);
                    }
                    for publication in &batch.publications {
                        self.fan_out(lane, publication, &mut wakers, &mut waiting);
                    }
                    lane.moved_to(batch.through);
                    self.engine().passed(self.slowest_lane());
                }
                Err(error) => {
                    tracing::warn!(lane = number, %error, "cannot read the log");
                    tokio::time::sleep(RETRY).await;
                }
            }
            // Woken only now, so that what came together leaves together.
            wakers.drain(..).for_each(Waker::wake);
            tokio::task::consume_budget().await;
        }
    }

    /// Pushes one publication into the queue of every session of the lane that it concerns. Never awaits.
    fn fan_out(
        &self,
        lane: &Lane,
        publication: &Arc<Publication>,
        wakers: &mut Vec<Waker>,
        waiting: &mut BinaryHeap<Reverse<(Instant, ClientId)>>,
    ) {
        #[cfg(test)]
        if lane.fault.swap(false, Ordering::Relaxed) {
            // A panic that prints nothing.
            std::panic::resume_unwind(Box::new("a fault injected by a test"));
        }
        let fell_behind = &self.metrics().fell_behind;
        let limits = QueueLimits { messages: self.settings().max_queue, bytes: self.settings().max_queue_bytes };
        let draft = &publication.draft;
        if let Some(to) = draft.to {
            let session = self.sessions().get(to).filter(|s| std::ptr::eq(self.lane(s.lane), lane));
            let Some(session) = session else { return };
            if is_entry(publication) {
                self.begin_after_replay(lane, &session, publication);
            }
            wakers.extend(session.enqueue(publication, limits, None, fell_behind));
            return;
        }
        let lazy = self.channel_table().lazy(draft.channel()).map(|wait| Instant::now() + wait);
        let publisher = if self.settings().broadcast_to_publisher { None } else { draft.publisher };
        lane.index.lock().for_each(draft.channel(), publication.seq, |session| {
            if publisher != Some(session.id) && draft.without != Some(session.id) {
                wakers.extend(session.enqueue(publication, limits, lazy, fell_behind));
                if let Some(due) = lazy.filter(|due| session.lock().lazy_due() == Some(*due)) {
                    waiting.push(Reverse((due, session.id)));
                }
            }
        });
    }

    /// What could wait has waited long enough.
    fn urge_waiting(&self, waiting: &mut BinaryHeap<Reverse<(Instant, ClientId)>>) {
        let now = Instant::now();
        while let Some(Reverse((due, id))) = waiting.peek().copied() {
            if due > now {
                return;
            }
            waiting.pop();
            if let Some(waker) = self.sessions().get(id).and_then(|session| session.urge(now)) {
                waker.wake();
            }
        }
    }

    /// The log lost what this lane had not read: every session of it must read for itself, and is told of its gap.
    fn make_all_catch_up(&self, number: usize, to: Seq) {
        for session in self.sessions().filter(|s| s.lane == number) {
            session.lock().read_from_log(to);
        }
    }

    /// Gives a failed lane a new index, and puts new sessions in the place of its own that go on where these stood.
    fn rebuild_lane(&self, number: usize) {
        let lane = self.lane(number);
        let old = self.sessions().filter(|s| s.lane == number);
        *lane.index.lock() = ChannelIndex::default();
        // Everything up to here is read by the sessions themselves.
        let position = self.engine().newest();
        lane.moved_to(position);
        for session in old {
            if let Some(wakers) = self.replace(&session) {
                wakers.into_iter().flatten().for_each(Waker::wake);
            }
        }
    }
}

/// Waits for news, but not beyond the first that is due: then `None`.
async fn until_due<T>(first: Option<&Reverse<(Instant, ClientId)>>, news: impl Future<Output = T>) -> Option<T> {
    match first {
        Some(Reverse((due, _))) => tokio::time::timeout_at(*due, news).await.ok(),
        None => Some(news.await),
    }
}
