//! The settings of the access room: keys, issuers of tokens, rules and the tests beside them. Nested by `config`.
//!
//! Nothing here decides; texts that hold secrets never show themselves.

use super::{hidden::Hidden, jwt::Algorithm, key, lists, rule};
use crate::bayeux::ChannelLimits;
use jsonwebtoken::AlgorithmFamily;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{path::PathBuf, time::Duration};

/// Reports a value that cannot work: its key within the section, and what is wrong.
type Problem<'a> = &'a mut dyn FnMut(&str, String);

/// Claims by their name.
pub type Claims = Map<String, Value>;

/// `[access]`: what keys, tokens and rules have in common.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccessSettings {
    /// Largest key or JWT that is looked at.
    #[serde(with = "crate::units::size")]
    pub max_credential_bytes: usize,
    /// Verified JWTs that are remembered, so that the same one is not verified at each request; 0 remembers none.
    pub max_remembered: usize,
    /// Revocations that are remembered at once; more are refused.
    pub max_revocations: usize,
    /// How long a revocation is remembered when the request does not say: at least as long as tokens live.
    #[serde(with = "crate::units::duration")]
    pub revocation_time: Duration,
    /// Hosts that keys of issuers may be fetched from; empty: those that the `jwks_url` name.
    pub jwks_hosts: Vec<String>,
}

impl Default for AccessSettings {
    fn default() -> Self {
        Self {
            max_credential_bytes: 8 << 10,
            max_remembered: 10_000,
            max_revocations: 100_000,
            revocation_time: Duration::from_secs(24 * 3600),
            jwks_hosts: Vec::new(),
        }
    }
}

/// `[[key]]`: an API key, known by its hash; `bayeuxd key new` makes one.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct KeySettings {
    /// The name that rules, logs and `explain` know it by.
    pub name: String,
    /// `sha256:` and the hash of the key in hex; several while a new one takes the place of an old one.
    #[serde(with = "lists::one_or_many")]
    pub hash: Vec<String>,
    /// Roles that rules can ask for with `who = "role:NAME"`.
    #[serde(default, with = "lists::one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Rules of this key alone, looked at before those of all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rule: Vec<RuleSettings>,
}

/// `[[jwt]]`: an issuer whose tokens are accepted, with one source of keys.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct JwtSettings {
    /// What `iss` must be; empty: anything.
    pub issuer: String,
    /// What `aud` must name at least one of; empty: tokens must have no `aud`.
    #[serde(with = "lists::one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub audience: Vec<String>,
    /// The algorithms accepted, like `"RS256"`. Without any: `HS256` for a secret, the key's own for a JWKS.
    #[serde(with = "lists::one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub algorithms: Vec<Algorithm>,
    /// A shared secret for HS256, HS384 and HS512: a text of at least 32 bytes, or `base64:` and as many bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Hidden>,
    /// A file that holds the secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
    /// The environment variable that holds the secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_env: Option<String>,
    /// A public key as PEM, for RS, PS, ES and EdDSA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// A file that holds the public key as PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_key_file: Option<PathBuf>,
    /// Where the issuer publishes its keys (JWKS), over https.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_url: Option<String>,
    /// How old fetched keys may get before they are fetched again.
    #[serde(with = "crate::units::duration")]
    pub jwks_refresh: Duration,
    /// The least pause between two fetches, also when tokens name keys that nobody knows.
    #[serde(with = "crate::units::duration")]
    pub jwks_pause: Duration,
    /// How long fetched keys are used while the issuer cannot be reached.
    #[serde(with = "crate::units::duration")]
    pub jwks_keep: Duration,
    /// How long a fetch may take.
    #[serde(with = "crate::units::duration")]
    pub jwks_timeout: Duration,
    /// Largest answer to a fetch.
    #[serde(with = "crate::units::size")]
    pub jwks_max_bytes: usize,
    /// A cookie that may carry the token, besides `ext.token` and `Authorization`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie: Option<String>,
    /// The claim that says who the user is.
    pub user_claim: String,
    /// How far the clocks of issuer and broker may be apart.
    #[serde(with = "crate::units::duration")]
    pub leeway: Duration,
    /// Whether tokens without `exp`, which are valid for ever, are refused.
    pub require_expiry: bool,
}

impl Default for JwtSettings {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            audience: Vec::new(),
            algorithms: Vec::new(),
            secret: None,
            secret_file: None,
            secret_env: None,
            public_key: None,
            public_key_file: None,
            jwks_url: None,
            jwks_refresh: Duration::from_secs(3600),
            jwks_pause: Duration::from_secs(30),
            jwks_keep: Duration::from_secs(24 * 3600),
            jwks_timeout: Duration::from_secs(5),
            jwks_max_bytes: 256 << 10,
            cookie: None,
            user_claim: "sub".into(),
            leeway: Duration::from_secs(30),
            require_expiry: true,
        }
    }
}

/// `[[rule]]`: what some may do, or may not. The first that matches decides; what none matches is denied.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuleSettings {
    /// A name for people; `explain` shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What is allowed: `handshake`, `subscribe`, `publish`, `service`, `api`.
    #[serde(with = "lists::one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<rule::Action>,
    /// What is denied, in the same words; a rule has either `allow` or `deny`.
    #[serde(with = "lists::one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<rule::Action>,
    /// The channels, like `/news`, `/news/*`, `/users/{sub}/**`; without it, all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Whom it is about: `anyone`, `anonymous`, `user`, `user:NAME`, `key`, `key:NAME`, `role:NAME`; without it, anyone.
    #[serde(with = "lists::one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub who: Vec<String>,
    /// What claims must be, all of them, like `{ team = "red" }`; a list is any of its values.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub when: Claims,
}

/// `[[rule_test]]`: what a rule must come to; a configuration in which one fails is refused.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RuleTestSettings {
    /// The claims of whoever asks, like `{ sub = "ann" }`; without it and without `key`, nobody in particular.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub who: Claims,
    /// The name of the API key that is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What is asked for.
    pub action: rule::Action,
    /// The channel or pattern, where it matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// What must be decided.
    pub expect: Expect,
}

/// What a rule test expects.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Expect {
    /// It is allowed.
    Allow,
    /// It is denied.
    Deny,
}

impl AccessSettings {
    /// Reports every value that cannot work, as (key within the section, what is wrong).
    pub fn validate(&self, problem: Problem<'_>) {
        for (key, value) in
            [("max_credential_bytes", self.max_credential_bytes), ("max_revocations", self.max_revocations)]
        {
            if value == 0 {
                problem(key, "must be at least 1".into());
            }
        }
        if self.revocation_time.is_zero() {
            problem("revocation_time", "must be longer than zero".into());
        }
    }
}

impl KeySettings {
    /// Reports every value that cannot work.
    pub fn validate(&self, problem: Problem<'_>) {
        if self.name.is_empty() || !self.name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
            problem("name", "must be letters, digits, -, _ and . only".into());
        }
        if self.hash.is_empty() {
            problem("hash", "must be given; `bayeuxd key new` prints one".into());
        }
        for hash in &self.hash {
            if let Err(why) = key::Hash::parse(hash) {
                problem("hash", why.into());
            }
        }
        for (n, rule) in self.rule.iter().enumerate() {
            rule.validate(&mut |key, text| problem(&format!("rule[{n}].{key}"), text));
        }
    }
}

impl JwtSettings {
    /// Reports every value that cannot work.
    pub fn validate(&self, hosts: &[String], problem: Problem<'_>) {
        let secrets = [self.secret.is_some(), self.secret_file.is_some(), self.secret_env.is_some()];
        let public = [self.public_key.is_some(), self.public_key_file.is_some()];
        let sources = [&secrets[..], &public[..], &[self.jwks_url.is_some()]].concat();
        if sources.into_iter().filter(|given| *given).count() != 1 {
            let text = "needs exactly one of secret, secret_file, secret_env, public_key, public_key_file and jwks_url";
            return problem("issuer", text.into());
        }
        let symmetric = secrets.contains(&true);
        if public.contains(&true) && self.algorithms.is_empty() {
            problem("algorithms", "must name what the key is for, like [\"RS256\"]".into());
        }
        if self.algorithms.iter().any(|algorithm| (algorithm.family() == AlgorithmFamily::Hmac) != symmetric) {
            let text = if symmetric { "a secret is for HS256, HS384 and HS512" } else { "HS… needs a secret" };
            problem("algorithms", text.into());
        }
        if self.algorithms.windows(2).any(|two| two[0].family() != two[1].family()) && self.jwks_url.is_none() {
            problem("algorithms", "one key is for one family of algorithms".into());
        }
        if let Err((key, why)) = super::jwt::check(self) {
            problem(key, why);
        }
        if let Some(url) = &self.jwks_url {
            super::jwks::check_url(url, hosts).unwrap_or_else(|why| problem("jwks_url", why));
        }
        for (key, value) in [("jwks_refresh", self.jwks_refresh), ("jwks_pause", self.jwks_pause)] {
            if value < Duration::from_secs(1) {
                problem(key, "must be at least 1s".into());
            }
        }
        if self.jwks_keep < self.jwks_refresh {
            problem("jwks_keep", "must be at least jwks_refresh".into());
        }
        if self.jwks_timeout.is_zero() || self.jwks_max_bytes == 0 {
            problem("jwks_timeout", "jwks_timeout and jwks_max_bytes must be more than nothing".into());
        }
        if self.user_claim.is_empty() {
            problem("user_claim", "must name a claim, like \"sub\"".into());
        }
        if self.leeway > Duration::from_secs(3600) {
            problem("leeway", "must be at most 1h".into());
        }
    }
}

impl RuleSettings {
    /// Reports every value that cannot work.
    pub fn validate(&self, problem: Problem<'_>) {
        if self.allow.is_empty() == self.deny.is_empty() {
            problem("allow", "a rule has either allow or deny, and names at least one action".into());
        }
        for (n, who) in self.who.iter().enumerate() {
            rule::Who::parse(who).map(drop).unwrap_or_else(|why| problem(&format!("who[{n}]"), why));
        }
        if let Some(channel) = &self.channel {
            let shape = rule::Shape::parse(channel, ChannelLimits::default());
            shape.map(drop).unwrap_or_else(|why| problem("channel", why));
        }
    }
}
