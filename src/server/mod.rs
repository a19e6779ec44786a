//! The composition root: puts engine, broker, transports and pages together, listens, and ends in good order.
//!
//! Called by `serve` and by whoever embeds the whole server. The only room that knows concrete engines. Decides nothing
//! about messages.

pub mod accept;
pub mod io;
pub mod pages;
pub mod settings;
pub mod watch;

pub use settings::{LogFormat, LogSettings, ServerSettings};

use crate::{
    api::{Api, ApiSettings},
    backend::{self, Backend},
    broker::{Broker, BrokerSettings, ChannelSettings, Channels, Plugins, policy},
    engine::{Engine, EngineKind, EngineSettings, MemoryEngine},
    extension,
    transport::{self, OriginPolicy, Transport, TransportSettings},
};
use accept::{Acceptor, Site};
use prometheus_client::registry::Registry;
use std::{
    future::Future,
    io::{Error, Result},
    net::SocketAddr,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::net::TcpListener;

/// What the server is made from.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `[server]`.
    pub server: ServerSettings,
    /// `[broker]`.
    pub broker: BrokerSettings,
    /// `[transport]`.
    pub transport: TransportSettings,
    /// `[api]`.
    pub api: ApiSettings,
    /// `[engine]`.
    pub engine: EngineSettings,
    /// `[[channel]]`.
    pub channels: Vec<ChannelSettings>,
    /// `[backend]` and the entries that use it.
    pub calls: backend::Plan,
}

/// Serves until `shutdown` completes, then answers what is held, closes what is open, and returns.
///
/// # Errors
/// When the listener cannot be used, or backends cannot be called as configured.
pub async fn run(
    settings: Settings,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let address = listener.local_addr()?;
    let offered = transport::offered(&settings.transport);
    let backend = Backend::new(settings.calls.clone()).map_err(Error::other)?;
    let channels = Channels::new(
        settings.channels.clone(),
        settings.engine.memory.bounds(),
        settings.engine.max_retained_channels,
    );
    let engine = engine(&settings, &channels);
    let plugins = Plugins {
        extensions: extension::all(),
        policy: backend.policy(Arc::new(policy::Open)),
        services: backend.services(),
        observers: backend.observers(),
        channels,
    };
    let broker = Broker::start(settings.broker.clone(), offered, engine, plugins);
    let registry = registry(&broker, &backend);
    backend.start(&broker);
    let transport = Transport::new(broker.clone(), settings.transport.clone(), origins(&settings, address));
    let tasks = transport.tasks().clone();
    let api = settings.api.enabled.then(|| Api::new(broker.clone(), settings.api.clone(), registry));
    let site = Site { transport, api, pages: pages::router(&settings.transport.path) };
    let acceptor = Acceptor::new(listener, site, &settings.transport, broker.stopping(), tasks.clone());
    tokio::select! {
        () = acceptor.run() => {}
        () = shutdown => {}
    }
    tracing::info!("stopping: held connects are answered, sockets are closed");
    broker.stop();
    tasks.close();
    let drained = async { tokio::join!(tasks.wait(), broker.calls_are_answered()) };
    if tokio::time::timeout(settings.server.drain_timeout, drained).await.is_err() {
        tracing::warn!(open = tasks.len(), "connections were still open when the time to drain was over");
    }
    Ok(())
}

/// Everything that is counted.
fn registry(broker: &Broker, backend: &Backend) -> Registry {
    let mut registry = Registry::with_prefix("bayeuxd");
    broker.metrics().register(&mut registry);
    backend.metrics().register(&mut registry);
    registry
}

fn engine(settings: &Settings, channels: &Channels) -> Arc<dyn Engine> {
    let (retention, keys) = (channels.retention().clone(), settings.engine.keys());
    match settings.engine.kind {
        EngineKind::Memory => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |d| d.as_micros());
            Arc::new(MemoryEngine::new(retention, keys, u64::try_from(now).unwrap_or(1)))
        }
    }
}

/// A loopback server without a list is for the person at this machine: any page may talk to it.
fn origins(settings: &Settings, address: SocketAddr) -> OriginPolicy {
    let listed = settings.transport.allowed_origins.clone();
    if listed.is_empty() && address.ip().to_canonical().is_loopback() {
        OriginPolicy::Any
    } else {
        OriginPolicy::Listed(listed)
    }
}
