//! The HTTP client of this room: connections kept alive and nothing else. No redirect is followed, no proxy is taken from
//! the environment, no cookie is kept.
//!
//! Made once at the start by `target`. Decides nothing about a single call.

use super::settings::BackendSettings;
use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use std::{sync::Arc, time::Duration};

/// A client with its pool of connections.
pub(super) type Http = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// How calls introduce themselves.
pub(super) const USER_AGENT: &str = concat!("bayeuxd/", env!("CARGO_PKG_VERSION"));
/// Shorter than any common server keeps an idle connection (5 s is the shortest), so that a call seldom meets one that
/// is just being closed.
const IDLE: Duration = Duration::from_secs(4);

/// A client for backends. The certificates that this machine trusts are read only when `https` needs them: there may be
/// none.
///
/// # Errors
/// When TLS is needed and cannot be had.
pub(super) fn client(settings: &BackendSettings, https: bool) -> Result<Http, String> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(settings.connect_timeout));
    let provider = Arc::new(ring::default_provider());
    let builder = HttpsConnectorBuilder::new();
    let builder = if https {
        builder.with_provider_and_platform_verifier(provider).map_err(|error| format!("TLS: {error}"))?
    } else {
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls = tls.map_err(|error| format!("TLS: {error}"))?;
        builder.with_tls_config(tls.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
    };
    let connector = builder.https_or_http().enable_http1().wrap_connector(tcp);
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(settings.max_concurrency)
        .build(connector))
}
