//! The engine in this process: a bounded part of the log and a map of records. The default; forgets everything at exit.
//!
//! Built by the server. Positions start at the clock in microseconds, so that they never repeat after a restart as long
//! as fewer than a million messages a second are published on average. Nothing here blocks or waits.

use super::{
    Answer, Batch, Draft, Engine, EngineError, EngineSettings, Placed, Publication, idempotency::Keys, kept::Kept,
    retention::Retention,
};
use crate::bayeux::{ClientId, Seq};
use bytes::Bytes;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::watch;

/// The log in memory. See the file's head.
pub struct MemoryEngine {
    log: Mutex<Log>,
    records: Mutex<HashMap<ClientId, Bytes>>,
    newest: AtomicU64,
    head: watch::Sender<Seq>,
}

struct Log {
    kept: Kept,
    keys: Keys,
    next: Seq,
}

impl MemoryEngine {
    /// An empty log whose first position is `now_us`, the wall clock in microseconds.
    pub fn new(retention: Retention, keys: Keys, now_us: u64) -> Self {
        let next = now_us.max(1);
        Self {
            log: Mutex::new(Log { kept: Kept::new(retention, next - 1), keys, next }),
            records: Mutex::default(),
            newest: AtomicU64::new(next - 1),
            head: watch::Sender::new(next - 1),
        }
    }
}

impl MemoryEngine {
    /// An empty log by these settings, everything kept alike.
    pub fn with(settings: &EngineSettings, now_us: u64) -> Self {
        Self::new(Retention::uniform(settings.memory.bounds()), settings.keys(), now_us)
    }
}

impl Log {
    fn push(&mut self, draft: Draft) -> Placed {
        if let Some(key) = &draft.key {
            if let Some(seq) = self.keys.place(key, draft.time_ms) {
                return Placed { seq, repeated: true };
            }
            self.keys.insert(Arc::clone(key), self.next, draft.time_ms);
        }
        let seq = self.next;
        self.next += 1;
        self.kept.push(Arc::new(Publication::new(seq, draft)));
        Placed { seq, repeated: false }
    }
}

impl Engine for MemoryEngine {
    fn append(&self, drafts: Vec<Draft>) -> Answer<Result<Vec<Placed>, EngineError>> {
        let mut log = self.log.lock();
        let places = drafts.into_iter().map(|draft| log.push(draft)).collect();
        let newest = log.next - 1;
        // Inside the lock, so that the head never goes back.
        self.newest.store(newest, Ordering::Release);
        self.head.send_replace(newest);
        Answer::Now(Ok(places))
    }

    fn head(&self) -> watch::Receiver<Seq> {
        self.head.subscribe()
    }

    fn newest(&self) -> Seq {
        self.newest.load(Ordering::Acquire)
    }

    fn oldest(&self) -> Seq {
        self.log.lock().kept.oldest()
    }

    fn read(&self, after: Seq, limit: usize) -> Answer<Result<Batch, EngineError>> {
        Answer::Now(Ok(self.log.lock().kept.read(after, limit)))
    }

    fn read_matching(&self, pattern: &str, after: Seq, limit: usize) -> Answer<Result<Batch, EngineError>> {
        Answer::Now(Ok(self.log.lock().kept.read_matching(pattern, after, limit)))
    }

    fn newest_matching(&self, pattern: &str) -> Answer<Result<Vec<Arc<Publication>>, EngineError>> {
        Answer::Now(Ok(self.log.lock().kept.newest_matching(pattern)))
    }

    fn save(&self, id: ClientId, record: Bytes) -> Answer<Result<(), EngineError>> {
        self.records.lock().insert(id, record);
        Answer::Now(Ok(()))
    }

    fn load(&self, id: ClientId) -> Answer<Result<Option<Bytes>, EngineError>> {
        Answer::Now(Ok(self.records.lock().get(&id).cloned()))
    }

    fn records(&self) -> Answer<Result<Vec<(ClientId, Bytes)>, EngineError>> {
        Answer::Now(Ok(self.records.lock().iter().map(|(id, record)| (*id, record.clone())).collect()))
    }

    fn forget(&self, id: ClientId) -> Answer<Result<(), EngineError>> {
        self.records.lock().remove(&id);
        Answer::Now(Ok(()))
    }

    fn passed(&self, position: Seq) {
        self.log.lock().kept.pass(position);
    }

    fn sweep(&self, now_ms: u64) {
        let mut log = self.log.lock();
        log.kept.sweep(now_ms);
        log.keys.forget(now_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::suite;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn it_passes_the_suite() {
        suite::run(async |retention, keys| Arc::new(MemoryEngine::new(retention, keys, 1000)) as Arc<dyn Engine>).await;
    }
}
