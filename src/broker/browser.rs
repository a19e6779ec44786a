//! How many polls each browser holds. Browsers open only a few HTTP/1.1 connections to one host, and several tabs that
//! all hold one would leave none for publishing.
//!
//! Asked by the connect verb. Knows cookies as opaque text and nothing of sessions.

use crate::bayeux::ClientId;
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};

/// Shards, so that polls of different browsers seldom meet on one lock.
const SHARDS: usize = 32;

/// Held polls by browser cookie.
#[derive(Clone, Default)]
pub struct Browsers(Arc<[Shard; SHARDS]>);

type Shard = Mutex<HashMap<Arc<str>, Held>>;

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
    browser: Arc<str>,
    session: ClientId,
}

impl Browsers {
    fn shard(&self, browser: &str) -> &Shard {
        // Cookies of ours end in random digits.
        let tail = browser.bytes().rev().take(2).fold(0, |sum, b| sum * 31 + usize::from(b));
        &self.0[tail % SHARDS]
    }

    /// Takes a place for a held poll of a session; `None` when `limit` other sessions of the browser hold one already.
    /// A session that replaces its own poll needs no second place.
    pub fn hold(&self, browser: &Arc<str>, session: ClientId, limit: usize) -> Option<HeldPoll> {
        let mut browsers = self.shard(browser).lock();
        let held = browsers.entry(Arc::clone(browser)).or_default();
        // Few enough places are taken, whoever took them: nearly always so.
        if held.count() >= limit && held.others(session) >= limit {
            if held.count() == 0 {
                browsers.remove(browser);
            }
            return None;
        }
        held.add(session);
        Some(HeldPoll { browsers: self.clone(), browser: Arc::clone(browser), session })
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

    #[test]
    fn places_are_taken_and_given_back() {
        let browsers = Browsers::default();
        let hold = |browser: &str, session| browsers.hold(&browser.into(), ClientId::from_bits(session), 2);
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
        assert!(browsers.hold(&"b".into(), ClientId::from_bits(1), 0).is_none());
        assert!(browsers.is_empty());
    }
}
