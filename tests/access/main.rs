//! Keys, tokens and rules as their users meet them: over HTTP and WebSocket, and on the command line.
//!
//! Servers run in this process unless the program itself is what is tested. Nothing waits longer than the deadline.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test panics")]

mod api;
mod docs;
mod issuer;
mod logs;
mod program;
#[path = "../support/mod.rs"]
mod support;

use bayeuxd::{
    access::{Plan, key::Hash, mint::mint},
    config::{self, Sources},
};
use serde_json::{Map, Value};
use std::{
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use support::Server;

pub(crate) const KEY: &str = "bayeuxd_a-key-for-tests-that-nobody-else-has-0001";
pub(crate) const ADMIN: &str = "bayeuxd_a-key-for-tests-that-nobody-else-has-0002";
pub(crate) const SECRET: &str = "a secret of more than thirty-two bytes";

/// Users, one backend that publishes orders, one that administers.
pub(crate) fn configuration() -> String {
    format!(
        r#"
[[jwt]]
secret = "{SECRET}"
cookie = "session"

[[key]]
name = "orders"
hash = "{}"
roles = ["backend"]

[[key]]
name = "admin"
hash = "{}"
[[key.rule]]
allow = ["api", "publish"]

[[rule]]
who = "user"
allow = "handshake"
[[rule]]
who = "role:backend"
allow = "publish"
channel = "/orders/**"
[[rule]]
allow = ["subscribe", "publish"]
channel = "/users/{{sub}}/**"
[[rule]]
who = "user"
allow = "subscribe"
channel = "/orders/*"
"#,
        Hash::of(KEY),
        Hash::of(ADMIN)
    )
}

/// A file whose name ends so, in the target folder. Each call makes one of its own: tests run side by side, and who rewrites
/// a file shows others an empty one.
pub(crate) fn file(name: &str, text: &str) -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("access-{number}-{name}"));
    std::fs::write(&path, text).unwrap();
    path
}

/// The plan of a configuration's text.
pub(crate) fn plan(name: &str, text: &str) -> Plan {
    let sources = Sources { file: Some(file(name, text)), ..Sources::default() };
    config::load(sources).unwrap_or_else(|problems| panic!("{problems}")).config.access()
}

pub(crate) async fn server(name: &str) -> Server {
    let plan = plan(name, &configuration());
    Server::start_with(|settings| settings.access = plan).await
}

pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A token that the configuration accepts.
pub(crate) fn token(user: &str) -> String {
    let issuer = plan("minting.toml", &configuration()).jwts.remove(0);
    mint(&issuer, user, Map::new(), Duration::from_secs(600), now_s()).unwrap().reveal().to_owned()
}

/// Sends Bayeux messages; gives the first reply.
pub(crate) async fn bayeux(server: &Server, headers: &[(&str, &str)], message: &Value) -> Value {
    let headers = [&[("content-type", "application/json")], headers].concat();
    let (status, mut reply) = server.call("POST", "/bayeux", &headers, Some(&message.to_string())).await;
    assert_eq!(status, 200, "{reply}");
    reply[0].take()
}
