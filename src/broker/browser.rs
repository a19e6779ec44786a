//! How many polls each browser holds. Browsers open only a few HTTP/1.1 connections to one host, and several tabs that
//! all hold one would leave none for publishing.
//!
//! Asked by the connect verb. Knows cookies as opaque text and nothing of sessions.

use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};

/// Held polls by browser cookie.
#[derive(Clone, Default)]
pub struct Browsers(Arc<Mutex<HashMap<Box<str>, usize>>>);

/// One held poll of a browser; gives its place back when dropped.
pub struct HeldPoll {
    browsers: Browsers,
    browser: Box<str>,
}

impl Browsers {
    /// Takes a place for a held poll; `None` when the browser has `limit` already.
    pub fn hold(&self, browser: &str, limit: usize) -> Option<HeldPoll> {
        let mut held = self.0.lock();
        let count = held.get(browser).copied().unwrap_or(0);
        if count >= limit {
            return None;
        }
        held.insert(browser.into(), count + 1);
        Some(HeldPoll { browsers: self.clone(), browser: browser.into() })
    }
}

impl Drop for HeldPoll {
    fn drop(&mut self) {
        let mut held = self.browsers.0.lock();
        if let Some(count) = held.get_mut(&self.browser) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.browser);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_taken_and_given_back() {
        let browsers = Browsers::default();
        let first = browsers.hold("b", 2);
        let second = browsers.hold("b", 2);
        assert!(first.is_some() && second.is_some());
        assert!(browsers.hold("b", 2).is_none());
        assert!(browsers.hold("other", 2).is_some());
        drop(first);
        assert!(browsers.hold("b", 2).is_some());
        drop(second);
        assert!(browsers.0.lock().is_empty());
    }
}
