//! What the API may see of the broker: sessions, channels with their subscribers, the history of the log.
//!
//! Called by the API. Looks at one shard or lane at a time, so that no answer stops the broker; changes nothing. Pages
//! are in the order of ids or names, so that the next one begins after the last entry of the one before.

use super::{Broker, Identity, MAX_LANE_LAG, Session, direct::Refusal};
use crate::{
    bayeux::{ClientId, Pattern, ProtocolError, Seq},
    engine::Publication,
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// Publications read from the log at once.
const CHUNK: usize = 512;

/// One session, as it was a moment ago.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its id.
    pub id: ClientId,
    /// Who it belongs to.
    pub identity: Arc<Identity>,
    /// What it asked for, each with the position it began at.
    pub subscriptions: Vec<(Arc<str>, Seq)>,
    /// The transport that connected last; `None` before the first connect.
    pub transport: Option<&'static str>,
    /// Whether somebody is there to be given messages now.
    pub connected: bool,
    /// Messages that wait in its queue, and their bytes.
    pub queued: (usize, usize),
    /// Whether it acknowledges what it receives.
    pub acknowledges: bool,
    /// The newest position it was handed.
    pub handed: Seq,
    /// When it expires unless it is heard of before.
    pub expires_in: Duration,
}

/// A part of the log.
#[derive(Debug, Default)]
pub struct History {
    /// In log order.
    pub publications: Vec<Arc<Publication>>,
    /// Everything up to here was looked at: read on from here.
    pub through: Seq,
    /// Whether the end of the log was reached.
    pub complete: bool,
    /// Positions that were asked for and are no longer kept: first and last.
    pub lost: Option<(Seq, Seq)>,
}

impl Broker {
    /// A session by its id.
    pub fn find(&self, id: ClientId) -> Option<Arc<Session>> {
        self.sessions().get(id)
    }

    /// Whether every lane has read the log nearly to its end.
    pub fn keeps_up(&self) -> bool {
        let newest = self.engine().newest();
        self.lanes().iter().all(|lane| newest.saturating_sub(lane.position()) < MAX_LANE_LAG)
    }

    /// How many sessions there are on this node.
    pub fn session_count(&self) -> usize {
        self.sessions().count()
    }

    /// What a session looks like now.
    pub fn see(&self, session: &Session) -> Seen {
        let state = session.lock();
        Seen {
            id: session.id,
            identity: Arc::clone(&state.identity),
            subscriptions: state.subscriptions.iter().map(|s| (Arc::clone(&s.pattern), s.since)).collect(),
            transport: state.advised.as_ref().map(|(transport, _)| transport.as_str()),
            connected: state.is_attached(),
            queued: state.queued(),
            acknowledges: state.acked().is_some(),
            handed: state.handed(),
            expires_in: state.deadline.saturating_duration_since(Instant::now()),
        }
    }

    /// Up to `limit` sessions after `after`, in the order of ids: those of `user`, and those that hold `channel` or a
    /// pattern that matches it.
    pub fn list(
        &self,
        user: Option<&str>,
        channel: Option<&str>,
        after: Option<ClientId>,
        limit: usize,
    ) -> Vec<Arc<Session>> {
        let mut first: BTreeMap<ClientId, Arc<Session>> = BTreeMap::new();
        let wanted = |session: &Session| {
            let state = session.lock();
            user.is_none_or(|user| state.identity.user.as_deref() == Some(user))
                && channel.is_none_or(|channel| state.subscriptions.iter().any(|s| holds(&s.pattern, channel)))
        };
        self.sessions().each(|session| {
            let beyond = first.len() == limit && first.last_key_value().is_some_and(|(last, _)| *last < session.id);
            if after.is_none_or(|after| session.id > after) && !beyond && wanted(session) {
                first.insert(session.id, Arc::clone(session));
                if first.len() > limit {
                    first.pop_last();
                }
            }
        });
        first.into_values().collect()
    }

    /// The sessions of a user.
    pub fn sessions_of(&self, user: &str) -> Vec<Arc<Session>> {
        self.sessions().filter(|s| s.lock().identity.user.as_deref() == Some(user))
    }

    /// How many sessions of this node a publication to `channel` is for.
    pub fn matching(&self, channel: &str, without: Option<ClientId>) -> usize {
        self.lanes().iter().map(|lane| lane.count(channel, without)).sum()
    }

    /// The sessions that a publication to `channel` is for; of a pattern, those that hold exactly it.
    pub fn subscribers(&self, channel: &str) -> Vec<Arc<Session>> {
        let mut found = HashMap::new();
        for lane in self.lanes() {
            lane.holders(channel, &mut |session| {
                found.entry(session.id).or_insert_with(|| Arc::clone(session));
            });
        }
        let mut all: Vec<_> = found.into_values().collect();
        all.sort_unstable_by_key(|session| session.id);
        all
    }

    /// Up to `limit` channels and patterns that sessions hold, by name, each with how many hold it, and persistent
    /// channels: those after `after` that are `filter` or match it.
    pub fn channels(&self, filter: Option<&str>, after: Option<&str>, limit: usize) -> Vec<(Box<str>, usize)> {
        let wanted =
            |name: &str| after.is_none_or(|after| name > after) && filter.is_none_or(|filter| holds(filter, name));
        let persistent = self.channel_table().persistent().filter(|name| wanted(name));
        let mut all: BTreeMap<Box<str>, usize> = persistent.map(|name| (name.into(), 0)).collect();
        for lane in self.lanes() {
            for (name, count) in lane.names(&wanted, limit) {
                *all.entry(name).or_insert(0) += count;
            }
        }
        all.into_iter().take(limit).collect()
    }

    /// Publications after `since` to channels that `pattern` matches: at most `limit`, from at most `scan` positions.
    ///
    /// # Errors
    /// When the name is none, or the log cannot be read.
    pub async fn history(&self, pattern: &str, since: Seq, limit: usize, scan: usize) -> Result<History, Refusal> {
        Pattern::parse(pattern, self.channel_limits()).ok_or(ProtocolError::ChannelInvalid)?;
        // Nobody asks for what was forgotten before it was thought of.
        let beginning = self.engine().oldest().saturating_sub(1);
        let mut found = History { through: if since == 0 { beginning } else { since }, ..History::default() };
        let mut looked_at = 0;
        while found.publications.len() < limit && looked_at < scan {
            let batch = self.engine().read_matching(pattern, found.through, CHUNK.min(limit)).await;
            let batch = batch.map_err(|_| Refusal::Invalid(ProtocolError::EngineUnavailable))?;
            found.lost = found.lost.or(self.channel_table().concerns(&batch.lost, &[pattern.into()]));
            looked_at += usize::try_from(batch.through - found.through).unwrap_or(usize::MAX);
            let room = limit - found.publications.len();
            found.through = batch.publications.get(room.wrapping_sub(1)).map_or(batch.through, |p| p.seq);
            found.publications.extend(batch.publications.into_iter().take(room));
            if found.through >= self.engine().newest() {
                break;
            }
            tokio::task::consume_budget().await;
        }
        found.complete |= found.through >= self.engine().newest();
        Ok(found)
    }
}

/// Whether `name` is `pattern` itself, or a channel or pattern below it.
fn holds(pattern: &str, name: &str) -> bool {
    pattern == name || Pattern::of_valid(pattern).matches(name)
}
