//! What is addressed to one session and may still have to be read from the log: answers, and the entries of replays. No
//! subscription tells that they were there, so the session remembers where they lie, or their loss would be silent.
//!
//! Kept by the state, asked by deliveries when the log has lost something. Knows positions only.

use crate::bayeux::Seq;

/// A stretch of the log with something addressed to the session in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::broker) struct Owed {
    /// The oldest position that what lies here stands for.
    from: Seq,
    /// The first of it.
    first: Seq,
    /// The last of it.
    last: Seq,
}

impl Owed {
    /// One more at `seq`, which stands for everything from `from` on; `settled` is up to where nothing is owed any more.
    pub(super) fn and(owed: Option<Self>, seq: Seq, from: Seq, settled: Seq) -> Self {
        match owed.filter(|owed| owed.last > settled) {
            Some(owed) => Self { from: owed.from.min(from), last: seq, ..owed },
            None => Self { from, first: seq, last: seq },
        }
    }

    /// Whatever lies up to `seq` may be addressed: nobody has looked.
    pub(super) fn anything(owed: Option<Self>, seq: Seq) -> Self {
        let Self { from, last, .. } = owed.unwrap_or(Self { from: seq, first: seq, last: seq });
        Self { from, first: 0, last: last.max(seq) }
    }

    /// The positions that a reader who stands at `after` loses with the log up to `lost`.
    pub(super) fn lost(self, after: Seq, lost: Seq) -> Option<(Seq, Seq)> {
        (self.last > after && self.first <= lost).then_some((self.from.min(after + 1), self.last.min(lost)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_addressed_is_lost_with_the_log_around_it() {
        let owed = Owed::and(Some(Owed::and(None, 20, 5, 0)), 22, 11, 0);
        assert_eq!(owed.lost(19, 21), Some((5, 21)), "the first of two");
        assert_eq!(owed.lost(19, 40), Some((5, 22)), "both");
        assert_eq!(owed.lost(19, 19), None, "neither");
        assert_eq!(owed.lost(22, 40), None, "one who has them");
        assert_eq!(Owed::anything(None, 30).lost(22, 25), Some((23, 25)), "where nobody has looked");
        assert_eq!(Owed::and(Some(owed), 30, 30, 22).lost(22, 40), Some((23, 30)), "what was settled is forgotten");
    }
}
