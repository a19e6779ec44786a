//! What the ack extension makes of a session's place: how far everything arrived, and going back to there.
//!
//! Called by the extension with what connects say. An acknowledgement never goes back.

use super::State;
use crate::bayeux::Seq;

impl State {
    /// From now on messages leave only with connect replies, and stay until the client says that they arrived.
    pub fn begin_acks(&mut self, acked: Seq) {
        self.acked = Some(acked);
    }

    /// Up to where the client says that everything arrived; `None` when it does not say.
    pub fn acked(&self) -> Option<Seq> {
        self.acked
    }

    /// The client says that everything up to `position` has arrived; a position that was never sent says nothing.
    /// What was sent after the newest such position is sent again.
    pub fn acknowledge(&mut self, position: Option<Seq>) {
        let Some(before) = self.acked else { return };
        let before = if std::mem::take(&mut self.resumed) { 0 } else { before };
        let acked = position.filter(|p| *p <= self.sent).map_or(before, |p| p.max(before));
        self.acked = Some(acked);
        self.gap = self.gap.filter(|(_, last)| *last > acked);
        if acked < self.handed {
            self.rewind(acked);
        } else if acked > self.handed {
            self.skip_to(acked);
        }
    }

    /// It went back to an older position, and what it was about to hand out again has arrived after all.
    fn skip_to(&mut self, acked: Seq) {
        self.handed = acked;
        self.queue.retain(|p| p.seq > acked);
        self.queue_bytes = self.queue.iter().map(|p| p.weight()).sum();
        if let Some(lag) = &mut self.lag {
            lag.after = lag.after.max(acked);
        }
        self.lag = self.lag.filter(|lag| lag.after < lag.to);
    }
}
