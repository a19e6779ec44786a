//! One delivery: the messages handed to one turn of a transport, and the way back when they could not be written.
//!
//! Taken by transports from the broker. A delivery is either written or restored; a dropped one counts as written.

use super::{
    Broker, Happening,
    metrics::DropReason,
    replay::is_entry,
    session::{End, Next, Session},
    settings::OnGap,
};
use crate::{
    bayeux::Seq,
    engine::{Publication, publication::Form},
};
use std::{sync::Arc, time::Duration};

/// How long a reader waits before it asks an unavailable log again.
pub(super) const LOG_RETRY: Duration = Duration::from_millis(200);

/// Messages on their way to one client.
#[derive(Debug, Default)]
pub struct Delivery {
    /// In log order.
    pub publications: Vec<Arc<Publication>>,
    /// Everything up to here is in this delivery or was before; `None` when it is empty.
    pub position: Option<Seq>,
    /// Positions the log did not keep long enough: first and last.
    pub gap: Option<(Seq, Seq)>,
    /// The entry of a replay that these are.
    pub(super) entry: Option<Arc<Publication>>,
}

impl Delivery {
    pub(super) fn new(publications: Vec<Arc<Publication>>, gap: Option<(Seq, Seq)>) -> Self {
        let position = publications.last().map(|p| p.seq).or(gap.map(|(_, last)| last));
        Self { position, publications, gap, entry: None }
    }

    /// The rest of a delivery of which a part was written.
    pub fn rest(publications: Vec<Arc<Publication>>) -> Self {
        Self { publications, ..Self::default() }
    }

    /// Nothing but how far the client stands.
    pub fn told(position: Option<Seq>) -> Self {
        Self { position, ..Self::default() }
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

/// Puts an entry back that was not expanded.
struct PutBack<'a> {
    broker: &'a Broker,
    session: &'a Arc<Session>,
    entry: Vec<Arc<Publication>>,
}

impl Drop for PutBack<'_> {
    fn drop(&mut self) {
        let publications = std::mem::take(&mut self.entry);
        self.broker.restore(self.session, Delivery::new(publications, None));
    }
}

impl Broker {
    /// Takes what waits for attachment `epoch` of a session, bounded by the settings. Empty when nothing waits or a
    /// newer attachment has taken over.
    pub async fn take(&self, session: &Arc<Session>, epoch: u64) -> Delivery {
        self.take_at_most(session, epoch, self.settings().max_delivery_bytes).await
    }

    /// The same with a bound of its own; a single larger message still goes alone, and a replay whole.
    pub async fn take_at_most(&self, session: &Arc<Session>, epoch: u64, max_bytes: usize) -> Delivery {
        let (next, form) = {
            let mut state = session.lock();
            (state.next(epoch, max_bytes), state.form)
        };
        let mut delivery = match next {
            Next::Nothing => return Delivery::default(),
            // Boxed because it is rare and large, and every held poll carries room for what is not.
            Next::Queued(publications) if publications.first().is_some_and(|p| is_entry(p)) => {
                Box::pin(self.take_replay(session, publications)).await
            }
            Next::Queued(publications) => Delivery::new(publications, None),
            Next::FromLog { .. } => Box::pin(self.take_from_log(session, epoch, max_bytes)).await,
        };
        if form != Form::Plain {
            delivery.publications.iter_mut().for_each(|p| *p = p.in_form(form));
        }
        if delivery.gap.is_some() && self.settings().on_gap == OnGap::Rehandshake {
            self.end(session, End::Gap).await;
        }
        self.metrics().deliveries.inc_by(delivery.publications.len() as u64);
        delivery
    }

    /// Expands an entry of a replay, which goes alone; its position acknowledges all of it.
    pub(super) async fn take_replay(&self, session: &Arc<Session>, entry: Vec<Arc<Publication>>) -> Delivery {
        // Whoever waits for this may leave before it is there.
        let mut back = PutBack { broker: self, session, entry };
        let Some(publication) = back.entry.first().map(Arc::clone) else { return Delivery::default() };
        match self.expand(session, &publication).await {
            Ok(expanded) => {
                back.entry.clear();
                if let Some((first, last)) = expanded.gap {
                    self.note_gap(session, first, last);
                }
                let position = Some(publication.seq);
                Delivery { publications: expanded.publications, position, gap: expanded.gap, entry: Some(publication) }
            }
            Err(error) => {
                tracing::warn!(%error, session = ?session.id, "a replay cannot be read now");
                tokio::time::sleep(LOG_RETRY).await;
                Delivery::default()
            }
        }
    }

    /// A session will not get these positions: counts it, tells whoever listens, and the client with its next connect.
    pub(super) fn note_gap(&self, session: &Session, first: Seq, last: Seq) {
        let (count, heartbeat) = session.lock().note_gap(first, last);
        // One who acknowledges and reads the same stretch again has lost nothing more.
        if count > 0 {
            self.metrics().drop_messages(DropReason::NotRetained, count);
            self.tell(session, &Happening::Gap(first, last));
            tracing::warn!(session = ?session.id, first, last, "a reader fell behind what the log keeps");
        }
        if let Some(waker) = heartbeat {
            waker.wake();
        }
    }

    /// Puts a delivery back that could not be written.
    pub fn restore(&self, session: &Arc<Session>, delivery: Delivery) {
        let count = delivery.publications.len() as u64;
        if delivery.is_empty() && delivery.gap.is_none() {
            return;
        }
        // The one that goes on when its lane failed.
        let session = self.sessions().get(session.id).unwrap_or_else(|| Arc::clone(session));
        // One that ends with the broker goes on with it.
        if session.lock().ended.is_some_and(|end| end != End::ShuttingDown) {
            self.metrics().drop_messages(DropReason::SessionEnded, count);
        } else {
            self.metrics().restored.inc_by(count);
            if let Some((first, last)) = delivery.gap {
                let _ = session.lock().note_gap(first, last);
            }
            session.restore(delivery.entry.map_or(delivery.publications, |entry| vec![entry]));
        }
    }
}
