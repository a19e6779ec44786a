//! `/meta/subscribe`: asks for channels, one or many, all or nothing. Subscribing again changes nothing.

use crate::{
    bayeux::{ChannelKind, ClientId, Message, Pattern, ProtocolError, Reply, Seq, channel},
    broker::{
        Begin, Broker, Caller, Happening, Session,
        session::{State, Subscription},
    },
};
use serde_json::value::RawValue;
use std::{borrow::Cow, collections::HashSet, sync::Arc, time::Duration};

impl Broker {
    /// Handles a subscribe.
    pub async fn subscribe(&self, caller: &Caller, message: &Message<'_>) -> Reply {
        let reply = match self.try_subscribe(caller, message).await {
            Ok(()) => Reply::to(message),
            Err(ProtocolError::RateLimited(Some(wait))) => self.refuse_for_now(message, wait),
            Err(error) => self.refuse_unknown(message, error),
        };
        echo_subscription(reply, message)
    }

    async fn try_subscribe(&self, caller: &Caller, message: &Message<'_>) -> Result<(), ProtocolError> {
        if let Some(fault) = &message.fault {
            return Err(fault.clone());
        }
        let session = self.session(caller, message).await?;
        self.touch(&session);
        let names = message.subscriptions()?;
        let patterns = self.subscribable(&names)?;
        let asking = caller.asking(session.identity(), Some(session.id));
        for pattern in &patterns {
            let allowed = self.policy().may_subscribe(&asking, pattern).await;
            allowed.map_err(|denial| denial.error(ProtocolError::SubscribeDenied))?;
        }
        let mut begins = Vec::with_capacity(patterns.len());
        for pattern in patterns {
            let begin = self.beginning(message, &pattern)?;
            begins.push((pattern, begin));
        }
        self.add_subscriptions(&session, begins).await
    }

    /// Too often: the advice says how long to wait. As clients pause between connects, too, for as long as advice tells
    /// them, the next connect tells them the normal one again.
    fn refuse_for_now(&self, message: &Message<'_>, wait: Duration) -> Reply {
        let session = message.client_id.as_deref().and_then(ClientId::parse).and_then(|id| self.sessions().get(id));
        if let Some(session) = session {
            let mut state = session.lock();
            let advised = state.advised.as_mut();
            advised.into_iter().for_each(|(_, advice)| *advice = advice.after(wait));
            state.deadline += wait;
        }
        let reply = Reply::refuse(message, ProtocolError::RateLimited(None));
        reply.advise(self.advice().after(wait.max(Duration::from_millis(1))))
    }

    /// Where a subscription begins: with what is published from now on, unless an extension says otherwise.
    fn beginning(&self, message: &Message<'_>, pattern: &str) -> Result<Begin, ProtocolError> {
        for extension in self.extensions() {
            if let Some(begin) = extension.beginning(message, pattern)? {
                return Ok(begin);
            }
        }
        Ok(Begin::Live)
    }

    /// The patterns that lead to broadcast channels, each once; service channels are accepted and mean nothing. More than a
    /// session may hold are refused before anybody is asked about them.
    fn subscribable(&self, names: &[Cow<'_, str>]) -> Result<Vec<Arc<str>>, ProtocolError> {
        let mut patterns = Vec::new();
        // Chosen by the peer, so hashed with the hasher that withstands that.
        let mut seen = HashSet::new();
        for name in names.iter().filter(|name| seen.insert(&***name)) {
            Pattern::parse(name, self.channel_limits()).ok_or(ProtocolError::SubscriptionInvalid)?;
            match channel::kind(name) {
                ChannelKind::Meta => return Err(ProtocolError::ChannelDenied),
                ChannelKind::Service => {}
                ChannelKind::Broadcast => patterns.push(Arc::from(&**name)),
            }
            if patterns.len() > self.settings().max_subscriptions {
                return Err(ProtocolError::TooManySubscriptions);
            }
        }
        Ok(patterns)
    }

    async fn add_subscriptions(
        &self,
        session: &Arc<Session>,
        asked: Vec<(Arc<str>, Begin)>,
    ) -> Result<(), ProtocolError> {
        let lane = self.lane(session.lane);
        let new = session.lock().missing(asked, self.settings().max_subscriptions)?;
        if new.is_empty() {
            return Ok(());
        }
        let (mut live, mut replayed, mut entries) = (Vec::new(), Vec::new(), Vec::new());
        for (pattern, begin) in new {
            let drafts = self.plan_replay(session, &pattern, begin).await?;
            if drafts.is_empty() {
                live.push(pattern)
            } else {
                replayed.push(pattern)
            }
            entries.extend(drafts);
        }
        let newest = || self.engine().newest();
        session.lock().begin(&live, newest());
        // Positions in the index may be newer than in the record by what arrives meanwhile: nobody was promised that.
        lane.subscribe(session, &live, newest);
        if !entries.is_empty() {
            let places = self.append(entries).await.map_err(|_| ProtocolError::EngineUnavailable)?;
            // The lane begins these when it reads the entries.
            lane.caught_up(places.last().map_or(0, |place| place.seq)).await;
        }
        live.append(&mut replayed);
        self.keep_subscriptions(session, live).await
    }

    /// Puts new subscriptions into the record; those that cannot be kept are taken back.
    async fn keep_subscriptions(&self, session: &Arc<Session>, new: Vec<Arc<str>>) -> Result<(), ProtocolError> {
        let saving = {
            let state = session.lock();
            self.save(session, &state)
        };
        let saved = saving.await;
        let mut state = session.lock();
        if state.ended.is_none() && saved.is_ok() {
            drop(state);
            self.tell(session, &Happening::Subscribed(new));
            return Ok(());
        }
        state.subscriptions.retain(|s| !new.contains(&s.pattern));
        drop(state);
        self.lane(session.lane).unsubscribe(session, &new);
        let unknown = || ProtocolError::SessionUnknown(self.settings().unknown_session_error.clone().into());
        Err(saved.map_or(ProtocolError::EngineUnavailable, |()| unknown()))
    }
}

impl State {
    /// What of this it does not hold yet.
    fn missing(&self, asked: Vec<(Arc<str>, Begin)>, most: usize) -> Result<Vec<(Arc<str>, Begin)>, ProtocolError> {
        let mut new: Vec<(Arc<str>, Begin)> = Vec::new();
        for (pattern, begin) in asked {
            let held = self.subscriptions.iter().any(|s| s.pattern == pattern);
            if !held && !new.iter().any(|(known, _)| *known == pattern) {
                new.push((pattern, begin));
            }
        }
        if self.subscriptions.len() + new.len() > most && !new.is_empty() {
            return Err(ProtocolError::TooManySubscriptions);
        }
        Ok(new)
    }

    fn begin(&mut self, patterns: &[Arc<str>], since: Seq) {
        self.subscriptions.extend(patterns.iter().map(|p| Subscription { pattern: Arc::clone(p), since }));
    }
}

/// Every subscribe and unsubscribe reply says what was asked, in the shape it came; some clients crash without.
pub(super) fn echo_subscription(mut reply: Reply, message: &Message<'_>) -> Reply {
    reply.subscription = match message.subscription {
        Some(raw) => Some(raw.to_owned()),
        None => RawValue::from_string("\"\"".into()).ok(),
    };
    reply
}
