//! The engine on disk: a log of files with group commit, and the records of sessions in an embedded store beside it.
//!
//! Built by the server. One thread writes the log, one commits records; both take all that waits at once, so that many
//! publishers share one sync. Nobody is told of a message before it is as safe as `durability` says. No call blocks the
//! runtime: what is not in memory is read on threads that may wait.

#[cfg(test)]
mod backend;
mod chain;
mod files;
mod frame;
mod metrics;
mod open;
mod read;
mod records;
mod scan;
mod segment;
mod tail;
#[cfg(test)]
mod tests;
mod trail;
mod writer;

pub use open::OpenError;

use super::{
    Answer, Batch, DiskSettings, Draft, Durability, Engine, EngineError, Placed, Publication, idempotency::Keys,
    retention::Retention,
};
use crate::bayeux::{ClientId, Seq};
use bytes::Bytes;
use chain::Chain;
use files::Files;
use metrics::Metrics;
use open::{Found, Opening};
use prometheus_client::registry::Registry;
use records::{Coming, Records, ended};
use std::{
    fs::File,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};
use tail::{CacheBounds, Class, Reading, Snapshot, Tail};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use writer::{Append, GroupBounds, Job, Writer};

/// The log on disk. See the file's head.
pub struct DiskEngine {
    tail: Arc<Tail>,
    /// `None` only while it is dropped.
    jobs: Option<mpsc::Sender<Job>>,
    records: Option<Records>,
    reads: Arc<Semaphore>,
    waiting_bytes: Arc<AtomicUsize>,
    max_waiting_bytes: usize,
    threads: Vec<JoinHandle<()>>,
    metrics: Metrics,
    /// Held as long as the folder is used.
    _lock: File,
}

impl DiskEngine {
    /// Opens the folder that the settings name, or makes it. `now_us` is the wall clock in microseconds: where a new log
    /// begins. Blocks until everything is checked.
    ///
    /// # Errors
    /// When the folder is in use, cannot be used, or is damaged.
    pub fn open(settings: &DiskSettings, retention: Retention, keys: Keys, now_us: u64) -> Result<Self, OpenError> {
        Self::open_on(&Files::default(), settings, retention, keys, now_us)
    }

    fn open_on(
        files: &Files,
        settings: &DiskSettings,
        retention: Retention,
        keys: Keys,
        now_us: u64,
    ) -> Result<Self, OpenError> {
        let lock = open::lock(&settings.path)?;
        let (cache, waiting) = (settings.record_cache_bytes, settings.max_waiting);
        let (records, records_thread, stored) = Records::open(&settings.path, cache, waiting, files)?;
        let log = open_log(files, settings, &retention, keys, now_us, stored).and_then(|found| {
            let started = start_writer(settings, retention, found, now_us, &records);
            started.map_err(|error| OpenError::file(&settings.path, error))
        });
        match log {
            Ok(log) => Ok(Self {
                tail: log.tail,
                jobs: Some(log.jobs),
                records: Some(records),
                reads: Arc::new(Semaphore::new(settings.max_reads)),
                waiting_bytes: log.waiting_bytes,
                max_waiting_bytes: settings.max_waiting_bytes,
                // In the order in which they end.
                threads: vec![log.thread, records_thread],
                metrics: log.metrics,
                _lock: lock,
            }),
            Err(error) => {
                // The store must be closed before the folder is free again.
                drop(records);
                let _ = records_thread.join();
                Err(error)
            }
        }
    }

    /// Answers from memory, or from files on a thread that may wait.
    fn answer(
        &self,
        reading: Reading,
        read: impl FnOnce(&Snapshot) -> Result<Batch, EngineError> + Send + 'static,
    ) -> Answer<Result<Batch, EngineError>> {
        match reading {
            Reading::Done(batch) => Answer::Now(Ok(batch)),
            Reading::FromFiles(snapshot) => {
                let reads = Arc::clone(&self.reads);
                Answer::later(async move {
                    // Never closed.
                    let _turn = reads.acquire().await.map_err(|_| ended())?;
                    let read = tokio::task::spawn_blocking(move || read(&snapshot)).await;
                    read.unwrap_or_else(|fault| Err(EngineError::Unavailable(fault.to_string())))
                })
            }
        }
    }

    fn ask<T: Send + 'static>(&self, ask: impl FnOnce(&Records) -> Coming<T>) -> Answer<Result<T, EngineError>> {
        match self.records.as_ref().map_or_else(|| Err(ended()), ask) {
            Ok(answer) => Answer::later(async { answer.await.unwrap_or_else(|_| Err(ended())) }),
            Err(error) => Answer::Now(Err(error)),
        }
    }

    /// Hands drafts to the writer, now, so that the order of the calls is the order of the log.
    fn hand_over(
        &self,
        drafts: Vec<Draft>,
    ) -> Result<oneshot::Receiver<Result<Vec<Placed>, EngineError>>, EngineError> {
        let full = || EngineError::Unavailable("too many publishes wait to be written".into());
        let bytes = drafts.iter().map(|draft| draft.framed().len()).sum();
        let before = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        // One that is alone may be as large as it likes: others bound it.
        let fits = before == 0 || before + bytes <= self.max_waiting_bytes;
        let (reply, answer) = oneshot::channel();
        let job = Job::Append(Append { drafts, bytes, reply });
        let sent = if fits { self.jobs.as_ref().map(|jobs| jobs.try_send(job)) } else { None };
        match sent {
            Some(Ok(())) => Ok(answer),
            Some(Err(_)) | None => {
                self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
                Err(full())
            }
        }
    }
}

fn open_log(
    files: &Files,
    settings: &DiskSettings,
    retention: &Retention,
    keys: Keys,
    now_us: u64,
    stored: Vec<Publication>,
) -> Result<Found, OpenError> {
    let begin = now_us.max(1) - 1;
    let (folder, check_bytes) = (&settings.path, settings.check_bytes as u64);
    let opening = Opening { folder, files, retention, check_bytes, begin, now_ms: now_us / 1000, stored };
    let mut found = opening.open(keys)?;
    if settings.durability == Durability::Os && begin > found.newest {
        // A power failure may have taken messages that were told already: their positions are not given again.
        found.newest = begin;
        for chain in &mut found.chains {
            chain.mark(begin).map_err(|error| OpenError::file(folder, error))?;
        }
    }
    Ok(found)
}

/// The log's thread and the ways to it.
struct Log {
    tail: Arc<Tail>,
    jobs: mpsc::Sender<Job>,
    waiting_bytes: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
    metrics: Metrics,
}

fn start_writer(
    settings: &DiskSettings,
    retention: Retention,
    found: Found,
    now_us: u64,
    records: &Records,
) -> std::io::Result<Log> {
    let Found { mut chains, keys, newest_messages, newest } = found;
    let classes = chains.iter_mut().map(|chain| class(chain, now_us / 1000)).collect();
    let cache = CacheBounds { messages: settings.cache_messages, bytes: settings.cache_bytes };
    let tail = Arc::new(Tail::new(Arc::new(retention), classes, newest, cache, newest_messages));
    let (jobs, waiting) = mpsc::channel(settings.max_waiting);
    let waiting_bytes = Arc::new(AtomicUsize::new(0));
    let writer = Writer {
        chains,
        keys,
        next: newest + 1,
        tail: Arc::clone(&tail),
        records: records.clone(),
        waiting_bytes: Arc::clone(&waiting_bytes),
        bounds: GroupBounds { messages: settings.max_group, bytes: settings.max_group_bytes },
        sync: settings.durability == Durability::Sync,
        metrics: Metrics::default(),
    };
    let metrics = writer.metrics.clone();
    let thread = thread::Builder::new().name("log".into()).spawn(move || writer.run(waiting))?;
    Ok(Log { tail, jobs, waiting_bytes, thread, metrics })
}

fn class(chain: &mut Chain, now_ms: u64) -> Class {
    chain.trim(now_ms);
    let past = chain.past();
    Class { past, cut: past, held: Default::default(), oldest: chain.oldest(), segments: chain.segments().into() }
}

impl Drop for DiskEngine {
    fn drop(&mut self) {
        // Everything that waits is still written, and then the threads end.
        self.jobs = None;
        self.records = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the engine has failed");
            }
        }
    }
}

impl Engine for DiskEngine {
    fn append(&self, drafts: Vec<Draft>) -> Answer<Result<Vec<Placed>, EngineError>> {
        if drafts.is_empty() {
            return Answer::Now(Ok(Vec::new()));
        }
        match self.hand_over(drafts) {
            Ok(answer) => Answer::later(async { answer.await.unwrap_or_else(|_| Err(ended())) }),
            Err(error) => Answer::Now(Err(error)),
        }
    }

    fn head(&self) -> watch::Receiver<Seq> {
        self.tail.head()
    }

    fn newest(&self) -> Seq {
        self.tail.newest()
    }

    fn oldest(&self) -> Seq {
        self.tail.oldest()
    }

    fn read(&self, after: Seq, limit: usize) -> Answer<Result<Batch, EngineError>> {
        self.answer(self.tail.read(after, limit), move |snapshot| read::all(snapshot, limit))
    }

    fn read_matching(&self, pattern: &str, after: Seq, limit: usize) -> Answer<Result<Batch, EngineError>> {
        let reading = self.tail.read_matching(pattern, after, limit);
        let pattern = pattern.to_owned();
        self.answer(reading, move |snapshot| read::matching(snapshot, &pattern, limit))
    }

    fn newest_matching(&self, pattern: &str) -> Answer<Result<Vec<Arc<Publication>>, EngineError>> {
        Answer::Now(Ok(self.tail.newest_matching(pattern)))
    }

    fn save(&self, id: ClientId, record: Bytes) -> Answer<Result<(), EngineError>> {
        self.ask(|records| records.save(id, record))
    }

    fn load(&self, id: ClientId) -> Answer<Result<Option<Bytes>, EngineError>> {
        self.ask(|records| records.load(id))
    }

    fn records(&self) -> Answer<Result<Vec<(ClientId, Bytes)>, EngineError>> {
        self.ask(Records::all)
    }

    fn forget(&self, id: ClientId) -> Answer<Result<(), EngineError>> {
        self.ask(|records| records.forget(id))
    }

    fn passed(&self, position: Seq) {
        self.tail.pass(position);
    }

    fn sweep(&self, now_ms: u64) {
        if let Some(jobs) = &self.jobs {
            // A full queue is swept with the next one.
            let _ = jobs.try_send(Job::Sweep(now_ms));
        }
    }

    fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry);
    }
}
