//! The policy: who somebody is by keys and tokens, what they may do by rules, and when that ends.
//!
//! Built by the server, asked by the verbs. Answers at once unless keys of an issuer must be fetched first.

use super::{
    Plan,
    judge::{Judge, user_of},
    jwks::Fetch,
    jwt::Tokens,
    revocation::Revocations,
    rule::Action,
    source::{Shown, shown},
};
use crate::{
    bayeux::{ChannelKind, channel},
    broker::{Asking, Credentials, Denial, Explanation, Identity, Policy, Revocation, Revoked, wall_clock_ms},
    engine::Answer,
};
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};
use std::{sync::Arc, time::Duration};

/// Where a session shows a new token for the same user.
pub const REFRESH: &str = "/service/refresh";

/// Keys, tokens and rules.
pub struct Access {
    judge: Judge,
    tokens: Option<Arc<Tokens>>,
    revoked: Arc<Revocations>,
    cookies: Vec<String>,
    user_claims: Vec<String>,
    most: usize,
}

impl Access {
    /// The policy of a plan; secrets and keys that it names are read now.
    ///
    /// # Errors
    /// What cannot be read or used.
    pub fn new(plan: &Plan, fetch: &Arc<dyn Fetch>) -> Result<Self, String> {
        let judge = Judge::new(plan)?;
        if !judge.ever_allows(Action::Handshake) {
            tracing::warn!("no rule allows a handshake: nobody can have a session");
        }
        let tokens = match plan.jwts.as_slice() {
            [] => None,
            issuers => Some(Arc::new(Tokens::new(&plan.common, issuers, fetch)?)),
        };
        Ok(Self {
            judge,
            tokens,
            revoked: Arc::new(Revocations::new(plan.common.max_revocations, plan.common.revocation_time)),
            cookies: plan.jwts.iter().filter_map(|jwt| jwt.cookie.clone()).collect(),
            user_claims: plan.user_claims(),
            most: plan.common.max_credential_bytes,
        })
    }

    fn who(&self, shown: Shown) -> Answer<Result<Arc<Identity>, Denial>> {
        let refuse = |why: &str| Answer::Now(Err(Denial::NotAuthenticated(why.into())));
        match (shown, &self.tokens) {
            (Shown::Key(secret), _) => match self.judge.keys.find(&secret) {
                Some(key) => {
                    Answer::Now(Ok(Arc::new(Identity { key: Some(Arc::clone(&key.name)), ..Identity::default() })))
                }
                None => refuse("the key is not known"),
            },
            (Shown::Token(_), None) => refuse("tokens are not accepted here"),
            (Shown::Token(token), Some(tokens)) => match tokens.verify(&token, wall_clock_ms()) {
                Answer::Now(outcome) => Answer::Now(unrevoked(&self.revoked, outcome)),
                Answer::Later(work) => {
                    let revoked = Arc::clone(&self.revoked);
                    Answer::later(async move { unrevoked(&revoked, work.await) })
                }
            },
        }
    }

    fn judge(&self, asking: &Asking, action: Action, channel: Option<&str>) -> Result<(), Denial> {
        let verdict = self.judge.decide(&asking.who, action, channel);
        if verdict.allowed {
            return Ok(());
        }
        tracing::debug!(
            action = action.name(),
            channel,
            rule = verdict.rule,
            user = asking.who.user.as_deref(),
            key = asking.who.key.as_deref(),
            "denied"
        );
        // Whoever proved nothing and has no session could come back with credentials.
        if asking.session.is_none() && asking.who.is_anonymous() && action != Action::Handshake {
            return Err(Denial::NotAuthenticated("credentials are needed".into()));
        }
        let reason = if verdict.rule.is_some() { "a rule denies it" } else { "no rule allows it" };
        Err(Denial::Denied(reason.into()))
    }

    /// A new token for a session, if its user is the same and everything the session holds stays allowed.
    fn renew(&self, asking: &Asking, held: &[Arc<str>], new: Arc<Identity>) -> Result<Arc<Identity>, Denial> {
        if new.is_anonymous() || !new.is_same_as(&asking.who) {
            return Err(Denial::Denied("the token is for somebody else".into()));
        }
        let renewed = Asking { who: Arc::clone(&new), ..asking.clone() };
        self.judge(&renewed, Action::Handshake, None)?;
        for pattern in held {
            self.judge(&renewed, Action::Subscribe, Some(pattern))
                .map_err(|_| Denial::Denied(format!("the token does not allow {pattern}")))?;
        }
        Ok(new)
    }
}

fn unrevoked(revoked: &Revocations, who: Result<Arc<Identity>, Denial>) -> Result<Arc<Identity>, Denial> {
    match who {
        Ok(who) if revoked.concern(&who, wall_clock_ms()) => {
            Err(Denial::NotAuthenticated("the token was revoked".into()))
        }
        outcome => outcome,
    }
}

impl Policy for Access {
    fn headers(&self) -> Vec<Arc<str>> {
        let cookie = (!self.cookies.is_empty()).then_some("cookie");
        ["authorization", "x-api-key"].into_iter().chain(cookie).map(Into::into).collect()
    }

    fn identify(
        &self,
        credentials: Option<&Arc<Credentials>>,
        ext: Option<&RawValue>,
    ) -> Answer<Result<Arc<Identity>, Denial>> {
        match shown(credentials.map(|all| &**all), ext, &self.cookies, self.most) {
            Ok(None) => Answer::Now(Ok(Arc::default())),
            Ok(Some(shown)) => self.who(shown),
            Err(denial) => Answer::Now(Err(denial)),
        }
    }

    fn may_handshake(&self, asking: &Asking, _: Option<&RawValue>) -> Answer<Result<(), Denial>> {
        Answer::Now(self.judge(asking, Action::Handshake, None))
    }

    fn may_subscribe(&self, asking: &Asking, pattern: &str) -> Answer<Result<(), Denial>> {
        Answer::Now(self.judge(asking, Action::Subscribe, Some(pattern)))
    }

    fn may_publish(
        &self,
        asking: &Asking,
        channel: &str,
        _: &RawValue,
    ) -> Answer<Result<Option<Box<RawValue>>, Denial>> {
        // Without a session it is a delivery to sessions, not a call.
        let is_call = asking.session.is_some() && channel::kind(channel) == ChannelKind::Service;
        let action = if is_call { Action::Service } else { Action::Publish };
        Answer::Now(self.judge(asking, action, Some(channel)).map(|()| None))
    }

    fn may_administer(&self, asking: &Asking, channel: Option<&str>) -> Answer<Result<(), Denial>> {
        Answer::Now(self.judge(asking, Action::Api, channel))
    }

    fn may_resume(&self, who: &Identity, held: &[&str]) -> bool {
        let allows = |action, channel| self.judge.decide(who, action, channel).allowed;
        allows(Action::Handshake, None) && held.iter().all(|pattern| allows(Action::Subscribe, Some(*pattern)))
    }

    fn is_refresh(&self, channel: &str) -> bool {
        channel == REFRESH && self.tokens.is_some()
    }

    fn refresh(
        self: Arc<Self>,
        asking: &Asking,
        held: Vec<Arc<str>>,
        data: &RawValue,
    ) -> Answer<Result<Arc<Identity>, Denial>> {
        #[derive(Deserialize)]
        struct Renewal {
            token: String,
        }
        let refuse = |why: &str| Answer::Now(Err(Denial::NotAuthenticated(why.into())));
        let Ok(Renewal { token }) = serde_json::from_str(data.get()) else {
            return refuse("data must hold a token");
        };
        if token.len() > self.most {
            return refuse("the token is too long");
        }
        let asking = asking.clone();
        match self.who(Shown::Token(token)) {
            Answer::Now(who) => Answer::Now(who.and_then(|who| self.renew(&asking, &held, who))),
            Answer::Later(work) => Answer::later(async move { self.renew(&asking, &held, work.await?) }),
        }
    }

    fn is_over(&self, who: &Identity, now_ms: u64) -> bool {
        let is_forgotten = who.key.as_deref().is_some_and(|name| self.judge.keys.named(name).is_none());
        who.expires_ms.is_some_and(|at| at <= now_ms) || is_forgotten || self.revoked.concern(who, now_ms)
    }

    fn revoke(&self, what: Revocation, lasting: Option<Duration>, now_ms: u64) -> Result<Revoked, Denial> {
        self.revoked.add(what, lasting, now_ms)
    }

    fn revoked_before(&self, revoked: Revoked) {
        self.revoked.restore(revoked);
    }

    fn user_of(&self, claims: &Map<String, Value>) -> Option<Arc<str>> {
        user_of(claims, &self.user_claims)
    }

    fn explain(&self, who: &Identity, action: &str, channel: Option<&str>) -> Explanation {
        self.judge.explain(who, action, channel)
    }
}
