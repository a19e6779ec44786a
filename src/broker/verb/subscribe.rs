//! `/meta/subscribe`: asks for channels, one or many, all or nothing. Subscribing again changes nothing.

use crate::{
    bayeux::{ChannelKind, Message, Pattern, ProtocolError, Reply, Seq, channel},
    broker::{
        Begin, Broker, Caller, End, Happening, Session,
        session::{State, Subscription},
    },
};
use serde_json::value::RawValue;
use std::{borrow::Cow, sync::Arc};

impl Broker {
    /// Handles a subscribe.
    pub async fn subscribe(&self, caller: &Caller, message: &Message<'_>) -> Reply {
        let reply = match self.try_subscribe(caller, message).await {
            Ok(()) => Reply::to(message),
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
        let mut session = session;
        loop {
            let done = self.add_subscriptions(&session, &begins).await;
            match self.successor(&session).await {
                Some(successor) => session = successor,
                None => return done,
            }
        }
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

    /// The patterns that lead to broadcast channels; service channels are accepted and mean nothing.
    fn subscribable(&self, names: &[Cow<'_, str>]) -> Result<Vec<Arc<str>>, ProtocolError> {
        let mut patterns = Vec::with_capacity(names.len());
        for name in names {
            Pattern::parse(name, self.channel_limits()).ok_or(ProtocolError::SubscriptionInvalid)?;
            match channel::kind(name) {
                ChannelKind::Meta => return Err(ProtocolError::ChannelDenied),
                ChannelKind::Service => {}
                ChannelKind::Broadcast => patterns.push(Arc::from(&**name)),
            }
        }
        Ok(patterns)
    }

    async fn add_subscriptions(
        &self,
        session: &Arc<Session>,
        asked: &[(Arc<str>, Begin)],
    ) -> Result<(), ProtocolError> {
        let lane = self.lane(session.lane);
        let new = session.lock().missing(asked, self.settings().max_subscriptions)?;
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
            if !replayed.iter().all(|pattern| session.lock().holds(pattern)) {
                return Err(ProtocolError::EngineUnavailable);
            }
        }
        live.append(&mut replayed);
        self.keep_subscriptions(session, live).await
    }

    /// Puts new subscriptions into the record; those that cannot be kept are taken back.
    async fn keep_subscriptions(&self, session: &Arc<Session>, new: Vec<Arc<str>>) -> Result<(), ProtocolError> {
        let saved = self.save_changes(session).await;
        let mut state = session.lock();
        if state.ended.is_none() && saved.is_ok() {
            drop(state);
            if !new.is_empty() {
                self.tell(session, &Happening::Subscribed(new));
            }
            return Ok(());
        }
        // What goes on in the place of a session whose lane failed keeps what it held.
        if state.ended != Some(End::LaneLost) {
            state.subscriptions.retain(|s| !new.contains(&s.pattern));
            state.changes.0 += 1;
            drop(state);
            self.lane(session.lane).unsubscribe(session, &new);
        }
        Err(saved.map_or(ProtocolError::EngineUnavailable, |()| self.session_unknown()))
    }

    /// The session that goes on in the place of this one, if its lane failed: what was done with this one must be done
    /// once more.
    pub(in crate::broker) async fn successor(&self, session: &Arc<Session>) -> Option<Arc<Session>> {
        if session.lock().ended != Some(End::LaneLost) {
            return None;
        }
        for _ in 0..TRIES {
            let there = self.sessions().get(session.id)?;
            if !Arc::ptr_eq(&there, session) {
                return Some(there);
            }
            tokio::task::yield_now().await;
        }
        None
    }

    fn session_unknown(&self) -> ProtocolError {
        ProtocolError::SessionUnknown(self.settings().unknown_session_error.clone().into())
    }
}

/// How often it is looked for the session that is about to take another's place.
const TRIES: usize = 100;

impl State {
    /// What of this it does not hold yet.
    fn missing(&self, asked: &[(Arc<str>, Begin)], most: usize) -> Result<Vec<(Arc<str>, Begin)>, ProtocolError> {
        let mut new: Vec<(Arc<str>, Begin)> = Vec::new();
        for (pattern, begin) in asked {
            if !self.holds(pattern) && !new.iter().any(|(known, _)| known == pattern) {
                new.push((Arc::clone(pattern), *begin));
            }
        }
        if self.subscriptions.len() + new.len() > most && !new.is_empty() {
            return Err(ProtocolError::TooManySubscriptions);
        }
        Ok(new)
    }

    /// Whether it asked for exactly this.
    fn holds(&self, pattern: &Arc<str>) -> bool {
        self.subscriptions.iter().any(|s| s.pattern == *pattern)
    }

    fn begin(&mut self, patterns: &[Arc<str>], since: Seq) {
        self.changes.0 += u64::from(!patterns.is_empty());
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
