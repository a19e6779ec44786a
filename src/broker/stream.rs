//! The attachment of a transport that pushes: WebSocket, EventSource, iframe. It hears of messages as they come and
//! takes them without waiting for a connect.
//!
//! Held by one task of a transport; a newer attachment of the session takes over, and dropping it ends nothing.

use super::{
    Broker, Delivery, Event,
    session::{Place, Session},
};
use crate::bayeux::Seq;
use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
};

/// A pushing transport's hold on a session.
pub struct Stream {
    broker: Broker,
    session: Arc<Session>,
    place: Place,
    epoch: u64,
}

impl Broker {
    /// Makes the caller the session's newest attachment.
    pub fn attach(&self, session: &Arc<Session>) -> Stream {
        self.attach_to(session, Place::Delivery, false)
    }

    /// Makes the caller, a stream that may be taken up again, the newest attachment. `heard` is up to where its client
    /// heard the one before. Gives where the client stands, too.
    pub fn attach_again(&self, session: &Arc<Session>, heard: Option<Seq>, occupies: bool) -> (Stream, Seq) {
        let (epoch, older, position) = session.lock().attach_stream(heard, occupies);
        older.into_iter().for_each(Waker::wake);
        let place = Place::Delivery;
        (Stream { broker: self.clone(), session: Arc::clone(session), place, epoch }, position)
    }

    /// Makes the caller the newest attachment of one place; `occupies` says that it takes one of a browser's few
    /// connections.
    pub fn attach_to(&self, session: &Arc<Session>, place: Place, occupies: bool) -> Stream {
        let (epoch, older) = session.lock().attach(place, occupies);
        if let Some(older) = older {
            older.wake();
        }
        Stream { broker: self.clone(), session: Arc::clone(session), place, epoch }
    }
}

impl Stream {
    /// The session it belongs to.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Waits for the next event; hears of messages only if they are wanted now.
    pub fn poll_event(&self, messages: bool, cx: &mut Context<'_>) -> Poll<Event> {
        self.session.poll_event_if(self.place, self.epoch, messages && self.place == Place::Delivery, cx)
    }

    /// Whether the session acknowledges, so that messages leave only with connect replies.
    pub fn acknowledges(&self) -> bool {
        self.session.lock().acked().is_some()
    }

    /// Whether a newer attachment has not taken over.
    pub fn is_current(&self) -> bool {
        self.session.lock().is_current(self.epoch)
    }

    /// Takes what waits.
    pub async fn take(&self) -> Delivery {
        self.broker.take(&self.session, self.epoch).await
    }

    /// The same, but no more than fits into so many bytes.
    pub async fn take_at_most(&self, max_bytes: usize) -> Delivery {
        let max_bytes = max_bytes.min(self.broker.settings().max_delivery_bytes);
        self.broker.take_at_most(&self.session, self.epoch, max_bytes).await
    }

    /// Puts back what could not be written.
    pub fn restore(&self, delivery: Delivery) {
        self.broker.restore(&self.session, delivery);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.session.detach(self.epoch, None, self.broker.settings().max_interval);
    }
}
