//! One delivery: the messages handed to one turn of a transport, and the way back when they could not be written.
//!
//! Taken by transports from the broker. A delivery is either written or restored; a dropped one counts as written.

use super::{
    Broker,
    metrics::DropReason,
    session::{Next, Session},
};
use crate::{bayeux::Seq, engine::Publication};
use std::{sync::Arc, time::Duration};

/// Publications read from the log at once for a reader that fell behind.
const LOG_CHUNK: usize = 512;
/// How long a reader waits before it asks an unavailable log again.
const LOG_RETRY: Duration = Duration::from_millis(200);

/// Messages on their way to one client.
#[derive(Debug, Default)]
pub struct Delivery {
    /// In log order.
    pub publications: Vec<Arc<Publication>>,
    /// Everything up to here is in this delivery or was before; `None` when it is empty.
    pub position: Option<Seq>,
    /// Positions the log did not keep long enough: first and last.
    pub gap: Option<(Seq, Seq)>,
}

impl Delivery {
    fn new(publications: Vec<Arc<Publication>>, gap: Option<(Seq, Seq)>) -> Self {
        Self { position: publications.last().map(|p| p.seq), publications, gap }
    }

    /// Whether there is anything to write.
    pub fn is_empty(&self) -> bool {
        self.publications.is_empty()
    }

    /// Bytes of the messages with a separator each.
    pub fn encoded_len(&self) -> usize {
        self.publications.iter().map(|p| p.draft.encoded().len() + 1).sum()
    }
}

impl Broker {
    /// Takes what waits for attachment `epoch` of a session, bounded by the settings. Empty when nothing waits or a
    /// newer attachment has taken over.
    pub async fn take(&self, session: &Arc<Session>, epoch: u64) -> Delivery {
        let max_bytes = self.settings().max_delivery_bytes;
        let next = session.lock().next(epoch, max_bytes);
        let delivery = match next {
            Next::Nothing => Delivery::default(),
            Next::Queued(publications) => Delivery::new(publications, None),
            // Boxed because it is rare and large, and every held poll carries room for what is not.
            Next::FromLog { .. } => Box::pin(self.take_from_log(session, epoch, max_bytes)).await,
        };
        self.metrics().deliveries.inc_by(delivery.publications.len() as u64);
        delivery
    }

    async fn take_from_log(&self, session: &Arc<Session>, epoch: u64, max_bytes: usize) -> Delivery {
        let mut gap = None;
        loop {
            let next = session.lock().next(epoch, max_bytes);
            let publications = match next {
                Next::Nothing => Vec::new(),
                Next::Queued(publications) => publications,
                Next::FromLog { after, to } => match self.read_for(session, epoch, after, to, &mut gap).await {
                    Some(publications) if publications.is_empty() => continue,
                    Some(publications) => publications,
                    None => Vec::new(),
                },
            };
            return Delivery::new(publications, gap);
        }
    }

    /// Puts a delivery back that could not be written.
    pub fn restore(&self, session: &Arc<Session>, delivery: Delivery) {
        let count = delivery.publications.len() as u64;
        if count == 0 {
            return;
        }
        if session.lock().ended.is_some() {
            self.metrics().drop_messages(DropReason::SessionEnded, count);
        } else {
            self.metrics().restored.inc_by(count);
            session.restore(delivery.publications);
        }
    }

    /// Reads a chunk of the log for a session that fell behind. `None` when the log is unavailable.
    async fn read_for(
        &self,
        session: &Arc<Session>,
        epoch: u64,
        after: Seq,
        to: Seq,
        gap: &mut Option<(Seq, Seq)>,
    ) -> Option<Vec<Arc<Publication>>> {
        let batch = match self.engine().read(after, LOG_CHUNK).await {
            Ok(batch) => batch,
            Err(error) => {
                tracing::warn!(%error, session = ?session.id, "cannot read the log for a reader that fell behind");
                tokio::time::sleep(LOG_RETRY).await;
                return None;
            }
        };
        let mut through = batch.through;
        let mut bytes = 0;
        let mut state = session.lock();
        let mut wanted = Vec::new();
        for publication in batch.publications {
            if publication.seq > to {
                break;
            }
            if !state.wants(session.id, &publication, self.settings().broadcast_to_publisher) {
                continue;
            }
            bytes += publication.weight();
            if bytes > self.settings().max_delivery_bytes && !wanted.is_empty() {
                through = publication.seq - 1;
                break;
            }
            wanted.push(publication);
        }
        if !state.caught_up(epoch, after, through) {
            return Some(Vec::new());
        }
        let patterns: Vec<_> = state.subscriptions.iter().map(|s| Arc::clone(&s.pattern)).collect();
        drop(state);
        if let Some((first, last)) = self.channel_table().concerns(&batch.lost, &patterns) {
            let last = last.min(to);
            self.metrics().drop_messages(DropReason::NotRetained, last + 1 - first);
            self.tell(session, &super::Happening::Gap(first, last));
            tracing::warn!(session = ?session.id, first, last, "a reader fell behind what the log keeps");
            *gap = Some(gap.map_or((first, last), |(earlier, _)| (earlier, last)));
        }
        Some(wanted)
    }
}
