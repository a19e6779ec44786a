//! What was revoked before its time: tokens by their id, and users, whose tokens issued until then are void.
//!
//! A bounded list in memory; the broker stores what is added and brings it back after a restart. Entries end by themselves.

use crate::broker::{Denial, Identity, Revocation, Revoked};
use parking_lot::RwLock;
use serde_json::Value;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// What is revoked now.
#[derive(Debug)]
pub struct Revocations {
    most: usize,
    usually: Duration,
    list: RwLock<HashMap<Revocation, Entry>>,
    count: AtomicUsize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// When it ends, in milliseconds since 1970.
    until_ms: u64,
    /// When it was made.
    made_ms: u64,
}

impl Revocations {
    /// At most `most` at a time, each for `usually` unless it says something else.
    pub fn new(most: usize, usually: Duration) -> Self {
        Self { most, usually, list: RwLock::default(), count: AtomicUsize::new(0) }
    }

    /// Adds one, or makes it last longer.
    ///
    /// # Errors
    /// When there are as many as allowed.
    pub fn add(&self, what: Revocation, lasting: Option<Duration>, now_ms: u64) -> Result<Revoked, Denial> {
        let lasting = u64::try_from(lasting.unwrap_or(self.usually).as_millis()).unwrap_or(u64::MAX);
        let mut list = self.list.write();
        if list.len() >= self.most && !list.contains_key(&what) {
            list.retain(|_, entry| entry.until_ms > now_ms);
        }
        let known = list.get(&what).map_or(0, |entry| entry.until_ms);
        if known == 0 && list.len() >= self.most {
            tracing::error!(most = self.most, "a revocation was refused: access.max_revocations are remembered");
            return Err(Denial::Unavailable);
        }
        let entry = Entry { until_ms: known.max(now_ms.saturating_add(lasting)), made_ms: now_ms };
        list.insert(what.clone(), entry);
        self.count.store(list.len(), Ordering::Release);
        Ok(Revoked { what, made_ms: entry.made_ms, until_ms: entry.until_ms })
    }

    /// Takes in one that was made before a restart, also beyond the bound: it was within it once.
    pub fn restore(&self, revoked: Revoked) {
        let Revoked { what, made_ms, until_ms } = revoked;
        let mut list = self.list.write();
        list.insert(what, Entry { until_ms, made_ms });
        self.count.store(list.len(), Ordering::Release);
    }

    /// Whether what somebody has shown is revoked.
    pub fn concern(&self, who: &Identity, now_ms: u64) -> bool {
        if self.count.load(Ordering::Acquire) == 0 {
            return false;
        }
        let list = self.list.read();
        let entry = |what: Revocation| list.get(&what).filter(|entry| entry.until_ms > now_ms).copied();
        let token = who.token.as_ref().and_then(|id| entry(Revocation::Token(Arc::clone(id))));
        let user = who.user.as_ref().and_then(|user| entry(Revocation::User(Arc::clone(user))));
        token.is_some() || user.is_some_and(|entry| !is_issued_after(who, entry.made_ms))
    }
}

/// A token that does not say when it was issued may be an old one.
fn is_issued_after(who: &Identity, made_ms: u64) -> bool {
    let issued = who.claims.get("iat").and_then(Value::as_f64);
    issued.is_some_and(|seconds| seconds > (made_ms / 1000) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: u64 = 1_000_000_000_000;

    fn ann(iat: Option<u64>) -> Identity {
        let mut who = Identity { user: Some("ann".into()), token: Some("t1".into()), ..Identity::default() };
        who.claims.extend(iat.map(|iat| ("iat".to_owned(), json!(iat))));
        who
    }

    fn revocations() -> Revocations {
        Revocations::new(2, Duration::from_secs(60))
    }

    #[test]
    fn a_token_is_revoked_by_its_id_until_the_entry_ends() {
        let list = revocations();
        list.add(Revocation::Token("t1".into()), None, NOW).unwrap();
        assert!(list.concern(&ann(None), NOW + 59_999));
        assert!(!list.concern(&ann(None), NOW + 60_000));
        assert!(!list.concern(&Identity { token: Some("t2".into()), ..ann(None) }, NOW));
    }

    #[test]
    fn a_user_is_revoked_up_to_now_and_may_come_back_with_a_newer_token() {
        let list = revocations();
        list.add(Revocation::User("ann".into()), Some(Duration::from_secs(10)), NOW).unwrap();
        for (iat, revoked) in [(None, true), (Some(NOW / 1000), true), (Some(NOW / 1000 + 1), false)] {
            assert_eq!(list.concern(&ann(iat), NOW + 1), revoked, "{iat:?}");
        }
        assert!(!list.concern(&Identity { user: Some("bob".into()), ..ann(None) }, NOW));
    }

    #[test]
    fn the_list_is_bounded_and_what_is_over_makes_room() {
        let list = revocations();
        list.add(Revocation::User("a".into()), None, NOW).unwrap();
        list.add(Revocation::User("b".into()), None, NOW).unwrap();
        assert_eq!(list.add(Revocation::User("c".into()), None, NOW), Err(Denial::Unavailable));
        list.add(Revocation::User("b".into()), Some(Duration::from_secs(600)), NOW).unwrap();
        list.add(Revocation::User("c".into()), None, NOW + 60_000).unwrap();
        assert!(list.concern(&Identity { user: Some("b".into()), ..ann(None) }, NOW + 61_000), "the longer one counts");
    }
}
