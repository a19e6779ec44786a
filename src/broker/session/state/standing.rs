//! Where a session stands, taken out of one state and put into another: when its lane failed, and when it goes on from its
//! record.
//!
//! Called where sessions are replaced and resumed. What lies behind the place is read from the log by the new one.

use super::{super::owed::Owed, Lag, State};
use crate::{bayeux::Seq, engine::Publication};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::time::Instant;

/// Where a session stands in the log and in its life, for one that goes on in its place.
#[derive(Debug)]
pub(in crate::broker) struct Standing {
    pub handed: Seq,
    pub sent: Seq,
    pub acked: Option<Seq>,
    /// Only its client knows what arrived: the first acknowledgement tells.
    pub resumed: bool,
    pub gap: Option<(Seq, Seq)>,
    pub owed: Owed,
    /// Where streams began that followed one another, if one of them was the last to take messages.
    pub streams: Option<Seq>,
    pub interval: Duration,
    pub deadline: Instant,
    /// What came back from a failed write.
    pub restored: VecDeque<Arc<Publication>>,
}

/// How many of the positions `first` to `last` lie outside a stretch that is known.
pub(super) fn beyond((a, b): (Seq, Seq), first: Seq, last: Seq) -> u64 {
    a.min(last + 1).saturating_sub(first) + (last + 1).saturating_sub(first.max(b + 1))
}

impl State {
    /// The newest position up to which nothing is on its way to the client, as far as the broker knows.
    pub fn stands_at(&self) -> Seq {
        self.queue.front().map_or(self.handed, |first| self.handed.min(first.seq - 1))
    }

    /// Where it stands, for the session that goes on in its place.
    pub(in crate::broker) fn standing(&self) -> Standing {
        let Self { handed, sent, acked, resumed, gap, owed, streams, interval, deadline, .. } = *self;
        let restored = self.queue.iter().take_while(|p| p.seq <= handed).cloned().collect();
        Standing { handed, sent, acked, resumed, gap, owed, streams, interval, deadline, restored }
    }

    /// Goes on where another stood: what follows is read from the log.
    pub(in crate::broker) fn stand_at(&mut self, standing: Standing) {
        let Standing { handed, sent, acked, resumed, gap, owed, streams, interval, deadline, restored } = standing;
        self.queue_bytes = restored.iter().map(|p| p.weight()).sum();
        self.queue = restored;
        (self.handed, self.sent, self.acked, self.resumed) = (handed, sent, acked, resumed);
        (self.gap, self.owed, self.interval, self.deadline) = (gap, owed, interval, deadline);
        self.streams = streams;
        self.lag = Some(Lag { after: handed, to: handed });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_outside_of_a_known_stretch_is_news() {
        let known = (10, 20);
        assert_eq!([beyond(known, 10, 20), beyond(known, 12, 15)], [0, 0], "told before");
        assert_eq!([beyond(known, 12, 25), beyond(known, 5, 15), beyond(known, 5, 25)], [5, 5, 10], "partly");
        assert_eq!([beyond(known, 21, 25), beyond(known, 1, 3)], [5, 3], "not at all");
    }
}
