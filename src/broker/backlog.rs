//! What a delivery reads from the log: the messages of a session whose queue was given up, or who has to get them again.
//!
//! Called by deliveries. Nothing counts as handed out before all of it was read, so a reader who leaves meanwhile loses
//! nothing; and no reading is without an end, however little of the log is for the session.

use super::{
    Broker, Delivery,
    delivery::LOG_RETRY,
    replay::{class_of_entries, is_entry},
    session::{Next, Session, State},
};
use crate::{
    bayeux::Seq,
    engine::{Batch, Lost, Publication},
};
use std::sync::Arc;

/// Publications read from the log at once, at first: a delivery of large messages needs no more, and what it does not
/// take is read again by the next.
const FIRST_CHUNK: usize = 32;
/// The same for those who go on looking.
const CHUNK: usize = 512;
/// Chunks read for one delivery. Who gets everything again expects all of it together, also when most of what was
/// published meanwhile was for others.
const MOST_CHUNKS: usize = 32;

/// How much is read at a time: each time more, up to a bound.
fn chunks() -> impl Iterator<Item = usize> {
    std::iter::successors(Some(FIRST_CHUNK), |limit| Some(CHUNK.min(limit * 2))).take(MOST_CHUNKS)
}

/// A stretch of the log, looked through for one session.
struct Backlog {
    /// What is for it, in log order.
    wanted: Vec<Arc<Publication>>,
    bytes: usize,
    /// Everything up to here was looked at.
    through: Seq,
    /// What the log no longer had.
    lost: Vec<Lost>,
}

impl Broker {
    /// Takes from the log what waits for attachment `epoch`, or from the queue if that has it by now.
    pub(super) async fn take_from_log(&self, session: &Arc<Session>, epoch: u64, max_bytes: usize) -> Delivery {
        let mut gap = None;
        let mut reached = None;
        loop {
            let next = session.lock().next(epoch, max_bytes);
            let publications = match next {
                Next::Nothing => Vec::new(),
                Next::Queued(publications) => publications,
                Next::FromLog { after, to } => {
                    match self.read_for(session, epoch, (after, to), max_bytes, &mut gap).await {
                        Some((publications, through)) => {
                            reached = through.or(reached);
                            if publications.is_empty() {
                                continue;
                            }
                            publications
                        }
                        None => Vec::new(),
                    }
                }
            };
            if publications.first().is_some_and(|p| is_entry(p)) {
                let delivery = self.take_replay(session, publications).await;
                return Delivery { gap: gap.or(delivery.gap), ..delivery };
            }
            let delivery = Delivery::new(publications, gap);
            // Also what was looked at and was not for this session: one who acknowledges only the last message would go
            // back to it, and look again, for ever.
            return Delivery { position: delivery.position.max(reached), ..delivery };
        }
    }

    /// Reads the log from `after` to at most `to` for a session: what it wants of it, and how far it stands then, if that
    /// counts. `None` when the log is unavailable.
    async fn read_for(
        &self,
        session: &Arc<Session>,
        epoch: u64,
        (after, to): (Seq, Seq),
        max_bytes: usize,
        gap: &mut Option<(Seq, Seq)>,
    ) -> Option<(Vec<Arc<Publication>>, Option<Seq>)> {
        let mut backlog = Backlog { wanted: Vec::new(), bytes: 0, through: after, lost: Vec::new() };
        for limit in chunks() {
            // An engine in memory answers at once, and others want to be served, too.
            tokio::task::consume_budget().await;
            match self.engine().read(backlog.through, limit).await {
                Ok(batch) => {
                    if !self.look_through(&mut backlog, batch, session, to, max_bytes) {
                        break;
                    }
                }
                Err(_) if backlog.through > after => break,
                Err(error) => {
                    tracing::warn!(%error, session = ?session.id, "cannot read the log for a reader that fell behind");
                    tokio::time::sleep(LOG_RETRY).await;
                    return None;
                }
            }
        }
        let mut state = session.lock();
        if !state.caught_up(epoch, after, backlog.through) {
            return Some((Vec::new(), None));
        }
        let lost = self.lost_to(&state, after, &backlog);
        drop(state);
        // What is lost beyond the last that was looked at is met again by the next reading.
        let end = backlog.through.min(to);
        for (first, last) in lost.into_iter().flatten().filter(|(first, _)| *first <= end) {
            let last = last.min(end);
            self.note_gap(session, first, last);
            *gap = Some(gap.map_or((first, last), |(a, b)| (a.min(first), b.max(last))));
        }
        Some((backlog.wanted, Some(backlog.through)))
    }

    /// Looks through one chunk more. Returns whether there is room and reason for another.
    fn look_through(&self, backlog: &mut Backlog, batch: Batch, session: &Session, to: Seq, max_bytes: usize) -> bool {
        let state = session.lock();
        backlog.lost.extend(batch.lost);
        for publication in batch.publications.into_iter().take_while(|p| p.seq <= to) {
            // An entry to be expanded goes alone.
            if is_entry(&publication) && publication.draft.to == Some(session.id) {
                backlog.through = publication.seq - 1;
                if backlog.wanted.is_empty() {
                    backlog.through = publication.seq;
                    backlog.wanted.push(publication);
                }
                return false;
            }
            if !state.wants(session.id, &publication, self.settings().broadcast_to_publisher) {
                continue;
            }
            backlog.bytes += publication.weight();
            if backlog.bytes > max_bytes && !backlog.wanted.is_empty() {
                backlog.through = publication.seq - 1;
                return false;
            }
            backlog.wanted.push(publication);
        }
        // What came meanwhile is looked at next time.
        let moved = batch.through.min(to) > backlog.through;
        backlog.through = backlog.through.max(batch.through.min(to));
        moved && backlog.through < to
    }

    /// What of a stretch that began at `after` the session was promised and does not get.
    fn lost_to(&self, state: &State, after: Seq, backlog: &Backlog) -> [Option<(Seq, Seq)>; 2] {
        let Some(newest) = backlog.lost.iter().map(|lost| lost.last).max() else { return [None, None] };
        // Nobody was promised what was lost before they subscribed.
        let held = state.subscriptions.iter().filter(|s| s.since < newest);
        let patterns: Vec<_> = held.map(|s| Arc::clone(&s.pattern)).collect();
        // What was addressed to it was promised, too, and no subscription tells of it.
        let entries = class_of_entries(self.channel_table());
        let lost = backlog.lost.iter().filter(|lost| lost.class == entries).map(|lost| lost.last).max();
        let owed = lost.and_then(|last| state.owed_and_lost(after, last.min(backlog.through)));
        [self.channel_table().concerns(&backlog.lost, &patterns), owed]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_reads_little_at_first_and_much_in_all() {
        assert_eq!(chunks().take(6).collect::<Vec<_>>(), [32, 64, 128, 256, 512, 512]);
        assert!(chunks().count() == MOST_CHUNKS && chunks().sum::<usize>() > 28 * CHUNK);
    }
}
