//! The HTTP client of this room: connections kept alive and nothing else. No redirect is followed, no proxy is taken from
//! the environment, no cookie is kept.
//!
//! Made once at the start by `target`. Decides nothing about a single call.

use super::settings::BackendSettings;
use crate::client::connector;
use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use std::time::Duration;

/// A client with its pool of connections.
pub(super) type Http = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// How calls introduce themselves.
pub(super) const USER_AGENT: &str = concat!("bayeuxd/", env!("CARGO_PKG_VERSION"));
/// Shorter than any common server keeps an idle connection (5 s is the shortest), so that a call seldom meets one that
/// is just being closed.
const IDLE: Duration = Duration::from_secs(4);

/// A client for backends; `https` says whether any of them needs TLS.
///
/// # Errors
/// When TLS is needed and cannot be had.
pub(super) fn client(settings: &BackendSettings, https: bool) -> Result<Http, String> {
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(settings.max_concurrency)
        .build(connector(settings.connect_timeout, https)?))
}
