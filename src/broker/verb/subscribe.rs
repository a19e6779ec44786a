//! `/meta/subscribe`: asks for channels, one or many, all or nothing. Subscribing again changes nothing.

use crate::{
    bayeux::{ChannelKind, Message, Pattern, ProtocolError, Reply, Seq, channel},
    broker::{
        Broker, Caller, Happening, Session,
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
        self.add_subscriptions(&session, patterns).await
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

    async fn add_subscriptions(&self, session: &Arc<Session>, patterns: Vec<Arc<str>>) -> Result<(), ProtocolError> {
        let lane = self.lane(session.lane);
        let newest = || self.engine().newest();
        let (new, saving) = {
            let mut state = session.lock();
            let new = state.missing(&patterns);
            if new.is_empty() {
                return Ok(());
            }
            if state.subscriptions.len() + new.len() > self.settings().max_subscriptions {
                return Err(ProtocolError::TooManySubscriptions);
            }
            state.begin(&new, newest());
            let saving = self.save(session, &state);
            (new, saving)
        };
        // Positions in the index may be newer than in the record by what arrives meanwhile: nobody was promised that.
        lane.subscribe(session, &new, newest);
        let saved = saving.await;
        let mut state = session.lock();
        if state.ended.is_none() && saved.is_ok() {
            drop(state);
            self.tell(session, &Happening::Subscribed(new));
            return Ok(());
        }
        state.subscriptions.retain(|s| !new.contains(&s.pattern));
        drop(state);
        lane.unsubscribe(session, &new);
        let unknown = || ProtocolError::SessionUnknown(self.settings().unknown_session_error.clone().into());
        Err(saved.map_or(ProtocolError::EngineUnavailable, |()| unknown()))
    }
}

impl State {
    fn missing(&self, patterns: &[Arc<str>]) -> Vec<Arc<str>> {
        let mut new: Vec<Arc<str>> = Vec::new();
        for pattern in patterns {
            if !self.subscriptions.iter().any(|s| s.pattern == *pattern) && !new.contains(pattern) {
                new.push(Arc::clone(pattern));
            }
        }
        new
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
