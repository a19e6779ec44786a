//! What goes to a backend in one call: items in log order, bounded in number and in bytes.
//!
//! Filled by `feed`. Knows no time and no network. Everything up to `through` is in it or was not wanted.

use super::{super::payload, pick::Picks};
use crate::bayeux::Seq;
use serde::Serialize;
use serde_json::value::RawValue;

/// A batch that is being filled.
#[derive(Debug)]
pub struct Batch {
    items: Vec<Box<RawValue>>,
    bytes: usize,
    max_items: usize,
    max_bytes: usize,
    /// How far the log has been looked at.
    pub through: Seq,
    /// Positions that the log did not keep: first and last.
    pub gap: Option<(Seq, Seq)>,
}

/// `data` of the call.
#[derive(Serialize)]
struct Data<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    publications: Option<&'a [Box<RawValue>]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<&'a [Box<RawValue>]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gap: Option<Gap>,
    feed: &'a str,
}

#[derive(Serialize)]
struct Gap {
    first: Seq,
    last: Seq,
}

impl Batch {
    /// An empty one that goes on after a position.
    pub fn new(after: Seq, max_items: usize, max_bytes: usize) -> Self {
        Self { items: Vec::new(), bytes: 0, max_items, max_bytes, through: after, gap: None }
    }

    /// Takes what a publication holds, or says that there is no room. What is too large for any batch goes alone.
    #[must_use]
    pub fn take(&mut self, position: Seq, items: Vec<Box<RawValue>>) -> bool {
        let bytes: usize = items.iter().map(|item| item.get().len()).sum();
        let fits = self.items.len() + items.len() <= self.max_items && self.bytes + bytes <= self.max_bytes;
        if !items.is_empty() && !self.items.is_empty() && !fits {
            self.through = self.through.max(position - 1);
            return false;
        }
        self.bytes += bytes;
        self.items.extend(items);
        self.through = position;
        true
    }

    /// Notes what the log did not keep.
    pub fn lose(&mut self, lost: Option<(Seq, Seq)>) {
        if let Some((first, last)) = lost {
            self.gap = Some(self.gap.map_or((first, last), |(earlier, _)| (earlier, last)));
        }
    }

    /// Whether nothing more fits.
    pub fn is_full(&self) -> bool {
        self.items.len() >= self.max_items || self.bytes >= self.max_bytes
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty() && self.gap.is_none()
    }

    /// How many items it holds.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// The body of the call.
    ///
    /// # Errors
    /// When it cannot be written as JSON, which would be a fault of ours.
    pub fn body(&self, picks: &Picks, feed: &str) -> Result<Vec<u8>, serde_json::Error> {
        let items = Some(self.items.as_slice());
        let gap = self.gap.map(|(first, last)| Gap { first, last });
        let data = match picks {
            Picks::Publications(_) => Data { publications: items, events: None, gap, feed },
            Picks::Events(_) => Data { publications: None, events: items, gap, feed },
        };
        payload::body(picks.kind(), data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn item(len: usize) -> Box<RawValue> {
        RawValue::from_string("1".repeat(len)).unwrap()
    }

    #[test]
    fn a_batch_ends_before_what_does_not_fit() {
        let mut batch = Batch::new(10, 2, 100);
        assert!(batch.take(11, vec![]) && batch.take(12, vec![item(5)]) && batch.take(15, vec![item(5)]));
        assert!(batch.is_full() && batch.take(17, vec![]));
        assert!(!batch.take(20, vec![item(5)]));
        assert_eq!((batch.len(), batch.through), (2, 19));
    }

    #[test]
    fn what_is_too_large_for_any_batch_goes_alone() {
        let mut batch = Batch::new(0, 10, 100);
        assert!(batch.take(1, vec![item(500)]) && batch.is_full());
        assert!(!batch.take(2, vec![item(1)]));
        assert_eq!((batch.len(), batch.through), (1, 1));
    }

    #[test]
    fn a_gap_is_worth_telling_without_any_item() {
        let mut batch = Batch::new(0, 10, 100);
        assert!(batch.is_empty());
        batch.lose(Some((1, 4)));
        batch.lose(Some((7, 9)));
        assert!(!batch.is_empty());
        let body = batch.body(&Picks::Publications("/a".into()), "a").unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["data"], serde_json::json!({"publications": [], "gap": {"first": 1, "last": 9}, "feed": "a"}));
    }

    proptest! {
        /// However the log is cut into batches, every item is in exactly one, in order.
        #[test]
        fn nothing_is_skipped_and_nothing_comes_twice(
            log in proptest::collection::vec(proptest::collection::vec(1_usize..60, 0..4), 0..60),
            max_items in 1_usize..5,
            max_bytes in 1_usize..80,
        ) {
            let mut given = Vec::new();
            let mut cursor = 0;
            while cursor < log.len() as u64 {
                let mut batch = Batch::new(cursor, max_items, max_bytes);
                for (n, lens) in log.iter().enumerate().skip(usize::try_from(cursor).unwrap()) {
                    let items = lens.iter().map(|len| item(*len)).collect();
                    if !batch.take(n as u64 + 1, items) {
                        break;
                    }
                }
                prop_assert!(batch.through > cursor);
                cursor = batch.through;
                given.extend(batch.items.iter().map(|item| item.get().len()));
            }
            let all: Vec<usize> = log.into_iter().flatten().collect();
            prop_assert_eq!(given, all);
        }
    }
}
