//! The settings of the backend room: how backends are called, and which of them hears of what. Nested by `config`.
//!
//! URLs are here and nowhere else: nothing that a client sends ever becomes a part of one.

use super::sign::Secret;
use crate::bayeux::{ChannelLimits, Pattern, channel};
use reqwest::Url;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// `[backend]`: what all calls to backends have in common.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct BackendSettings {
    /// What calls are signed with: texts that begin with `whsec_`. The first is the current one; all of them sign, so
    /// that a new one can be brought in before the old one goes. Without any, calls are not signed.
    pub secrets: Vec<Secret>,
    /// How long a service call or a hook may take in all, its waiting for a turn included.
    #[serde(with = "crate::units::duration")]
    pub timeout: Duration,
    /// How long a connection may take to come about.
    #[serde(with = "crate::units::duration")]
    pub connect_timeout: Duration,
    /// Largest answer that is read.
    #[serde(with = "crate::units::size")]
    pub max_response_bytes: usize,
    /// Service calls and hooks that are out to one URL at a time.
    pub max_concurrency: usize,
    /// Service calls and hooks that wait for their turn at one URL; more are refused with `503`.
    pub max_waiting: usize,
    /// Failures in a row after which a URL is left in peace for a while; 0 never does so.
    pub breaker_failures: u32,
    /// For how long.
    #[serde(with = "crate::units::duration")]
    pub breaker_pause: Duration,
    /// Headers of the clients' requests that calls and hooks carry along in their body, in lower case.
    pub forward_headers: Vec<String>,
}

impl Default for BackendSettings {
    fn default() -> Self {
        Self {
            secrets: Vec::new(),
            timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(2),
            max_response_bytes: 1 << 20,
            max_concurrency: 64,
            max_waiting: 256,
            breaker_failures: 10,
            breaker_pause: Duration::from_secs(2),
            forward_headers: Vec::new(),
        }
    }
}

/// `[[service]]`: who serves a service channel.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSettings {
    /// The channels, like `/service/echo` or `/service/shop/**`; the first entry that matches serves the call.
    pub channel: String,
    /// Where calls are posted to.
    pub url: String,
    /// How long a call may take; `backend.timeout` when it is not given.
    #[serde(default, with = "crate::units::optional_duration", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

/// `[[hook]]`: who is asked before something takes effect.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HookSettings {
    /// Before what it is asked.
    pub on: Vec<HookPoint>,
    /// The channels it is asked about, like `/chat/**`; all when it is not given. A subscription concerns it when it
    /// could receive any of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Where questions are posted to.
    pub url: String,
    /// What happens when there is no answer that makes sense; closed when it is not given.
    #[serde(default)]
    pub fail: Fail,
    /// How long an answer may take; `backend.timeout` when it is not given.
    #[serde(default, with = "crate::units::optional_duration", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

/// Before what a hook is asked.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum HookPoint {
    /// A session begins.
    Handshake,
    /// A session asks for a channel or a pattern.
    Subscribe,
    /// Somebody publishes, to a service channel, too.
    Publish,
}

/// What happens when a hook cannot be asked.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Fail {
    /// It is allowed.
    Open,
    /// It is refused with `503`.
    #[default]
    Closed,
}

/// Everything there is to know about calls to backends.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// `[backend]`.
    pub common: BackendSettings,
    /// `[[service]]`.
    pub services: Vec<ServiceSettings>,
    /// `[[hook]]`.
    pub hooks: Vec<HookSettings>,
}

/// Receives what is wrong: the key within the section, and why.
type Problem<'a> = &'a mut dyn FnMut(&str, String);

impl BackendSettings {
    /// Reports every value that cannot work, as (key within the section, what is wrong).
    pub fn validate(&self, problem: Problem<'_>) {
        for (n, secret) in self.secrets.iter().enumerate() {
            if let Err(why) = secret.bytes() {
                problem(&format!("secrets[{n}]"), why.into());
            }
        }
        for (key, value) in [("timeout", self.timeout), ("connect_timeout", self.connect_timeout)] {
            check_timeout(key, value, problem);
        }
        if self.max_response_bytes == 0 {
            problem("max_response_bytes", "must be at least 1".into());
        }
        if self.max_concurrency == 0 {
            problem("max_concurrency", "must be at least 1".into());
        }
        for (n, name) in self.forward_headers.iter().enumerate() {
            if http::HeaderName::from_lowercase(name.as_bytes()).is_err() {
                problem(&format!("forward_headers[{n}]"), "must be the name of a header in lower case".into());
            }
        }
    }
}

impl ServiceSettings {
    /// Reports every value that cannot work, as (key within the section, what is wrong).
    pub fn validate(&self, problem: Problem<'_>) {
        check_url(&self.url, problem);
        check_pattern(&self.channel, problem);
        if !self.channel.starts_with("/service/") {
            problem("channel", "must begin with /service/".into());
        }
        if let Some(timeout) = self.timeout {
            check_timeout("timeout", timeout, problem);
        }
    }
}

impl HookSettings {
    /// Reports every value that cannot work, as (key within the section, what is wrong).
    pub fn validate(&self, problem: Problem<'_>) {
        check_url(&self.url, problem);
        if self.on.is_empty() {
            problem("on", "must name at least one of handshake, subscribe and publish".into());
        }
        if let Some(channel) = &self.channel {
            check_pattern(channel, problem);
        }
        if let Some(timeout) = self.timeout {
            check_timeout("timeout", timeout, problem);
        }
    }
}

fn check_timeout(key: &str, value: Duration, problem: Problem<'_>) {
    if value.is_zero() || value > Duration::from_secs(3600) {
        problem(key, "must be more than nothing and at most 1h".into());
    }
}

fn check_url(text: &str, problem: Problem<'_>) {
    match Url::parse(text) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            problem("url", "must begin with http:// or https://".into());
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            problem("url", "must hold no credentials: calls are signed (backend.secrets)".into());
        }
        Ok(_) => {}
        Err(error) => problem("url", format!("is not a URL: {error}")),
    }
}

fn check_pattern(text: &str, problem: Problem<'_>) {
    if Pattern::parse(text, ChannelLimits::default()).is_none() {
        problem("channel", "is not a channel or a pattern like /a/*".into());
    } else if channel::kind(text) == channel::ChannelKind::Meta {
        problem("channel", "must not be a meta channel".into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(validate: impl FnOnce(Problem<'_>)) -> Vec<String> {
        let mut found = Vec::new();
        validate(&mut |key, _| found.push(key.to_owned()));
        found
    }

    #[test]
    fn the_defaults_can_work() {
        assert_eq!(problems(|p| BackendSettings::default().validate(p)), [""; 0]);
    }

    #[test]
    fn what_cannot_work_is_named() {
        let common: BackendSettings = toml::from_str(
            "secrets = ['whsec_x']\ntimeout = '0s'\nmax_concurrency = 0\nforward_headers = ['X-Upper', 'x-fine']",
        )
        .unwrap();
        assert_eq!(
            problems(|p| common.validate(p)),
            ["secrets[0]", "timeout", "max_concurrency", "forward_headers[0]"]
        );
    }

    #[test]
    fn a_service_needs_its_own_kind_of_channel_and_a_plain_url() {
        let service = |channel: &str, url: &str| ServiceSettings {
            channel: channel.into(),
            url: url.into(),
            timeout: Some(Duration::from_secs(1)),
        };
        assert!(problems(|p| service("/service/a/**", "https://shop.test/in").validate(p)).is_empty());
        for (channel, url, wrong) in [
            ("/chat/a", "http://a/", "channel"),
            ("/service", "http://a/", "channel"),
            ("/service/*/a", "http://a/", "channel"),
            ("/service/a", "ftp://a/", "url"),
            ("/service/a", "http://me:secret@a/", "url"),
            ("/service/a", "/in", "url"),
        ] {
            assert_eq!(problems(|p| service(channel, url).validate(p)), [wrong], "{channel} {url}");
        }
    }
}
