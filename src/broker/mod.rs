//! The broker: sessions, subscriptions, fan-out, queues, delivery, expiry. One file per verb in `verb/`.
//!
//! Called by transports and the API; appends to and reads from the engine. Knows no HTTP, no socket, no concrete engine.
//! The ten steps of a message run through here as 4 handle, 5 append, 6 fan out, 7 queue and 8 drain.

mod backlog;
pub mod browser;
pub mod caller;
pub mod channels;
pub mod delivery;
pub mod direct;
pub mod extension;
pub mod hold;
pub mod index;
pub mod inspect;
pub mod lane;
pub mod metrics;
pub mod observer;
pub(crate) mod outside;
mod places;
pub mod policy;
pub mod record;
pub mod replay;
mod revoked;
pub mod service;
pub mod session;
pub mod settings;
pub mod stream;
pub mod sweep;
pub mod table;
#[cfg(test)]
mod tests;
pub mod throttle;
pub mod verb;

pub use caller::Caller;
pub use channels::Channels;
pub use delivery::Delivery;
pub use direct::{Accepted, Item, Refusal};
pub use extension::{Additions, Clock, Extension};
pub use hold::{Answered, Last};
pub use inspect::{History, Seen};
pub use metrics::Metrics;
pub use observer::{Happening, Observer};
pub(crate) use outside::wall_clock_ms;
pub use policy::{Asking, Credentials, Denial, Explanation, Identity, Policy, Revocation, Revoked};
pub use replay::Begin;
pub use service::{Call, Services};
pub use session::Place;
pub use session::{End, Event, Session};
pub use settings::{BrokerSettings, ChannelSettings};
pub use stream::Stream;
pub use verb::connect::{Connect, Plan};

use crate::{
    bayeux::{Advice, ChannelLimits, ClientId, ConnectionType, Message, ProtocolError, Reply, Seq},
    engine::{Draft, Engine, EngineError, Placed},
};
use browser::Browsers;
use lane::Lane;
use parking_lot::Mutex;
use serde_json::value::RawValue;
use std::{
    sync::{Arc, OnceLock},
    task::Waker,
    time::Duration,
};
use table::SessionTable;
use throttle::Throttle;
use tokio::{sync::watch, time::Instant};
use tokio_util::task::TaskTracker;

/// What a client is told whose token has expired or was revoked.
pub(crate) const IDENTITY_OVER: &str = "the token has expired or was revoked";
/// Publications a lane may be behind before publishers wait for it.
const MAX_LANE_LAG: u64 = 10_000;

/// The broker. Cheap to clone; all clones are the same broker.
#[derive(Clone)]
pub struct Broker(Arc<Inner>);

struct Inner {
    settings: BrokerSettings,
    connection_types: Vec<ConnectionType>,
    engine: Arc<dyn Engine>,
    plugins: Plugins,
    credential_headers: Vec<Arc<str>>,
    sessions: SessionTable,
    lanes: Vec<Lane>,
    browsers: Browsers,
    throttle: Throttle,
    revocations: Mutex<revoked::Stored>,
    metrics: Metrics,
    /// Service calls whose answers are still to come.
    calls: TaskTracker,
    /// What else must end in good order: feeds, which end when the broker stops, and goodbyes.
    duties: TaskTracker,
    stopping: watch::Sender<bool>,
    /// How far the lanes had come when it began to stop.
    stopped_at: OnceLock<Vec<Seq>>,
}

/// What rooms above bring along.
pub struct Plugins {
    /// Bayeux extensions, in the order they take part.
    pub extensions: Vec<Box<dyn Extension>>,
    /// Who may do what.
    pub policy: Arc<dyn Policy>,
    /// Who serves calls.
    pub services: Arc<dyn Services>,
    /// Who hears what happens.
    pub observers: Vec<Arc<dyn Observer>>,
    /// What the settings say of channels; its retention is the engine's.
    pub channels: Channels,
    /// Counts what a policy refuses for coming too often.
    pub rate_limited: metrics::RateCounters,
}

impl Default for Plugins {
    fn default() -> Self {
        Self {
            extensions: Vec::new(),
            policy: Arc::new(policy::Open),
            services: Arc::new(service::NoServices),
            observers: Vec::new(),
            channels: Channels::default(),
            rate_limited: metrics::RateCounters::default(),
        }
    }
}

impl Broker {
    /// Starts a broker on an engine: its lanes and its sweep run until the runtime ends. Must be called on a tokio
    /// runtime. `connection_types` are the transports that handshakes offer.
    pub fn start(
        settings: BrokerSettings,
        connection_types: Vec<ConnectionType>,
        engine: Arc<dyn Engine>,
        plugins: Plugins,
    ) -> Self {
        let lanes = match settings.lanes {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        };
        let newest = engine.newest();
        engine.passed(newest);
        let broker = Self(Arc::new(Inner {
            settings,
            connection_types,
            engine,
            credential_headers: plugins.policy.headers(),
            metrics: Metrics { rate_limited: plugins.rate_limited.clone(), ..Metrics::default() },
            plugins,
            sessions: SessionTable::default(),
            lanes: (0..lanes).map(|_| Lane::new(newest)).collect(),
            browsers: Browsers::default(),
            throttle: Throttle::default(),
            revocations: Mutex::default(),
            calls: TaskTracker::new(),
            duties: TaskTracker::new(),
            stopping: watch::Sender::new(false),
            stopped_at: OnceLock::new(),
        }));
        for number in 0..lanes {
            tokio::spawn(broker.clone().supervise(number));
        }
        tokio::spawn(broker.clone().sweep_for_ever());
        broker
    }

    /// The settings it was started with.
    pub fn settings(&self) -> &BrokerSettings {
        &self.0.settings
    }

    /// What it counts.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// The transports that handshakes offer.
    pub fn connection_types(&self) -> &[ConnectionType] {
        &self.0.connection_types
    }

    /// Publishes from the program that embeds the broker; returns the position in the log.
    ///
    /// # Errors
    /// When the channel cannot be published to, the data is not JSON, or the log cannot take it.
    pub async fn publish_data(&self, channel: &str, data: &str) -> Result<Seq, ProtocolError> {
        if !crate::bayeux::channel::is_publishable(channel, self.channel_limits()) {
            return Err(ProtocolError::ChannelInvalid);
        }
        let data: &RawValue =
            serde_json::from_str(data).map_err(|_| ProtocolError::malformed("data", "must be JSON"))?;
        let places = self.append(vec![Draft::new(channel, data, None, wall_clock_ms())]).await;
        places.ok().and_then(|p| p.first().map(|p| p.seq)).ok_or(ProtocolError::EngineUnavailable)
    }

    /// Begins to stop: every held connect is answered, with the messages that wait for it; streams are told, new sessions
    /// are refused.
    pub fn stop(&self) {
        self.0.stopping.send_replace(true);
        self.0.stopped_at.get_or_init(|| self.lane_positions());
        for session in self.sessions().filter(|_| true) {
            let wakers = {
                let mut state = session.lock();
                // What could wait for company leaves now or not at all.
                state.urge();
                state.end(End::ShuttingDown)
            };
            wakers.into_iter().flatten().flatten().for_each(Waker::wake);
        }
    }

    pub(crate) fn stopped_at(&self) -> Option<&[Seq]> {
        self.0.stopped_at.get().map(Vec::as_slice)
    }

    /// Whether it has begun to stop.
    pub fn is_stopping(&self) -> bool {
        *self.0.stopping.borrow()
    }

    /// Becomes true when it begins to stop.
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.0.stopping.subscribe()
    }

    /// How long a refusal for an unknown session should wait before it is sent.
    pub fn unknown_session_delay(&self, caller: &Caller, message: &Message<'_>) -> Duration {
        let claimed = message.client_id.as_deref().unwrap_or("");
        let s = self.settings();
        self.0.throttle.delay(
            caller.peer,
            claimed,
            Instant::now(),
            s.unknown_session_delay,
            s.unknown_session_max_delay,
        )
    }

    /// The session a message names, if this caller may speak for it.
    ///
    /// # Errors
    /// `SessionUnknown` when there is none, or it belongs to another browser and cookies are required.
    pub async fn session(&self, caller: &Caller, message: &Message<'_>) -> Result<Arc<Session>, ProtocolError> {
        self.session_of(caller, message.client_id.as_deref()).await
    }

    /// The session with this id, if this caller may speak for it.
    ///
    /// # Errors
    /// As for [`Broker::session`].
    pub async fn session_of(&self, caller: &Caller, id: Option<&str>) -> Result<Arc<Session>, ProtocolError> {
        let unknown = || ProtocolError::SessionUnknown(self.settings().unknown_session_error.clone().into());
        let id = id.and_then(ClientId::parse).ok_or_else(unknown)?;
        let session = self.sessions().get(id).ok_or_else(unknown)?;
        if self.settings().require_cookie && session.browser != caller.browser {
            return Err(unknown());
        }
        if self.end_if_over(&session, wall_clock_ms()).await {
            return Err(ProtocolError::NotAuthenticated(IDENTITY_OVER.into()));
        }
        // Whoever proves to be somebody must be the one the session was made for. What proves nothing, like the token
        // that opened a socket long ago and was renewed since, is no more than the client id alone.
        if caller.credentials.is_some()
            && let Ok(who) = self.policy().identify(caller.credentials.as_ref(), None).await
            && !who.is_anonymous()
            && !who.is_same_as(&session.identity())
        {
            return Err(unknown());
        }
        Ok(session)
    }

    /// The refusal of a message whose session is unknown or over; meta replies say how to get a new one.
    pub(crate) fn refuse_unknown(&self, message: &Message<'_>, error: ProtocolError) -> Reply {
        let is_gone = matches!(error, ProtocolError::SessionUnknown(_) | ProtocolError::NotAuthenticated(_));
        let advise = is_gone && message.channel.starts_with("/meta/");
        let mut reply = Reply::refuse(message, error);
        if advise {
            reply.advice = Some(self.advice().with(crate::bayeux::Reconnect::Handshake).after(Duration::ZERO));
        }
        reply
    }

    /// The normal advice.
    pub fn advice(&self) -> Advice {
        Advice::retry(self.settings().interval, self.settings().timeout)
    }

    pub(crate) fn engine(&self) -> &dyn Engine {
        &*self.0.engine
    }

    pub(crate) fn extensions(&self) -> &[Box<dyn Extension>] {
        &self.0.plugins.extensions
    }

    pub(crate) fn channel_table(&self) -> &Channels {
        &self.0.plugins.channels
    }

    pub(crate) fn policy(&self) -> &Arc<dyn Policy> {
        &self.0.plugins.policy
    }

    pub(crate) fn services(&self) -> &dyn Services {
        &*self.0.plugins.services
    }

    pub(crate) fn calls(&self) -> &TaskTracker {
        &self.0.calls
    }

    pub(crate) fn duties(&self) -> &TaskTracker {
        &self.0.duties
    }

    /// The request headers that callers must bring along as credentials, in lower case.
    pub fn credential_headers(&self) -> &[Arc<str>] {
        &self.0.credential_headers
    }

    /// Whether anybody hears what happens.
    pub(crate) fn is_observed(&self) -> bool {
        !self.0.plugins.observers.is_empty()
    }

    /// Tells the observers.
    pub(crate) fn tell(&self, session: &Session, what: &Happening) {
        if self.is_observed() {
            let who = session.lock().identity.clone();
            self.0.plugins.observers.iter().for_each(|o| o.happened(session.id, &who, what));
        }
    }

    pub(crate) fn sessions(&self) -> &SessionTable {
        &self.0.sessions
    }

    pub(crate) fn browsers(&self) -> &Browsers {
        &self.0.browsers
    }

    pub(crate) fn throttle(&self) -> &Throttle {
        &self.0.throttle
    }

    fn revocations(&self) -> &Mutex<revoked::Stored> {
        &self.0.revocations
    }

    pub(crate) fn lane(&self, number: usize) -> &Lane {
        &self.0.lanes[number]
    }

    pub(crate) fn lanes(&self) -> &[Lane] {
        &self.0.lanes
    }

    /// The position that all lanes have reached.
    pub(crate) fn slowest_lane(&self) -> Seq {
        self.0.lanes.iter().map(Lane::position).min().unwrap_or_default()
    }

    pub(crate) fn lane_of(&self, id: ClientId) -> usize {
        // The low bits choose the shard of the table; others choose the lane.
        (id.bits() >> 64) as usize % self.0.lanes.len()
    }

    pub(crate) fn channel_limits(&self) -> ChannelLimits {
        self.settings().channel_limits()
    }

    /// Appends to the log, but not faster than the slowest lane can read it.
    pub(crate) async fn append(&self, drafts: Vec<Draft>) -> Result<Vec<Placed>, EngineError> {
        for lane in &self.0.lanes {
            let newest = self.engine().newest();
            if newest.saturating_sub(lane.position()) > MAX_LANE_LAG {
                lane.caught_up(newest - MAX_LANE_LAG).await;
            }
        }
        let count = drafts.len() as u64;
        let places = self.engine().append(drafts).await.inspect_err(|_| {
            self.metrics().unavailable.inc_by(count);
        })?;
        let repeated = places.iter().filter(|p| p.repeated).count() as u64;
        self.metrics().publications.inc_by(places.len() as u64 - repeated);
        self.metrics().repeated.inc_by(repeated);
        Ok(places)
    }

    /// Ends a session for good: tells whoever is attached, and forgets it.
    pub(crate) async fn end(&self, session: &Arc<Session>, end: End) -> bool {
        let (wakers, patterns) = {
            let mut state = session.lock();
            let Some(wakers) = state.end(end) else { return false };
            (wakers, std::mem::take(&mut state.subscriptions))
        };
        self.lane(session.lane).unsubscribe(session, patterns.iter().map(|s| &s.pattern));
        self.sessions().remove(session);
        if let Some(browser) = &session.browser {
            self.browsers().remove(browser, session.id);
        }
        wakers.into_iter().flatten().for_each(Waker::wake);
        self.count_end(end);
        if !patterns.is_empty() && self.is_observed() {
            let patterns = patterns.iter().map(|s| Arc::clone(&s.pattern)).collect();
            self.tell(session, &Happening::Unsubscribed(patterns));
        }
        self.tell(session, &Happening::SessionRemoved(end));
        if let Err(error) = self.engine().forget(session.id).await {
            tracing::warn!(%error, session = ?session.id, "the record of a session that ended could not be removed");
        }
        true
    }

    fn count_end(&self, end: End) {
        use metrics::{EndCause, EndLabel};
        let cause = match end {
            End::Disconnected => EndCause::Disconnected,
            End::Expired => EndCause::Expired,
            End::Kicked => EndCause::Kicked,
            End::Gap => EndCause::Gap,
            End::Inactive => EndCause::Inactive,
            End::Unauthorised => EndCause::Unauthorised,
            End::ShuttingDown | End::LaneLost => return,
        };
        self.metrics().sessions_ended.get_or_create(&EndLabel { cause }).inc();
        self.metrics().sessions.dec();
    }
}
