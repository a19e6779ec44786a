//! What is addressed to one session and may still have to be read from the log: answers, and the entries of replays. No
//! subscription tells that they were there, so the session remembers where they lie, or their loss would be silent.
//!
//! Kept by the state and, for restarts, by the record; asked by deliveries when the log has lost something. Knows positions
//! only.

use crate::bayeux::Seq;
use serde::{Deserialize, Serialize};

/// Stretches of the log with something addressed to the session in them.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub(in crate::broker) struct Owed {
    /// The oldest position that what is known stands for.
    from: Seq,
    /// The first that is known.
    first: Seq,
    /// The last that is known; zero when nothing is.
    last: Seq,
    /// Up to here nobody has looked: anything may be addressed to it.
    #[serde(skip)]
    unseen: Seq,
}

impl Owed {
    /// One more at `seq`, which stands for everything from `from` on; `settled` is up to where nothing is owed any more.
    #[must_use]
    pub(super) fn and(self, seq: Seq, from: Seq, settled: Seq) -> Self {
        if self.last > settled {
            Self { from: self.from.min(from), last: seq, ..self }
        } else {
            Self { from, first: seq, last: seq, ..self }
        }
    }

    /// The same without what is settled.
    #[must_use]
    pub(super) fn unsettled(self, settled: Seq) -> Self {
        if self.last > settled { self } else { Self { unseen: self.unseen, ..Self::default() } }
    }

    /// Nobody has looked at what lies up to `seq`.
    #[must_use]
    pub(super) fn unseen(self, seq: Seq) -> Self {
        Self { unseen: self.unseen.max(seq), ..self }
    }

    /// The positions that a reader who stands at `after` loses with the log up to `lost`.
    pub(super) fn lost(self, after: Seq, lost: Seq) -> Option<(Seq, Seq)> {
        let known = (self.last > after && self.first <= lost).then(|| (self.from, self.last.min(lost)));
        let unseen = (self.unseen > after && lost > after).then(|| (after + 1, self.unseen.min(lost)));
        match (known, unseen) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (one, other) => one.or(other),
        }
    }

    /// Whether nothing is known.
    pub(in crate::broker) fn is_nothing(&self) -> bool {
        self.last == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_addressed_is_lost_with_the_log_around_it() {
        let owed = Owed::default().and(20, 5, 0).and(22, 11, 0);
        assert_eq!(owed.lost(19, 21), Some((5, 21)), "the first of two");
        assert_eq!(owed.lost(19, 40), Some((5, 22)), "both");
        assert_eq!(owed.lost(19, 19), None, "neither");
        assert_eq!(owed.lost(22, 40), None, "one who has them");
        assert_eq!(owed.and(30, 30, 22).lost(22, 40), Some((30, 30)), "what was settled is forgotten");
        assert!(owed.unsettled(22).is_nothing() && !owed.unsettled(21).is_nothing());
        assert_eq!(Owed::default().unseen(30).lost(22, 25), Some((23, 25)), "where nobody has looked");
        assert_eq!(owed.unseen(30).lost(19, 25), Some((5, 25)), "both reasons");
        assert_eq!(owed.unseen(30).lost(30, 40), None);
    }
}
