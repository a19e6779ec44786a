//! The one writer: takes what waits, gives every draft its place, writes it as one group a class, syncs, and only then
//! tells anybody.
//!
//! A thread of its own, because it waits for the disk. Ends when its engine is dropped, after everything that waits.

use super::{
    chain::Chain,
    metrics::Metrics,
    records::Records,
    tail::{Change, Tail},
};
use crate::{
    bayeux::Seq,
    engine::{Draft, EngineError, Placed, Publication, idempotency::Keys},
};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};
use tokio::sync::{mpsc, oneshot};

/// What the writer is asked to do.
pub(super) enum Job {
    Append(Append),
    /// Let go of what is too old, by the wall clock in milliseconds.
    Sweep(u64),
}

/// Drafts that wait for their places.
pub(super) struct Append {
    pub drafts: Vec<Draft>,
    pub bytes: usize,
    pub reply: oneshot::Sender<Result<Vec<Placed>, EngineError>>,
}

/// What it writes together, at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct GroupBounds {
    pub messages: usize,
    pub bytes: usize,
}

/// The writer.
pub(super) struct Writer {
    pub chains: Vec<Chain>,
    pub keys: Keys,
    /// The next position.
    pub next: Seq,
    pub tail: Arc<Tail>,
    pub records: Records,
    pub waiting_bytes: Arc<AtomicUsize>,
    pub bounds: GroupBounds,
    pub sync: bool,
    pub metrics: Metrics,
}

/// A group with its places given.
#[derive(Default)]
struct Group {
    publications: Vec<(usize, Arc<Publication>)>,
    places: Vec<Vec<Placed>>,
    new_keys: usize,
    newest_ms: u64,
}

impl Writer {
    /// Works until nobody can ask any more.
    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(first) = jobs.blocking_recv() {
            let mut appends = Vec::new();
            let (mut messages, mut bytes) = (0, 0);
            let mut next = Some(first);
            while let Some(job) = next {
                match job {
                    Job::Append(append) => {
                        messages += append.drafts.len();
                        bytes += append.bytes;
                        appends.push(append);
                    }
                    Job::Sweep(now_ms) => self.sweep(now_ms),
                }
                let full = messages >= self.bounds.messages || bytes >= self.bounds.bytes;
                next = if full { None } else { jobs.try_recv().ok() };
            }
            if !appends.is_empty() {
                self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
                self.append(appends);
            }
        }
    }

    fn append(&mut self, appends: Vec<Append>) {
        let mut group = Group::default();
        let mut replies = Vec::with_capacity(appends.len());
        for append in appends {
            let places = append.drafts.into_iter().map(|draft| self.place(draft, &mut group)).collect();
            group.places.push(places);
            replies.push(append.reply);
        }
        let begun = Instant::now();
        match self.store() {
            Ok(()) => {
                self.metrics.write.observe(begun.elapsed().as_secs_f64());
                self.metrics.stored.inc_by(group.publications.len() as u64);
                self.note_recovery();
                let places = std::mem::take(&mut group.places);
                self.accept(group);
                for (reply, places) in replies.into_iter().zip(places) {
                    // Whoever does not wait any more has published all the same.
                    let _ = reply.send(Ok(places));
                }
            }
            Err(error) => {
                self.chains.iter_mut().filter(|c| c.has_group()).for_each(Chain::give_up);
                self.keys.take_back(group.new_keys);
                self.metrics.refused.inc_by(group.places.iter().map(|places| places.len() as u64).sum());
                self.note_failure(&error);
                let error = EngineError::Unavailable(error.to_string());
                replies.into_iter().for_each(|reply| drop(reply.send(Err(error.clone()))));
            }
        }
    }

    /// Gives a draft its place. Places are not given twice, also if the group cannot be stored.
    fn place(&mut self, draft: Draft, group: &mut Group) -> Placed {
        if let Some(key) = &draft.key {
            if let Some(seq) = self.keys.place(key, draft.time_ms) {
                return Placed { seq, repeated: true };
            }
            self.keys.insert(Arc::clone(key), self.next, draft.time_ms);
            group.new_keys += 1;
        }
        let seq = self.next;
        self.next += 1;
        let class = self.tail.retention.class_of(draft.channel());
        self.chains[class].put(seq, &draft);
        group.newest_ms = group.newest_ms.max(draft.time_ms);
        group.publications.push((class, Arc::new(Publication::new(seq, draft))));
        Placed { seq, repeated: false }
    }

    fn store(&mut self) -> io::Result<()> {
        let sync = self.sync;
        self.chains.iter_mut().filter(|c| c.has_group()).try_for_each(|chain| chain.write(sync))
    }

    /// The group is stored: cuts what it pushes out, and shows it.
    fn accept(&mut self, group: Group) {
        let mut changes = Vec::new();
        for (class, chain) in self.chains.iter_mut().enumerate().filter(|(_, c)| c.has_group()) {
            chain.accept();
            changes.push(change(class, chain, group.newest_ms, &self.tail));
        }
        self.tail.publish(group.publications, changes);
        self.delete_spent();
    }

    fn sweep(&mut self, now_ms: u64) {
        self.keys.forget(now_ms);
        let all = self.chains.iter_mut().enumerate();
        let changes = all.map(|(class, chain)| change(class, chain, now_ms, &self.tail)).collect();
        self.tail.publish(Vec::new(), changes);
        self.delete_spent();
    }

    /// Deletes files of which nothing is kept.
    fn delete_spent(&mut self) {
        for (class, chain) in self.chains.iter_mut().enumerate() {
            let count = chain.spent(self.tail.cut(class));
            if count == 0 {
                continue;
            }
            if self.tail.retention.keeps_last(class) {
                let last = self.tail.last_up_to(chain.segments()[count - 1].last());
                if let Err(error) = self.records.keep_newest(last) {
                    tracing::warn!(%error, "newest messages cannot be stored; files of the log stay until they can");
                    continue;
                }
            }
            chain.delete(count);
            let files = chain.segments().into();
            let oldest = chain.oldest();
            self.tail.publish(Vec::new(), vec![Change { class, cut: Vec::new(), oldest, segments: Some(files) }]);
        }
    }

    fn note_failure(&mut self, error: &io::Error) {
        if self.metrics.failing.set(1) == 0 {
            tracing::error!(%error, "the log cannot be written; publishes are refused until it can");
        }
    }

    fn note_recovery(&mut self) {
        if self.metrics.failing.set(0) == 1 {
            tracing::info!("the log can be written again");
        }
    }
}

fn change(class: usize, chain: &mut Chain, now_ms: u64, tail: &Tail) -> Change {
    let cut = chain.trim(now_ms);
    let known = tail.files(class);
    let segments = (known != chain.segments().last().map(|s| s.after)).then(|| chain.segments().into());
    Change { class, cut, oldest: chain.oldest(), segments }
}
