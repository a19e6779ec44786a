//! Publishing: a message to a broadcast channel gets its place in the log; one to a service channel is acknowledged.
//!
//! A run of publishes in one request is appended together, so that an engine that writes to disk writes once.

use crate::{
    bayeux::{ChannelKind, Message, ProtocolError, Reply, channel, text::text},
    broker::{Asking, Broker, Call, Caller, Denial, wall_clock_ms},
    engine::Draft,
};
use serde_json::value::RawValue;
use std::borrow::Cow;

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
                    let draft_is_once = draft.key.is_some();
                    drafts.push(draft);
                    appended.push((replies.len(), draft_is_once));
                    replies.push(Reply::to(message));
                }
                Verdict::Acknowledge => replies.push(Reply::to(message)),
                Verdict::Refuse(error) => replies.push(Reply::refuse(message, error)),
            }
        }
        if !drafts.is_empty() {
            self.append_for(drafts, &appended, &mut replies).await;
        }
        replies
    }

    /// Appends what may be; `appended` says to which replies it belongs, and whether they tell where it went.
    async fn append_for(&self, drafts: Vec<Draft>, appended: &[(usize, bool)], replies: &mut [Reply]) {
        match self.append(drafts).await {
            Ok(places) => {
                for (&(reply, _), place) in appended.iter().zip(places).filter(|((_, tells), _)| *tells) {
                    let told = format!("{{\"position\":{},\"repeated\":{}}}", place.seq, place.repeated);
                    replies[reply].ext.push((IDEMPOTENCY, told));
                }
            }
            Err(error) => {
                // Whoever publishes is told; the engine logs and counts what it means.
                tracing::debug!(%error, "publishes were refused");
                for &(reply, _) in appended {
                    replies[reply].error = Some(ProtocolError::EngineUnavailable);
                }
            }
        }
    }

    async fn judge(&self, caller: &Caller, message: &Message<'_>, now_ms: u64) -> Verdict {
        if message.fault.is_none() && message.client_id.is_some() && self.policy().is_refresh(&message.channel) {
            return Box::pin(self.refresh(caller, message, now_ms))
                .await
                .map_or_else(Verdict::Refuse, |()| Verdict::Acknowledge);
        }
        match self.check(caller, message).await {
            Err(error) => Verdict::Refuse(error),
            Ok(Allowed { asking, data, key }) => match channel::kind(&message.channel) {
                ChannelKind::Meta => Verdict::Refuse(ProtocolError::ChannelDenied),
                ChannelKind::Service => {
                    if let Some(session) = asking.session {
                        let id = message.id.map(ToOwned::to_owned);
                        let ext = self.travelling_ext(message);
                        let channel = message.channel.clone().into();
                        let call = Call { asking, channel, id, data: data.into_owned(), ext };
                        self.call_service(session, call);
                    }
                    Verdict::Acknowledge
                }
                ChannelKind::Broadcast => {
                    let ext = self.travelling_ext(message);
                    let draft = Draft::new(&message.channel, &data, ext.as_deref(), now_ms).from(asking.session);
                    Verdict::Append(match key {
                        Some(key) => draft.once(asking.who.scoped(&message.channel, &key)),
                        None => draft,
                    })
                }
            },
        }
    }

    /// The members of `ext` that go on to receivers as they came; everything else a publisher says stays here.
    fn travelling_ext(&self, message: &Message<'_>) -> Option<String> {
        message.ext?;
        let names = self.extensions().iter().filter_map(|e| e.travelling());
        let own = |name| message.ext_member(name).filter(|raw| raw.get() != "null").map(|raw| (name, raw));
        let members: Vec<_> = names.filter_map(own).map(|(name, raw)| format!("\"{name}\":{}", raw.get())).collect();
        (!members.is_empty()).then(|| format!("{{{}}}", members.join(",")))
    }

    /// Whether the message may be published, by whom, and with which data.
    async fn check<'m>(&self, caller: &Caller, message: &Message<'m>) -> Result<Allowed<'m>, ProtocolError> {
        if let Some(fault) = &message.fault {
            return Err(fault.clone());
        }
        if !channel::is_publishable(&message.channel, self.channel_limits()) {
            return Err(ProtocolError::ChannelInvalid);
        }
        let data = message.data.ok_or_else(|| ProtocolError::malformed("data", "missing"))?;
        let denied = |denial: Denial| denial.error(ProtocolError::PublishDenied);
        let asking = if message.client_id.is_none() {
            let who = self.policy().identify(caller.credentials.as_ref(), message.ext).await.map_err(denied)?;
            caller.asking(who, None)
        } else {
            let session = self.session(caller, message).await?;
            self.touch(&session);
            caller.asking(session.identity(), Some(session.id))
        };
        let other = self.policy().may_publish(&asking, &message.channel, data).await.map_err(denied)?;
        let key = idempotency_key(message)?;
        Ok(Allowed { asking, data: other.map_or(Cow::Borrowed(data), Cow::Owned), key })
    }
}

/// A publish that may take effect.
struct Allowed<'m> {
    asking: Asking,
    data: Cow<'m, RawValue>,
    /// The name by which a second sending of it is known.
    key: Option<Cow<'m, str>>,
}

/// The `ext` member that names a publish, so that it can be sent again without harm.
const IDEMPOTENCY: &str = "idempotency";
/// Longest such name, in bytes.
const MAX_KEY: usize = 255;

fn idempotency_key<'m>(message: &Message<'m>) -> Result<Option<Cow<'m, str>>, ProtocolError> {
    let Some(raw) = message.ext_member(IDEMPOTENCY) else { return Ok(None) };
    let key = text(raw.get()).filter(|key| !key.is_empty() && key.len() <= MAX_KEY);
    let wrong = || ProtocolError::malformed("ext.idempotency", "must be a string of 1 to 255 bytes");
    key.map(Some).ok_or_else(wrong)
}
