//! `bayeuxd serve`: configuration, logging, limits, runtime, listener, and then the server room's `run`.
//!
//! Ends when the server has drained after SIGTERM or SIGINT. Decides nothing about messages.

use super::{
    Failure,
    exposure::{self, Exposure},
    greeting::Places,
    logging,
    settings::{SetFlags, shorthand},
};
use crate::{
    config::{Config, Flag},
    server::{self, ServerSettings, pages, settings::LogFormat},
};
use std::{
    io::{self, Write},
    net::SocketAddr,
    path::PathBuf,
    time::Duration,
};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
};

/// Open files that no client's connection uses: listener, logs, engine, runtime.
const FILES_OF_OUR_OWN: u64 = 64;
/// How long tasks that outlive the server may take to end.
const RUNTIME_SHUTDOWN: Duration = Duration::from_secs(1);

/// Start the broker
#[derive(Debug, clap::Args)]
pub(super) struct Serve {
    /// The configuration, as TOML
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The address to listen on, like 127.0.0.1:8080; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    #[command(flatten)]
    set: SetFlags,
    /// Let everyone in who can reach an address that is not loopback
    #[arg(long)]
    open: bool,
}

impl Serve {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = self.set.load(self.config, shorthands(self.listen, self.open))?.config;
        logging::start(&config.log)?;
        let has_rules = config.access().is_on();
        let exposure = exposure::check(&config.server, has_rules)?;
        if let Some(listen) = config.api.own_address() {
            exposure::check(&ServerSettings { listen, ..config.server.clone() }, has_rules)?;
        }
        raise_file_limit(config.broker.max_sessions);
        let runtime = runtime(config.server.threads)?;
        let outcome = runtime.block_on(serve(config, &exposure));
        runtime.shutdown_timeout(RUNTIME_SHUTDOWN);
        outcome
    }
}

/// The flags that stand for settings.
fn shorthands(listen: Option<SocketAddr>, open: bool) -> impl Iterator<Item = Flag> {
    let listen = listen.map(|address| shorthand("--listen", "server.listen", address.to_string()));
    let open = open.then(|| shorthand("--open", "server.open", "true".into()));
    listen.into_iter().chain(open)
}

async fn serve(config: Config, exposure: &Exposure) -> Result<(), Failure> {
    let failed = |what: &str, error: io::Error| Failure::Failed(format!("{what}: {error}"));
    // Before the first connection, so that no signal finds nobody listening.
    let shutdown = shutdown().map_err(|error| failed("cannot handle signals", error))?;
    let asked = config.server.listen;
    let listener = TcpListener::bind(asked).await.map_err(|e| failed(&format!("cannot listen on {asked}"), e))?;
    let address = listener.local_addr().map_err(|error| failed("cannot tell the address", error))?;
    let greeting = Greeting::new(&config, address);
    let settings = server::Settings {
        calls: config.calls(),
        access: config.access(),
        server: config.server,
        broker: config.broker,
        transport: config.transport,
        api: config.api,
        extension: config.extension,
        rates: config.rates,
        engine: config.engine,
        channels: config.channel,
    };
    let ready = || greeting.say(exposure);
    let served = server::run_saying(settings, listener, ready, shutdown).await;
    served.map_err(|error| failed("the server failed", error))
}

/// What is said when everything could be opened.
struct Greeting {
    address: SocketAddr,
    places: Places,
    format: LogFormat,
}

impl Greeting {
    fn new(config: &Config, address: SocketAddr) -> Self {
        let mut places = Places::new(address, &config.transport.path, config.server.tls.is_on());
        if !config.server.pages.is_empty() {
            places.playground.push_str(pages::PLAYGROUND.trim_start_matches('/'));
        }
        Self { address, places, format: config.log.format }
    }

    fn say(self, exposure: &Exposure) {
        let Self { address, places, format } = self;
        match exposure {
            Exposure::Ruled => tracing::info!("what anybody may do is what the rules allow"),
            Exposure::Machine => tracing::info!("open for every program on this machine (loopback address)"),
            Exposure::Network => tracing::warn!("open for everyone who can reach {address} (--open)"),
        }
        match format {
            LogFormat::Text => drop(write!(io::stderr(), "{}", places.block())),
            LogFormat::Json => tracing::info!(playground = places.playground, bayeux = places.bayeux, "listening"),
        }
    }
}

/// Completes at SIGTERM or SIGINT.
fn shutdown() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let (mut terminated, mut interrupted): (Signal, Signal) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        let name = tokio::select! {
            _ = terminated.recv() => "SIGTERM",
            _ = interrupted.recv() => "SIGINT",
        };
        tracing::info!("stopping ({name})");
    })
}

fn runtime(threads: usize) -> Result<Runtime, Failure> {
    let mut builder = Builder::new_multi_thread();
    if threads > 0 {
        builder.worker_threads(threads);
    }
    let runtime = builder.enable_all().thread_name("bayeuxd").build();
    runtime.map_err(|error| Failure::Failed(format!("cannot start the runtime: {error}")))
}

/// Every connected client holds one open file, so this bounds the sessions long before memory does.
fn raise_file_limit(max_sessions: usize) {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(files) => {
            let sessions = files.saturating_sub(FILES_OF_OUR_OWN);
            tracing::info!(files, "open files allow {sessions} connected sessions");
            if sessions < max_sessions as u64 {
                tracing::info!("broker.max_sessions = {max_sessions} is more than that; `ulimit -Hn` raises it");
            }
        }
        Err(error) => tracing::warn!("cannot raise the limit of open files: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shorthands_are_settings_like_any_other() {
        let flags: Vec<Flag> = shorthands(Some("127.0.0.1:0".parse().unwrap()), true).collect();
        let config = SetFlags::default().load(None, flags).unwrap().config;
        assert_eq!(config.server.listen.port(), 0);
        assert!(config.server.open);
        assert_eq!(shorthands(None, false).count(), 0);
    }
}
