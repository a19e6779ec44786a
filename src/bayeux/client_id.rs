//! The id of a session on the wire: 122 random bits, written as 32 hexadecimal digits.
//!
//! Made by the broker at handshake, parsed from every message that names a session. Says nothing about whether the
//! session exists, and carries no time, counter or node.

use sha2::{Digest, Sha256};
use std::fmt;
use uuid::Uuid;

/// Names a session on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(Uuid);

impl ClientId {
    /// Wraps the random number that the caller drew.
    pub fn new(random: Uuid) -> Self {
        Self(random)
    }

    /// Reads the wire form; anything else names no session.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 32).then(|| Uuid::try_parse(text).ok()).flatten().map(Self)
    }

    /// The raw bits, for hashing into shards and lanes.
    pub fn bits(self) -> u128 {
        self.0.as_u128()
    }

    /// An id made from a name, for what is stored beside sessions: no client can have been given it.
    pub fn of_name(name: &str) -> Self {
        let digest = Sha256::digest(name);
        Self::from_bits(digest.iter().take(16).fold(0, |bits, byte| bits << 8 | u128::from(*byte)))
    }

    /// From the raw bits, as records and publications store them.
    pub fn from_bits(bits: u128) -> Self {
        Self(Uuid::from_u128(bits))
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_simple().fmt(f)
    }
}

/// Logs show only the first digits: the whole id is a credential.
impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}…", (self.bits() >> 96) as u32)
    }
}
