//! Which sessions belong to one browser, and how many connections they hold. Browsers open only a few HTTP/1.1
//! connections to one host, and several tabs that all hold one would leave none for publishing.
//!
//! Kept by handshakes and ends, asked by the connect verb when a browser has more than one session. Knows cookies as
//! opaque text.

use super::{Broker, session::Session};
use crate::bayeux::ClientId;
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    fmt,
    hash::{Hash, Hasher},
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

/// Shards, so that handshakes of different browsers seldom meet on one lock.
const SHARDS: usize = 32;

/// The sessions of each browser. Nearly always it is one, and then polls never look here ([`Session::is_alone`]).
pub struct Browsers([Shard; SHARDS]);

type Shard = Mutex<HashMap<BrowserId, Vec<ClientId>, RandomState>>;

impl Default for Browsers {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Shard::default()))
    }
}

impl Browsers {
    fn shard(&self, browser: &BrowserId) -> &Shard {
        // Cookies of ours end in random digits.
        let tail = browser.as_bytes().iter().rev().take(2).fold(0, |sum, b| sum * 31 + usize::from(*b));
        &self.0[tail % SHARDS]
    }

    /// Adds a session; returns all of the browser.
    pub fn add(&self, browser: &BrowserId, session: ClientId) -> Vec<ClientId> {
        let mut shard = self.shard(browser).lock();
        let sessions = shard.entry(*browser).or_default();
        if !sessions.contains(&session) {
            sessions.push(session);
        }
        sessions.clone()
    }

    /// Removes a session.
    pub fn remove(&self, browser: &BrowserId, session: ClientId) {
        let mut shard = self.shard(browser).lock();
        if let Some(sessions) = shard.get_mut(browser) {
            sessions.retain(|s| *s != session);
            if sessions.is_empty() {
                shard.remove(browser);
            }
        }
    }

    /// The sessions of a browser.
    pub fn sessions(&self, browser: &BrowserId) -> Vec<ClientId> {
        self.shard(browser).lock().get(browser).cloned().unwrap_or_default()
    }
}

impl Broker {
    /// Adds a session to its browser; from now on the sessions of one browser know that they share it.
    pub(super) fn enter_browser(&self, session: &Session) {
        let Some(browser) = &session.browser else { return };
        let all = self.browsers().add(browser, session.id);
        if all.len() > 1 {
            session.share_browser();
            all.iter().filter_map(|id| self.sessions().get(*id)).for_each(|s| s.share_browser());
        }
    }

    /// Connections that other sessions of the same browser hold. Must not be called with a session's lock held.
    pub(super) fn held_by_others(&self, session: &Session) -> usize {
        let Some(browser) = session.browser.as_ref().filter(|_| !session.is_alone()) else { return 0 };
        let others = self.browsers().sessions(browser).into_iter().filter(|id| *id != session.id);
        others.filter_map(|id| self.sessions().get(id)).map(|s| s.lock().connections()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_of_a_browser_are_remembered_while_they_live() {
        let browsers = Browsers::default();
        let (b, c) = (BrowserId::new(b"b").unwrap(), BrowserId::new(b"c").unwrap());
        let [one, two] = [1, 2].map(ClientId::from_bits);
        assert_eq!(browsers.add(&b, one), [one]);
        assert_eq!(browsers.add(&b, two), [one, two]);
        assert_eq!(browsers.add(&b, two), [one, two], "a session is there once");
        assert_eq!(browsers.add(&c, one), [one]);
        browsers.remove(&b, one);
        assert_eq!(browsers.sessions(&b), [two]);
        browsers.remove(&b, two);
        browsers.remove(&c, one);
        assert!(browsers.0.iter().all(|shard| shard.lock().is_empty()));
    }

    #[test]
    fn only_short_printable_cookies_count() {
        for bad in [&b""[..], b"a b", b"\xff", &[b'x'; MAX_BYTES + 1]] {
            assert!(BrowserId::new(bad).is_none());
        }
        assert_eq!(BrowserId::new(&[b'x'; MAX_BYTES]).unwrap().as_str().len(), MAX_BYTES);
    }
}
