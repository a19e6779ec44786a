//! `bayeuxd subscribe PATTERN...`: one JSON line a message on standard output, notices on standard error, until it is
//! interrupted or nobody reads. Never reorders and never holds a line back.

use super::{
    Failure, notice, small_runtime,
    target::{Target, unusable},
};
use crate::client::{Event, Message, Subscriber};
use std::io::{self, Write};
use tokio::signal::unix::{SignalKind, signal};

/// Print the messages of channels as they come, one JSON object a line
#[derive(Debug, clap::Args)]
pub(super) struct Subscribe {
    #[command(flatten)]
    target: Target,
    /// Channels, like /demo/hello, or patterns, like /demo/** or /demo/*
    #[arg(required = true, value_name = "PATTERN")]
    patterns: Vec<String>,
}

impl Subscribe {
    pub(super) fn run(self) -> Result<(), Failure> {
        let subscriber = Subscriber::new(&self.target.url, self.target.token(), self.patterns);
        let subscriber = subscriber.map_err(|error| unusable(&error))?;
        small_runtime()?.block_on(follow(subscriber))
    }
}

async fn follow(mut subscriber: Subscriber) -> Result<(), Failure> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let outcome = loop {
        let event = tokio::select! {
            event = subscriber.next() => event.map_err(|error| Failure::Failed(error.to_string())),
            _ = interrupted.recv() => break Ok(()),
            _ = terminated.recv() => break Ok(()),
        };
        if let Err(failure) = event.and_then(|event| tell(event, &mut io::stdout().lock())) {
            break Err(failure);
        }
    };
    subscriber.disconnect().await;
    outcome
}

fn tell(event: Event, out: &mut impl Write) -> Result<(), Failure> {
    match event {
        Event::Message(message) => {
            writeln!(out, "{}", line(&message)?)?;
            out.flush()?;
        }
        Event::Subscribed { client_id } => notice(&format_args!("subscribed, session {client_id}")),
        Event::Lost { reason, pause } if pause.is_zero() => notice(&format_args!("{reason}; trying again")),
        Event::Lost { reason, pause } => notice(&format_args!("{reason}; trying again in {pause:.1?}")),
    }
    Ok(())
}

/// The message on one line: a line break in JSON is white space, for inside a string it is written as an escape.
fn line(message: &Message) -> Result<String, Failure> {
    let json = serde_json::to_string(message).map_err(|error| Failure::Failed(error.to_string()))?;
    Ok(json.replace(['\n', '\r'], " "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::value::RawValue;

    #[test]
    fn a_message_is_one_line_however_it_was_laid_out() {
        let data = RawValue::from_string("{\n  \"n\": 1.10,\r\n  \"t\": \"a\\nb\"\n}".into()).unwrap();
        let mut out = Vec::new();
        tell(Event::Message(Message { channel: "/a".into(), data, ext: None }), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches('\n').count(), 1);
        assert!(text.starts_with("{\"channel\":\"/a\",\"data\":{") && text.contains("\"n\": 1.10"));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["data"]["t"], "a\nb");
    }
}
