//! `/meta/unsubscribe`: gives channels back. Succeeds for every valid name, whether it was held or not.

use super::subscribe::echo_subscription;
use crate::{
    bayeux::{Message, Pattern, ProtocolError, Reply},
    broker::{Broker, Caller, Happening, Session, session::Subscription},
    engine::EngineError,
};
use std::sync::Arc;

impl Broker {
    /// Handles an unsubscribe.
    pub async fn unsubscribe(&self, caller: &Caller, message: &Message<'_>) -> Reply {
        let reply = match self.try_unsubscribe(caller, message).await {
            Ok(()) => Reply::to(message),
            Err(error) => self.refuse_unknown(message, error),
        };
        echo_subscription(reply, message)
    }

    async fn try_unsubscribe(&self, caller: &Caller, message: &Message<'_>) -> Result<(), ProtocolError> {
        if let Some(fault) = &message.fault {
            return Err(fault.clone());
        }
        let session = self.session(caller, message).await?;
        self.touch(&session);
        let names = message.subscriptions()?;
        if names.iter().any(|name| Pattern::parse(name, self.channel_limits()).is_none()) {
            return Err(ProtocolError::SubscriptionInvalid);
        }
        self.remove_subscriptions(&session, &names).await
    }

    /// Takes subscriptions from a session; those it does not hold change nothing.
    ///
    /// # Errors
    /// When the change cannot be recorded.
    pub(in crate::broker) async fn remove_subscriptions(
        &self,
        session: &Arc<Session>,
        names: &[impl AsRef<str>],
    ) -> Result<(), ProtocolError> {
        // What was published before must still arrive: the lane goes on reading until here first.
        self.lane(session.lane).caught_up(self.engine().newest()).await;
        let mut session = Arc::clone(session);
        loop {
            let done = self.remove_now(&session, names).await;
            match self.successor(&session).await {
                Some(successor) => session = successor,
                None => return done.map_err(|_| ProtocolError::EngineUnavailable),
            }
        }
    }

    async fn remove_now(&self, session: &Arc<Session>, names: &[impl AsRef<str>]) -> Result<(), EngineError> {
        self.lane(session.lane).unsubscribe(session, names);
        let removed: Vec<_> = {
            let mut state = session.lock();
            let is_named = |s: &mut Subscription| names.iter().any(|name| *name.as_ref() == *s.pattern);
            let removed: Vec<_> = state.subscriptions.extract_if(.., is_named).map(|s| s.pattern).collect();
            state.changes.0 += u64::from(!removed.is_empty());
            removed
        };
        if !removed.is_empty() {
            self.tell(session, &Happening::Unsubscribed(removed));
        }
        self.save_changes(session).await
    }
}
