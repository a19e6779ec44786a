//! The stored form: groups of messages, each group with a checksum over its head and one over its messages.
//!
//! A group is what was written and synced at once, so that only the last group of a file can be torn. Numbers are little
//! endian. Pure: no file is touched here, and nothing a damaged file holds can make it panic.

use crate::{
    bayeux::{ClientId, Seq},
    engine::{Draft, Publication},
};
use bytes::Bytes;

/// Bytes of a group's head.
pub(super) const HEAD: usize = 40;
/// How a head begins.
pub(super) const MAGIC: [u8; 4] = *b"BXG1";
/// Bytes of a message before its variable part.
const FIXED: usize = 25;

const FROM: u8 = 1;
const TO: u8 = 2;
const WITHOUT: u8 = 4;
const KEY: u8 = 8;

/// What a group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Messages.
    Messages,
    /// The end of a file that nothing is added to any more, with a summary of it.
    Seal,
    /// No message: the position was reached all the same.
    Mark,
}

/// The head of a group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub kind: Kind,
    /// Bytes that follow.
    pub len: u32,
    pub count: u32,
    /// The first position.
    pub first: Seq,
    /// The latest time of a message in it.
    pub newest_ms: u64,
    /// Checksum of what follows.
    pub crc: u32,
}

impl Head {
    /// `salt` is the file's own, so that no message can hold something that looks like a head.
    pub(super) fn encode(&self, salt: u64) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = self.kind as u8;
        bytes[8..12].copy_from_slice(&self.len.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.count.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.newest_ms.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.crc.to_le_bytes());
        let own = crc(salt, &bytes[..36]);
        bytes[36..].copy_from_slice(&own.to_le_bytes());
        bytes
    }

    /// `None` when this is no head.
    pub(super) fn decode(bytes: &[u8], salt: u64) -> Option<Self> {
        let bytes = bytes.get(..HEAD)?;
        if bytes[..4] != MAGIC || u32_at(bytes, 36)? != crc(salt, &bytes[..36]) {
            return None;
        }
        let kind = [Kind::Messages, Kind::Seal, Kind::Mark].into_iter().find(|k| *k as u8 == bytes[4])?;
        Some(Self {
            kind,
            len: u32_at(bytes, 8)?,
            count: u32_at(bytes, 12)?,
            first: u64_at(bytes, 16)?,
            newest_ms: u64_at(bytes, 24)?,
            crc: u32_at(bytes, 32)?,
        })
    }
}

/// The checksum of a head, salted.
pub(super) fn crc(salt: u64, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}

fn id_at(bytes: &[u8], at: usize) -> Option<ClientId> {
    bytes.get(at..at + 16)?.try_into().ok().map(|bits| ClientId::from_bits(u128::from_le_bytes(bits)))
}

/// Bytes a message takes.
pub(super) fn size(draft: &Draft) -> usize {
    let ids = [draft.publisher, draft.to, draft.without].iter().flatten().count() * 16;
    FIXED + ids + draft.key.as_ref().map_or(0, |key| 4 + key.len()) + draft.framed().len()
}

/// Adds a message to a group whose first position is `first`. `false` when it does not fit the form; then nothing is
/// added.
pub(super) fn put(buffer: &mut Vec<u8>, first: Seq, seq: Seq, draft: &Draft) -> bool {
    let (Ok(len), Ok(delta)) = (u32::try_from(size(draft)), u32::try_from(seq - first)) else { return false };
    let (channel_len, data_len) = draft.lengths();
    let ids = [(draft.publisher, FROM), (draft.to, TO), (draft.without, WITHOUT)];
    let flags = ids.iter().filter(|(id, _)| id.is_some()).fold(0, |all, (_, flag)| all | flag);
    buffer.extend_from_slice(&len.to_le_bytes());
    buffer.extend_from_slice(&delta.to_le_bytes());
    buffer.extend_from_slice(&draft.time_ms.to_le_bytes());
    buffer.extend_from_slice(&channel_len.to_le_bytes());
    buffer.extend_from_slice(&data_len.to_le_bytes());
    buffer.push(flags | if draft.key.is_some() { KEY } else { 0 });
    ids.iter().filter_map(|(id, _)| *id).for_each(|id| buffer.extend_from_slice(&id.bits().to_le_bytes()));
    if let Some(key) = &draft.key {
        // Shorter than the whole, whose length fits.
        buffer.extend_from_slice(&u32::try_from(key.len()).unwrap_or_default().to_le_bytes());
        buffer.extend_from_slice(key.as_bytes());
    }
    buffer.extend_from_slice(draft.framed());
    true
}

/// One stored message, not yet taken apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub seq: Seq,
    pub time_ms: u64,
    bytes: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Bytes it takes.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    fn flags(&self) -> u8 {
        self.bytes[FIXED - 1]
    }

    fn key_at(&self) -> usize {
        FIXED + (self.flags() & (FROM | TO | WITHOUT)).count_ones() as usize * 16
    }

    /// Its idempotency key.
    pub(super) fn key(&self) -> Option<&'a str> {
        if self.flags() & KEY == 0 {
            return None;
        }
        let at = self.key_at();
        let len = u32_at(self.bytes, at)? as usize;
        std::str::from_utf8(self.bytes.get(at + 4..at + 4 + len)?).ok()
    }

    /// The whole message. `None` when it is not what was written, which its checksum rules out.
    pub(super) fn publication(&self) -> Option<Publication> {
        let mut at = FIXED;
        let mut id = |flag: u8| {
            if self.flags() & flag == 0 {
                return Some(None);
            }
            at += 16;
            id_at(self.bytes, at - 16).map(Some)
        };
        let (publisher, to, without) = (id(FROM)?, id(TO)?, id(WITHOUT)?);
        let key = if self.flags() & KEY == 0 { None } else { Some(self.key()?) };
        let framed = self.bytes.get(self.key_at() + key.map_or(0, |key| 4 + key.len())..)?;
        let lengths = (u32_at(self.bytes, 16)?, u32_at(self.bytes, 20)?);
        // Copied: a message in a queue must not hold its whole group in memory.
        let mut draft = Draft::stored(Bytes::copy_from_slice(framed), lengths, self.time_ms);
        (draft.publisher, draft.to, draft.without) = (publisher, to, without);
        draft.key = key.map(Into::into);
        Some(Publication::new(self.seq, draft))
    }
}

/// The messages of a group. Ends early when a length cannot be right.
pub(super) struct Frames<'a> {
    first: Seq,
    rest: &'a [u8],
}

/// The messages of a group's bytes.
pub(super) fn frames(first: Seq, payload: &[u8]) -> Frames<'_> {
    Frames { first, rest: payload }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        let len = u32_at(self.rest, 0)? as usize;
        if len < FIXED {
            return None;
        }
        let bytes = self.rest.get(..len)?;
        self.rest = &self.rest[len..];
        Some(Frame { seq: self.first + u64::from(u32_at(bytes, 4)?), time_ms: u64_at(bytes, 8)?, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_head_is_known_by_its_file_only() {
        let head = Head { kind: Kind::Seal, len: 7, count: 3, first: 1 << 52, newest_ms: 5, crc: 9 };
        let bytes = head.encode(11);
        let again = Head::decode(&bytes, 11).unwrap();
        assert_eq!((again.kind, again.len, again.count, again.first), (Kind::Seal, 7, 3, 1 << 52));
        assert!(Head::decode(&bytes, 12).is_none());
        for bit in 0..HEAD * 8 {
            let mut bytes = bytes;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Head::decode(&bytes, 11).is_none(), "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn whatever_bytes_are_read_nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), first in 0..1_u64 << 53) {
            for frame in frames(first, &bytes) {
                let _ = (frame.key(), frame.publication());
            }
            let _ = Head::decode(&bytes, first);
        }
    }
}
