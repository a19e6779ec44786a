//! One session: what the broker remembers behind a client id. A record (subscriptions, what was negotiated) plus a
//! cursor into the log; the queue is only a cache of the log's tail.
//!
//! Verbs change it, lanes push into it, transports take from it. The lock around [`State`] is held for moments and never
//! across an await. An attachment that is not the newest gets no messages.

mod owed;
mod state;
#[cfg(test)]
mod tests;

pub(super) use owed::Owed;
pub(super) use state::Standing;
pub use state::{Next, State};

use super::{browser::BrowserId, policy::Identity};
use crate::{
    bayeux::{ClientId, Seq},
    engine::Publication,
};
use parking_lot::{Mutex, MutexGuard};
use prometheus_client::metrics::counter::Counter;
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::time::{Instant, Sleep};

/// Server state behind one client id.
#[derive(Debug)]
pub struct Session {
    /// Its name on the wire.
    pub id: ClientId,
    /// Which fan-out lane serves it.
    pub lane: usize,
    /// The browser cookie it was made with.
    pub browser: Option<BrowserId>,
    /// Whether its browser has other sessions.
    shares_browser: AtomicBool,
    state: Mutex<State>,
}

/// A channel or pattern, asked for since a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The checked text of the pattern.
    pub pattern: Arc<str>,
    /// Publications after this position are delivered; what came before the subscription is not.
    pub since: Seq,
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client said goodbye.
    Disconnected,
    /// The broker or its operator ended it.
    Kicked,
    /// It was silent for too long.
    Expired,
    /// The server stops; the session may go on elsewhere or later.
    ShuttingDown,
    /// Its lane failed; it goes on from its record at the next connect.
    LaneLost,
    /// It fell behind what the log keeps, and the settings ask for a new handshake then.
    Gap,
    /// What it was made with expired or was revoked.
    Unauthorised,
    /// The client connected and connected but did nothing.
    Inactive,
}

impl End {
    /// Whether the client is told by a message before its connect is answered, because it was the broker's decision.
    pub fn is_told(self) -> bool {
        matches!(self, Self::Kicked | Self::Inactive)
    }
}

/// What an attachment is told when something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Messages wait.
    Messages,
    /// A newer attachment has taken over.
    Superseded,
    /// The session is over.
    Ended(End),
}

/// Bounds on a queue.
#[derive(Clone, Copy, Debug)]
pub struct QueueLimits {
    /// Most messages.
    pub messages: usize,
    /// Most bytes.
    pub bytes: usize,
}

/// What an attachment is for. Each place belongs to the newest who took it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is given the messages: a held poll, or a transport that pushes.
    Delivery,
    /// It only shows that the client is there: a connect held beside a stream that cannot carry it.
    Heartbeat,
}

/// Ends a hold. Kept by the session between holds: moving a timer on costs nothing, while making and dropping one takes
/// the runtime's timer lock twice.
pub type Timer = Pin<Box<Sleep>>;

/// Who is to be told that a session ended.
pub type Wakers = [Option<Waker>; 2];

impl Session {
    /// A new session that has seen everything up to `now_at`.
    pub fn new(id: ClientId, lane: usize, browser: Option<BrowserId>, now_at: Seq, deadline: Instant) -> Self {
        Self {
            id,
            lane,
            browser,
            shares_browser: AtomicBool::new(false),
            state: Mutex::new(State::new(now_at, deadline)),
        }
    }

    /// Whether it is the only session of its browser.
    pub fn is_alone(&self) -> bool {
        !self.shares_browser.load(Ordering::Relaxed)
    }

    pub(super) fn share_browser(&self) {
        self.shares_browser.store(true, Ordering::Relaxed);
    }

    /// Who it belongs to.
    pub fn identity(&self) -> Arc<Identity> {
        Arc::clone(&self.state.lock().identity)
    }

    /// The state, for a moment.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Takes in a publication that concerns this session. Returns the waker of whoever should look, if anybody should.
    /// One that may wait until `lazy` wakes nobody.
    pub fn enqueue(
        &self,
        publication: &Arc<Publication>,
        limits: QueueLimits,
        lazy: Option<Instant>,
        fell_behind: &Counter,
    ) -> Option<Waker> {
        let mut state = self.state.lock();
        if publication.seq <= state.seen || state.ended.is_some() {
            return None;
        }
        state.seen = publication.seq;
        if state.push(publication, limits, lazy) {
            fell_behind.inc();
        }
        if state.has_messages() { state.wake() } else { None }
    }

    /// Waits for the next event of attachment `epoch`. A heartbeat hears of gaps instead of messages.
    pub fn poll_event(&self, place: Place, epoch: u64, cx: &mut Context<'_>) -> Poll<Event> {
        self.poll_event_if(place, epoch, true, cx)
    }

    /// The same, hearing of messages or gaps only if they are wanted now: who cannot do anything about them would hear of
    /// them for ever.
    pub fn poll_event_if(&self, place: Place, epoch: u64, news: bool, cx: &mut Context<'_>) -> Poll<Event> {
        let mut state = self.state.lock();
        let speaks = news && place == Place::Delivery && state.has_last_words();
        if let Some(end) = state.ended.filter(|_| !speaks) {
            return Poll::Ready(Event::Ended(end));
        }
        let waiting = match place {
            Place::Delivery => news && state.has_messages(),
            Place::Heartbeat => news && state.gap().is_some(),
        };
        match &mut state.attachments[place as usize] {
            Some(attachment) if attachment.epoch == epoch => {
                if waiting {
                    return Poll::Ready(Event::Messages);
                }
                if !attachment.waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
                    attachment.waker = Some(cx.waker().clone());
                }
                Poll::Pending
            }
            _ => Poll::Ready(Event::Superseded),
        }
    }

    /// What waited for company has waited until `now`. Returns the waker of whoever should look.
    pub fn urge(&self, now: Instant) -> Option<Waker> {
        let mut state = self.state.lock();
        if state.lazy_due().is_some_and(|due| due <= now) {
            state.urge();
            return state.wake();
        }
        None
    }

    /// Lets go of an attachment that is not needed any more; a newer one stays. Its timer is kept for the next. When none
    /// is left, nobody will answer a connect that was held: the client's silence counts from now on.
    pub fn detach(&self, epoch: u64, timer: Option<Timer>, max_interval: Duration) {
        let mut state = self.state.lock();
        if timer.is_some() {
            state.timer = timer;
        }
        for place in &mut state.attachments {
            place.take_if(|attachment| attachment.epoch == epoch);
        }
        if state.attachments.iter().all(Option::is_none) {
            state.deadline = state.deadline.min(Instant::now() + state.interval + max_interval);
        }
    }

    /// Puts what could not be written back to the head, so that nothing is lost. Not if the client acknowledges: its next
    /// connect says what it lacks, and by the time a connection is known to be broken it may have got it over another.
    pub fn restore(&self, publications: Vec<Arc<Publication>>) {
        let waker = {
            let mut state = self.state.lock();
            if state.acked().is_some() {
                return;
            }
            for publication in publications.into_iter().rev() {
                state.queue_bytes += publication.weight();
                state.queue.push_front(publication);
            }
            state.urge();
            state.wake()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
