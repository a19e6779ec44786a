//! An event stream (`text/event-stream`) read field by field.
//!
//! Called by `peer` and the eventsource cases. Never reconnects by itself: resuming is what those cases look at.

use super::{
    grammar::Watch,
    http::Connection,
    message::Message,
    response::{Framing, Head},
};
use anyhow::{Context, Result};
use std::time::Duration;
use tokio::time::timeout;

/// One event of the stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamEvent {
    /// The `id:` line, if there was one.
    pub id: Option<String>,
    /// The `data:` lines, joined by line feeds.
    pub data: String,
}

/// Parses lines into events. Comments and unknown fields are passed over, as browsers do.
#[derive(Debug, Default)]
pub struct EventParser {
    rest: Vec<u8>,
    event: StreamEvent,
    has_data: bool,
    /// The newest id, also of what is no event for want of data.
    last_id: Option<String>,
}

impl EventParser {
    /// Takes some bytes and gives the events they complete.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<StreamEvent> {
        self.rest.extend_from_slice(bytes);
        let mut events = Vec::new();
        while let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            self.line(line.trim_end_matches(['\n', '\r']), &mut events);
        }
        events
    }

    fn line(&mut self, line: &str, events: &mut Vec<StreamEvent>) {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            self.last_id = event.id.clone().or(self.last_id.take());
            if std::mem::take(&mut self.has_data) {
                events.push(event);
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.event.id = Some(value.to_owned()),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            _ => {}
        }
    }
}

/// An open stream.
#[derive(Debug)]
pub struct EventStream {
    /// The head of the answer.
    pub head: Head,
    connection: Connection,
    framing: Framing,
    parser: EventParser,
    ready: std::collections::VecDeque<StreamEvent>,
    watch: Watch,
}

impl EventStream {
    /// Takes over a connection whose answer is a stream.
    pub fn new(connection: Connection, head: Head, watch: &Watch) -> Result<Self> {
        let framing = head.framing()?;
        let (parser, ready, watch) = (EventParser::default(), Default::default(), watch.clone());
        Ok(Self { head, connection, framing, parser, ready, watch })
    }

    /// The next event, whatever is in it.
    pub async fn event(&mut self, within: Duration) -> Result<StreamEvent> {
        let read = async {
            loop {
                if let Some(event) = self.ready.pop_front() {
                    return anyhow::Ok(event);
                }
                let piece = self.connection.piece(self.framing).await?.context("the server ended the stream")?;
                self.ready.extend(self.parser.feed(&piece));
            }
        };
        timeout(within, read).await.with_context(|| format!("nothing on the stream within {within:?}"))?
    }

    /// What a browser would send as `Last-Event-ID` as soon as it could send something; events that come before are kept.
    pub async fn last_id(&mut self, within: Duration) -> Result<String> {
        let read = async {
            loop {
                if let Some(id) = self.parser.last_id.clone() {
                    return anyhow::Ok(id);
                }
                let piece = self.connection.piece(self.framing).await?.context("the server ended the stream")?;
                self.ready.extend(self.parser.feed(&piece));
            }
        };
        timeout(within, read).await.with_context(|| format!("no id on the stream within {within:?}"))?
    }

    /// The messages of the next event.
    pub async fn messages(&mut self, within: Duration) -> Result<Vec<Message>> {
        let event = self.event(within).await?;
        let messages = Message::array(&event.data)?;
        messages.iter().for_each(|message| self.watch.message(message));
        Ok(messages)
    }

    /// Ends the stream with a reset.
    pub fn abort(self) {
        self.connection.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_put_together_from_lines_however_the_bytes_are_cut() {
        let text = b": ping\r\nretry: 5000\r\n\r\nid: 7\r\ndata: [1,\r\ndata: 2]\r\n\r\nid:8\ndata:x\n\n";
        let whole = EventParser::default().feed(text);
        let mut parser = EventParser::default();
        let cut: Vec<StreamEvent> = text.iter().flat_map(|byte| parser.feed(&[*byte])).collect();
        assert_eq!(whole, cut);
        assert_eq!(whole[0], StreamEvent { id: Some("7".into()), data: "[1,\n2]".into() });
        assert_eq!(whole[1], StreamEvent { id: Some("8".into()), data: "x".into() });
    }
}
