//! The settings of the API room: where backends reach it and what one request may ask for. Nested by `config`.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// `[api]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiSettings {
    /// Whether there is an API at all.
    pub enabled: bool,
    /// An address of its own for the API and the metrics, like `127.0.0.1:8081`, without TLS; empty: they are on the main one.
    pub listen: String,
    /// Origins of pages that may call the API, like `https://admin.example`; pages of the broker's own address always may.
    pub allowed_origins: Vec<String>,
    /// Largest request body.
    #[serde(with = "crate::units::size")]
    pub max_body_bytes: usize,
    /// How long a backend may take to send a request's body.
    #[serde(with = "crate::units::duration")]
    pub body_read_timeout: Duration,
    /// Messages in one publish request, each channel of an item counted.
    pub max_items: usize,
    /// How deep JSON in a request may nest.
    pub max_json_depth: usize,
    /// Entries on a page when the request does not say.
    pub page: usize,
    /// Most entries that a request may ask for.
    pub max_page: usize,
    /// Positions of the log that one history request looks at; the answer says where to go on.
    pub max_history_scan: usize,
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: String::new(),
            allowed_origins: Vec::new(),
            max_body_bytes: 4 << 20,
            body_read_timeout: Duration::from_secs(30),
            max_items: 1000,
            max_json_depth: 64,
            page: 100,
            max_page: 1000,
            max_history_scan: 100_000,
        }
    }
}

impl ApiSettings {
    /// Reports every value that cannot work, as (key within the section, what is wrong).
    pub fn validate(&self, problem: &mut dyn FnMut(&str, String)) {
        if !self.listen.is_empty() && self.listen.parse::<std::net::SocketAddr>().is_err() {
            problem("listen", "must be an address with a port, like \"127.0.0.1:8081\", or empty".into());
        }
        for (key, value) in [
            ("max_body_bytes", self.max_body_bytes),
            ("max_items", self.max_items),
            ("max_json_depth", self.max_json_depth),
            ("page", self.page),
            ("max_history_scan", self.max_history_scan),
        ] {
            if value == 0 {
                problem(key, "must be at least 1".into());
            }
        }
        if self.max_page < self.page {
            problem("max_page", "must be at least `page`".into());
        }
        if self.body_read_timeout.is_zero() {
            problem("body_read_timeout", "must be longer than zero".into());
        }
    }
}
