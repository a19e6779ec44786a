//! A session shows a new token: what it publishes to the policy's refresh channel makes it belong to the same user for
//! longer. Its subscriptions and what waits for it stay.
//!
//! Called by the publish verb. The data is read by the policy alone and goes nowhere else.

use crate::{
    bayeux::{Message, ProtocolError},
    broker::{Broker, Caller, Denial, Identity, Session},
    engine::Draft,
};
use serde_json::value::RawValue;
use std::sync::Arc;

impl Broker {
    /// Renews the identity of the message's session.
    pub(super) async fn refresh(
        &self,
        caller: &Caller,
        message: &Message<'_>,
        now_ms: u64,
    ) -> Result<(), ProtocolError> {
        let data = message.data.ok_or_else(|| ProtocolError::malformed("data", "missing"))?;
        let session = self.session(caller, message).await?;
        self.touch(&session);
        let (who, held) = {
            let state = session.lock();
            let held = state.subscriptions.iter().map(|s| Arc::clone(&s.pattern)).collect();
            (Arc::clone(&state.identity), held)
        };
        let asking = caller.asking(who, Some(session.id));
        let renewed = Arc::clone(self.policy()).refresh(&asking, held, data).await;
        let who = renewed.map_err(|denial: Denial| denial.error(ProtocolError::PublishDenied))?;
        self.renew(&session, Arc::clone(&who)).await?;
        self.tell_refreshed(&session, message, &who, now_ms).await
    }

    async fn renew(&self, session: &Arc<Session>, who: Arc<Identity>) -> Result<(), ProtocolError> {
        let saving = {
            let mut state = session.lock();
            state.identity = who;
            self.save(session, &state)
        };
        saving.await.map_err(|_| ProtocolError::EngineUnavailable)
    }

    /// The answer to whoever made a service call of it: until when the new identity lasts.
    async fn tell_refreshed(
        &self,
        session: &Arc<Session>,
        message: &Message<'_>,
        who: &Identity,
        now_ms: u64,
    ) -> Result<(), ProtocolError> {
        let expires = who.expires_ms.map_or_else(|| "null".to_owned(), |at| at.to_string());
        let data = RawValue::from_string(format!("{{\"expires\":{expires}}}"));
        let data = data.map_err(|_| ProtocolError::EngineUnavailable)?;
        let answer = Draft::answer(&message.channel, message.id, &Ok(data), None, now_ms).to(session.id);
        self.append(vec![answer]).await.map(drop).map_err(|_| ProtocolError::EngineUnavailable)
    }
}
