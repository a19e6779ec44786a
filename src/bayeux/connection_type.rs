//! The transports by the names they have on the wire.

/// A way for messages to reach a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectionType {
    /// A socket that both sides write to.
    WebSocket,
    /// A POST that is held until there is something to say.
    LongPolling,
    /// A GET whose answer is a script (JSONP).
    CallbackPolling,
    /// A stream of server-sent events beside POSTs.
    EventSource,
    /// An endless page in a hidden frame beside POSTs.
    Iframe,
}

impl ConnectionType {
    /// The wire name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::LongPolling => "long-polling",
            Self::CallbackPolling => "callback-polling",
            Self::EventSource => "eventsource",
            Self::Iframe => "iframe",
        }
    }

    /// The transport a client means; Faye's name for long-polling from another origin is the same thing here.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "websocket" => Self::WebSocket,
            "long-polling" | "cross-origin-long-polling" => Self::LongPolling,
            "callback-polling" => Self::CallbackPolling,
            "eventsource" => Self::EventSource,
            "iframe" => Self::Iframe,
            _ => return None,
        })
    }

    /// Whether messages are pushed beside the connect instead of leaving with its reply.
    pub fn is_stream(self) -> bool {
        matches!(self, Self::WebSocket | Self::EventSource | Self::Iframe)
    }
}
