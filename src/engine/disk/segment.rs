//! One file of the log: a part of the messages of one retention class.
//!
//! Made and extended by its chain, read by anybody who holds it, also after it was deleted. Begins with a head that says
//! after which position it begins, so that a missing file is noticed; ends with a seal once a newer file follows.

use super::{
    files::Files,
    frame::{HEAD, Head, Kind, crc, frames, u64_at},
    open::OpenError,
    scan::{Fault, Scanner},
};
use crate::bayeux::Seq;
use parking_lot::Mutex;
use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use uuid::Uuid;

/// How a file of the log begins: name and version of the form.
const MAGIC: [u8; 8] = *b"BAYEUXL1";
/// Bytes of a file's head.
pub(super) const START: u64 = 32;
/// Bytes of a seal.
const SEAL: usize = HEAD + 24;
/// Bytes between two places that are known without reading.
const INDEX_STEP: u64 = 32 << 10;
/// How files of the log end.
pub(super) const EXTENSION: &str = "log";

/// What a file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    pub count: u64,
    /// Bytes of messages.
    pub weight: u64,
    /// The newest position.
    pub last: Seq,
    /// The latest time.
    pub newest_ms: u64,
}

/// Positions and where their groups begin, sparse.
type Index = Vec<(Seq, u64)>;

/// A file.
#[derive(Debug)]
pub(super) struct Segment {
    pub path: PathBuf,
    pub file: File,
    pub salt: u64,
    /// Everything it holds lies after this position.
    pub after: Seq,
    len: AtomicU64,
    last: AtomicU64,
    /// `None` until it is needed.
    index: Mutex<Option<Index>>,
}

impl Segment {
    /// A new file for what comes after `after`.
    pub(super) fn create(folder: &Path, after: Seq, files: &Files) -> io::Result<Self> {
        let path = folder.join(format!("{:016}.{EXTENSION}", after + 1));
        let (salt, _) = Uuid::new_v4().as_u64_pair();
        let mut head = [0; START as usize];
        head[..8].copy_from_slice(&MAGIC);
        head[8..16].copy_from_slice(&salt.to_le_bytes());
        head[16..24].copy_from_slice(&after.to_le_bytes());
        let own = crc(0, &head[..24]);
        head[24..28].copy_from_slice(&own.to_le_bytes());
        let file = files.create(&path, &head)?;
        Ok(Self::of(path, file, salt, after, START, Some(Index::new())))
    }

    /// A file that is there.
    pub(super) fn open(path: PathBuf) -> Result<Self, OpenError> {
        let failed = |error| OpenError::file(&path, error);
        let file = File::options().read(true).write(true).open(&path).map_err(failed)?;
        let len = file.metadata().map_err(failed)?.len();
        let mut head = [0; START as usize];
        let damaged = |why| OpenError::Damaged { path: path.clone(), at: 0, why };
        if len < START {
            return Err(damaged("the file is shorter than its head"));
        }
        file.read_exact_at(&mut head, 0).map_err(failed)?;
        if head[..8] != MAGIC || crc(0, &head[..24]).to_le_bytes() != head[24..28] {
            return Err(damaged("the head of the file is not what was written"));
        }
        let (salt, after) = (u64_at(&head, 8).unwrap_or_default(), u64_at(&head, 16).unwrap_or_default());
        Ok(Self::of(path, file, salt, after, len, None))
    }

    fn of(path: PathBuf, file: File, salt: u64, after: Seq, len: u64, index: Option<Index>) -> Self {
        let (len, last) = (AtomicU64::new(len), AtomicU64::new(after));
        Self { path, file, salt, after, len, last, index: Mutex::new(index) }
    }

    /// Bytes that are complete.
    pub(super) fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    /// The newest position it holds.
    pub(super) fn last(&self) -> Seq {
        self.last.load(Ordering::Acquire)
    }

    /// What is complete now.
    pub(super) fn set_end(&self, len: u64, last: Seq) {
        self.last.store(last, Ordering::Release);
        self.len.store(len, Ordering::Release);
    }

    /// Notes where a group begins.
    pub(super) fn note(&self, first: Seq, at: u64) {
        if let Some(index) = &mut *self.index.lock() {
            note(index, first, at);
        }
    }

    /// The seal of a file that holds this.
    pub(super) fn seal(&self, summary: &Summary) -> [u8; SEAL] {
        let mut bytes = [0; SEAL];
        bytes[HEAD..HEAD + 8].copy_from_slice(&summary.count.to_le_bytes());
        bytes[HEAD + 8..HEAD + 16].copy_from_slice(&summary.weight.to_le_bytes());
        bytes[HEAD + 16..].copy_from_slice(&summary.last.to_le_bytes());
        let head = Head {
            kind: Kind::Seal,
            len: (SEAL - HEAD) as u32,
            count: 0,
            first: summary.last,
            newest_ms: summary.newest_ms,
            crc: crc32fast::hash(&bytes[HEAD..]),
        };
        bytes[..HEAD].copy_from_slice(&head.encode(self.salt));
        bytes
    }

    /// What its seal says; `None` when it has none that can be read.
    pub(super) fn sealed(&self) -> io::Result<Option<Summary>> {
        let Some(at) = self.len().checked_sub(SEAL as u64).filter(|at| *at >= START) else { return Ok(None) };
        let mut bytes = [0; SEAL];
        self.file.read_exact_at(&mut bytes, at)?;
        let head = Head::decode(&bytes, self.salt).filter(|h| h.kind == Kind::Seal);
        let head = head.filter(|head| head.crc == crc32fast::hash(&bytes[HEAD..]));
        Ok(head.map(|head| Summary {
            count: u64_at(&bytes, HEAD).unwrap_or_default(),
            weight: u64_at(&bytes, HEAD + 8).unwrap_or_default(),
            last: u64_at(&bytes, HEAD + 16).unwrap_or_default(),
            newest_ms: head.newest_ms,
        }))
    }

    /// Goes through all of it, checking every group, and keeps what it learns of its places. `each` sees every message.
    pub(super) fn check(self: &Arc<Self>, each: &mut dyn FnMut(super::frame::Frame<'_>)) -> (Summary, Option<Fault>) {
        let mut summary = Summary { last: self.after, ..Summary::default() };
        let mut index = Index::new();
        let mut scanner = Scanner::new(self, START);
        let fault = loop {
            let group = match scanner.next() {
                Ok(Some(group)) => group,
                Ok(None) => break None,
                Err(fault) => break Some(fault),
            };
            let (at, head) = (group.at, group.head);
            if head.kind == Kind::Seal {
                continue;
            }
            if head.first <= summary.last && head.kind == Kind::Messages {
                break Some(Fault::Damaged { at, why: "positions go back" });
            }
            note(&mut index, head.first, at);
            let mut count = 0;
            summary.last = summary.last.max(head.first);
            for frame in frames(head.first, group.payload) {
                count += 1;
                summary.weight += frame.len() as u64;
                summary.last = frame.seq;
                each(frame);
            }
            if count != head.count {
                break Some(Fault::Damaged { at, why: "the group holds another number of messages than it says" });
            }
            summary.count += u64::from(count);
            summary.newest_ms = summary.newest_ms.max(head.newest_ms);
        };
        *self.index.lock() = Some(index);
        self.last.store(summary.last, Ordering::Release);
        (summary, fault)
    }

    /// Where to read on for what comes after a position.
    pub(super) fn place(self: &Arc<Self>, after: Seq) -> u64 {
        if self.index.lock().is_none() {
            // Whatever is wrong with it is met again where it is read.
            let last = self.last();
            let _ = self.check(&mut |_| {});
            self.last.store(last, Ordering::Release);
        }
        let index = self.index.lock();
        let entries = index.as_deref().unwrap_or_default();
        let later = entries.partition_point(|(first, _)| *first <= after + 1);
        later.checked_sub(1).and_then(|n| entries.get(n)).map_or(START, |(_, at)| *at)
    }
}

fn note(index: &mut Index, first: Seq, at: u64) {
    if index.last().is_none_or(|(_, last)| at >= last + INDEX_STEP) {
        index.push((first, at));
    }
}
