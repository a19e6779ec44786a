//! Batches that a backend would not take: kept where an operator can read them and send them again.
//!
//! Written by `feed`. They go into the log on a channel of their own, and into a file when one is configured. Nobody can
//! subscribe to that channel.

use super::super::target::Failure;
use crate::{
    broker::{Broker, wall_clock_ms},
    engine::Draft,
};
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::{fs::OpenOptions, io::Write, path::Path, time::Duration};
use tokio::time::sleep;

/// Where dead letters stand in the log. A `[[forward]]` of this channel, and of no other meta channel, is possible.
pub const CHANNEL: &str = "/meta/dead_letters";
/// How often the log is asked to take one, and the pause between.
const ATTEMPTS: u32 = 20;
const RETRY: Duration = Duration::from_millis(500);

/// A batch that is given up.
pub struct Letter<'a> {
    /// Which feed it is of.
    pub feed: &'a str,
    /// What the backend said last.
    pub failure: &'a Failure,
    /// Its `webhook-id`.
    pub id: &'a str,
    /// The body, as it was sent.
    pub body: &'a Bytes,
}

/// Its stored form.
#[derive(Serialize)]
struct Stored<'a> {
    feed: &'a str,
    failure: String,
    id: &'a str,
    call: &'a RawValue,
}

impl Letter<'_> {
    fn stored(&self) -> Option<Box<RawValue>> {
        let call = serde_json::from_slice(self.body).ok()?;
        let stored = Stored { feed: self.feed, failure: self.failure.to_string(), id: self.id, call };
        to_raw_value(&stored).ok()
    }

    /// Puts it into the log.
    pub async fn publish(&self, broker: &Broker) {
        let Some(stored) = self.stored() else { return };
        for _ in 0..ATTEMPTS {
            let draft = Draft::new(CHANNEL, &stored, None, wall_clock_ms());
            match broker.append(vec![draft]).await {
                Ok(_) => return,
                Err(error) => tracing::warn!(feed = self.feed, %error, "the log does not take a dead letter"),
            }
            sleep(RETRY).await;
        }
        tracing::error!(feed = self.feed, letter = stored.get(), "a dead letter that the log did not take");
    }

    /// Adds it to a file, as one line.
    pub async fn append_to(&self, file: &Path) {
        let Some(stored) = self.stored() else { return };
        let path = file.to_owned();
        let written = tokio::task::spawn_blocking(move || {
            let mut file = OpenOptions::new().create(true).append(true).open(path)?;
            file.write_all(one_line(stored.get()).as_bytes())
        });
        match written.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(file = %file.display(), %error, "cannot write a dead letter"),
            Err(_) => tracing::error!(file = %file.display(), "cannot write a dead letter"),
        }
    }
}

/// Line breaks in JSON stand between values only, where a space means the same.
fn one_line(json: &str) -> String {
    format!("{}\n", json.replace(['\n', '\r'], " "))
}
