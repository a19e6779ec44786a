//! The files of one retention class, in order: the newest is written to, the oldest go as whole files.
//!
//! Owned by the writer's thread. What a failed write left behind is cut off again, so that it never comes back.

use super::{
    files::{Files, UNFINISHED},
    frame::{self, Frame, HEAD, Head, Kind},
    open::OpenError,
    scan::{Fault, group_after},
    segment::{EXTENSION, Segment, Summary},
    trail::{Mark, Trail},
};
use crate::{
    bayeux::Seq,
    engine::{Bounds, Draft},
};
use std::{
    fs,
    io::{self, Error},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Files that a class should have about, so that what is cut goes soon.
const FILES: u64 = 8;
const SMALLEST_FILE: u64 = 256 << 10;
const LARGEST_FILE: u64 = 16 << 20;

/// The files of a class.
#[derive(Debug)]
pub(super) struct Chain {
    folder: PathBuf,
    files: Files,
    bounds: Bounds,
    segments: Vec<Arc<Segment>>,
    /// What the newest file holds.
    newest: Summary,
    /// Bytes of the newest file that count.
    end: u64,
    trail: Trail,
    /// The group that is being made, its head still empty.
    group: Vec<u8>,
    marks: Vec<Mark>,
}

impl Chain {
    /// The files of a folder; one that begins after `after` if there are none. `each` sees all messages of the newest
    /// files, `check` bytes of them at least, and of those it has to.
    pub(super) fn open(
        folder: PathBuf,
        bounds: Bounds,
        after: Seq,
        files: &Files,
        checking: Checking,
        each: &mut dyn FnMut(Frame<'_>),
    ) -> Result<Self, OpenError> {
        let failed = |error| OpenError::file(&folder, error);
        fs::create_dir_all(&folder).map_err(failed)?;
        let mut segments = Vec::new();
        for path in names(&folder).map_err(failed)? {
            segments.push(Arc::new(Segment::open(path)?));
        }
        if segments.is_empty() {
            segments.push(Arc::new(Segment::create(&folder, after, files).map_err(failed)?));
        }
        let summaries = checking.all(&segments, each)?;
        for pair in segments.windows(2) {
            if pair[1].after != pair[0].last() {
                return Err(OpenError::Missing { path: pair[1].path.clone(), after: pair[0].last() });
            }
        }
        let (count, weight) = summaries.iter().fold((0, 0), |(n, w), s| (n + s.count, w + s.weight));
        let trail = Trail::new(&segments[0], count, weight);
        let newest = summaries.last().copied().unwrap_or_default();
        let end = segments.last().map_or(0, |s| s.len());
        let (group, marks) = (Vec::new(), Vec::new());
        let mut chain = Self { folder, files: files.clone(), bounds, segments, newest, end, trail, group, marks };
        if chain.newest_file().sealed().map_err(|e| OpenError::file(&chain.folder, e))?.is_some() {
            // It ended between the seal and the next file.
            chain.begin_file().map_err(|e| OpenError::file(&chain.folder, e))?;
        }
        Ok(chain)
    }

    fn newest_file(&self) -> &Arc<Segment> {
        // There is always one.
        &self.segments[self.segments.len() - 1]
    }

    /// The newest position it knows of.
    pub(super) fn last(&self) -> Seq {
        self.newest.last
    }

    /// Its files.
    pub(super) fn segments(&self) -> &[Arc<Segment>] {
        &self.segments
    }

    /// Everything up to here is cut.
    pub(super) fn past(&self) -> Seq {
        self.trail.past
    }

    /// The oldest position that is kept.
    pub(super) fn oldest(&mut self) -> Option<Seq> {
        self.trail.oldest(&self.segments).map(|mark| mark.seq)
    }

    /// Adds a message to the group that is being made. `false` when it is too large to be stored.
    pub(super) fn put(&mut self, seq: Seq, draft: &Draft) -> bool {
        if self.group.is_empty() {
            self.group.resize(HEAD, 0);
        }
        let first = self.marks.first().map_or(seq, |mark| mark.seq);
        let before = self.group.len();
        if !frame::put(&mut self.group, first, seq, draft) {
            return false;
        }
        let weight = (self.group.len() - before) as u64;
        self.marks.push(Mark { seq, time_ms: draft.time_ms, weight });
        true
    }

    /// Whether a group is being made.
    pub(super) fn has_group(&self) -> bool {
        !self.marks.is_empty()
    }

    /// Writes the group, and brings it to the medium if `sync`. Not part of the log before [`Chain::accept`].
    pub(super) fn write(&mut self, sync: bool) -> io::Result<()> {
        let largest = (self.bounds.max_bytes as u64 / FILES).clamp(SMALLEST_FILE, LARGEST_FILE);
        if self.end + self.group.len() as u64 > largest && self.newest.count > 0 {
            self.seal()?;
        }
        let first = self.marks.first().map_or(0, |mark| mark.seq);
        let newest_ms = self.marks.iter().map(|mark| mark.time_ms).max().unwrap_or(0);
        self.write_head(Kind::Messages, self.marks.len(), first, newest_ms)?;
        let segment = self.newest_file();
        self.files.write(&segment.file, &self.group, self.end)?;
        if sync { self.files.sync(&segment.file) } else { Ok(()) }
    }

    fn write_head(&mut self, kind: Kind, count: usize, first: Seq, newest_ms: u64) -> io::Result<()> {
        let too_large = |_| Error::other("the group is too large");
        let len = u32::try_from(self.group.len() - HEAD).map_err(too_large)?;
        let count = u32::try_from(count).map_err(too_large)?;
        let head = Head { kind, len, count, first, newest_ms, crc: crc32fast::hash(&self.group[HEAD..]) };
        let head = head.encode(self.newest_file().salt);
        self.group[..HEAD].copy_from_slice(&head);
        Ok(())
    }

    /// What was written is part of the log now.
    pub(super) fn accept(&mut self) {
        let (start, end) = (self.end, self.end + self.group.len() as u64);
        let Some((first, last)) = self.marks.first().zip(self.marks.last()) else { return };
        let segment = Arc::clone(self.newest_file());
        segment.note(first.seq, start);
        segment.set_end(end, last.seq);
        self.trail.extend(&segment, start, end, &self.marks);
        self.newest.count += self.marks.len() as u64;
        self.newest.weight += self.marks.iter().map(|m| m.weight).sum::<u64>();
        self.newest.newest_ms = self.marks.iter().map(|m| m.time_ms).fold(self.newest.newest_ms, u64::max);
        self.newest.last = last.seq;
        self.end = end;
        self.clear();
    }

    /// The group is given up; whatever reached the file is cut off.
    pub(super) fn give_up(&mut self) {
        if let Err(error) = self.newest_file().file.set_len(self.end) {
            tracing::error!(file = %self.newest_file().path.display(), %error, "what a failed write left cannot be cut off");
        }
        self.clear();
    }

    fn clear(&mut self) {
        self.group.clear();
        // A huge group should not cost memory for ever.
        self.group.shrink_to(1 << 20);
        self.marks.clear();
    }

    /// Notes durably that the log has reached a position, although no message has it.
    pub(super) fn mark(&mut self, position: Seq) -> io::Result<()> {
        self.group.resize(HEAD, 0);
        self.write_head(Kind::Mark, 0, position, 0)?;
        let segment = Arc::clone(self.newest_file());
        self.files.write(&segment.file, &self.group, self.end)?;
        self.files.sync(&segment.file)?;
        segment.note(position, self.end);
        self.end += HEAD as u64;
        segment.set_end(self.end, position);
        self.newest.last = position;
        self.clear();
        Ok(())
    }

    /// Ends the newest file and begins another.
    fn seal(&mut self) -> io::Result<()> {
        let segment = Arc::clone(self.newest_file());
        let seal = segment.seal(&self.newest);
        self.files.write(&segment.file, &seal, self.end)?;
        // Synced also where groups are not: no file but the newest can be torn.
        self.files.sync(&segment.file)?;
        self.begin_file()
    }

    fn begin_file(&mut self) -> io::Result<()> {
        let segment = Segment::create(&self.folder, self.newest.last, &self.files)?;
        self.newest = Summary { last: self.newest.last, newest_ms: self.newest.newest_ms, ..Summary::default() };
        self.end = segment.len();
        self.segments.push(Arc::new(segment));
        Ok(())
    }

    /// Cuts what the bounds do not allow at this time; returns the positions cut.
    pub(super) fn trim(&mut self, now_ms: u64) -> Vec<Seq> {
        self.trail.trim(&self.segments, self.bounds, now_ms)
    }

    /// How many of the oldest files hold nothing after `cut`.
    pub(super) fn spent(&self, cut: Seq) -> usize {
        // A file whose messages end here is never the newest.
        self.segments[..self.segments.len() - 1].partition_point(|s| s.last() <= cut.min(self.trail.past))
    }

    /// Deletes the oldest files.
    pub(super) fn delete(&mut self, count: usize) {
        for segment in self.segments.drain(..count) {
            if let Err(error) = fs::remove_file(&segment.path) {
                tracing::warn!(file = %segment.path.display(), %error, "a file of the log cannot be deleted");
            }
        }
    }
}

/// How much of a chain is looked at when it is opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checking {
    /// Bytes of the newest files that are read and checked.
    pub bytes: u64,
    /// Files with messages since then are read, however large they are.
    pub since_ms: u64,
}

impl Checking {
    /// What each file holds.
    fn all(&self, segments: &[Arc<Segment>], each: &mut dyn FnMut(Frame<'_>)) -> Result<Vec<Summary>, OpenError> {
        let newer: Vec<u64> = segments
            .iter()
            .rev()
            .scan(0, |sum, s| {
                *sum += s.len();
                Some(*sum - s.len())
            })
            .collect();
        let mut summaries = Vec::new();
        for (number, segment) in segments.iter().enumerate() {
            let is_newest = number + 1 == segments.len();
            let newer = newer.get(segments.len() - 1 - number).copied().unwrap_or_default();
            let sealed = segment.sealed().map_err(|e| OpenError::file(&segment.path, e))?;
            summaries.push(match sealed {
                Some(sealed) if newer >= self.bytes && sealed.newest_ms < self.since_ms => {
                    segment.set_end(segment.len(), sealed.last);
                    sealed
                }
                _ => self.one(segment, is_newest, sealed, each)?,
            });
        }
        Ok(summaries)
    }

    /// Reads one file and repairs its end where that may be torn.
    fn one(
        &self,
        segment: &Arc<Segment>,
        is_newest: bool,
        sealed: Option<Summary>,
        each: &mut dyn FnMut(Frame<'_>),
    ) -> Result<Summary, OpenError> {
        let failed = |error| OpenError::file(&segment.path, error);
        let (summary, fault) = segment.check(each);
        let (at, why) = match fault {
            None if is_newest => return Ok(summary),
            None if sealed.is_some_and(|s| s.count == summary.count && s.last == summary.last) => return Ok(summary),
            None => (segment.len(), "the file ends before its seal"),
            Some(Fault::Io(error)) => return Err(failed(error)),
            Some(Fault::Damaged { at, why }) => (at, why),
        };
        let damaged = || OpenError::Damaged { path: segment.path.clone(), at, why };
        let goes_on = group_after(&segment.file, segment.salt, at + 1, segment.len()).map_err(failed)?;
        if !is_newest || goes_on {
            return Err(damaged());
        }
        let lost = segment.len() - at;
        tracing::warn!(
            file = %segment.path.display(), position = at, bytes = lost, why,
            "the end of the log was torn, as by a crash; what was never acknowledged is cut off"
        );
        segment.file.set_len(at).and_then(|()| segment.file.sync_all()).map_err(failed)?;
        segment.set_end(at, summary.last);
        Ok(summary)
    }
}

/// The files of the log in a folder, oldest first. Deletes what was never finished.
fn names(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.extension().and_then(|e| e.to_str()) {
            Some(UNFINISHED) => fs::remove_file(&path)?,
            Some(EXTENSION) => found.push(path),
            _ => {}
        }
    }
    // Their names are their first positions, in as many digits.
    found.sort();
    Ok(found)
}
