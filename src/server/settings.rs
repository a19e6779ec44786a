//! The settings of the server room: where it listens and how it ends. Nested by `config`.

use serde::{Deserialize, Serialize};
use std::{net::SocketAddr, path::Path, time::Duration};

/// `[server]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// Let everyone in although the address is not loopback and no access rules are given.
    pub open: bool,
    /// How long a stopping server waits for its last answers to leave.
    #[serde(with = "crate::units::duration")]
    pub drain_timeout: Duration,
    /// How long a stopping server waits for a request whose body is still coming, and for an HTTP/2 peer to agree to the end.
    #[serde(with = "crate::units::duration")]
    pub request_grace: Duration,
    /// Threads that serve; 0 means one per core.
    pub threads: usize,
    /// A folder whose files are served from `/` on, to everyone, beside the mount; the playground then is at `/playground`.
    pub pages: String,
    /// TLS with HTTP/2; without files the server speaks plain HTTP/1.1.
    pub tls: TlsSettings,
}

/// `[server.tls]`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSettings {
    /// The file of the certificate and those that vouch for it, in PEM; read again at SIGHUP.
    pub cert: String,
    /// The file of the certificate's private key, in PEM; read again at SIGHUP.
    pub key: String,
}

impl TlsSettings {
    /// Whether TLS is wanted.
    pub fn is_on(&self) -> bool {
        !self.cert.is_empty()
    }
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            open: false,
            drain_timeout: Duration::from_secs(8),
            request_grace: Duration::from_secs(1),
            threads: 0,
            pages: String::new(),
            tls: TlsSettings::default(),
        }
    }
}

impl ServerSettings {
    /// Reports every value that cannot work, as (key within the section, what is wrong).
    pub fn validate(&self, problem: &mut dyn FnMut(&str, String)) {
        if self.drain_timeout > Duration::from_secs(600) {
            problem("drain_timeout", "must be at most 10m".into());
        }
        if self.request_grace > Duration::from_secs(600) {
            problem("request_grace", "must be at most 10m".into());
        }
        if !self.pages.is_empty() && !Path::new(&self.pages).is_dir() {
            problem("pages", format!("\"{}\" is no folder", self.pages));
        }
        match (self.tls.cert.is_empty(), self.tls.key.is_empty()) {
            (false, true) => problem("tls.key", "must name the file of the certificate's key".into()),
            (true, false) => problem("tls.cert", "must name the file of the key's certificate".into()),
            _ => {}
        }
    }
}

/// `[log]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// `text` for people, `json` for machines.
    pub format: LogFormat,
    /// What is logged, in the syntax of `RUST_LOG`, like `info` or `info,bayeuxd::broker=debug`.
    pub level: String,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".into() }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One readable line an event.
    #[default]
    Text,
    /// One JSON object an event.
    Json,
}
