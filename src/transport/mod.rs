//! The clients' side of HTTP: one file per transport, one exchange that all share.
//!
//! The server mounts `router`. Everything that touches a socket of a client is in this room; nothing here touches the
//! engine or decides what a message means.

pub mod body;
pub mod connection;
pub mod endpoint;
pub mod event_source;
pub mod exchange;
pub mod frames;
pub mod iframe;
pub mod limiter;
pub mod origin;
pub mod polling;
pub mod request;
pub mod response;
pub mod settings;
pub mod socket;
pub mod streaming;
pub mod websocket;

pub use connection::Connection;
pub use origin::OriginPolicy;
pub use settings::{Profile, TransportSettings};

use crate::{
    bayeux::{ConnectionType, DecodeLimits},
    broker::Broker,
};
use axum::{Router, routing::any};
use exchange::Exchange;
use limiter::HandshakeLimiter;
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// One mount of the broker. Cheap to clone.
#[derive(Clone)]
pub struct Transport(Arc<Inner>);

struct Inner {
    exchange: Exchange,
    settings: TransportSettings,
    origins: OriginPolicy,
    tasks: TaskTracker,
}

impl Transport {
    /// A mount on a broker.
    pub fn new(broker: Broker, settings: TransportSettings, origins: OriginPolicy) -> Self {
        let limiter = HandshakeLimiter::new(&settings);
        let limits = DecodeLimits { messages: settings.max_batch, depth: settings.max_json_depth };
        Self(Arc::new(Inner {
            exchange: Exchange::new(broker, limiter, limits),
            settings,
            origins,
            tasks: TaskTracker::new(),
        }))
    }

    /// The routes of the mount: its path and everything below it.
    pub fn router(self) -> Router {
        let path = self.settings().path.clone();
        Router::new()
            .route(&path, any(endpoint::handle))
            .route(&format!("{path}/"), any(endpoint::handle))
            .route(&format!("{path}/{{*rest}}"), any(endpoint::handle))
            .with_state(self)
    }

    /// Whether a path is the mount or below it.
    pub fn owns(&self, path: &str) -> bool {
        path.strip_prefix(&*self.settings().path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The tasks of sockets; whoever stops the server waits for them.
    pub fn tasks(&self) -> &TaskTracker {
        &self.0.tasks
    }

    pub(crate) fn exchange(&self) -> &Exchange {
        &self.0.exchange
    }

    pub(crate) fn settings(&self) -> &TransportSettings {
        &self.0.settings
    }

    pub(crate) fn origins(&self) -> &OriginPolicy {
        &self.0.origins
    }
}

/// The transports that these settings switch on, in the order clients should prefer them.
pub fn offered(settings: &TransportSettings) -> Vec<ConnectionType> {
    [
        (settings.websocket, ConnectionType::WebSocket),
        (settings.eventsource, ConnectionType::EventSource),
        (settings.long_polling, ConnectionType::LongPolling),
        (settings.callback_polling, ConnectionType::CallbackPolling),
        (settings.iframe, ConnectionType::Iframe),
    ]
    .into_iter()
    .filter_map(|(on, kind)| on.then_some(kind))
    .collect()
}
