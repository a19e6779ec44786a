//! Who may do what, and how often: API keys, tokens, rules and token buckets. Implements `broker::Policy`, one policy around
//! another.
//!
//! Built by the server from the configuration. Opens no socket: keys of issuers are fetched by whoever implements
//! [`Fetch`]. Keys and tokens are never logged.

pub mod check;
pub mod hidden;
pub mod judge;
pub mod jwks;
pub mod jwt;
pub mod key;
pub mod lists;
pub mod mint;
pub mod policy;
pub mod rate;
pub mod rate_settings;
pub mod revocation;
pub mod rule;
pub mod settings;
pub mod source;
#[cfg(test)]
mod tests;

pub use jwks::Fetch;
pub use policy::Access;
pub use rate::Rates;
pub use rate_settings::RateSettings;

use crate::broker::Explanation;
use judge::{Judge, somebody};
use serde_json::{Map, Value};
use settings::{AccessSettings, JwtSettings, KeySettings, RuleSettings, RuleTestSettings};
use std::{cell::Cell, collections::HashSet};

/// Everything that the configuration says about access.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// `[access]`.
    pub common: AccessSettings,
    /// `[[key]]`.
    pub keys: Vec<KeySettings>,
    /// `[[jwt]]`.
    pub jwts: Vec<JwtSettings>,
    /// `[[rule]]`.
    pub rules: Vec<RuleSettings>,
    /// `[[rule_test]]`.
    pub tests: Vec<RuleTestSettings>,
}

impl Plan {
    /// Whether anything is asked of anybody; otherwise everyone may do everything.
    pub fn is_on(&self) -> bool {
        !(self.keys.is_empty() && self.jwts.is_empty() && self.rules.is_empty())
    }

    /// Whether browsers carry tokens along by themselves.
    pub fn uses_cookies(&self) -> bool {
        self.jwts.iter().any(|jwt| jwt.cookie.is_some())
    }

    /// Reports every value that cannot work, as (dotted key, what is wrong), and every rule test that fails.
    pub fn validate(&self, problem: &mut dyn FnMut(String, String)) {
        let is_sound = Cell::new(true);
        let mut problem = |key: String, text: String| {
            is_sound.set(false);
            problem(key, text);
        };
        self.common.validate(&mut |key, text| problem(format!("access.{key}"), text));
        let mut names = HashSet::new();
        for (n, key) in self.keys.iter().enumerate() {
            key.validate(&mut |name, text| problem(format!("key[{n}].{name}"), text));
            if !names.insert(&key.name) {
                problem(format!("key[{n}].name"), "stands twice; one key may have several hashes".into());
            }
        }
        for (n, jwt) in self.jwts.iter().enumerate() {
            jwt.validate(&self.common.jwks_hosts, &mut |name, text| problem(format!("jwt[{n}].{name}"), text));
        }
        for (n, rule) in self.rules.iter().enumerate() {
            rule.validate(&mut |name, text| problem(format!("rule[{n}].{name}"), text));
        }
        if self.is_on() && self.rules.is_empty() && self.keys.iter().all(|key| key.rule.is_empty()) {
            let section = if self.keys.is_empty() { "jwt" } else { "key" };
            let text = "there are keys or issuers but no rule, so that nobody could do anything; add a [[rule]]";
            problem(format!("{section}[0]"), text.into());
        }
        if is_sound.get() {
            self.run_tests(&mut problem);
        }
    }

    fn run_tests(&self, problem: &mut dyn FnMut(String, String)) {
        let judge = match Judge::new(self) {
            Ok(judge) => judge,
            Err(why) => return problem("rule".into(), why),
        };
        for (n, test) in self.tests.iter().enumerate() {
            if let Some(why) = check::failure(&judge, &self.user_claims(), test) {
                problem(format!("rule_test[{n}]"), why);
            }
        }
    }

    /// What would be decided for somebody with these claims, or this key.
    ///
    /// # Errors
    /// When the rules cannot be used, or there is no such key.
    pub fn explain(
        &self,
        claims: Map<String, Value>,
        key: Option<&str>,
        action: &str,
        channel: Option<&str>,
    ) -> Result<Explanation, String> {
        if !self.is_on() {
            let reason = "there are no rules: everyone may do everything".into();
            return Ok(Explanation { allowed: true, rule: None, reason });
        }
        let judge = Judge::new(self)?;
        if let Some(name) = key.filter(|name| judge.keys.named(name).is_none()) {
            return Err(format!("there is no key named \"{name}\""));
        }
        Ok(judge.explain(&somebody(claims, &self.user_claims(), key), action, channel))
    }

    /// The claims that may say who the user is, in the order of the issuers.
    fn user_claims(&self) -> Vec<String> {
        match self.jwts.as_slice() {
            [] => vec!["sub".into()],
            issuers => issuers.iter().map(|jwt| jwt.user_claim.clone()).collect(),
        }
    }
}
