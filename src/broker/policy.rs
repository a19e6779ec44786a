//! Who may do what: the questions that the verbs ask before anything takes effect.
//!
//! The trait is here, the answers are in rooms above; the server decides who answers. Without a policy everyone may do
//! everything ([`Open`]). Nothing here knows a header's meaning, a token or a rule.

use crate::{
    bayeux::{ClientId, ProtocolError},
    engine::Answer,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};
use std::{net::IpAddr, sync::Arc, time::Duration};

/// Who somebody is, as far as it was proved.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(default)]
pub struct Identity {
    /// The user, when there is one: the `sub` of a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Arc<str>>,
    /// The name of the API key that was shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Arc<str>>,
    /// The token's own id (`jti`), by which it can be revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Arc<str>>,
    /// When it ends: the wall clock in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
    /// Everything the token says.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub claims: Map<String, Value>,
}

impl Identity {
    /// Whether nothing was proved.
    pub fn is_anonymous(&self) -> bool {
        self.user.is_none() && self.key.is_none()
    }

    /// An idempotency key that nobody else's can meet.
    pub fn scoped(&self, channel: &str, key: &str) -> Arc<str> {
        let part = |name: &Option<Arc<str>>| name.as_deref().unwrap_or_default().to_owned();
        format!("{}\n{}\n{channel}\n{key}", part(&self.user), part(&self.key)).into()
    }

    /// Whether the two are the same somebody; tokens may differ.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.user == other.user && self.key == other.key
    }
}

/// The headers of a request that the policy asked to see. Never logged.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials(pub Vec<(Arc<str>, String)>);

impl Credentials {
    /// The value of a header by its lower-case name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| **own == *name).map(|(_, value)| value.as_str())
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// Why something may not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// Credentials are needed, or were not accepted, with the reason.
    NotAuthenticated(String),
    /// It is not allowed, with the reason.
    Denied(String),
    /// It is not allowed now, with the reason; after this time it may be.
    NotNow(String, Duration),
    /// Too often; try again after this.
    RateLimited(Duration),
    /// Whoever decides cannot be asked now.
    Unavailable,
}

/// Who asks, and from where.
#[derive(Clone, Debug)]
pub struct Asking {
    /// Who it is.
    pub who: Arc<Identity>,
    /// The session it speaks for, when there is one already.
    pub session: Option<ClientId>,
    /// The address the request came from.
    pub peer: Option<IpAddr>,
    /// The headers the policy asked to see, when the request had any.
    pub credentials: Option<Arc<Credentials>>,
}

/// Decides who may do what. Questions are asked in the order of a session's life; each may take time.
pub trait Policy: Send + Sync + 'static {
    /// The policy around which this one is put: it answers what this one says nothing of.
    fn inner(&self) -> Option<&Arc<dyn Policy>> {
        None
    }

    /// The request headers it wants to see, in lower case. Asked once.
    fn headers(&self) -> Vec<Arc<str>> {
        self.inner().map_or_else(Vec::new, |inner| inner.headers())
    }

    /// Who sends a request, by its headers and, at a handshake or a publish without a session, by its `ext`.
    fn identify(
        &self,
        credentials: Option<&Arc<Credentials>>,
        ext: Option<&RawValue>,
    ) -> Answer<Result<Arc<Identity>, Denial>>;

    /// May it have a session? `ext` is what its handshake carried.
    fn may_handshake(&self, asking: &Asking, ext: Option<&RawValue>) -> Answer<Result<(), Denial>>;

    /// May it receive everything that the pattern matches?
    fn may_subscribe(&self, asking: &Asking, pattern: &str) -> Answer<Result<(), Denial>>;

    /// May it publish this? An answer may hold other data to publish instead. Asked for service channels, too.
    fn may_publish(
        &self,
        asking: &Asking,
        channel: &str,
        data: &RawValue,
    ) -> Answer<Result<Option<Box<RawValue>>, Denial>>;

    /// May it look at what belongs to others and change it: sessions, channels, history? `channel` is what the call is
    /// about, when it is about one. Nobody may unless the policy says so.
    fn may_administer(&self, asking: &Asking, channel: Option<&str>) -> Answer<Result<(), Denial>> {
        match self.inner() {
            Some(inner) => inner.may_administer(asking, channel),
            None => Answer::Now(Err(Denial::Denied("no rule allows it".into()))),
        }
    }

    /// Whether what somebody has shown counts no more: it expired or was revoked. The session ends then. Asked with locks
    /// held: must answer at once.
    fn is_over(&self, who: &Identity, now_ms: u64) -> bool {
        match self.inner() {
            Some(inner) => inner.is_over(who, now_ms),
            None => who.expires_ms.is_some_and(|at| at <= now_ms),
        }
    }

    /// Whether a session that was made before a restart may go on and hold what it does: the policy may be another one now.
    /// Asked for every session at the start: must answer at once.
    fn may_resume(&self, who: &Identity, held: &[&str]) -> bool {
        self.inner().is_none_or(|inner| inner.may_resume(who, held))
    }

    /// Whether publishing to this channel shows a new proof of who the session belongs to.
    fn is_refresh(&self, channel: &str) -> bool {
        self.inner().is_some_and(|inner| inner.is_refresh(channel))
    }

    /// Who a session belongs to from now on, by what it published to such a channel; `held` is what it subscribed to.
    fn refresh(
        self: Arc<Self>,
        asking: &Asking,
        held: Vec<Arc<str>>,
        data: &RawValue,
    ) -> Answer<Result<Arc<Identity>, Denial>> {
        match self.inner() {
            Some(inner) => Arc::clone(inner).refresh(asking, held, data),
            None => Answer::Now(Err(Denial::Denied("nothing can be refreshed".into()))),
        }
    }

    /// Makes a token, or the tokens that a user has now, count no more; for a while, as they expire by themselves. What it
    /// gives is told with [`Policy::revoked_before`] after a restart.
    ///
    /// # Errors
    /// When that cannot be done.
    fn revoke(&self, what: Revocation, lasting: Option<Duration>, now_ms: u64) -> Result<Revoked, Denial> {
        match self.inner() {
            Some(inner) => inner.revoke(what, lasting, now_ms),
            None => Err(Denial::Denied("nothing can be revoked".into())),
        }
    }

    /// This was revoked before a restart.
    fn revoked_before(&self, revoked: Revoked) {
        if let Some(inner) = self.inner() {
            inner.revoked_before(revoked);
        }
    }

    /// The user that claims name, to explain what somebody with these claims could do.
    fn user_of(&self, claims: &Map<String, Value>) -> Option<Arc<str>> {
        match self.inner() {
            Some(inner) => inner.user_of(claims),
            None => claims.get("sub").and_then(Value::as_str).map(Into::into),
        }
    }

    /// What would be decided if this identity asked for an action (`publish`, `subscribe`, `handshake`, `service`,
    /// `api`), and why. Nothing takes effect, nothing is counted.
    fn explain(&self, who: &Identity, action: &str, channel: Option<&str>) -> Explanation {
        match self.inner() {
            Some(inner) => inner.explain(who, action, channel),
            None => Explanation { allowed: false, rule: None, reason: "this policy does not explain itself".into() },
        }
    }
}

/// What counts no more.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, Hash)]
#[serde(rename_all = "lowercase")]
pub enum Revocation {
    /// The token with this id (`jti`).
    Token(Arc<str>),
    /// What this user has shown until now.
    User(Arc<str>),
}

/// A revocation that was made.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct Revoked {
    /// What counts no more.
    #[serde(rename = "revoked")]
    pub what: Revocation,
    /// When that was said, in milliseconds since 1970.
    pub made_ms: u64,
    /// When it need not be remembered any longer.
    pub until_ms: u64,
}

/// Why something is allowed or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What would be decided.
    pub allowed: bool,
    /// The rule that decides, as the configuration names it; `None` when no rule does.
    pub rule: Option<String>,
    /// The reason, for people.
    pub reason: String,
}

/// Everyone may do everything.
#[derive(Debug, Default)]
pub struct Open;

impl Policy for Open {
    fn identify(&self, _: Option<&Arc<Credentials>>, _: Option<&RawValue>) -> Answer<Result<Arc<Identity>, Denial>> {
        Answer::Now(Ok(Arc::default()))
    }

    fn may_handshake(&self, _: &Asking, _: Option<&RawValue>) -> Answer<Result<(), Denial>> {
        Answer::Now(Ok(()))
    }

    fn may_subscribe(&self, _: &Asking, _: &str) -> Answer<Result<(), Denial>> {
        Answer::Now(Ok(()))
    }

    fn may_publish(&self, _: &Asking, _: &str, _: &RawValue) -> Answer<Result<Option<Box<RawValue>>, Denial>> {
        Answer::Now(Ok(None))
    }

    fn may_administer(&self, _: &Asking, _: Option<&str>) -> Answer<Result<(), Denial>> {
        Answer::Now(Ok(()))
    }

    fn explain(&self, _: &Identity, _: &str, _: Option<&str>) -> Explanation {
        let reason = "there are no rules: everyone may do everything".into();
        Explanation { allowed: true, rule: None, reason }
    }
}

impl Denial {
    /// What the peer is told; `denied` makes the error of the verb from a reason.
    pub(crate) fn error(self, denied: impl FnOnce(std::borrow::Cow<'static, str>) -> ProtocolError) -> ProtocolError {
        match self {
            Self::NotAuthenticated(reason) => ProtocolError::NotAuthenticated(reason.into()),
            Self::Denied(reason) | Self::NotNow(reason, _) => denied(reason.into()),
            Self::RateLimited(wait) => ProtocolError::RateLimited(Some(wait)),
            Self::Unavailable => ProtocolError::PolicyUnavailable,
        }
    }
}
