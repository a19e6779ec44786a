//! What backends do without a session: publish many at once, send to one session or to a user, end a session, take
//! subscriptions away.
//!
//! Called by the API after it asked who sends the request. The rules on publishing are asked here, for each message.

use super::{Asking, Broker, Denial, End, Session, record::Record, wall_clock_ms};
use crate::{
    bayeux::{ChannelKind, ClientId, ProtocolError, Seq, channel},
    engine::Draft,
};
use serde_json::value::RawValue;
use std::{borrow::Cow, sync::Arc};

/// Messages to single sessions that are appended at once.
const CHUNK: usize = 1000;

/// A message to publish.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// Where to; checked here.
    pub channel: &'a str,
    /// The payload, published byte for byte.
    pub data: &'a RawValue,
    /// Publishing the same key to the same channel again within the engine's window takes no second place in the log.
    pub key: Option<&'a str>,
    /// A session that does not get it, although it subscribed.
    pub without: Option<ClientId>,
}

/// What became of a message that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its place in the log.
    pub position: Seq,
    /// Whether it was there already, under the same key.
    pub repeated: bool,
    /// Sessions of this node that it is for.
    pub sessions: usize,
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The policy said no.
    Denied(Denial),
    /// It cannot be done as it was asked.
    Invalid(ProtocolError),
}

impl From<ProtocolError> for Refusal {
    fn from(error: ProtocolError) -> Self {
        Self::Invalid(error)
    }
}

impl Broker {
    /// Publishes messages with one append; each is judged on its own, and what is refused does not stop the rest.
    pub async fn publish_many(&self, asking: &Asking, items: &[Item<'_>]) -> Vec<Result<Accepted, Refusal>> {
        let now_ms = wall_clock_ms();
        let mut drafts = Vec::with_capacity(items.len());
        let mut outcomes = Vec::with_capacity(items.len());
        for item in items {
            outcomes.push(match self.judge_item(asking, item).await {
                Ok(data) => {
                    let draft = Draft::new(item.channel, &data, None, now_ms).without(item.without);
                    let key = item.key.map(|key| asking.who.scoped(item.channel, key));
                    drafts.push(match key {
                        Some(key) => draft.once(key),
                        None => draft,
                    });
                    Ok(Accepted { position: 0, repeated: false, sessions: 0 })
                }
                Err(refusal) => Err(refusal),
            });
        }
        self.count_each(items, &mut outcomes);
        if !drafts.is_empty() {
            self.append_each(drafts, &mut outcomes).await;
        }
        outcomes
    }

    async fn append_each(&self, drafts: Vec<Draft>, outcomes: &mut [Result<Accepted, Refusal>]) {
        match self.append(drafts).await {
            Ok(places) => {
                for (accepted, place) in outcomes.iter_mut().flatten().zip(places) {
                    accepted.position = place.seq;
                    accepted.repeated = place.repeated;
                }
            }
            Err(error) => {
                // Whoever publishes is told; the engine logs and counts what it means.
                tracing::debug!(%error, "publishes of the API were refused");
                outcomes.iter_mut().filter(|o| o.is_ok()).for_each(|o| *o = Err(unavailable()));
            }
        }
    }

    /// Which data may be published.
    async fn judge_item<'a>(&self, asking: &Asking, item: &Item<'a>) -> Result<Cow<'a, RawValue>, Refusal> {
        self.check_target(item.channel, false)?;
        let other = self.policy().may_publish(asking, item.channel, item.data).await.map_err(Refusal::Denied)?;
        Ok(other.map_or(Cow::Borrowed(item.data), Cow::Owned))
    }

    /// Neighbours often share their channel: then the index is asked once.
    fn count_each(&self, items: &[Item<'_>], outcomes: &mut [Result<Accepted, Refusal>]) {
        let mut last = ("", None, 0);
        for (item, outcome) in items.iter().zip(outcomes) {
            let Ok(accepted) = outcome else { continue };
            if (last.0, last.1) != (item.channel, item.without) || last.0.is_empty() {
                last = (item.channel, item.without, self.matching(item.channel, item.without));
            }
            accepted.sessions = last.2;
        }
    }

    fn check_target(&self, channel: &str, service_too: bool) -> Result<(), ProtocolError> {
        if !channel::is_publishable(channel, self.channel_limits()) {
            return Err(ProtocolError::ChannelInvalid);
        }
        match channel::kind(channel) {
            ChannelKind::Broadcast => Ok(()),
            ChannelKind::Service if service_too => Ok(()),
            ChannelKind::Service | ChannelKind::Meta => Err(ProtocolError::ChannelDenied),
        }
    }

    /// Sends a message to sessions alone, whatever they subscribed to; the positions are in the same order.
    ///
    /// # Errors
    /// When the channel or the policy does not allow it, or the log cannot take it.
    pub async fn deliver(
        &self,
        asking: &Asking,
        to: &[ClientId],
        channel: &str,
        data: &RawValue,
    ) -> Result<Vec<Seq>, Refusal> {
        self.check_target(channel, true)?;
        let other = self.policy().may_publish(asking, channel, data).await.map_err(Refusal::Denied)?;
        let data = other.as_deref().unwrap_or(data);
        let draft = Draft::new(channel, data, None, wall_clock_ms());
        let mut places = Vec::with_capacity(to.len());
        for some in to.chunks(CHUNK) {
            let drafts = some.iter().map(|session| draft.clone().to(*session)).collect();
            places.extend(self.append(drafts).await.map_err(|error| {
                tracing::warn!(%error, "a delivery of the API was refused");
                unavailable()
            })?);
        }
        Ok(places.into_iter().map(|place| place.seq).collect())
    }

    /// Whether there is such a session, here or elsewhere.
    ///
    /// # Errors
    /// When it is not here and the engine cannot tell.
    pub async fn knows(&self, id: ClientId) -> Result<bool, Refusal> {
        if self.sessions().get(id).is_some() {
            return Ok(true);
        }
        // Others keep records, too, under ids that anybody can work out.
        let record = self.engine().load(id).await.map_err(|_| unavailable())?;
        Ok(record.is_some_and(|bytes| Record::is_one(&bytes)))
    }

    /// Ends a session; its client is told. False when it was over already.
    pub async fn kick(&self, session: &Arc<Session>) -> bool {
        self.end(session, End::Kicked).await
    }

    /// Takes subscriptions away: the one of this text, or all. Returns those it held.
    ///
    /// # Errors
    /// When the log cannot take the change.
    pub async fn take_subscriptions(
        &self,
        session: &Arc<Session>,
        pattern: Option<&str>,
    ) -> Result<Vec<Arc<str>>, Refusal> {
        let held: Vec<Arc<str>> = session.lock().subscriptions.iter().map(|s| Arc::clone(&s.pattern)).collect();
        let names: Vec<Arc<str>> = held.into_iter().filter(|own| pattern.is_none_or(|p| **own == *p)).collect();
        if !names.is_empty() {
            self.remove_subscriptions(session, &names).await?;
        }
        Ok(names)
    }
}

fn unavailable() -> Refusal {
    Refusal::Invalid(ProtocolError::EngineUnavailable)
}
