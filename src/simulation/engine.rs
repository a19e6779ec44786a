//! The engine as one broker sees it between two crashes: slow at times, unavailable at times, and after a crash silent,
//! so that a broker that is gone touches nothing any more.
//!
//! Wraps any engine. Tells the ledger of every position it sees.

use super::{chance::Chance, check::Ledger};
use crate::{
    bayeux::{ClientId, Seq},
    engine::{Answer, Batch, Draft, Engine, EngineError, Placed, Publication},
};
use bytes::Bytes;
use parking_lot::Mutex;
use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{sync::watch, time::sleep};

/// See the file's head.
#[derive(Clone)]
pub struct SimEngine(Arc<Shared>);

struct Shared {
    inner: Arc<dyn Engine>,
    ledger: Arc<Ledger>,
    chance: Mutex<Chance>,
    /// Longest time an answer takes, in milliseconds.
    slowest: u64,
    crashed: AtomicBool,
    refusing: AtomicBool,
    /// One for each who watches: one for all would wake them in an order that no seed decides.
    heads: Mutex<Vec<watch::Sender<Seq>>>,
}

impl SimEngine {
    /// A view of `inner` whose answers take up to `slowest` milliseconds.
    pub fn new(inner: Arc<dyn Engine>, ledger: Arc<Ledger>, chance: Chance, slowest: u64) -> Self {
        let chance = Mutex::new(chance);
        let (crashed, refusing, heads) = Default::default();
        Self(Arc::new(Shared { inner, ledger, chance, slowest, crashed, refusing, heads }))
    }

    /// From now on nothing is answered and nothing changes.
    pub fn crash(&self) {
        self.0.crashed.store(true, Relaxed);
    }

    /// Whether it takes nothing for a while.
    pub fn refuse(&self, refusing: bool) {
        self.0.refusing.store(refusing, Relaxed);
    }

    /// Answers with what `inner` is asked at once, after a while.
    fn slowly<T: Send + Unpin + 'static>(&self, answer: Answer<T>) -> Answer<T> {
        let shared = Arc::clone(&self.0);
        match shared.pause() {
            Some(pause) => Answer::later(async move {
                let value = answer.await;
                sleep(pause).await;
                shared.alive(value).await
            }),
            None => answer,
        }
    }

    fn dead<T: Send + 'static>(&self) -> Option<Answer<T>> {
        self.0.crashed.load(Relaxed).then(|| Answer::later(pending()))
    }

    fn unavailable<T: Send + 'static>(&self) -> Option<Answer<Result<T, EngineError>>> {
        let refused = || Answer::Now(Err(EngineError::Unavailable("simulated".into())));
        self.dead().or_else(|| self.0.refusing.load(Relaxed).then(refused))
    }
}

impl Shared {
    /// How long an answer takes; mostly no time at all.
    fn pause(&self) -> Option<Duration> {
        let mut chance = self.chance.lock();
        (self.slowest > 0 && chance.one_in(3)).then(|| chance.ms(0..self.slowest))
    }

    /// A value, unless it comes too late.
    async fn alive<T>(&self, value: T) -> T {
        if self.crashed.load(Relaxed) { pending().await } else { value }
    }

    async fn append(self: Arc<Self>, drafts: Vec<Draft>) -> Result<Vec<Placed>, EngineError> {
        if let Some(pause) = self.pause() {
            sleep(pause).await;
        }
        self.alive(()).await;
        let kept = drafts.clone();
        let places = self.inner.append(drafts).await?;
        for (place, draft) in places.iter().zip(kept).filter(|(place, _)| !place.repeated) {
            self.ledger.placed(place.seq, &draft);
        }
        let newest = self.inner.newest();
        for head in self.heads.lock().iter() {
            head.send_replace(newest);
        }
        if let Some(pause) = self.pause() {
            sleep(pause).await;
        }
        self.alive(Ok(places)).await
    }
}

impl Engine for SimEngine {
    fn append(&self, drafts: Vec<Draft>) -> Answer<Result<Vec<Placed>, EngineError>> {
        self.unavailable().unwrap_or_else(|| Answer::later(Arc::clone(&self.0).append(drafts)))
    }

    fn head(&self) -> watch::Receiver<Seq> {
        let head = watch::Sender::new(self.newest());
        let watching = head.subscribe();
        self.0.heads.lock().push(head);
        watching
    }

    fn newest(&self) -> Seq {
        self.0.inner.newest()
    }

    fn oldest(&self) -> Seq {
        self.0.inner.oldest()
    }

    fn read(&self, after: Seq, limit: usize) -> Answer<Result<Batch, EngineError>> {
        if let Some(answer) = self.unavailable() {
            return answer;
        }
        let (answer, ledger) = (self.0.inner.read(after, limit), Arc::clone(&self.0.ledger));
        match answer {
            Answer::Now(batch) => {
                batch.iter().flat_map(|b| &b.publications).for_each(|p| ledger.placed(p.seq, &p.draft));
                self.slowly(Answer::Now(batch))
            }
            Answer::Later(work) => self.slowly(Answer::later(async move {
                let batch = work.await;
                batch.iter().flat_map(|b| &b.publications).for_each(|p| ledger.placed(p.seq, &p.draft));
                batch
            })),
        }
    }

    fn read_matching(&self, pattern: &str, after: Seq, limit: usize) -> Answer<Result<Batch, EngineError>> {
        self.unavailable().unwrap_or_else(|| self.slowly(self.0.inner.read_matching(pattern, after, limit)))
    }

    fn newest_matching(&self, pattern: &str) -> Answer<Result<Vec<Arc<Publication>>, EngineError>> {
        self.unavailable().unwrap_or_else(|| self.slowly(self.0.inner.newest_matching(pattern)))
    }

    fn save(&self, id: ClientId, record: Bytes) -> Answer<Result<(), EngineError>> {
        self.unavailable().unwrap_or_else(|| self.slowly(self.0.inner.save(id, record)))
    }

    fn load(&self, id: ClientId) -> Answer<Result<Option<Bytes>, EngineError>> {
        self.dead().unwrap_or_else(|| self.slowly(self.0.inner.load(id)))
    }

    fn records(&self) -> Answer<Result<Vec<(ClientId, Bytes)>, EngineError>> {
        let records = self.0.inner.records();
        Answer::later(async move {
            // Engines give them in any order; a run that is repeated needs one.
            let mut records = records.await?;
            records.sort();
            Ok(records)
        })
    }

    fn forget(&self, id: ClientId) -> Answer<Result<(), EngineError>> {
        self.dead().unwrap_or_else(|| self.slowly(self.0.inner.forget(id)))
    }

    fn passed(&self, position: Seq) {
        if !self.0.crashed.load(Relaxed) {
            self.0.inner.passed(position);
        }
    }

    fn sweep(&self, now_ms: u64) {
        if !self.0.crashed.load(Relaxed) {
            self.0.inner.sweep(now_ms);
        }
    }
}
