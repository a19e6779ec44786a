//! How far a feed has come, kept beside the log so that it survives what the log survives.
//!
//! Stored among the engine's records under an id made from the feed's name: no client can have been given that id, and
//! a record without subscriptions makes no session. Used by `feed`.

use crate::{
    bayeux::{ClientId, Seq},
    broker::Broker,
    engine::EngineError,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::Instant;

/// A cursor that moved over what nobody wanted is saved after so much time, so that a restart does not report what the
/// log dropped meanwhile as lost.
const SAVED_AT_LEAST: Duration = Duration::from_secs(5);

/// A place in the log.
#[derive(Debug)]
pub struct Cursor {
    id: ClientId,
    feed: String,
    position: Seq,
    saved_at: Instant,
}

#[derive(Deserialize, Serialize)]
struct Record {
    feed: String,
    position: Seq,
}

impl Cursor {
    /// The stored cursor of a feed, or a new one at `start`, which is stored at once.
    ///
    /// # Errors
    /// When the engine cannot be asked.
    pub async fn open(broker: &Broker, kind: &str, name: &str, start: Seq) -> Result<Self, EngineError> {
        let feed = format!("{kind} {name}");
        let id = id_of(&feed);
        let stored = broker.engine().load(id).await?;
        let stored = stored.and_then(|bytes| serde_json::from_slice::<Record>(&bytes).ok());
        let mut cursor = Self { id, feed, position: start, saved_at: Instant::now() };
        match stored {
            Some(record) => cursor.position = record.position,
            None => cursor.save(broker).await,
        }
        Ok(cursor)
    }

    /// Where it is.
    pub fn position(&self) -> Seq {
        self.position
    }

    /// Moves on.
    pub fn move_to(&mut self, position: Seq) {
        self.position = self.position.max(position);
    }

    /// Whether the last move should be stored now.
    pub fn is_worth_saving(&self, delivered: bool) -> bool {
        delivered || self.saved_at.elapsed() >= SAVED_AT_LEAST
    }

    /// Stores it. A failure costs no more than a batch that comes twice after a restart.
    pub async fn save(&mut self, broker: &Broker) {
        self.saved_at = Instant::now();
        let record = Record { feed: self.feed.clone(), position: self.position };
        let Ok(bytes) = serde_json::to_vec(&record) else { return };
        if let Err(error) = broker.engine().save(self.id, Bytes::from(bytes)).await {
            tracing::warn!(feed = self.feed, %error, "the cursor could not be stored");
        }
    }
}

/// The id that a feed's cursor is stored under.
fn id_of(feed: &str) -> ClientId {
    ClientId::of_name(&format!("bayeuxd feed cursor: {feed}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_depends_on_the_name_alone() {
        assert_eq!(id_of("publications /a"), id_of("publications /a"));
        assert_ne!(id_of("publications /a"), id_of("events /a"));
    }
}
