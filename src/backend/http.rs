//! The HTTP client of this room: connections kept alive, no redirects, no proxies of the environment, no cookies.
//!
//! Made once at the start by `target`. Decides nothing about a single call.

use super::settings::BackendSettings;
use reqwest::{Client, redirect::Policy};
use std::time::Duration;

/// How calls introduce themselves.
const USER_AGENT: &str = concat!("bayeuxd/", env!("CARGO_PKG_VERSION"));
/// Shorter than any common server keeps an idle connection (5 s is the shortest), so that a call seldom meets one that
/// is just being closed.
const IDLE: Duration = Duration::from_secs(4);

/// A client for backends.
///
/// # Errors
/// When it cannot be made.
pub(super) fn client(settings: &BackendSettings) -> reqwest::Result<Client> {
    Client::builder()
        .user_agent(USER_AGENT)
        .redirect(Policy::none())
        .no_proxy()
        .connect_timeout(settings.connect_timeout)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(settings.max_concurrency)
        .build()
}
