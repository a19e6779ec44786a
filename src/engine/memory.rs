//! The engine in this process: a bounded ring and a map of records. The default; forgets everything at exit.
//!
//! Built by the server. Positions start at the clock in microseconds, so that they never repeat after a restart as long
//! as fewer than a million messages a second are published on average. Nothing here blocks or waits.

use super::{Answer, Batch, Draft, Engine, EngineError, Publication, settings::MemorySettings};
use crate::bayeux::{ClientId, Seq};
use bytes::Bytes;
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};
use tokio::sync::watch;

/// The log in a ring. See the file's head.
pub struct MemoryEngine {
    ring: Mutex<Ring>,
    records: Mutex<HashMap<ClientId, Bytes>>,
    head: watch::Sender<Seq>,
    settings: MemorySettings,
}

/// Publications without holes: `kept[i]` has position `next - kept.len() + i`.
struct Ring {
    kept: VecDeque<Arc<Publication>>,
    bytes: usize,
    next: Seq,
}

impl MemoryEngine {
    /// An empty log whose first position is `now_us`, the wall clock in microseconds.
    pub fn new(settings: MemorySettings, now_us: u64) -> Self {
        let next = now_us.max(1);
        Self {
            ring: Mutex::new(Ring { kept: VecDeque::new(), bytes: 0, next }),
            records: Mutex::default(),
            head: watch::Sender::new(next - 1),
            settings,
        }
    }
}

impl Ring {
    fn oldest(&self) -> Seq {
        self.next - self.kept.len() as u64
    }

    fn push(&mut self, draft: Draft) -> Seq {
        let seq = self.next;
        self.next += 1;
        let publication = Arc::new(Publication { seq, draft });
        self.bytes += publication.weight();
        self.kept.push_back(publication);
        seq
    }

    fn cut(&mut self, bounds: &MemorySettings, now_ms: u64) {
        let oldest_ms = now_ms.saturating_sub(u64::try_from(bounds.max_age.as_millis()).unwrap_or(u64::MAX));
        while let Some(first) = self.kept.front() {
            let over = self.kept.len() > bounds.max_messages || self.bytes > bounds.max_bytes;
            if !over && first.draft.time_ms >= oldest_ms {
                break;
            }
            self.bytes -= first.weight();
            self.kept.pop_front();
        }
    }
}

impl Engine for MemoryEngine {
    fn append(&self, drafts: Vec<Draft>) -> Answer<Result<Vec<Seq>, EngineError>> {
        let Some(now_ms) = drafts.last().map(|d| d.time_ms) else { return Answer::Now(Ok(Vec::new())) };
        let mut ring = self.ring.lock();
        let places = drafts.into_iter().map(|draft| ring.push(draft)).collect();
        ring.cut(&self.settings, now_ms);
        // Inside the lock, so that the head never goes back.
        self.head.send_replace(ring.next - 1);
        Answer::Now(Ok(places))
    }

    fn head(&self) -> watch::Receiver<Seq> {
        self.head.subscribe()
    }

    fn newest(&self) -> Seq {
        *self.head.borrow()
    }

    fn oldest(&self) -> Seq {
        self.ring.lock().oldest()
    }

    fn read(&self, after: Seq, limit: usize) -> Answer<Result<Batch, EngineError>> {
        let ring = self.ring.lock();
        let oldest = ring.oldest();
        let lost = (after + 1 < oldest && after + 1 < ring.next).then(|| (after + 1, oldest - 1));
        let skip = usize::try_from((after + 1).saturating_sub(oldest)).unwrap_or(usize::MAX);
        let publications: Vec<_> = ring.kept.iter().skip(skip).take(limit).cloned().collect();
        let through = publications.last().map_or_else(|| after.max(ring.next - 1), |last| last.seq);
        Answer::Now(Ok(Batch { publications, through, lost }))
    }

    fn save(&self, id: ClientId, record: Bytes) -> Answer<Result<(), EngineError>> {
        self.records.lock().insert(id, record);
        Answer::Now(Ok(()))
    }

    fn load(&self, id: ClientId) -> Answer<Result<Option<Bytes>, EngineError>> {
        Answer::Now(Ok(self.records.lock().get(&id).cloned()))
    }

    fn forget(&self, id: ClientId) -> Answer<Result<(), EngineError>> {
        self.records.lock().remove(&id);
        Answer::Now(Ok(()))
    }

    fn sweep(&self, now_ms: u64) {
        self.ring.lock().cut(&self.settings, now_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::value::RawValue;
    use std::time::Duration;

    fn engine(max_messages: usize) -> MemoryEngine {
        MemoryEngine::new(MemorySettings { max_messages, max_bytes: 1 << 20, max_age: Duration::from_secs(10) }, 1000)
    }

    fn draft(n: u64) -> Draft {
        Draft::new("/a", &RawValue::from_string(n.to_string()).unwrap(), None, n)
    }

    fn seqs(batch: &Batch) -> Vec<Seq> {
        batch.publications.iter().map(|p| p.seq).collect()
    }

    #[tokio::test]
    async fn positions_follow_each_other_and_reading_goes_on_where_it_stopped() {
        let engine = engine(100);
        assert_eq!(engine.append(vec![draft(1), draft(2)]).await.unwrap(), [1000, 1001]);
        assert_eq!(engine.append(vec![draft(3)]).await.unwrap(), [1002]);
        assert_eq!(engine.newest(), 1002);
        let first = engine.read(999, 2).await.unwrap();
        assert_eq!((seqs(&first), first.through, first.lost), (vec![1000, 1001], 1001, None));
        let rest = engine.read(first.through, 9).await.unwrap();
        assert_eq!((seqs(&rest), rest.through), (vec![1002], 1002));
        let none = engine.read(1002, 9).await.unwrap();
        assert_eq!((seqs(&none), none.through, none.lost), (vec![], 1002, None));
    }

    #[tokio::test]
    async fn what_is_cut_is_reported_as_lost() {
        let engine = engine(2);
        for n in 0..5 {
            let _ = engine.append(vec![draft(n)]).await;
        }
        assert_eq!(engine.oldest(), 1003);
        let batch = engine.read(1000, 9).await.unwrap();
        assert_eq!((seqs(&batch), batch.lost), (vec![1003, 1004], Some((1001, 1002))));
        engine.sweep(1_000_000);
        let batch = engine.read(1003, 9).await.unwrap();
        assert_eq!((seqs(&batch), batch.lost, batch.through), (vec![], Some((1004, 1004)), 1004));
        assert_eq!(engine.oldest(), 1005);
    }

    #[tokio::test]
    async fn bytes_bound_the_ring_too() {
        let engine = MemoryEngine::new(
            MemorySettings { max_messages: 1000, max_bytes: 1000, max_age: Duration::from_secs(10) },
            1,
        );
        for n in 0..100 {
            let _ = engine.append(vec![draft(n)]).await;
        }
        assert!(engine.ring.lock().bytes <= 1000);
        assert!(engine.newest() - engine.oldest() < 10);
    }

    #[tokio::test]
    async fn the_head_wakes_those_who_wait() {
        let engine = Arc::new(engine(10));
        let mut head = engine.head();
        let waiting = tokio::spawn(async move { *head.wait_for(|h| *h >= 1000).await.unwrap() });
        let _ = engine.append(vec![draft(1)]).await;
        assert_eq!(waiting.await.unwrap(), 1000);
    }

    #[tokio::test]
    async fn records_are_replaced_and_forgotten() {
        let engine = engine(1);
        let id = ClientId::from_bits(7);
        engine.save(id, Bytes::from_static(b"1")).await.unwrap();
        engine.save(id, Bytes::from_static(b"2")).await.unwrap();
        assert_eq!(engine.load(id).await.unwrap().unwrap(), "2");
        engine.forget(id).await.unwrap();
        assert_eq!(engine.load(id).await.unwrap(), None);
    }
}
