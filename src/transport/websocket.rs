//! WebSocket: the upgrade. What happens on the socket afterwards is in `socket.rs`.
//!
//! Called by the endpoint after the Origin check. Offers no extension; echoes the first subprotocol that is offered.

use super::{
    Transport,
    body::{Answer, AnswerBody},
    connection::Connection,
    origin::Verdict,
    request, response,
    socket::Socket,
};
use crate::bayeux::{BadRequest, ConnectionType};
use axum::body::Body;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header, request::Parts};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        handshake::derive_accept_key,
        protocol::{Role, WebSocketConfig},
    },
};

/// Bytes read from a socket at once. Small, because every idle socket keeps it.
const READ_BUFFER: usize = 4 << 10;

impl Transport {
    /// Answers an upgrade and serves the socket in a task of its own.
    pub(super) fn upgrade(self, connection: &Connection, parts: &mut Parts, verdict: &Verdict) -> Answer {
        let Some(key) = accept_key(&parts.headers) else {
            return response::refused(BadRequest::malformed("Sec-WebSocket-Key", "missing, or not version 13"));
        };
        let Some(upgrade) = parts.extensions.remove::<OnUpgrade>() else {
            return response::refused(BadRequest::malformed("Upgrade", "this connection cannot be upgraded"));
        };
        let caller = request::caller(connection, parts, ConnectionType::WebSocket, verdict);
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(self.settings().max_message_bytes))
            .max_frame_size(Some(self.settings().max_message_bytes));
        let tasks = self.tasks().clone();
        let connection = connection.clone();
        tasks.spawn(async move {
            // An error here is a peer that left between request and upgrade.
            if let Ok(io) = upgrade.await {
                let io = TokioIo::new(io);
                let web_socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
                Socket::new(connection, caller, web_socket).run().await;
            }
        });
        let mut response = Response::new(AnswerBody::Stream(Body::empty()));
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, key);
        if let Some(protocol) = first_protocol(&parts.headers) {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        response
    }
}

fn accept_key(headers: &HeaderMap) -> Option<HeaderValue> {
    if headers.get(header::SEC_WEBSOCKET_VERSION)?.as_bytes() != b"13" {
        return None;
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?;
    HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok()
}

fn first_protocol(headers: &HeaderMap) -> Option<HeaderValue> {
    let offered = headers.get(header::SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?;
    HeaderValue::from_str(offered.split(',').next()?.trim()).ok()
}

#[cfg(test)]
mod tests {
    use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

    #[test]
    fn close_codes_are_those_of_the_contract() {
        assert_eq!(u16::from(CloseCode::Unsupported), 1003);
        assert_eq!(u16::from(CloseCode::Size), 1009);
        assert_eq!(u16::from(CloseCode::Away), 1001);
        assert_eq!(u16::from(CloseCode::Normal), 1000);
    }
}
