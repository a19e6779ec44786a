//! Reads a file of the log group by group, checking each, and tells a torn end from damage.
//!
//! Called when the log is opened, when bounds cut it and when readers fell behind. Never writes.

use super::{
    frame::{HEAD, Head, MAGIC},
    segment::Segment,
};
use std::{fs::File, io, os::unix::fs::FileExt, sync::Arc};

/// Bytes read at once; large groups are read whole.
const BLOCK: usize = 128 << 10;

/// Why a place of a file cannot be read.
#[derive(Debug)]
pub(super) enum Fault {
    Io(io::Error),
    Damaged { at: u64, why: &'static str },
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A group as it was written.
#[derive(Debug)]
pub(super) struct Group<'a> {
    /// Where it begins in its file.
    pub at: u64,
    pub head: Head,
    pub payload: &'a [u8],
}

/// Goes through the groups of a file.
pub(super) struct Scanner {
    segment: Arc<Segment>,
    at: u64,
    end: u64,
    buffer: Vec<u8>,
    buffer_at: u64,
}

impl Scanner {
    /// From the group at `at` on, up to what is complete now.
    pub(super) fn new(segment: &Arc<Segment>, at: u64) -> Self {
        Self { segment: Arc::clone(segment), at, end: segment.len(), buffer: Vec::new(), buffer_at: at }
    }

    /// Where the next group begins.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Whether the next group was read from the file already.
    pub(super) fn is_buffered(&self) -> bool {
        self.at + (HEAD as u64) < self.buffer_at + self.buffer.len() as u64
    }

    /// The next group; `None` at the end of the file.
    pub(super) fn next(&mut self) -> Result<Option<Group<'_>>, Fault> {
        let at = self.at;
        if at == self.end {
            return Ok(None);
        }
        let damaged = |why| Fault::Damaged { at, why };
        self.fill(HEAD as u64)?;
        let start = self.offset();
        let salt = self.segment.salt;
        let head =
            Head::decode(&self.buffer[start..], salt).ok_or_else(|| damaged("what is there is no head of a group"))?;
        let whole = HEAD as u64 + u64::from(head.len);
        if self.at + whole > self.end {
            return Err(damaged("the group is longer than the file"));
        }
        self.fill(whole)?;
        let start = self.offset() + HEAD;
        self.at += whole;
        let payload = &self.buffer[start..start + head.len as usize];
        if crc32fast::hash(payload) != head.crc {
            return Err(damaged("the checksum of the group does not fit"));
        }
        Ok(Some(Group { at, head, payload }))
    }

    fn offset(&self) -> usize {
        usize::try_from(self.at - self.buffer_at).unwrap_or(usize::MAX)
    }

    /// Has `need` bytes from here on in the buffer.
    fn fill(&mut self, need: u64) -> Result<(), Fault> {
        if self.at + need > self.end {
            return Err(Fault::Damaged { at: self.at, why: "the file ends within a head" });
        }
        if self.at + need <= self.buffer_at + self.buffer.len() as u64 {
            return Ok(());
        }
        let len = need.max(BLOCK as u64).min(self.end - self.at);
        self.buffer.resize(usize::try_from(len).unwrap_or(usize::MAX), 0);
        self.buffer_at = self.at;
        self.segment.file.read_exact_at(&mut self.buffer, self.at)?;
        Ok(())
    }
}

/// Whether a group begins anywhere from `from` on. If so, what cannot be read before it is damage: the last group of a
/// file may be torn, but the next one is only written when it is on the medium.
pub(super) fn group_after(file: &File, salt: u64, from: u64, end: u64) -> io::Result<bool> {
    let mut block = vec![0; BLOCK];
    let mut at = from;
    while at + HEAD as u64 <= end {
        let len = usize::try_from(end - at).unwrap_or(usize::MAX).min(BLOCK);
        file.read_exact_at(&mut block[..len], at)?;
        let found = memchr::memmem::find_iter(&block[..len], &MAGIC);
        if found.into_iter().any(|start| Head::decode(&block[start..len], salt).is_some()) {
            return Ok(true);
        }
        if len < BLOCK {
            break;
        }
        // A head may lie across the border.
        at += (len - HEAD) as u64;
    }
    Ok(false)
}
