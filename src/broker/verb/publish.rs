//! Publishing: a message to a broadcast channel gets its place in the log; one to a service channel is acknowledged.
//!
//! A run of publishes in one request is appended together, so that an engine that writes to disk writes once.

use crate::{
    bayeux::{ChannelKind, ClientId, Message, ProtocolError, Reply, channel},
    broker::{Broker, Caller, wall_clock_ms},
    engine::Draft,
};

/// What becomes of one message of a run.
enum Verdict {
    Append(Draft),
    Acknowledge,
    Refuse(ProtocolError),
}

impl Broker {
    /// Handles consecutive publishes; the replies are in the same order.
    pub async fn publish(&self, caller: &Caller, messages: &[&Message<'_>]) -> Vec<Reply> {
        let now_ms = wall_clock_ms();
        let mut drafts = Vec::with_capacity(messages.len());
        let mut replies = Vec::with_capacity(messages.len());
        let mut appended = Vec::with_capacity(messages.len());
        for message in messages {
            match self.judge(caller, message, now_ms).await {
                Verdict::Append(draft) => {
                    drafts.push(draft);
                    appended.push(replies.len());
                    replies.push(Reply::to(message));
                }
                Verdict::Acknowledge => replies.push(Reply::to(message)),
                Verdict::Refuse(error) => replies.push(Reply::refuse(message, error)),
            }
        }
        if !drafts.is_empty()
            && let Err(error) = self.append(drafts).await
        {
            tracing::warn!(%error, "publishes were refused");
            for place in appended {
                replies[place].error = Some(ProtocolError::EngineUnavailable);
            }
        }
        replies
    }

    async fn judge(&self, caller: &Caller, message: &Message<'_>, now_ms: u64) -> Verdict {
        match self.check(caller, message).await {
            Err(error) => Verdict::Refuse(error),
            Ok(publisher) => match (channel::kind(&message.channel), message.data) {
                (_, None) => Verdict::Refuse(ProtocolError::malformed("data", "missing")),
                (ChannelKind::Meta, _) => Verdict::Refuse(ProtocolError::ChannelDenied),
                (ChannelKind::Service, _) => Verdict::Acknowledge,
                (ChannelKind::Broadcast, Some(data)) => {
                    let ext = travelling_ext(message);
                    Verdict::Append(Draft::new(&message.channel, data, ext.as_deref(), now_ms).from(publisher))
                }
            },
        }
    }

    /// Whether the message may be published, and by which session; `None` is a publish without one.
    async fn check(&self, caller: &Caller, message: &Message<'_>) -> Result<Option<ClientId>, ProtocolError> {
        if let Some(fault) = &message.fault {
            return Err(fault.clone());
        }
        if !channel::is_publishable(&message.channel, self.channel_limits()) {
            return Err(ProtocolError::ChannelInvalid);
        }
        if message.data.is_none() {
            return Err(ProtocolError::malformed("data", "missing"));
        }
        if message.client_id.is_none() {
            return Ok(None);
        }
        let session = self.session(caller, message).await?;
        self.touch(&session);
        Ok(Some(session.id))
    }
}

/// The `ext` members that go on to subscribers as they came; everything else a publisher says stays here.
const TRAVELLING_EXT: [&str; 1] = ["binary"];

fn travelling_ext(message: &Message<'_>) -> Option<String> {
    let [name] = TRAVELLING_EXT;
    message.ext_member(name).map(|raw| format!("{{\"{name}\":{}}}", raw.get()))
}
