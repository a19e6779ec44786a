//! What is kept of the log in memory: one queue a class, read as one log, and the newest message of channels that ask for
//! it.
//!
//! The heart of the memory engine and the cache of others. No lock and no clock of its own.

use super::{
    Batch, Lost, Publication,
    newest::Newest,
    retention::{Bounds, Retention},
};
use crate::bayeux::{Pattern, Seq};
use std::{collections::VecDeque, sync::Arc};

/// Entries that a filtered reading looks at in one call.
const LOOK: usize = 20_000;

/// The kept part of a log.
pub struct Kept {
    classes: Vec<Class>,
    retention: Retention,
    last: Newest,
    newest: Seq,
    /// Nothing after this position is cut: it is still to be fanned out.
    passed: Seq,
    /// Whether something stays only for that reason.
    held_back: bool,
}

struct Class {
    kept: VecDeque<Arc<Publication>>,
    bytes: usize,
    /// The newest position that was cut.
    cut: Seq,
    bounds: Bounds,
}

impl Class {
    fn from(&self, after: Seq) -> usize {
        // Readers are nearly always at the tail.
        match self.kept.back() {
            Some(last) if last.seq <= after => self.kept.len(),
            _ => self.kept.partition_point(|p| p.seq <= after),
        }
    }

    /// Cuts up to `passed`; returns whether more would have to go.
    fn cut(&mut self, oldest_ms: u64, passed: Seq) -> bool {
        while let Some(first) = self.kept.front() {
            let over = self.kept.len() > self.bounds.max_messages || self.bytes > self.bounds.max_bytes;
            if !over && first.draft.time_ms >= oldest_ms {
                break;
            }
            if first.seq > passed {
                return true;
            }
            self.bytes -= first.weight();
            self.cut = first.seq;
            self.kept.pop_front();
        }
        false
    }

    /// How many of the oldest are there only because they are still to be fanned out.
    fn surplus(&self) -> usize {
        self.kept.len().saturating_sub(self.bounds.max_messages)
    }

    /// The newest position that counts as cut to those who ask for the past.
    fn past_cut(&self) -> Seq {
        self.surplus().checked_sub(1).and_then(|last| self.kept.get(last)).map_or(self.cut, |p| p.seq)
    }
}

impl Kept {
    /// Nothing yet, in a log whose newest position is `newest`.
    pub fn new(retention: Retention, newest: Seq) -> Self {
        let class = |number| Class { kept: VecDeque::new(), bytes: 0, cut: newest, bounds: retention.bounds(number) };
        Self {
            classes: (0..retention.len()).map(class).collect(),
            last: Newest::new(retention.max_last),
            retention,
            newest,
            passed: Seq::MAX,
            held_back: false,
        }
    }

    /// The newest position.
    pub fn newest(&self) -> Seq {
        self.newest
    }

    /// The oldest position kept; one above the newest when nothing is.
    pub fn oldest(&self) -> Seq {
        let oldest = self.classes.iter().filter_map(|c| c.kept.front()).map(|p| p.seq).min();
        oldest.unwrap_or(self.newest + 1)
    }

    /// Bytes kept.
    pub fn bytes(&self) -> usize {
        self.classes.iter().map(|c| c.bytes).sum()
    }

    /// Adds a publication, newer than all before.
    pub fn push(&mut self, publication: Arc<Publication>) {
        let number = self.retention.class_of(publication.draft.channel());
        self.newest = publication.seq;
        if self.retention.keeps_last(number) {
            self.last.push(&publication);
        }
        let class = &mut self.classes[number];
        class.bytes += publication.weight();
        let oldest_ms = class.bounds.oldest_ms(publication.draft.time_ms);
        class.kept.push_back(publication);
        self.held_back |= class.cut(oldest_ms, self.passed);
    }

    /// Lets go of what is too old.
    pub fn sweep(&mut self, now_ms: u64) {
        self.held_back = false;
        for class in &mut self.classes {
            self.held_back |= class.cut(class.bounds.oldest_ms(now_ms), self.passed);
        }
    }

    /// Everything up to `position` was fanned out, and nothing after it may be cut yet.
    pub fn pass(&mut self, position: Seq) {
        self.passed = position;
        if self.held_back {
            let now_ms = self.classes.iter().filter_map(|c| c.kept.back()).map(|p| p.draft.time_ms).max();
            self.sweep(now_ms.unwrap_or(0));
        }
    }

    /// Up to `limit` publications after a position.
    pub fn read(&self, after: Seq, limit: usize) -> Batch {
        let places = self.classes.iter().map(|c| c.from(after)).collect();
        self.filtered(after, limit, limit, places, |_| true)
    }

    /// The same, of channels that a pattern matches and for everybody.
    pub fn read_matching(&self, pattern: &str, after: Seq, limit: usize) -> Batch {
        let pattern = Pattern::of_valid(pattern);
        let places = self.classes.iter().map(|c| c.from(after).max(c.surplus())).collect();
        let batch =
            self.filtered(after, limit, LOOK, places, |p| p.draft.to.is_none() && pattern.matches(p.draft.channel()));
        let lost = self.lost(after, batch.through, Class::past_cut);
        Batch { lost, ..batch }
    }

    /// The newest message of each channel that a pattern matches, where such are kept, in log order.
    pub fn newest_matching(&self, pattern: &str) -> Vec<Arc<Publication>> {
        self.last.matching(pattern)
    }

    fn filtered(
        &self,
        after: Seq,
        limit: usize,
        look: usize,
        mut places: Vec<usize>,
        wanted: impl Fn(&Publication) -> bool,
    ) -> Batch {
        let mut publications = Vec::new();
        let mut through = after.max(self.newest);
        for _ in 0..look {
            let heads = self.classes.iter().zip(&places).enumerate();
            let next = heads.filter_map(|(n, (class, place))| Some((class.kept.get(*place)?, n)));
            let Some((publication, number)) = next.min_by_key(|(p, _)| p.seq) else {
                return self.batch(after, publications, through);
            };
            places[number] += 1;
            through = publication.seq;
            if wanted(publication) {
                publications.push(Arc::clone(publication));
                if publications.len() >= limit {
                    break;
                }
            }
        }
        if self.classes.iter().zip(&places).all(|(class, place)| *place >= class.kept.len()) {
            through = after.max(self.newest);
        }
        self.batch(after, publications, through)
    }

    fn batch(&self, after: Seq, publications: Vec<Arc<Publication>>, through: Seq) -> Batch {
        Batch { publications, through, lost: self.lost(after, through, |class| class.cut) }
    }

    fn lost(&self, after: Seq, through: Seq, cut: impl Fn(&Class) -> Seq) -> Vec<Lost> {
        let cuts = self.classes.iter().map(cut).enumerate().filter(|(_, cut)| *cut > after);
        cuts.map(|(class, cut)| Lost { class, first: after + 1, last: cut.min(through) }).collect()
    }
}
