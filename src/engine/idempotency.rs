//! Which idempotency keys were seen lately, and where what they named went.
//!
//! Kept by every engine, in the order of the log. Bounded by time and number; the oldest are forgotten first.

use crate::bayeux::Seq;
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

/// Keys and the positions they led to.
pub struct Keys {
    places: HashMap<Arc<str>, Seq>,
    /// Oldest first, each with its time in milliseconds of the wall clock.
    order: VecDeque<(Arc<str>, u64)>,
    window_ms: u64,
    most: usize,
}

impl Keys {
    /// Remembers keys for `window`, at most `most` of them.
    pub fn new(window: Duration, most: usize) -> Self {
        let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        Self { places: HashMap::new(), order: VecDeque::new(), window_ms, most }
    }

    /// Where the publication with this key went, if it was lately.
    pub fn place(&mut self, key: &str, now_ms: u64) -> Option<Seq> {
        self.forget(now_ms);
        self.places.get(key).copied()
    }

    /// Remembers a key.
    pub fn insert(&mut self, key: Arc<str>, place: Seq, now_ms: u64) {
        self.places.insert(Arc::clone(&key), place);
        self.order.push_back((key, now_ms));
        self.forget(now_ms);
    }

    /// Takes back the `count` keys that were inserted last: what they named did not get its place after all.
    pub fn take_back(&mut self, count: usize) {
        for _ in 0..count {
            if let Some((key, _)) = self.order.pop_back() {
                self.places.remove(&key);
            }
        }
    }

    /// How long keys are remembered, in milliseconds, and how many.
    pub fn bounds(&self) -> (u64, usize) {
        (self.window_ms, self.most)
    }

    /// Lets go of what is older than the window or beyond the bound.
    pub fn forget(&mut self, now_ms: u64) {
        while let Some((_, time)) = self.order.front() {
            if self.order.len() <= self.most && time.saturating_add(self.window_ms) >= now_ms {
                break;
            }
            if let Some((key, _)) = self.order.pop_front() {
                self.places.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_whose_publication_failed_are_new_again() {
        let mut keys = Keys::new(Duration::from_secs(10), 9);
        for (n, key) in ["a", "b", "c"].into_iter().enumerate() {
            keys.insert(key.into(), n as u64, 100);
        }
        keys.take_back(2);
        assert_eq!(["a", "b", "c"].map(|k| keys.place(k, 100)), [Some(0), None, None]);
        keys.insert("b".into(), 7, 100);
        assert_eq!(keys.place("b", 100), Some(7));
    }

    #[test]
    fn keys_are_forgotten_by_time_and_by_number() {
        let mut keys = Keys::new(Duration::from_millis(10), 2);
        keys.insert("a".into(), 1, 100);
        assert_eq!(keys.place("a", 110), Some(1));
        assert_eq!(keys.place("a", 111), None);
        for (n, key) in ["b", "c", "d"].into_iter().enumerate() {
            keys.insert(key.into(), n as u64, 200);
        }
        assert_eq!(["b", "c", "d"].map(|k| keys.place(k, 200)), [None, Some(1), Some(2)]);
    }
}
