//! How many polls each browser holds. Browsers open only a few HTTP/1.1 connections to one host, and several tabs that
//! all hold one would leave none for publishing.
//!
//! Asked by the connect verb. Knows cookies as opaque text and nothing of sessions.

use crate::bayeux::ClientId;
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

/// Longest browser cookie that is taken for one.
const MAX_BYTES: usize = 64;

/// The value of a browser cookie, kept in place: every request carries one, and none should cost an allocation.
#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct BrowserId {
    bytes: [u8; MAX_BYTES],
    len: u8,
}

impl BrowserId {
    /// A cookie's value; `None` when it is empty, too long, or not printable ASCII.
    pub fn new(value: &[u8]) -> Option<Self> {
        // Without an early exit, so that many bytes are looked at in one step.
        let printable = value.iter().fold(true, |so_far, byte| so_far & byte.is_ascii_graphic());
        if value.is_empty() || value.len() > MAX_BYTES || !printable {
            return None;
        }
        let mut bytes = [0; MAX_BYTES];
        bytes[..value.len()].copy_from_slice(value);
        Some(Self { bytes, len: u8::try_from(value.len()).ok()? })
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl PartialEq for BrowserId {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for BrowserId {}

impl Hash for BrowserId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.as_bytes());
    }
}

impl fmt::Debug for BrowserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BrowserId")
    }
}

impl TryFrom<String> for BrowserId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text.as_bytes()).ok_or("not a browser cookie")
    }
}

impl From<BrowserId> for String {
    fn from(id: BrowserId) -> Self {
        id.as_str().to_owned()
    }
}

/// Shards, so that polls of different browsers seldom meet on one lock.
const SHARDS: usize = 32;

/// Held polls by browser cookie.
#[derive(Clone, Default)]
pub struct Browsers(Arc<[Shard; SHARDS]>);

type Shard = Mutex<HashMap<BrowserId, Held, RandomState>>;

/// The sessions of one browser that hold a poll. Nearly always it is one, and then nothing is allocated.
#[derive(Default)]
struct Held {
    first: Option<ClientId>,
    more: Vec<ClientId>,
}

impl Held {
    fn count(&self) -> usize {
        usize::from(self.first.is_some()) + self.more.len()
    }

    /// How many other sessions hold a poll.
    fn others(&self, session: ClientId) -> usize {
        let mut others: Vec<_> = self.first.iter().chain(&self.more).filter(|s| **s != session).collect();
        others.sort_unstable();
        others.dedup();
        others.len()
    }

    fn add(&mut self, session: ClientId) {
        match self.first {
            None => self.first = Some(session),
            Some(_) => self.more.push(session),
        }
    }

    fn remove(&mut self, session: ClientId) {
        if self.first == Some(session) {
            self.first = self.more.pop();
        } else if let Some(place) = self.more.iter().position(|s| *s == session) {
            self.more.swap_remove(place);
        }
    }
}

/// One held poll of a browser; gives its place back when dropped.
pub struct HeldPoll {
    browsers: Browsers,
    browser: BrowserId,
    session: ClientId,
}

impl Browsers {
    fn shard(&self, browser: &BrowserId) -> &Shard {
        // Cookies of ours end in random digits.
        let tail = browser.as_bytes().iter().rev().take(2).fold(0, |sum, b| sum * 31 + usize::from(*b));
        &self.0[tail % SHARDS]
    }

    /// Takes a place for a held poll of a session; `None` when `limit` other sessions of the browser hold one already.
    /// A session that replaces its own poll needs no second place.
    pub fn hold(&self, browser: &BrowserId, session: ClientId, limit: usize) -> Option<HeldPoll> {
        let mut browsers = self.shard(browser).lock();
        let held = browsers.entry(*browser).or_default();
        // Few enough places are taken, whoever took them: nearly always so.
        if held.count() >= limit && held.others(session) >= limit {
            if held.count() == 0 {
                browsers.remove(browser);
            }
            return None;
        }
        held.add(session);
        Some(HeldPoll { browsers: self.clone(), browser: *browser, session })
    }

    /// Whether nobody holds anything.
    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.0.iter().all(|shard| shard.lock().is_empty())
    }
}

impl Drop for HeldPoll {
    fn drop(&mut self) {
        let mut browsers = self.browsers.shard(&self.browser).lock();
        let Some(held) = browsers.get_mut(&self.browser) else { return };
        held.remove(self.session);
        if held.count() == 0 {
            browsers.remove(&self.browser);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> BrowserId {
        BrowserId::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn places_are_taken_and_given_back() {
        let browsers = Browsers::default();
        let hold = |browser: &str, session| browsers.hold(&id(browser), ClientId::from_bits(session), 2);
        let first = hold("b", 1);
        let second = hold("b", 2);
        assert!(first.is_some() && second.is_some());
        assert!(hold("b", 3).is_none());
        assert!(hold("other", 3).is_some());
        let replacing = hold("b", 2);
        assert!(replacing.is_some(), "a session replaces its own poll");
        drop(second);
        assert!(hold("b", 3).is_none());
        drop((first, replacing));
        assert!(browsers.is_empty());
        assert!(browsers.hold(&id("b"), ClientId::from_bits(1), 0).is_none());
        assert!(browsers.is_empty());
    }
}
