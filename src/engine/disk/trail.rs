//! Where the kept part of a class begins: walks along behind its newest message, as the bounds say.
//!
//! Owned by the chain and moved by the writer's thread. Reads from the files what it must know of old messages, so that
//! nothing in memory grows with what is kept.

use super::{
    frame::{Kind, frames},
    scan::{Fault, Scanner},
    segment::{START, Segment},
};
use crate::{bayeux::Seq, engine::Bounds};
use std::{collections::VecDeque, sync::Arc};

/// Messages it looks ahead.
const AHEAD: usize = 1024;

/// What it must know of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub seq: Seq,
    pub time_ms: u64,
    pub weight: u64,
}

/// The place and what lies after it.
#[derive(Debug)]
pub(super) struct Trail {
    /// Where to read on: the file's first position tells which file.
    file: Seq,
    at: u64,
    ahead: VecDeque<Mark>,
    /// Messages after it.
    pub count: u64,
    /// Bytes of messages after it.
    pub weight: u64,
    /// Everything up to here is cut.
    pub past: Seq,
}

impl Trail {
    /// At the beginning of the oldest of the files, which hold so much.
    pub(super) fn new(oldest: &Segment, count: u64, weight: u64) -> Self {
        Self { file: oldest.after, at: START, ahead: VecDeque::new(), count, weight, past: oldest.after }
    }

    /// Notes what was written to the newest file, from `start` to `end`. Nothing needs to be read again when it is there.
    pub(super) fn extend(&mut self, newest: &Segment, start: u64, end: u64, marks: &[Mark]) {
        self.count += marks.len() as u64;
        self.weight += marks.iter().map(|m| m.weight).sum::<u64>();
        if self.file == newest.after && self.at == start && self.ahead.len() + marks.len() <= AHEAD {
            self.ahead.extend(marks);
            self.at = end;
        }
    }

    /// The oldest message that is kept.
    pub(super) fn oldest(&mut self, segments: &[Arc<Segment>]) -> Option<Mark> {
        while self.ahead.is_empty() {
            let number = segments.partition_point(|s| s.after < self.file);
            let segment = segments.get(number)?;
            if segment.after != self.file {
                // The one it stood at the end of was deleted.
                self.file = segment.after;
                self.at = START;
            }
            if let Err(fault) = self.read_ahead(segment) {
                tracing::error!(file = %segment.path.display(), ?fault, "a part of the log cannot be read; it is given up");
                self.give_up(segments.get(number + 1)?, segments.len() - number);
            } else if self.ahead.is_empty() {
                self.file = segments.get(number + 1)?.after;
                self.at = START;
            }
        }
        self.ahead.front().copied()
    }

    fn read_ahead(&mut self, segment: &Arc<Segment>) -> Result<(), Fault> {
        let mut scanner = Scanner::new(segment, self.at);
        while let Some(group) = scanner.next()? {
            if group.head.kind == Kind::Messages {
                let all = frames(group.head.first, group.payload);
                self.ahead.extend(all.map(|f| Mark { seq: f.seq, time_ms: f.time_ms, weight: f.len() as u64 }));
            }
            self.at = scanner.at();
            if !self.ahead.is_empty() && (self.ahead.len() >= AHEAD || !scanner.is_buffered()) {
                break;
            }
        }
        Ok(())
    }

    /// Goes on with the next file; what was not walked of this one counts as a share of all.
    fn give_up(&mut self, next: &Segment, files: usize) {
        let share = files.max(1) as u64;
        self.count -= self.count / share;
        self.weight -= self.weight / share;
        self.past = next.after;
        self.file = next.after;
        self.at = START;
    }

    /// Cuts what the bounds do not allow; returns the positions cut, in order.
    pub(super) fn trim(&mut self, segments: &[Arc<Segment>], bounds: Bounds, now_ms: u64) -> Vec<Seq> {
        let oldest_ms = bounds.oldest_ms(now_ms);
        let mut cut = Vec::new();
        while let Some(mark) = self.oldest(segments) {
            let over = self.count > bounds.max_messages as u64 || self.weight > bounds.max_bytes as u64;
            if !over && mark.time_ms >= oldest_ms {
                break;
            }
            self.ahead.pop_front();
            self.count -= 1;
            self.weight -= mark.weight;
            self.past = mark.seq;
            cut.push(mark.seq);
        }
        cut
    }
}
