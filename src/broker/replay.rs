//! Replays: what a session gets from before it subscribed, handed over to the live messages without a gap or an overlap.
//!
//! A replay is a run of entries in the log that are addressed to the session: "hand over this pattern from here to there".
//! The session expands each when its turn comes, whole, so that its position acknowledges all of it; a lost response or a
//! restart expands it again. The last entry ends at its own position, and there the lane begins the live subscription.
//!
//! Called by the subscribe verb (writing entries), lanes (beginning) and deliveries (expanding).

use super::{
    Broker, Channels,
    lane::Lane,
    session::{Session, Subscription},
    wall_clock_ms,
};
use crate::{
    bayeux::{ProtocolError, Seq},
    engine::{Draft, EngineError, Publication},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The channel of replay entries. Nobody can publish or subscribe to it.
const CHANNEL: &str = "/meta/replay";
/// Messages in one entry.
const MOST: usize = 256;

/// Where a subscription begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// With what is published from now on.
    Live,
    /// With everything that is kept.
    All,
    /// With what follows a position.
    After(Seq),
}

/// One entry.
#[derive(Debug, Deserialize, Serialize)]
struct Entry {
    pattern: Arc<str>,
    /// Hand over what follows this position.
    after: Seq,
    /// Up to this one; `None` is up to the entry itself, where the live subscription begins.
    upto: Option<Seq>,
    /// Instead of all: the newest message of each channel.
    newest: bool,
    /// Whatever is kept was asked for, so that nothing of it can be missing.
    whole: bool,
    /// How many entries of its run follow it in the log, at consecutive positions: the last one's is where the
    /// subscription began.
    follow: u64,
}

impl Entry {
    fn of(publication: &Publication) -> Option<Self> {
        serde_json::from_str(publication.draft.data()).ok()
    }

    fn draft(&self, session: &Session) -> Result<Draft, ProtocolError> {
        let data = serde_json::value::to_raw_value(self).map_err(|_| ProtocolError::EngineUnavailable)?;
        Ok(Draft::new(CHANNEL, &data, None, wall_clock_ms()).to(session.id))
    }

    /// Whether it is still meant, being at `position`: its run led to the subscription that the session holds. One whose
    /// lane failed or whose broker crashed before that was asked for once more, and one given back is not wanted.
    fn is_meant(&self, position: Seq, session: &Session, lane: &Lane) -> bool {
        let began = position + self.follow;
        let holds = |s: &Subscription| s.pattern == self.pattern && s.since == began;
        lane.position() < began || session.lock().subscriptions.iter().any(holds)
    }
}

/// A run of entries for the log.
fn drafts(session: &Session, mut run: Vec<Entry>) -> Result<Vec<Draft>, ProtocolError> {
    for (follow, entry) in run.iter_mut().rev().enumerate() {
        entry.follow = follow as u64;
    }
    run.iter().map(|entry| entry.draft(session)).collect()
}

/// Whether a publication is an entry to be expanded.
pub(super) fn is_entry(publication: &Publication) -> bool {
    publication.draft.to.is_some() && publication.draft.channel() == CHANNEL
}

/// The oldest position that an addressed publication stands for: its own, or that of the replay it is an entry of.
pub(super) fn begins_at(publication: &Publication) -> Seq {
    let entry = Some(publication).filter(|p| is_entry(p)).and_then(Entry::of);
    entry.map_or(publication.seq, |entry| entry.after + 1)
}

/// The retention class that entries are kept in.
pub(super) fn class_of_entries(channels: &Channels) -> usize {
    channels.retention().class_of(CHANNEL)
}

/// What an entry holds.
#[derive(Debug, Default)]
pub(super) struct Expanded {
    pub publications: Vec<Arc<Publication>>,
    /// Positions of it that are no longer kept.
    pub gap: Option<(Seq, Seq)>,
}

impl Broker {
    /// The entries that hand a pattern over from `begin` to a session; none for a live subscription to channels of which
    /// no newest message is kept.
    ///
    /// # Errors
    /// `ReplayInvalid` when the position is no longer kept or not there yet.
    pub(super) async fn plan_replay(
        &self,
        session: &Session,
        pattern: &Arc<str>,
        begin: Begin,
    ) -> Result<Vec<Draft>, ProtocolError> {
        let whole = begin == Begin::All;
        let entry = |after, upto, newest| Entry { pattern: Arc::clone(pattern), after, upto, newest, whole, follow: 0 };
        let mut after = match begin {
            Begin::Live if self.channel_table().keeps_last(pattern) => {
                return drafts(session, vec![entry(0, None, true)]);
            }
            Begin::Live => return Ok(Vec::new()),
            Begin::All => self.engine().oldest().saturating_sub(1),
            Begin::After(position) => self.check_position(pattern, position).await?,
        };
        let mut entries = Vec::new();
        loop {
            let batch = self.engine().read_matching(pattern, after, MOST).await.map_err(unavailable)?;
            let mut bytes = 0;
            for publication in &batch.publications {
                if bytes > 0 && bytes + publication.weight() > self.settings().max_delivery_bytes {
                    entries.push(entry(after, Some(publication.seq - 1), false));
                    after = publication.seq - 1;
                    bytes = 0;
                }
                bytes += publication.weight();
            }
            if batch.through >= self.engine().newest() && batch.publications.len() < MOST {
                // Also what is published until the entry has its place.
                entries.push(entry(after, None, false));
                return drafts(session, entries);
            }
            if bytes > 0 {
                entries.push(entry(after, Some(batch.through), false));
            }
            after = batch.through;
        }
    }

    async fn check_position(&self, pattern: &Arc<str>, position: Seq) -> Result<Seq, ProtocolError> {
        let invalid = || ProtocolError::ReplayInvalid(position.to_string().into());
        if position > self.engine().newest() {
            return Err(invalid());
        }
        let batch = self.engine().read_matching(pattern, position, 1).await.map_err(unavailable)?;
        match self.channel_table().concerns(&batch.lost, std::slice::from_ref(pattern)) {
            Some(_) => Err(invalid()),
            None => Ok(position),
        }
    }

    /// The lane met an entry: after the last one of a replay the live subscription begins.
    pub(super) fn begin_after_replay(&self, lane: &Lane, session: &Arc<Session>, publication: &Publication) {
        let Some(entry) = Entry::of(publication).filter(|entry| entry.upto.is_none()) else { return };
        let since = publication.seq;
        let mut state = session.lock();
        if state.ended.is_none() && !state.subscriptions.iter().any(|s| s.pattern == entry.pattern) {
            state.subscriptions.push(Subscription { pattern: Arc::clone(&entry.pattern), since });
            state.changes.0 += 1;
            drop(state);
            lane.subscribe(session, &[entry.pattern], || since);
        }
    }

    /// What an entry stands for.
    pub(super) async fn expand(&self, session: &Session, publication: &Publication) -> Result<Expanded, EngineError> {
        let Some(entry) = Entry::of(publication) else { return Ok(Expanded::default()) };
        if !entry.is_meant(publication.seq, session, self.lane(session.lane)) {
            return Ok(Expanded::default());
        }
        let upto = entry.upto.unwrap_or(publication.seq);
        let echo = self.settings().broadcast_to_publisher;
        let wanted = |p: &Arc<Publication>| {
            let own = p.draft.publisher == Some(session.id) && !echo;
            p.seq <= upto && !own && p.draft.without != Some(session.id)
        };
        if entry.newest {
            let newest = self.engine().newest_matching(&entry.pattern).await?;
            return Ok(Expanded { publications: newest.into_iter().filter(wanted).collect(), gap: None });
        }
        let mut expanded = Expanded::default();
        let mut after = entry.after;
        while after < upto {
            let batch = self.engine().read_matching(&entry.pattern, after, MOST).await?;
            let gap = self.channel_table().concerns(&batch.lost, std::slice::from_ref(&entry.pattern));
            if let Some((first, last)) = gap.filter(|(first, _)| *first <= upto && !entry.whole) {
                let first = expanded.gap.map_or(first, |(earlier, _)| earlier);
                expanded.gap = Some((first, last.min(upto)));
            }
            expanded.publications.extend(batch.publications.into_iter().filter(wanted));
            after = batch.through.max(after + 1);
        }
        Ok(expanded)
    }
}

fn unavailable(error: EngineError) -> ProtocolError {
    tracing::warn!(%error, "a replay cannot be read");
    ProtocolError::EngineUnavailable
}
