//! Hooks: the backend is asked before a handshake, a subscription or a publication takes effect, after the policy of the
//! broker itself allowed it.
//!
//! Implements `broker::Policy` around another one. Every entry that matches is asked, in the order of the configuration;
//! the first that says no ends it. What no entry matches costs a comparison and nothing else.

use super::{
    metrics::Metrics,
    pattern,
    payload::{self, HookCall, Who},
    settings::{Fail, HookPoint, HookSettings},
    target::{Failure, Target},
};
use crate::{
    broker::{Asking, Credentials, Denial, Identity, Policy},
    engine::Answer,
};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::{sync::Arc, time::Duration};

/// Asks the backend after the policy inside.
pub struct Hooks {
    pub(super) inner: Arc<dyn Policy>,
    pub(super) entries: Vec<Arc<Entry>>,
    pub(super) forward_headers: Arc<[String]>,
}

/// One `[[hook]]`.
pub struct Entry {
    pub(super) settings: HookSettings,
    pub(super) target: Arc<Target>,
    pub(super) patience: Duration,
    pub(super) metrics: Metrics,
}

/// What is asked before somebody has a session.
const HANDSHAKE: &str = "authorise.handshake";
/// Longest wait that a client is asked for, in milliseconds: a day. Timers of browsers do not reach much further.
const LONGEST_WAIT_MS: u64 = 86_400_000;

/// What a backend says.
#[derive(Debug, Deserialize)]
struct Verdict {
    allow: bool,
    #[serde(default)]
    reason: String,
    /// When a denied handshake may be tried again, in milliseconds.
    #[serde(default)]
    interval: Option<u64>,
    #[serde(default, deserialize_with = "present")]
    data: Option<Box<RawValue>>,
}

/// A `data` of `null` is data, too.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(from).map(Some)
}

/// What is asked, kept as long as the question takes.
struct Question {
    kind: &'static str,
    asking: Asking,
    channel: Option<String>,
    data: Option<Box<RawValue>>,
    ext: Option<Box<RawValue>>,
    forward_headers: Arc<[String]>,
}

impl Question {
    fn body(&self) -> Result<Vec<u8>, Failure> {
        let data = HookCall {
            channel: self.channel.as_deref(),
            data: self.data.as_deref(),
            ext: self.ext.as_deref(),
            who: Who::of(&self.asking, &self.forward_headers),
        };
        payload::body(self.kind, data).map_err(|_| Failure::Garbage("the question cannot be written as JSON"))
    }
}

impl Hooks {
    /// The entries that have a say, if any.
    fn asked(&self, asking: &Asking, point: HookPoint, concerns: impl Fn(&str) -> bool) -> Option<Vec<Arc<Entry>>> {
        // An API key is a backend's own: it would be asked about itself.
        if asking.who.key.is_some() {
            return None;
        }
        let has_say = |entry: &&Arc<Entry>| {
            entry.settings.on.contains(&point) && entry.settings.channel.as_deref().is_none_or(&concerns)
        };
        let asked: Vec<_> = self.entries.iter().filter(has_say).cloned().collect();
        (!asked.is_empty()).then_some(asked)
    }

    fn question(&self, kind: &'static str, asking: &Asking) -> Question {
        let forward_headers = Arc::clone(&self.forward_headers);
        Question { kind, asking: asking.clone(), channel: None, data: None, ext: None, forward_headers }
    }
}

impl Policy for Hooks {
    fn inner(&self) -> Option<&Arc<dyn Policy>> {
        Some(&self.inner)
    }

    fn headers(&self) -> Vec<Arc<str>> {
        let mut headers = self.inner.headers();
        headers.extend(self.forward_headers.iter().map(|name| Arc::from(name.as_str())));
        headers.sort_unstable();
        headers.dedup();
        headers
    }

    fn identify(
        &self,
        credentials: Option<&Arc<Credentials>>,
        ext: Option<&RawValue>,
    ) -> Answer<Result<Arc<Identity>, Denial>> {
        self.inner.identify(credentials, ext)
    }

    fn may_handshake(&self, asking: &Asking, ext: Option<&RawValue>) -> Answer<Result<(), Denial>> {
        let first = self.inner.may_handshake(asking, ext);
        let Some(asked) = self.asked(asking, HookPoint::Handshake, |_| true) else { return first };
        let mut question = self.question(HANDSHAKE, asking);
        question.ext = ext.map(ToOwned::to_owned);
        Answer::later(async move {
            first.await?;
            ask_all(&asked, question).await.map(drop)
        })
    }

    fn may_subscribe(&self, asking: &Asking, pattern: &str) -> Answer<Result<(), Denial>> {
        let first = self.inner.may_subscribe(asking, pattern);
        // A subscription that could receive anything of an entry concerns it, however wide it is.
        let Some(asked) = self.asked(asking, HookPoint::Subscribe, |entry| pattern::overlap(entry, pattern)) else {
            return first;
        };
        let mut question = self.question("authorise.subscribe", asking);
        question.channel = Some(pattern.to_owned());
        Answer::later(async move {
            first.await?;
            ask_all(&asked, question).await.map(drop)
        })
    }

    fn may_publish(
        &self,
        asking: &Asking,
        channel: &str,
        data: &RawValue,
    ) -> Answer<Result<Option<Box<RawValue>>, Denial>> {
        let first = self.inner.may_publish(asking, channel, data);
        let Some(asked) = self.asked(asking, HookPoint::Publish, |entry| pattern::matches(entry, channel)) else {
            return first;
        };
        let mut question = self.question("authorise.publish", asking);
        question.channel = Some(channel.to_owned());
        let as_sent = data.to_owned();
        Answer::later(async move {
            let rewritten = first.await?;
            let was_rewritten = rewritten.is_some();
            question.data = Some(rewritten.unwrap_or(as_sent));
            let (rewritten_now, data) = ask_all(&asked, question).await?;
            Ok(data.filter(|_| was_rewritten || rewritten_now))
        })
    }
}

/// Asks one after the other. Gives the data as it is after the last, and whether any changed it.
async fn ask_all(asked: &[Arc<Entry>], mut question: Question) -> Result<(bool, Option<Box<RawValue>>), Denial> {
    let mut rewritten = false;
    for entry in asked {
        if let Some(data) = entry.ask(&question).await?
            && question.data.is_some()
        {
            question.data = Some(data);
            rewritten = true;
        }
    }
    Ok((rewritten, question.data))
}

impl Entry {
    async fn ask(&self, question: &Question) -> Result<Option<Box<RawValue>>, Denial> {
        let outcome = self.call(question).await;
        self.metrics.asked(outcome.as_ref().err());
        match outcome {
            Ok(verdict) if verdict.allow => Ok(verdict.data),
            Ok(Verdict { reason, interval: Some(wait), .. }) if question.kind == HANDSHAKE => {
                Err(Denial::NotNow(reason, Duration::from_millis(wait.min(LONGEST_WAIT_MS))))
            }
            Ok(verdict) => Err(Denial::Denied(verdict.reason)),
            // Whatever happens to failures: a backend that answers so says no.
            Err(Failure::Status(401 | 403)) => Err(Denial::Denied(String::new())),
            Err(failure) => match self.settings.fail {
                Fail::Open => {
                    tracing::warn!(backend = %self.target.name(), %failure, asked = question.kind, "allowed unasked");
                    Ok(None)
                }
                Fail::Closed => {
                    tracing::warn!(backend = %self.target.name(), %failure, asked = question.kind, "refused unasked");
                    Err(Denial::Unavailable)
                }
            },
        }
    }

    async fn call(&self, question: &Question) -> Result<Verdict, Failure> {
        let place = self.target.place()?;
        self.target.call(place, question.body()?, self.patience, verdict).await
    }
}

fn verdict(body: &[u8]) -> Result<Verdict, &'static str> {
    serde_json::from_slice(body).map_err(|_| "the answer is not like {\"allow\": true}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::{Explanation, Revocation, Revoked};

    #[test]
    fn a_verdict_says_allow_in_so_many_words() {
        assert!(verdict(br#"{"allow": true, "more": 1}"#).unwrap().allow);
        let denied = verdict(br#"{"allow": false, "reason": "full"}"#).unwrap();
        assert_eq!((denied.allow, &*denied.reason, denied.data.is_none()), (false, "full", true));
        for bad in
            [&b""[..], b"true", b"{}", b"{\"allow\": 1}", b"{\"allow\": \"true\"}", b"{\"reason\": \"x\"}", b"[]"]
        {
            assert!(verdict(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn data_is_taken_byte_for_byte_and_null_is_data() {
        let data = |body: &str| verdict(body.as_bytes()).unwrap().data.map(|d| d.get().to_owned());
        assert_eq!(data(r#"{"allow":true,"data":{"n": 1.10}}"#).unwrap(), r#"{"n": 1.10}"#);
        assert_eq!(data(r#"{"allow":true,"data":null}"#).unwrap(), "null");
        assert_eq!(data(r#"{"allow":true}"#), None);
    }

    /// A policy that can be told from every other, and from the trait's own answers.
    struct Marked;

    impl Policy for Marked {
        fn headers(&self) -> Vec<Arc<str>> {
            vec!["x-mark".into()]
        }

        fn identify(
            &self,
            _: Option<&Arc<Credentials>>,
            _: Option<&RawValue>,
        ) -> Answer<Result<Arc<Identity>, Denial>> {
            Answer::Now(Ok(Arc::new(Identity { user: Some("marked".into()), ..Identity::default() })))
        }

        fn may_handshake(&self, _: &Asking, _: Option<&RawValue>) -> Answer<Result<(), Denial>> {
            Answer::Now(Err(Denial::Denied("handshake".into())))
        }

        fn may_subscribe(&self, _: &Asking, _: &str) -> Answer<Result<(), Denial>> {
            Answer::Now(Err(Denial::Denied("subscribe".into())))
        }

        fn may_publish(&self, _: &Asking, _: &str, _: &RawValue) -> Answer<Result<Option<Box<RawValue>>, Denial>> {
            Answer::Now(Err(Denial::Denied("publish".into())))
        }

        fn may_administer(&self, _: &Asking, _: Option<&str>) -> Answer<Result<(), Denial>> {
            Answer::Now(Err(Denial::Denied("administer".into())))
        }

        fn is_over(&self, _: &Identity, now_ms: u64) -> bool {
            now_ms == 7
        }

        fn is_refresh(&self, channel: &str) -> bool {
            channel == "/service/marked"
        }

        fn refresh(
            self: Arc<Self>,
            _: &Asking,
            held: Vec<Arc<str>>,
            _: &RawValue,
        ) -> Answer<Result<Arc<Identity>, Denial>> {
            Answer::Now(Err(Denial::Denied(held.concat())))
        }

        fn revoke(&self, what: Revocation, _: Option<Duration>, made_ms: u64) -> Result<Revoked, Denial> {
            Ok(Revoked { what, made_ms, until_ms: 9 })
        }

        fn explain(&self, _: &Identity, _: &str, _: Option<&str>) -> Explanation {
            Explanation { allowed: true, rule: None, reason: "marked".into() }
        }
    }

    #[tokio::test]
    async fn what_no_hook_concerns_is_answered_by_the_policy_inside() {
        let forward_headers = Arc::from(["x-forwarded".to_owned()]);
        let hooks = Hooks { inner: Arc::new(Marked), entries: Vec::new(), forward_headers };
        let asking = Asking { who: Arc::default(), session: None, peer: None, credentials: None };
        let denied = |by: &str| Some(Denial::Denied(by.into()));
        assert_eq!(hooks.headers(), ["x-forwarded".into(), Arc::from("x-mark")]);
        assert_eq!(hooks.identify(None, None).await.unwrap().user.as_deref(), Some("marked"));
        assert_eq!(hooks.may_handshake(&asking, None).await.err(), denied("handshake"));
        assert_eq!(hooks.may_subscribe(&asking, "/a").await.err(), denied("subscribe"));
        assert_eq!(hooks.may_publish(&asking, "/a", RawValue::NULL).await.err(), denied("publish"));
        assert_eq!(hooks.may_administer(&asking, None).await.err(), denied("administer"));
        assert_eq!(hooks.explain(&asking.who, "publish", None).reason, "marked");
        assert!(hooks.is_over(&asking.who, 7) && !hooks.is_over(&asking.who, 8));
        assert!(hooks.is_refresh("/service/marked") && !hooks.is_refresh("/service/other"));
        assert_eq!(hooks.revoke(Revocation::User("ann".into()), None, 0).unwrap().until_ms, 9);
        let refreshed = Arc::new(hooks).refresh(&asking, vec!["held".into()], RawValue::NULL).await;
        assert_eq!(refreshed.err(), denied("held"));
    }
}
