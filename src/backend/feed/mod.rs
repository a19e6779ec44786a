//! Feeds: what a backend hears of without asking. One task each reads the log from a cursor, picks what its backend wants,
//! and posts it in batches: in order, one at a time, until the backend says that it has them.
//!
//! Started by the server once the broker runs. The cursor moves only after a batch is delivered or put among the dead
//! letters, so nothing is skipped and after a fault something may come twice. Never touches a session.

pub mod batch;
pub mod cursor;
pub mod dead_letter;
pub mod pick;
#[cfg(test)]
mod tests;

use super::{
    metrics::Metrics,
    settings::FeedSettings,
    target::{Failure, Target, new_id},
};
use crate::{
    bayeux::Seq,
    broker::Broker,
    client::Backoff,
    engine::{Batch as LogBatch, EngineError},
};
use batch::Batch;
use bytes::Bytes;
use cursor::Cursor;
use pick::Picks;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout_at},
};

/// Publications read from the log at once.
const CHUNK: usize = 256;
/// How long a feed waits before it asks an unavailable log again.
const LOG_RETRY: Duration = Duration::from_millis(500);
/// How long a batch that is out when the broker stops may still be taken.
const GRACE: Duration = Duration::from_secs(2);

/// One `[[forward]]` or `[[events]]`.
pub struct Feed {
    /// Its name in logs, counters and dead letters; with its kind, also what its cursor is kept under.
    pub name: Arc<str>,
    /// What it picks from the log.
    pub picks: Picks,
    /// Where it begins when it has no cursor yet: after this position.
    pub start: Seq,
    /// Where batches go.
    pub target: Arc<Target>,
    /// How they go.
    pub settings: FeedSettings,
    /// What is counted.
    pub metrics: Metrics,
}

impl Feed {
    /// Runs until the broker stops; a batch that is out then may still be taken. What was not delivered by then is
    /// delivered after the next start, if the log keeps it.
    pub async fn run(self, broker: Broker) {
        let grace = async {
            stopped(&broker).await;
            sleep(GRACE).await;
        };
        tokio::select! {
            () = self.deliver_for_ever(&broker) => {}
            () = grace => {}
        }
    }

    async fn deliver_for_ever(&self, broker: &Broker) {
        let mut head = broker.engine().head();
        let mut cursor = self.open_cursor(broker).await;
        while !broker.is_stopping() {
            let position = cursor.position();
            tokio::select! {
                moved = head.wait_for(|head| *head > position) => if moved.is_err() { return },
                () = stopped(broker) => return,
            }
            let batch = self.collect(broker, &mut head, position).await;
            self.note_gap(&batch);
            let delivers = !batch.is_empty();
            if delivers && !self.deliver(broker, &batch).await {
                return;
            }
            cursor.move_to(batch.through);
            if cursor.is_worth_saving(delivers) {
                cursor.save(broker).await;
            }
            let behind = broker.engine().newest().saturating_sub(batch.through);
            self.metrics.feed_lag(&self.name, behind);
            tokio::task::consume_budget().await;
        }
    }

    async fn open_cursor(&self, broker: &Broker) -> Cursor {
        loop {
            match Cursor::open(broker, self.picks.kind(), &self.name, self.start).await {
                Ok(cursor) => return cursor,
                Err(error) => {
                    tracing::warn!(feed = %self.name, %error, "cannot read the cursor");
                    sleep(LOG_RETRY).await;
                }
            }
        }
    }

    /// Reads on until a batch is full, has waited long enough, or nothing that is wanted is left to read.
    async fn collect(&self, broker: &Broker, head: &mut watch::Receiver<Seq>, after: Seq) -> Batch {
        let mut batch = Batch::new(after, self.settings.max_items, self.settings.max_bytes);
        let mut deadline = None;
        loop {
            let read = self.read(broker, batch.through).await;
            batch.lose(broker.channel_table().concerns(&read.lost, &[self.picks.pattern()]));
            for publication in &read.publications {
                if !batch.take(publication.seq, self.picks.of(publication)) {
                    return batch;
                }
            }
            batch.through = batch.through.max(read.through);
            if batch.is_empty() {
                if batch.through >= broker.engine().newest() {
                    return batch;
                }
                continue;
            }
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + self.settings.linger);
            let through = batch.through;
            if batch.is_full() {
                return batch;
            }
            tokio::select! {
                more = timeout_at(deadline, head.wait_for(|head| *head > through)) => if more.is_err() { return batch },
                () = stopped(broker) => return batch,
            }
        }
    }

    async fn read(&self, broker: &Broker, after: Seq) -> LogBatch {
        loop {
            match broker.engine().read(after, CHUNK).await {
                Ok(batch) => return batch,
                Err(EngineError::Unavailable(why)) => {
                    tracing::warn!(feed = %self.name, why, "cannot read the log");
                    sleep(LOG_RETRY).await;
                }
            }
        }
    }

    fn note_gap(&self, batch: &Batch) {
        if let Some((first, last)) = batch.gap {
            self.metrics.feed_gap(&self.name, last + 1 - first);
            tracing::error!(feed = %self.name, first, last, "the log did not keep what was to be delivered");
        }
    }

    /// Posts a batch until it is delivered, or until it was refused so often that it is put among the dead letters.
    /// Says whether the cursor may move over it: not when the broker stops first.
    async fn deliver(&self, broker: &Broker, batch: &Batch) -> bool {
        let Ok(body) = batch.body(&self.picks, &self.name).map(Bytes::from) else { return true };
        let id = new_id();
        let mut backoff = Backoff::new(self.settings.min_pause, self.settings.max_pause);
        let mut refusals = 0;
        loop {
            let failure = match self.target.post(body.clone(), &id, Instant::now() + self.settings.timeout).await {
                // Only the status counts, which was one of success.
                Ok(_) | Err(Failure::TooLarge) => {
                    self.metrics.fed(&self.name, batch.len());
                    return true;
                }
                Err(failure) => failure,
            };
            self.metrics.feed_failed(&self.name);
            refusals += u32::from(is_refusal(&failure));
            tracing::warn!(feed = %self.name, %failure, refusals, through = batch.through, "a batch was not taken");
            if self.settings.attempts > 0 && refusals >= self.settings.attempts {
                let letter = dead_letter::Letter { feed: &self.name, failure: &failure, id: &id, body: &body };
                self.give_up(broker, batch, letter).await;
                return true;
            }
            tokio::select! {
                () = sleep(backoff.next()) => {}
                () = stopped(broker) => return false,
            }
        }
    }

    async fn give_up(&self, broker: &Broker, batch: &Batch, letter: dead_letter::Letter<'_>) {
        self.metrics.dead_letter(&self.name);
        tracing::error!(feed = %self.name, failure = %letter.failure, id = letter.id, items = batch.len(),
            through = batch.through, "a batch is given up and put among the dead letters");
        if let Some(file) = &self.settings.dead_letter_file {
            letter.append_to(file).await;
        }
        // A feed of dead letters would feed itself.
        if !self.picks.is_of(dead_letter::CHANNEL) {
            letter.publish(broker).await;
        }
    }
}

/// Completes when the broker stops.
pub(super) async fn stopped(broker: &Broker) {
    // An error says that it is gone altogether.
    let _ = broker.stopping().wait_for(|stopping| *stopping).await;
}

/// Whether the backend saw the batch and did not take it. One that cannot be reached, or says that it cannot be reached
/// or is busy, is waited for as long as it takes.
fn is_refusal(failure: &Failure) -> bool {
    !matches!(failure, Failure::Unreachable(_) | Failure::Status(429 | 502..=504))
}
