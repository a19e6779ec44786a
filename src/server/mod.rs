//! The composition root: puts engine, broker, transports and pages together, listens, and ends in good order.
//!
//! Called by `serve` and by whoever embeds the whole server. The only room that knows concrete engines. Decides nothing
//! about messages.

pub mod accept;
mod ending;
pub mod io;
pub mod issuers;
pub mod pages;
mod plain;
pub mod process;
pub mod serving;
pub mod settings;
pub mod tls;
pub mod watch;

pub use settings::{LogFormat, LogSettings, ServerSettings, TlsSettings};

use crate::{
    access::{self, Access, RateSettings, Rates},
    api::{Api, ApiSettings, route},
    backend::{self, Backend},
    broker::{Broker, BrokerSettings, ChannelSettings, Channels, Plugins, Policy, metrics::RateCounters, policy},
    engine::{DiskEngine, Engine, EngineKind, EngineSettings, MemoryEngine},
    extension::{self, ExtensionSettings},
    transport::{self, OriginPolicy, Profile, Transport, TransportSettings},
};
use accept::{Acceptor, Part, Site};
use futures_util::future::Either;
use process::Process;
use prometheus_client::{metrics::gauge::Gauge, registry::Registry};
use std::{
    future::Future,
    io::{Error, Result},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tls::Tls;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    time::{Instant, timeout, timeout_at},
};

/// The longest that writing down where sessions stand may take, at the end.
const PLACES: Duration = Duration::from_millis(1500);
/// What clients of Salesforce's streaming API look for to begin anew.
const UNKNOWN_CLIENT: &str = "403::Unknown client";

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
    /// `[extension]`.
    pub extension: ExtensionSettings,
    /// `[rates]`.
    pub rates: RateSettings,
    /// `[engine]`.
    pub engine: EngineSettings,
    /// `[[channel]]`.
    pub channels: Vec<ChannelSettings>,
    /// `[backend]` and the entries that use it.
    pub calls: backend::Plan,
    /// `[access]`, keys, issuers and rules.
    pub access: access::Plan,
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
    run_saying(settings, listener, || (), shutdown).await
}

/// The same, calling `ready` when everything could be opened and clients are served.
///
/// # Errors
/// As for [`run`].
pub async fn run_saying(
    settings: Settings,
    listener: TcpListener,
    ready: impl FnOnce(),
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let address = listener.local_addr()?;
    let offered = transport::offered(&settings.transport);
    let backend = Backend::new(settings.calls.clone()).map_err(Error::other)?;
    let channels =
        Channels::new(settings.channels.clone(), settings.engine.bounds(), settings.engine.max_retained_channels);
    let engine = engine(&settings, &channels).await?;
    let mut registry = Registry::default();
    engine.register(registry.sub_registry_with_prefix("bayeuxd"));
    let rate_limited = RateCounters::default();
    let policy = backend.policy(policy(&settings)?);
    let plugins = Plugins {
        extensions: extension::chosen(&settings.extension, settings.transport.profile == Profile::Salesforce),
        policy: Rates::around(policy, &settings.rates, rate_limited.clone()),
        rate_limited,
        services: backend.services(),
        observers: backend.observers(),
        channels,
    };
    let broker = Broker::start(broker_settings(&settings), offered, engine, plugins);
    let open = Gauge::default();
    broker.recover().await.map_err(Error::other)?;
    register(&mut registry, &broker, &backend, &open);
    backend.start(&broker);
    let transport = Transport::new(broker.clone(), settings.transport.clone(), origins(&settings, address));
    let tasks = transport.tasks().clone();
    let api = Api::new(broker.clone(), settings.api.clone(), registry);
    let part = if settings.api.enabled && settings.api.listen.is_empty() { Part::All } else { Part::Clients };
    let site = Site { transport, api, pages: pages::router(&settings.transport.path, &settings.server.pages), part };
    let acceptor = |listener, site| {
        Acceptor::new(listener, site, &settings.transport, broker.stopping(), tasks.clone())
            .with_grace(settings.server.request_grace)
            .counting(open.clone())
    };
    let tls = if settings.server.tls.is_on() { Some(Arc::new(Tls::load(&settings.server.tls)?)) } else { None };
    let backends = match own_listener(&settings.api).await? {
        Some(listener) => Either::Left(acceptor(listener, Site { part: Part::Backends, ..site.clone() }).run()),
        None => Either::Right(std::future::pending()),
    };
    ready();
    tokio::select! {
        () = acceptor(listener, site).with_tls(tls.clone()).run() => {}
        () = backends => {}
        () = reload_at_hangup(tls) => {}
        () = shutdown => {}
    }
    let deadline = Instant::now() + settings.server.drain_timeout;
    // Nobody new is let in by now. Whoever waits for the answer to a call is still held and gets it.
    if timeout(settings.server.drain_timeout / 2, broker.calls_are_answered()).await.is_err() {
        tracing::warn!("calls to backends were still out when half of the time to drain was over");
    }
    tracing::info!("stopping: held connects are answered, sockets are closed");
    broker.stop();
    tasks.close();
    let drained = async { tokio::join!(tasks.wait(), broker.duties_are_done(), broker.calls_are_answered()) };
    if timeout_at(deadline, drained).await.is_err() {
        tracing::warn!(open = tasks.len(), "connections were still open when the time to drain was over");
    }
    if timeout(PLACES, broker.keep_places()).await.is_err() {
        tracing::warn!(
            "there was no time to store where sessions stand; who does not acknowledge goes on with what is new"
        );
    }
    Ok(())
}

/// Who may do what, as far as the configuration says.
fn policy(settings: &Settings) -> Result<Arc<dyn Policy>> {
    if !settings.access.is_on() {
        return Ok(Arc::new(policy::Open));
    }
    let issuers = issuers::fetcher(&settings.access).map_err(Error::other)?;
    Ok(Arc::new(Access::new(&settings.access, &issuers).map_err(Error::other)?))
}

/// The broker's settings, as the mount's profile has them.
fn broker_settings(settings: &Settings) -> BrokerSettings {
    let mut broker = settings.broker.clone();
    let unsaid = broker.unknown_session_error == BrokerSettings::default().unknown_session_error;
    if settings.transport.profile == Profile::Salesforce && unsaid {
        broker.unknown_session_error = UNKNOWN_CLIENT.into();
    }
    broker
}

/// The listener that the API has to itself, if it has one.
async fn own_listener(settings: &ApiSettings) -> Result<Option<TcpListener>> {
    let Some(address) = settings.own_address() else { return Ok(None) };
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|e| Error::new(e.kind(), format!("cannot listen on {address}: {e}")))?;
    tracing::info!("the API listens on http://{}{}", listener.local_addr()?, route::API);
    Ok(Some(listener))
}

/// Reads the certificate again whenever SIGHUP comes. Never completes.
async fn reload_at_hangup(tls: Option<Arc<Tls>>) {
    match signal(SignalKind::hangup()) {
        Ok(mut hangup) => {
            while hangup.recv().await.is_some() {
                match &tls {
                    Some(tls) => {
                        let tls = Arc::clone(tls);
                        // Reading files may take a moment.
                        let _ = tokio::task::spawn_blocking(move || tls.reload()).await;
                    }
                    None => tracing::info!("SIGHUP: there is no certificate to read again"),
                }
            }
        }
        Err(error) => tracing::warn!(%error, "SIGHUP cannot be heard"),
    }
    std::future::pending().await
}

/// Makes known what is counted outside the engine.
fn register(registry: &mut Registry, broker: &Broker, backend: &Backend, open: &Gauge) {
    registry.register_collector(Box::new(Process));
    let own = registry.sub_registry_with_prefix("bayeuxd");
    broker.metrics().register(own);
    backend.metrics().register(own);
    own.register("connections", "Connections open now", open.clone());
}

/// The engine that the settings choose, once it is ready.
async fn engine(settings: &Settings, channels: &Channels) -> Result<Arc<dyn Engine>> {
    let (retention, keys) = (channels.retention().clone(), settings.engine.keys());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |d| d.as_micros());
    let now_us = u64::try_from(now).unwrap_or(1);
    match settings.engine.kind {
        EngineKind::Memory => Ok(Arc::new(MemoryEngine::new(retention, keys, now_us))),
        EngineKind::Disk => {
            let settings = settings.engine.disk.clone();
            // Opening reads files.
            let opened = tokio::task::spawn_blocking(move || DiskEngine::open(&settings, retention, keys, now_us));
            let engine = opened.await.map_err(Error::other)?.map_err(Error::other)?;
            Ok(Arc::new(engine))
        }
    }
}

/// A loopback server without a list is for the person at this machine: any page may talk to it, unless browsers carry
/// along by themselves what shows who they are.
fn origins(settings: &Settings, address: SocketAddr) -> OriginPolicy {
    let listed = settings.transport.allowed_origins.clone();
    let is_open = listed.is_empty() && !settings.access.uses_cookies();
    if is_open && address.ip().to_canonical().is_loopback() { OriginPolicy::Any } else { OriginPolicy::Listed(listed) }
}
