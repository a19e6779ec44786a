//! Puts keys and rules together: what may somebody do, and which rule says so.
//!
//! Asked by the policy for every verb, by the rule tests of the configuration and by `bayeuxd explain`. Pure.

use super::{
    Plan,
    key::Keys,
    rule::{Action, Asked, RuleSet, Subject},
};
use crate::{
    bayeux::{ChannelLimits, Pattern, channel},
    broker::{Explanation, Identity},
};
use serde_json::{Map, Value};
use std::{collections::HashMap, sync::Arc};

/// Decides.
#[derive(Debug, Default)]
pub struct Judge {
    /// The keys that are known.
    pub keys: Keys,
    common: RuleSet,
    own: HashMap<Arc<str>, RuleSet>,
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict<'a> {
    /// Whether it is allowed.
    pub allowed: bool,
    /// The rule that says so; `None` when no rule matches, which denies.
    pub rule: Option<&'a str>,
}

impl Judge {
    /// Compiles the keys and rules of a plan.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub fn new(plan: &Plan) -> Result<Self, String> {
        let mut own = HashMap::new();
        for (number, key) in plan.keys.iter().enumerate().filter(|(_, key)| !key.rule.is_empty()) {
            own.insert(key.name.as_str().into(), RuleSet::new(&format!("key[{number}].rule"), &key.rule)?);
        }
        Ok(Self { keys: Keys::new(&plan.keys), common: RuleSet::new("rule", &plan.rules)?, own })
    }

    /// Whether any rule allows the action to anybody.
    pub fn ever_allows(&self, action: Action) -> bool {
        self.common.ever_allows(action) || self.own.values().any(|rules| rules.ever_allows(action))
    }

    /// Decides. Without a channel, what is asked for is about all of them.
    pub fn decide(&self, who: &Identity, action: Action, channel: Option<&str>) -> Verdict<'_> {
        let key = who.key.as_deref();
        let roles = key.and_then(|name| self.keys.named(name)).map_or(&[][..], |key| &key.roles);
        let subject = Subject { identity: who, roles };
        let asked = Asked::new(channel.unwrap_or("/**"));
        let own = key.and_then(|name| self.own.get(name));
        let mut decision = own.and_then(|rules| rules.decide(action, Some(&asked), &subject));
        if decision.is_none() {
            decision = self.common.decide(action, Some(&asked), &subject);
        }
        Verdict { allowed: decision.is_some_and(|d| d.allowed), rule: decision.map(|d| d.rule) }
    }

    /// Decides, and says why in words.
    pub fn explain(&self, who: &Identity, action: &str, channel: Option<&str>) -> Explanation {
        let no = |reason: &str| Explanation { allowed: false, rule: None, reason: reason.into() };
        let Some(action) = Action::parse(action) else { return no("there is no such action") };
        match (action, channel) {
            (Action::Publish | Action::Subscribe | Action::Service, None) => return no("a channel must say where"),
            (_, Some(name)) if Pattern::parse(name, ChannelLimits::default()).is_none() => {
                return no("this is no channel or pattern");
            }
            (_, Some(name)) if channel::kind(name) == channel::ChannelKind::Meta => {
                return no("/meta/ belongs to the protocol");
            }
            (Action::Publish | Action::Service, Some(name)) if !Asked::new(name).is_exact() => {
                return no("nobody can publish to a pattern");
            }
            (Action::Subscribe, Some(name)) if channel::kind(name) == channel::ChannelKind::Service => {
                let reason = "subscribing to a service channel always succeeds and means nothing";
                return Explanation { allowed: true, rule: None, reason: reason.into() };
            }
            _ => {}
        }
        let Verdict { allowed, rule } = self.decide(who, action, channel);
        let wide = channel.is_none_or(|name| !Asked::new(name).is_exact()) && action != Action::Handshake;
        let reason = match (allowed, rule) {
            (true, _) if wide => "the first rule that matches allows everything that the pattern could match",
            (true, _) => "the first rule that matches allows it",
            (false, Some(_)) if wide => "the rule denies something that the pattern could match",
            (false, Some(_)) => "the first rule that matches denies it",
            (false, None) if wide => "no rule allows everything that the pattern could match",
            (false, None) => "no rule matches, and what no rule matches is denied",
        };
        Explanation { allowed, rule: rule.map(ToOwned::to_owned), reason: reason.into() }
    }
}

/// The user that claims name, by the first of the issuers' `user_claim` that is there.
pub fn user_of(claims: &Map<String, Value>, user_claims: &[String]) -> Option<Arc<str>> {
    let names = user_claims.iter().filter_map(|name| claims.get(name)?.as_str());
    names.filter(|name| !name.is_empty()).map(Into::into).next()
}

/// Somebody with these claims, or this key, or nobody in particular.
pub fn somebody(claims: Map<String, Value>, user_claims: &[String], key: Option<&str>) -> Identity {
    let user = user_of(&claims, user_claims);
    Identity { user, key: key.map(Into::into), claims, ..Identity::default() }
}
