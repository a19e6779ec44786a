//! What readers see: the newest messages in memory, where each class begins, and the files of the rest.
//!
//! Changed by the writer's thread once a group is stored, read by everybody under one short lock. No file is read or
//! written while it is held.

use super::segment::Segment;
use crate::{
    bayeux::{Pattern, Seq},
    engine::{Batch, Lost, Publication, Retention, newest::Newest},
};
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::watch;

/// Entries that a filtered reading looks at in one call.
pub(super) const LOOK: usize = 20_000;

/// What readers see.
pub(super) struct Tail {
    inner: Mutex<Inner>,
    pub retention: Arc<Retention>,
    newest: AtomicU64,
    head: watch::Sender<Seq>,
}

/// How much of the newest is held in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct CacheBounds {
    pub messages: usize,
    pub bytes: usize,
}

struct Inner {
    /// Everything after `cached_after`, oldest first.
    cache: VecDeque<Arc<Publication>>,
    cache_bytes: usize,
    cached_after: Seq,
    bounds: CacheBounds,
    newest: Seq,
    /// Nothing after this position is cut: it is still to be fanned out.
    passed: Seq,
    classes: Vec<Class>,
    last: Newest,
}

/// Where the kept part of a class begins.
#[derive(Clone, Debug)]
pub(super) struct Class {
    /// What the bounds cut.
    pub past: Seq,
    /// What is cut for all, also for those who fan out.
    pub cut: Seq,
    /// Cut by the bounds, but still to be fanned out.
    pub held: VecDeque<Seq>,
    /// The oldest position that the bounds keep.
    pub oldest: Option<Seq>,
    pub segments: Arc<[Arc<Segment>]>,
}

/// What changes in a class when a group was stored, or when time passed.
pub(super) struct Change {
    pub class: usize,
    /// Positions that the bounds cut now.
    pub cut: Vec<Seq>,
    pub oldest: Option<Seq>,
    /// The files, if there are others now.
    pub segments: Option<Arc<[Arc<Segment>]>>,
}

/// What a reader has to read from files: the log as it was at one moment.
pub(super) struct Snapshot {
    pub after: Seq,
    pub newest: Seq,
    /// Of each class: what is cut, and the files.
    pub classes: Vec<(Seq, Arc<[Arc<Segment>]>)>,
}

/// A reading.
pub(super) enum Reading {
    Done(Batch),
    FromFiles(Snapshot),
}

impl Tail {
    pub(super) fn new(
        retention: Arc<Retention>,
        classes: Vec<Class>,
        newest: Seq,
        bounds: CacheBounds,
        last: Newest,
    ) -> Self {
        let inner = Inner {
            cache: VecDeque::new(),
            cache_bytes: 0,
            cached_after: newest,
            bounds,
            newest,
            passed: Seq::MAX,
            classes,
            last,
        };
        let (newest, head) = (AtomicU64::new(newest), watch::Sender::new(newest));
        Self { inner: Mutex::new(inner), retention, newest, head }
    }

    pub(super) fn head(&self) -> watch::Receiver<Seq> {
        self.head.subscribe()
    }

    pub(super) fn newest(&self) -> Seq {
        self.newest.load(Ordering::Acquire)
    }

    /// The oldest position kept; one above the newest when nothing is.
    pub(super) fn oldest(&self) -> Seq {
        let inner = self.inner.lock();
        let oldest = inner.classes.iter().filter_map(|c| c.held.front().copied().or(c.oldest)).min();
        oldest.unwrap_or(inner.newest + 1)
    }

    /// A group was stored, each message with its class.
    pub(super) fn publish(&self, group: Vec<(usize, Arc<Publication>)>, changes: Vec<Change>) {
        let mut inner = self.inner.lock();
        for (class, publication) in group {
            if self.retention.keeps_last(class) {
                inner.last.push(&publication);
            }
            inner.push(publication);
        }
        changes.into_iter().for_each(|change| inner.change(change));
        let newest = inner.newest;
        // Inside the lock, so that the head never goes back.
        self.newest.store(newest, Ordering::Release);
        self.head.send_if_modified(|head| std::mem::replace(head, newest) != newest);
    }

    /// Everything up to `position` was fanned out, and nothing after it may be cut yet.
    pub(super) fn pass(&self, position: Seq) {
        let mut inner = self.inner.lock();
        inner.passed = position;
        inner.classes.iter_mut().for_each(|class| class.release(position));
    }

    /// Of a class: what is cut for all.
    pub(super) fn cut(&self, class: usize) -> Seq {
        self.inner.lock().classes.get(class).map_or(0, |c| c.cut)
    }

    /// Of a class: after which position the newest file begins that readers know.
    pub(super) fn files(&self, class: usize) -> Option<Seq> {
        self.inner.lock().classes.get(class).and_then(|c| c.segments.last()).map(|s| s.after)
    }

    /// Newest messages of channels up to a position.
    pub(super) fn last_up_to(&self, position: Seq) -> Vec<Arc<Publication>> {
        self.inner.lock().last.up_to(position)
    }

    pub(super) fn newest_matching(&self, pattern: &str) -> Vec<Arc<Publication>> {
        self.inner.lock().last.matching(pattern)
    }

    /// Up to `limit` publications after a position.
    pub(super) fn read(&self, after: Seq, limit: usize) -> Reading {
        let inner = self.inner.lock();
        let floors: Vec<Seq> = inner.classes.iter().map(|c| c.cut).collect();
        let highest = floors.iter().copied().max().unwrap_or_default();
        let kept = |p: &Publication| p.seq > highest || p.seq > floors[self.retention.class_of(p.draft.channel())];
        inner.reading(after, limit, usize::MAX, &floors, kept)
    }

    /// The same, of channels that a pattern matches and for everybody.
    pub(super) fn read_matching(&self, pattern: &str, after: Seq, limit: usize) -> Reading {
        let inner = self.inner.lock();
        let pattern = Pattern::of_valid(pattern);
        let floors: Vec<Seq> = inner.classes.iter().map(|c| c.past).collect();
        let wanted = |p: &Publication| {
            p.draft.to.is_none()
                && pattern.matches(p.draft.channel())
                && p.seq > floors[self.retention.class_of(p.draft.channel())]
        };
        inner.reading(after, limit, LOOK, &floors, wanted)
    }
}

impl Class {
    /// What was held back for the fan-out goes when it has passed.
    fn release(&mut self, passed: Seq) {
        while let Some(seq) = self.held.front().copied().filter(|seq| *seq <= passed) {
            self.cut = seq;
            self.held.pop_front();
        }
    }
}

impl Inner {
    fn push(&mut self, publication: Arc<Publication>) {
        self.newest = publication.seq;
        self.cache_bytes += publication.weight();
        self.cache.push_back(publication);
        while self.cache.len() > self.bounds.messages || self.cache_bytes > self.bounds.bytes {
            let Some(first) = self.cache.pop_front() else { return };
            self.cache_bytes -= first.weight();
            self.cached_after = first.seq;
        }
    }

    fn change(&mut self, change: Change) {
        let passed = self.passed;
        let Some(class) = self.classes.get_mut(change.class) else { return };
        class.past = change.cut.last().copied().unwrap_or(class.past);
        class.held.extend(change.cut);
        class.release(passed);
        class.oldest = change.oldest;
        if let Some(segments) = change.segments {
            class.segments = segments;
        }
    }

    fn reading(
        &self,
        after: Seq,
        limit: usize,
        look: usize,
        floors: &[Seq],
        wanted: impl Fn(&Publication) -> bool,
    ) -> Reading {
        if after < self.cached_after {
            let classes = self.classes.iter().zip(floors).map(|(c, floor)| (*floor, Arc::clone(&c.segments)));
            return Reading::FromFiles(Snapshot { after, newest: self.newest, classes: classes.collect() });
        }
        let start = match self.cache.back() {
            // Readers are nearly always at the tail.
            Some(last) if last.seq > after => self.cache.partition_point(|p| p.seq <= after),
            _ => self.cache.len(),
        };
        let mut publications = Vec::new();
        let mut looked = start;
        for publication in self.cache.range(start..).take(look) {
            looked += 1;
            if wanted(publication) {
                publications.push(Arc::clone(publication));
                if publications.len() >= limit {
                    break;
                }
            }
        }
        let through = match self.cache.get(looked.wrapping_sub(1)) {
            Some(last) if looked < self.cache.len() => last.seq,
            _ => after.max(self.newest),
        };
        Reading::Done(Batch { publications, through, lost: lost(after, through, floors) })
    }
}

/// What somebody who read up to `through` did not get, because it is cut.
pub(super) fn lost(after: Seq, through: Seq, floors: &[Seq]) -> Vec<Lost> {
    let cuts = floors.iter().copied().enumerate().filter(|(_, cut)| *cut > after);
    cuts.map(|(class, cut)| Lost { class, first: after + 1, last: cut.min(through) }).collect()
}
