//! EventSource: `GET <mount>/<clientId>` answered with server-sent events, each an array of messages.
//!
//! Every event carries the log position of its newest message as `id`, so that a browser that reconnects by itself
//! continues from there (`Last-Event-ID`). So does what opens the stream, without being an event: a browser whose
//! connection breaks with the first event on its way then says where that began.

use super::{Transport, body::Answer, connection::Connection, exchange::Frame, streaming::Format};
use crate::{
    bayeux::Seq,
    broker::{Caller, Delivery},
};
use bytes::Bytes;
use http::{HeaderValue, request::Parts};
use std::fmt::Write;

/// How long a browser waits before it connects again, in milliseconds.
const RETRY_MS: u32 = 1000;

struct Events;

impl Transport {
    /// Opens an event stream.
    pub(super) async fn event_source(&self, connection: &Connection, caller: &Caller, parts: &Parts) -> Answer {
        let Some(session) = self.streamed_session(caller, parts).await else { return Self::no_such_stream() };
        let resume: Option<Seq> = parts.headers.get("last-event-id").and_then(|v| v.to_str().ok()?.trim().parse().ok());
        let kind = HeaderValue::from_static("text/event-stream;charset=UTF-8");
        self.stream_to(connection, parts, &session, resume, kind, Events)
    }
}

impl Format for Events {
    fn open(&self, position: Option<Seq>) -> Bytes {
        let id = position.map_or_else(String::new, |position| format!("id: {position}\n"));
        Bytes::from(format!("retry: {RETRY_MS}\n{id}\n"))
    }

    fn messages(&mut self, delivery: &Delivery) -> Bytes {
        let mut frame = Frame::with_capacity(delivery.encoded_len());
        frame.deliver(delivery);
        event(delivery.position, &String::from_utf8_lossy(&frame.finish())).into()
    }

    fn heartbeat(&self) -> Bytes {
        Bytes::from_static(b":\n\n")
    }

    fn close(&self) -> Bytes {
        Bytes::new()
    }

    fn is_full(&self) -> bool {
        false
    }
}

/// One event. White space inside the JSON may hold line ends; each line then is a field of its own.
fn event(id: Option<Seq>, json: &str) -> String {
    let mut out = String::with_capacity(json.len() + 48);
    if let Some(id) = id {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "id: {id}");
    }
    for line in json.replace("\r\n", "\n").split(['\n', '\r']) {
        out.push_str("data: ");
        out.push_str(line);
        out.push('\n');
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_inside_json_become_fields() {
        assert_eq!(event(Some(7), "[1,\r\n2]"), "id: 7\ndata: [1,\ndata: 2]\n\n");
    }
}
