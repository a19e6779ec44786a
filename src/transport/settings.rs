//! The settings of the transport room: where the endpoint is, who may reach it from a browser, what a request may weigh.
//! Nested by `config`; holds no logic but `validate`.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// `[transport]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TransportSettings {
    /// Where the Bayeux endpoint is mounted; every sub-path is the same endpoint.
    pub path: String,
    /// Whose clients the mount is for.
    pub profile: Profile,
    /// Origins of pages that may talk to the broker from another origin, like `https://app.example`; `*` allows any, without credentials.
    pub allowed_origins: Vec<String>,
    /// Largest request body or WebSocket message.
    #[serde(with = "crate::units::size")]
    pub max_message_bytes: usize,
    /// Messages in one request.
    pub max_batch: usize,
    /// How deep JSON in a request may nest.
    pub max_json_depth: usize,
    /// How long a peer may take to send a request's head.
    #[serde(with = "crate::units::duration")]
    pub header_read_timeout: Duration,
    /// How long a peer may take to send a request's body.
    #[serde(with = "crate::units::duration")]
    pub body_read_timeout: Duration,
    /// How long an idle keep-alive connection stays open.
    #[serde(with = "crate::units::duration")]
    pub idle_timeout: Duration,
    /// How long a write to a peer may make no progress before the connection is dropped.
    #[serde(with = "crate::units::duration")]
    pub write_timeout: Duration,
    /// Handshakes a second from one address; 0 is no limit.
    pub handshakes_per_second: u32,
    /// Handshakes one address may make at once before the rate applies.
    pub handshake_burst: u32,
    /// Whether the handshake rate applies to loopback addresses too.
    pub limit_loopback: bool,
    /// Requests that one HTTP/2 connection may have under way at once.
    pub max_streams: u32,
    /// Offer long-polling.
    pub long_polling: bool,
    /// Offer callback-polling (JSONP).
    pub callback_polling: bool,
    /// Offer WebSocket.
    pub websocket: bool,
    /// Offer EventSource.
    pub eventsource: bool,
    /// Offer the endless-iframe transport.
    pub iframe: bool,
    /// How often a WebSocket peer is pinged.
    #[serde(with = "crate::units::duration")]
    pub websocket_ping: Duration,
    /// Largest frame of coalesced messages sent to a WebSocket peer; a single larger message still goes alone.
    #[serde(with = "crate::units::size")]
    pub max_frame_bytes: usize,
    /// Bytes an endless iframe response may carry before the page is told to load it anew.
    #[serde(with = "crate::units::size")]
    pub max_stream_bytes: usize,
    /// Name of the browser cookie.
    pub cookie_name: String,
    /// `SameSite` of the browser cookie: `Lax`, `Strict`, `None`, or empty to leave it out.
    pub cookie_same_site: String,
    /// Whether the browser cookie is marked `Secure`.
    pub cookie_secure: bool,
}

/// Whose clients a mount is for.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Everybody's.
    #[default]
    Standard,
    /// Those of Salesforce's streaming API: messages carry `data.event.replayId`, unknown sessions are told
    /// `403::Unknown client`.
    Salesforce,
}

impl Default for TransportSettings {
    fn default() -> Self {
        Self {
            path: "/bayeux".into(),
            profile: Profile::Standard,
            allowed_origins: Vec::new(),
            max_message_bytes: 1 << 20,
            max_batch: 1000,
            max_json_depth: 64,
            header_read_timeout: Duration::from_secs(10),
            body_read_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(90),
            write_timeout: Duration::from_secs(30),
            handshakes_per_second: 50,
            handshake_burst: 200,
            limit_loopback: false,
            max_streams: 128,
            long_polling: true,
            callback_polling: true,
            websocket: true,
            eventsource: true,
            iframe: false,
            websocket_ping: Duration::from_secs(25),
            max_frame_bytes: 60 << 10,
            max_stream_bytes: 8 << 20,
            cookie_name: "BAYEUX_BROWSER".into(),
            cookie_same_site: "Lax".into(),
            cookie_secure: false,
        }
    }
}

impl TransportSettings {
    /// Reports every value that cannot work, as (key within the section, what is wrong).
    pub fn validate(&self, problem: &mut dyn FnMut(&str, String)) {
        if !self.path.starts_with('/')
            || self.path.len() < 2
            || self.path.ends_with('/')
            || self.path.contains(['{', '*', '?', '#'])
        {
            problem(
                "path",
                "must start with a slash, not end with one, and hold no {, *, ? or #, like \"/bayeux\"".into(),
            );
        }
        for origin in &self.allowed_origins {
            let plain = origin.split_once("://").is_some_and(|(scheme, host)| {
                matches!(scheme, "http" | "https") && !host.is_empty() && !host.contains(['/', '*', ' '])
            });
            if origin != "*" && !plain {
                problem("allowed_origins", format!("\"{origin}\" is not an origin like \"https://app.example\""));
            }
        }
        for (key, value) in [
            ("max_message_bytes", self.max_message_bytes),
            ("max_batch", self.max_batch),
            ("max_json_depth", self.max_json_depth),
            ("max_streams", self.max_streams as usize),
            ("max_frame_bytes", self.max_frame_bytes),
            ("max_stream_bytes", self.max_stream_bytes),
        ] {
            if value == 0 {
                problem(key, "must be at least 1".into());
            }
        }
        for (key, value) in [
            ("header_read_timeout", self.header_read_timeout),
            ("body_read_timeout", self.body_read_timeout),
            ("idle_timeout", self.idle_timeout),
            ("write_timeout", self.write_timeout),
            ("websocket_ping", self.websocket_ping),
        ] {
            if value.is_zero() {
                problem(key, "must be longer than zero".into());
            }
        }
        if !matches!(self.cookie_same_site.as_str(), "" | "Lax" | "Strict" | "None") {
            problem("cookie_same_site", "must be Lax, Strict, None or empty".into());
        }
        if self.cookie_name.is_empty()
            || !self.cookie_name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        {
            problem("cookie_name", "must be letters, digits, _ and - only".into());
        }
        if !(self.long_polling || self.callback_polling || self.websocket) {
            problem("long_polling", "at least one of long_polling, callback_polling, websocket must be on".into());
        }
    }
}
