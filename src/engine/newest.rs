//! The newest message of each channel, for classes that keep it beyond their bounds.
//!
//! Part of the memory of engines. Bounded: the channel that was quiet longest makes room. No lock of its own.

use super::Publication;
use crate::bayeux::{Pattern, Seq};
use indexmap::IndexMap;
use std::sync::Arc;

/// The newest messages.
#[derive(Debug)]
pub struct Newest {
    /// Newest last in time, by channel.
    last: IndexMap<Box<str>, Arc<Publication>>,
    most: usize,
    /// Newest messages that had to make room for those of other channels.
    pub dropped: u64,
}

impl Newest {
    /// Of at most so many channels.
    pub fn new(most: usize) -> Self {
        Self { last: IndexMap::new(), most, dropped: 0 }
    }

    /// Notes a message, newer than all before. One for a single session is nobody's newest.
    pub fn push(&mut self, publication: &Arc<Publication>) {
        if publication.draft.to.is_some() {
            return;
        }
        self.last.shift_remove(publication.draft.channel());
        self.last.insert(publication.draft.channel().into(), Arc::clone(publication));
        if self.last.len() > self.most {
            self.last.shift_remove_index(0);
            self.dropped += 1;
        }
    }

    /// Those of channels that a pattern matches, in log order.
    pub fn matching(&self, pattern: &str) -> Vec<Arc<Publication>> {
        let pattern = Pattern::of_valid(pattern);
        let mut found: Vec<_> = self.last.values().filter(|p| pattern.matches(p.draft.channel())).cloned().collect();
        found.sort_unstable_by_key(|p| p.seq);
        found
    }

    /// Those up to a position.
    pub fn up_to(&self, position: Seq) -> Vec<Arc<Publication>> {
        self.last.values().filter(|p| p.seq <= position).cloned().collect()
    }
}
