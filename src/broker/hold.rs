//! Holding a poll: a `/meta/connect` over long-polling or callback-polling waits here until something happens.
//!
//! Called by the exchange and the polling transports with an accepted connect. A poll whose client went away is dropped
//! here without having taken anything from the queue.

use super::{
    Broker, Delivery, End, Event, Place, Plan,
    session::{Session, Timer},
};
use crate::bayeux::Reply;
use futures_util::FutureExt;
use std::{
    future::{Future, poll_fn},
    sync::Arc,
    task::{Poll, Waker},
    time::Duration,
};
use tokio::time::Instant;

/// What a poll is answered with.
pub struct Answered {
    /// The session it belongs to.
    pub session: Arc<Session>,
    /// The messages that leave with it.
    pub delivery: Delivery,
    /// Set when the session was ended by the broker: the client is told before the reply.
    pub kicked: bool,
    /// The reply of the connect itself.
    pub reply: Reply,
}

/// A connect that was answered early, before its session said goodbye. What it took goes back if that is never laid out.
pub struct Last {
    broker: Broker,
    answered: Option<Answered>,
}

impl Last {
    /// The answer, to be laid out now.
    pub fn take(mut self) -> Option<Answered> {
        self.answered.take()
    }
}

impl Drop for Last {
    fn drop(&mut self) {
        if let Some(answered) = self.answered.take() {
            self.broker.restore(&answered.session, answered.delivery);
        }
    }
}

impl Broker {
    /// Answers a connect whose session says goodbye in the same request: at once, with what waits.
    pub async fn answer_last(&self, mut plan: Box<Plan>) -> Last {
        plan.makes_last();
        if plan.attachment.is_none() {
            // A WebSocket, which pushes beside its connects. It would not get to that any more.
            let (epoch, older) = plan.session.lock().attach(Place::Delivery, false);
            older.into_iter().for_each(Waker::wake);
            plan.attachment = Some((Place::Delivery, epoch));
        }
        Last { broker: self.clone(), answered: Some(self.hold(plan).await) }
    }

    /// Holds a poll until there are messages, its time is over, a newer one comes, or the session ends.
    pub async fn hold(&self, plan: Box<Plan>) -> Answered {
        let session = Arc::clone(&plan.session);
        let (place, epoch) = plan.attachment.unwrap_or((Place::Heartbeat, 0));
        let mut attached = Attached { broker: self, session: &session, epoch, timer: None };
        let event = attached.wait(place, plan.hold).await;
        let mut delivery = Delivery::default();
        let mut kicked = false;
        let reply = match event {
            Some(Event::Superseded) => plan.superseded(self),
            Some(Event::Ended(end)) => {
                kicked = end.is_told();
                plan.ended(self, end)
            }
            // Also when the time is over: what could wait for company leaves now.
            Some(Event::Messages) | None => {
                delivery = self.take(&session, epoch).await;
                let ended = session.lock().ended.filter(|end| *end == End::Gap);
                match ended {
                    Some(end) => {
                        delivery = Delivery::default();
                        plan.ended(self, end)
                    }
                    None => {
                        // Told with the reply; if that is not written, it must be told again.
                        let mut state = session.lock();
                        delivery.gap = state.gap();
                        // A goodbye does not wait for a poll that does not come.
                        if !plan.is_last() {
                            state.poll_answered(Instant::now());
                        }
                        drop(state);
                        plan.answer(self, delivery.position)
                    }
                }
            }
        };
        self.answered(&session);
        drop(attached);
        Answered { session, delivery, kicked, reply }
    }
}

/// Lets the attachment go when the hold ends, also by being dropped.
struct Attached<'a> {
    broker: &'a Broker,
    session: &'a Session,
    epoch: u64,
    timer: Option<Timer>,
}

impl Attached<'_> {
    /// The next event, or `None` when there was none in time.
    async fn wait(&mut self, place: Place, hold: Duration) -> Option<Event> {
        let (session, epoch) = (self.session, self.epoch);
        let mut event = poll_fn(move |cx| session.poll_event(place, epoch, cx));
        if let Some(event) = (&mut event).now_or_never() {
            return Some(event);
        }
        if hold.is_zero() {
            return None;
        }
        let timer = self.timer.insert(session.lock().borrow_timer());
        timer.as_mut().reset(Instant::now() + hold);
        poll_fn(|cx| match event.poll_unpin(cx) {
            Poll::Ready(event) => Poll::Ready(Some(event)),
            Poll::Pending => timer.as_mut().poll(cx).map(|()| None),
        })
        .await
    }
}

impl Drop for Attached<'_> {
    fn drop(&mut self) {
        self.session.detach(self.epoch, self.timer.take(), self.broker.settings().max_interval);
    }
}
