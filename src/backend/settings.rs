//! The settings of the backend room: how backends are called, and which of them hears of what. Nested by `config`.
//!
//! URLs are here and nowhere else: nothing that a client sends ever becomes a part of one.

use super::{event::EventKind, feed::dead_letter, sign::Secret};
use crate::bayeux::{ChannelLimits, Pattern, channel};
use http::Uri;
use serde::{Deserialize, Serialize};
use std::{path::PathBuf, time::Duration};

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
    /// How publications and events are delivered to those who want them.
    pub feed: FeedSettings,
}

/// `[backend.feed]`: how `[[forward]]` and `[[events]]` deliver.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeedSettings {
    /// Most publications or events in one call.
    pub max_items: usize,
    /// Most bytes of them in one call; what is larger goes alone.
    #[serde(with = "crate::units::size")]
    pub max_bytes: usize,
    /// How long a call waits for more to carry along.
    #[serde(with = "crate::units::duration")]
    pub linger: Duration,
    /// How long a backend may take to take a batch.
    #[serde(with = "crate::units::duration")]
    pub timeout: Duration,
    /// The pause after a first failure; it doubles up to `max_pause`, and half of it is random.
    #[serde(with = "crate::units::duration")]
    pub min_pause: Duration,
    /// The longest pause between attempts.
    #[serde(with = "crate::units::duration")]
    pub max_pause: Duration,
    /// Times a backend may refuse a batch before it is put among the dead letters; 0 tries for ever. A backend that
    /// cannot be reached, or answers 429, 502, 503 or 504, is waited for without counting.
    pub attempts: u32,
    /// A file that dead letters are added to, one JSON object a line, besides their place in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letter_file: Option<PathBuf>,
    /// Events that may wait to be recorded; more are lost, which is counted and told.
    pub max_pending_events: usize,
}

impl Default for FeedSettings {
    fn default() -> Self {
        Self {
            max_items: 100,
            max_bytes: 1 << 20,
            linger: Duration::from_millis(20),
            timeout: Duration::from_secs(30),
            min_pause: Duration::from_millis(200),
            max_pause: Duration::from_secs(30),
            attempts: 10,
            dead_letter_file: None,
            max_pending_events: 10_000,
        }
    }
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
            feed: FeedSettings::default(),
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

/// `[[forward]]`: who is given a copy of what is published.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ForwardSettings {
    /// What its place in the log is kept under; the channel when it is not given. A new name starts anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The channels, like `/orders/**`; or `/meta/dead_letters`.
    pub channel: String,
    /// Where batches are posted to.
    pub url: String,
    /// Where it begins at its very first start; newest when it is not given.
    #[serde(default)]
    pub start: Start,
}

/// Where a feed begins at its very first start.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// With what is published from then on.
    #[default]
    Newest,
    /// With the oldest publication that the log still keeps.
    Oldest,
}

/// `[[events]]`: who hears what happens to sessions and channels.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EventsSettings {
    /// What its place in the log is kept under; `events` when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The events it wants: `session_added`, `session_removed`, `subscribed`, `unsubscribed`, `channel_occupied`,
    /// `channel_vacated`, `gap`.
    pub on: Vec<EventKind>,
    /// Where batches are posted to.
    pub url: String,
}

impl ForwardSettings {
    /// The name of the feed.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.channel)
    }

    /// Reports every value that cannot work, as (key within the section, what is wrong).
    pub fn validate(&self, problem: Problem<'_>) {
        check_url(&self.url, problem);
        if self.channel != dead_letter::CHANNEL {
            check_pattern(&self.channel, problem);
            if channel::kind(&self.channel) == channel::ChannelKind::Service {
                problem("channel", "must not be a service channel: see [[service]]".into());
            }
        }
    }
}

impl EventsSettings {
    /// The name of the feed.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("events")
    }

    /// Reports every value that cannot work, as (key within the section, what is wrong).
    pub fn validate(&self, problem: Problem<'_>) {
        check_url(&self.url, problem);
        if self.on.is_empty() {
            problem("on", "must name at least one event".into());
        }
    }
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
    /// `[[forward]]`.
    pub forwards: Vec<ForwardSettings>,
    /// `[[events]]`.
    pub events: Vec<EventsSettings>,
}

impl Plan {
    /// Every URL there is.
    pub fn urls(&self) -> impl Iterator<Item = &String> {
        let (services, hooks) = (self.services.iter().map(|s| &s.url), self.hooks.iter().map(|h| &h.url));
        services.chain(hooks).chain(self.forwards.iter().map(|f| &f.url)).chain(self.events.iter().map(|e| &e.url))
    }

    /// Reports every value that cannot work, as (dotted key, what is wrong).
    pub fn validate(&self, problem: &mut dyn FnMut(String, String)) {
        self.common.validate(&mut |key, text| problem(format!("backend.{key}"), text));
        for (n, service) in self.services.iter().enumerate() {
            service.validate(&mut |key, text| problem(format!("service[{n}].{key}"), text));
        }
        for (n, hook) in self.hooks.iter().enumerate() {
            hook.validate(&mut |key, text| problem(format!("hook[{n}].{key}"), text));
        }
        for (n, forward) in self.forwards.iter().enumerate() {
            forward.validate(&mut |key, text| problem(format!("forward[{n}].{key}"), text));
            if self.forwards[..n].iter().any(|other| other.name() == forward.name()) {
                problem(format!("forward[{n}].name"), "is taken: each needs a name of its own".into());
            }
        }
        for (n, events) in self.events.iter().enumerate() {
            events.validate(&mut |key, text| problem(format!("events[{n}].{key}"), text));
            if self.events[..n].iter().any(|other| other.name() == events.name()) {
                problem(format!("events[{n}].name"), "is taken: each needs a name of its own".into());
            }
        }
    }
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
        self.feed.validate(&mut |key, text| problem(&format!("feed.{key}"), text));
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

impl FeedSettings {
    fn validate(&self, problem: Problem<'_>) {
        check_timeout("timeout", self.timeout, problem);
        for (key, value) in [("max_items", self.max_items), ("max_pending_events", self.max_pending_events)] {
            if value == 0 {
                problem(key, "must be at least 1".into());
            }
        }
        if self.min_pause.is_zero() || self.min_pause > self.max_pause {
            problem("min_pause", "must be more than nothing and at most max_pause".into());
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
    let Ok(url) = text.parse::<Uri>() else { return problem("url", "is not a URL".into()) };
    match (url.scheme_str(), url.authority()) {
        (Some("http" | "https"), Some(place)) if place.as_str().contains('@') => {
            problem("url", "must hold no credentials: calls are signed (backend.secrets)".into());
        }
        (Some("http" | "https"), Some(_)) => {}
        _ => problem("url", "must begin with http:// or https://".into()),
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
mod tests;
