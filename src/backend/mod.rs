//! Calls out to the user's backends, one signed POST each: service calls, and what else a backend wants to hear.
//!
//! Built by the server from the configuration; the broker knows it only as `broker::Services`, `Policy` and `Observer`.
//! Nothing a client sends decides where a call goes, and a backend that is down, slow or wrong costs its own callers
//! only.

pub mod breaker;
pub mod event;
pub mod feed;
pub mod fetch;
pub mod gate;
pub mod hook;
pub mod metrics;
pub mod occupancy;
pub mod pattern;
pub mod payload;
mod pool;
pub mod service;
pub mod settings;
pub mod sign;
pub mod target;

pub use metrics::Metrics;
pub use settings::Plan;

use crate::broker::{Broker, Observer, Policy, Services, service::NoServices};
use feed::{Feed, pick::Picks};
use http::Uri;
use settings::Start;
use std::{
    collections::{HashMap, hash_map},
    sync::Arc,
    time::Duration,
};
use target::{Caller, Target};

/// Everything that calls backends.
pub struct Backend {
    plan: Plan,
    caller: Arc<Caller>,
    /// By URL: entries that name the same one share its bounds.
    targets: HashMap<String, Arc<Target>>,
    forward_headers: Arc<[String]>,
    /// When somebody wants to hear of them.
    events: Option<(Arc<event::Listener>, event::Recorder)>,
    metrics: Metrics,
}

impl Backend {
    /// Prepares calls; nothing goes out yet.
    ///
    /// # Errors
    /// What of the plan cannot be used.
    pub fn new(plan: Plan) -> Result<Self, String> {
        let metrics = Metrics::default();
        let https = plan.urls().any(|url| url.parse::<Uri>().is_ok_and(|url| url.scheme_str() == Some("https")));
        let caller = Arc::new(Caller::new(plan.common.clone(), https, metrics.clone())?);
        let forward_headers = plan.common.forward_headers.clone().into();
        let wanted: Arc<[event::EventKind]> = plan.events.iter().flat_map(|e| e.on.iter().copied()).collect();
        let (listener, recorder) = event::listen(wanted, plan.common.feed.max_pending_events, &metrics);
        let events = (!plan.events.is_empty()).then(|| (Arc::new(listener), recorder));
        let mut backend = Self { events, caller, targets: HashMap::new(), forward_headers, metrics, plan };
        let urls: Vec<String> = backend.plan.urls().cloned().collect();
        urls.into_iter().try_for_each(|url| backend.add_target(url))?;
        Ok(backend)
    }

    fn add_target(&mut self, url: String) -> Result<(), String> {
        let parsed = url.parse::<Uri>().map_err(|error| format!("{url}: {error}"))?;
        if let hash_map::Entry::Vacant(place) = self.targets.entry(url) {
            place.insert(Arc::new(Target::new(parsed, Arc::clone(&self.caller))));
        }
        Ok(())
    }

    fn target(&self, url: &str) -> Option<Arc<Target>> {
        self.targets.get(url).cloned()
    }

    /// What it counts.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Who serves calls.
    pub fn services(&self) -> Arc<dyn Services> {
        if self.plan.services.is_empty() {
            return Arc::new(NoServices);
        }
        let entry = |settings: &settings::ServiceSettings| {
            let target = self.target(&settings.url)?;
            Some(service::Entry { target, patience: self.patience(settings.timeout), settings: settings.clone() })
        };
        Arc::new(service::Calls {
            entries: self.plan.services.iter().filter_map(entry).collect(),
            forward_headers: Arc::clone(&self.forward_headers),
            metrics: self.metrics.clone(),
        })
    }

    /// Who may do what: the policy given, and then the hooks.
    pub fn policy(&self, inner: Arc<dyn Policy>) -> Arc<dyn Policy> {
        if self.plan.hooks.is_empty() && self.forward_headers.is_empty() {
            return inner;
        }
        let entry = |settings: &settings::HookSettings| {
            let (target, metrics) = (self.target(&settings.url)?, self.metrics.clone());
            let patience = self.patience(settings.timeout);
            Some(Arc::new(hook::Entry { target, patience, metrics, settings: settings.clone() }))
        };
        let entries = self.plan.hooks.iter().filter_map(entry).collect();
        Arc::new(hook::Hooks { inner, entries, forward_headers: Arc::clone(&self.forward_headers) })
    }

    /// Who hears what happens.
    pub fn observers(&self) -> Vec<Arc<dyn Observer>> {
        self.events.iter().map(|(listener, _)| Arc::clone(listener) as Arc<dyn Observer>).collect()
    }

    /// Starts what delivers without being asked; it ends with the broker's calls. Must be called on a tokio runtime, once
    /// the broker runs.
    pub fn start(self, broker: &Broker) {
        for feed in self.feeds(broker) {
            broker.duties().spawn(feed.run(broker.clone()));
        }
        if let Some((_, recorder)) = self.events {
            broker.duties().spawn(recorder.run(broker.clone()));
        }
    }

    fn feeds(&self, broker: &Broker) -> Vec<Feed> {
        let feed = |name: &str, url: &str, start, picks| {
            let start = match start {
                Start::Newest => broker.engine().newest(),
                Start::Oldest => broker.engine().oldest().saturating_sub(1),
            };
            let (settings, metrics) = (self.plan.common.feed.clone(), self.metrics.clone());
            Some(Feed { name: name.into(), picks, start, target: self.target(url)?, settings, metrics })
        };
        let forwards = self
            .plan
            .forwards
            .iter()
            .filter_map(|f| feed(f.name(), &f.url, f.start, Picks::Publications(f.channel.as_str().into())));
        let events = self.plan.events.iter().filter_map(|e| {
            // What happened since this process began is never too old for those who listen.
            feed(e.name(), &e.url, Start::Newest, Picks::Events(e.on.as_slice().into()))
        });
        forwards.chain(events).collect()
    }

    fn patience(&self, own: Option<Duration>) -> Duration {
        own.unwrap_or(self.plan.common.timeout)
    }
}
