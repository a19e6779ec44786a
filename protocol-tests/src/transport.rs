//! The transports a case can run over.
//!
//! Used by the command line, the tables of cases and `peer`. Never says how a transport works; `peer` knows.

use clap::ValueEnum;
use std::fmt;

/// A way for a client to reach the server, named as in `supportedConnectionTypes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Transport {
    /// POST of JSON, answered when there is something to say.
    LongPolling,
    /// GET with `jsonp` and `message`.
    CallbackPolling,
    /// One WebSocket for both directions.
    #[value(name = "websocket")]
    WebSocket,
    /// POST upwards, `text/event-stream` downwards.
    #[value(name = "eventsource")]
    EventSource,
    /// POST upwards, one endless page downwards.
    Iframe,
}

use Transport::{CallbackPolling, EventSource, Iframe, LongPolling, WebSocket};

/// Every transport, in the order of reports.
pub const ALL: &[Transport] = &[LongPolling, CallbackPolling, WebSocket, EventSource, Iframe];
/// Where requests and replies can be looked at: each has its own way of carrying them.
pub const REQUESTS: &[Transport] = &[LongPolling, CallbackPolling, WebSocket];
/// Where messages leave only with connect replies.
pub const POLLING: &[Transport] = &[LongPolling, CallbackPolling];
/// Where messages reach subscribers.
pub const DELIVERY: &[Transport] = &[LongPolling, CallbackPolling, WebSocket, EventSource];
/// Where messages are pushed without waiting for a connect.
pub const PUSHING: &[Transport] = &[WebSocket, EventSource];
/// Plain HTTP.
pub const HTTP: &[Transport] = &[LongPolling];
/// JSONP only.
pub const JSONP: &[Transport] = &[CallbackPolling];
/// WebSocket only.
pub const SOCKET: &[Transport] = &[WebSocket];
/// Event streams only.
pub const STREAM: &[Transport] = &[EventSource];
/// The endless page only.
pub const PAGE: &[Transport] = &[Iframe];

impl Transport {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            LongPolling => "long-polling",
            CallbackPolling => "callback-polling",
            WebSocket => "websocket",
            EventSource => "eventsource",
            Iframe => "iframe",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
