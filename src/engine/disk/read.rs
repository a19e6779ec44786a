//! Reads from the files what is no longer in memory: the chains of all classes as one log.
//!
//! Called on threads that may wait for the disk, never on the runtime's own.

use super::{
    frame::{Kind, frames},
    scan::{Fault, Scanner},
    segment::Segment,
    tail::{LOOK, Snapshot, lost},
};
use crate::{
    bayeux::{Pattern, Seq},
    engine::{Batch, EngineError, Publication},
};
use std::{collections::VecDeque, sync::Arc};

/// Reads one chain onward.
struct Reader {
    segments: Arc<[Arc<Segment>]>,
    number: usize,
    scanner: Option<Scanner>,
    ahead: VecDeque<Arc<Publication>>,
    after: Seq,
    newest: Seq,
}

impl Reader {
    fn new(segments: Arc<[Arc<Segment>]>, after: Seq, newest: Seq) -> Self {
        let number = segments.partition_point(|s| s.last() <= after);
        Self { segments, number, scanner: None, ahead: VecDeque::new(), after, newest }
    }

    /// The position of its next message.
    fn next_seq(&mut self) -> Result<Option<Seq>, EngineError> {
        while self.ahead.is_empty() {
            let Some(segment) = self.segments.get(self.number) else { return Ok(None) };
            let after = self.after;
            let scanner = self.scanner.get_or_insert_with(|| Scanner::new(segment, segment.place(after)));
            let group = scanner.next().map_err(|fault| unreadable(segment, &fault))?;
            let Some(group) = group else {
                self.number += 1;
                self.scanner = None;
                continue;
            };
            if group.head.kind != Kind::Messages {
                continue;
            }
            if group.head.first > self.newest {
                // Stored, but not yet told to anybody.
                self.number = self.segments.len();
                continue;
            }
            let wanted = frames(group.head.first, group.payload).filter(|f| f.seq > after && f.seq <= self.newest);
            self.ahead.extend(wanted.filter_map(|f| f.publication()).map(Arc::new));
        }
        Ok(self.ahead.front().map(|p| p.seq))
    }
}

fn unreadable(segment: &Segment, fault: &Fault) -> EngineError {
    let file = segment.path.display();
    let text = match fault {
        Fault::Io(error) => format!("{file} cannot be read: {error}"),
        Fault::Damaged { at, why } => format!("{file} is damaged at {at}: {why}"),
    };
    tracing::error!("{text}");
    EngineError::Unavailable(text)
}

/// Up to `limit` publications of a snapshot.
pub(super) fn all(snapshot: &Snapshot, limit: usize) -> Result<Batch, EngineError> {
    merged(snapshot, limit, usize::MAX, |_| true)
}

/// The same, of channels that a pattern matches and for everybody.
pub(super) fn matching(snapshot: &Snapshot, pattern: &str, limit: usize) -> Result<Batch, EngineError> {
    let pattern = Pattern::of_valid(pattern);
    merged(snapshot, limit, LOOK, |p| p.draft.to.is_none() && pattern.matches(p.draft.channel()))
}

fn merged(
    snapshot: &Snapshot,
    limit: usize,
    look: usize,
    wanted: impl Fn(&Publication) -> bool,
) -> Result<Batch, EngineError> {
    let Snapshot { after, newest, classes } = snapshot;
    let (after, newest) = (*after, *newest);
    let start = |(floor, segments): &(Seq, Arc<[_]>)| Reader::new(Arc::clone(segments), after.max(*floor), newest);
    let mut readers: Vec<Reader> = classes.iter().map(start).collect();
    let floors: Vec<Seq> = classes.iter().map(|(floor, _)| *floor).collect();
    let mut publications = Vec::new();
    let mut through = after;
    let mut looked = 0;
    loop {
        let mut next: Option<(Seq, usize)> = None;
        for (number, reader) in readers.iter_mut().enumerate() {
            let head = reader.next_seq()?.map(|seq| (seq, number));
            next = [next, head].into_iter().flatten().min();
        }
        let Some((seq, number)) = next else {
            through = after.max(newest);
            break;
        };
        if looked >= look || publications.len() >= limit {
            break;
        }
        looked += 1;
        through = seq;
        let publication = readers[number].ahead.pop_front();
        publications.extend(publication.filter(|p| wanted(p)));
    }
    Ok(Batch { publications, through, lost: lost(after, through, &floors) })
}
