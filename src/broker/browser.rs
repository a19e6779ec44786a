//! How many polls each browser holds. Browsers open only a few HTTP/1.1 connections to one host, and several tabs that
//! all hold one would leave none for publishing.
//!
//! Asked by the connect verb. Knows cookies as opaque text and nothing of sessions.

use crate::bayeux::ClientId;
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};

/// Held polls by browser cookie.
#[derive(Clone, Default)]
pub struct Browsers(Arc<Mutex<HashMap<Arc<str>, Vec<ClientId>>>>);

/// How many other sessions hold a poll.
fn others(held: &[ClientId], session: ClientId) -> usize {
    let mut others: Vec<_> = held.iter().filter(|s| **s != session).collect();
    others.sort_unstable();
    others.dedup();
    others.len()
}

/// One held poll of a browser; gives its place back when dropped.
pub struct HeldPoll {
    browsers: Browsers,
    browser: Arc<str>,
    session: ClientId,
}

impl Browsers {
    /// Takes a place for a held poll of a session; `None` when `limit` other sessions of the browser hold one already.
    /// A session that replaces its own poll needs no second place.
    pub fn hold(&self, browser: &Arc<str>, session: ClientId, limit: usize) -> Option<HeldPoll> {
        let mut browsers = self.0.lock();
        let held = browsers.entry(Arc::clone(browser)).or_insert_with(|| Vec::with_capacity(1));
        // Few enough places are taken, whoever took them: nearly always so.
        if held.len() >= limit && others(held, session) >= limit {
            if held.is_empty() {
                browsers.remove(browser);
            }
            return None;
        }
        held.push(session);
        Some(HeldPoll { browsers: self.clone(), browser: Arc::clone(browser), session })
    }
}

impl Drop for HeldPoll {
    fn drop(&mut self) {
        let mut held = self.browsers.0.lock();
        let Some(sessions) = held.get_mut(&self.browser) else { return };
        if let Some(place) = sessions.iter().position(|s| *s == self.session) {
            sessions.swap_remove(place);
        }
        if sessions.is_empty() {
            held.remove(&self.browser);
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
        assert!(browsers.0.lock().is_empty());
        assert!(browsers.hold(&"b".into(), ClientId::from_bits(1), 0).is_none());
        assert!(browsers.0.lock().is_empty());
    }
}
