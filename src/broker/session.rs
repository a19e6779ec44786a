//! One session: what the broker remembers behind a client id. A record (subscriptions, what was negotiated) plus a
//! cursor into the log; the queue is only a cache of the log's tail.
//!
//! Verbs change it, lanes push into it, transports take from it. Every method is short, takes the time as an argument
//! and never waits: the lock around `State` is held for moments and never across an await.
//!
//! Invariants: a publication is queued at most once (`seen` only grows). While `lag` is set the queue holds only what
//! lies before it, so order survives. An attachment that is not the newest gets no messages.

use crate::{
    bayeux::{Advice, ClientId, ConnectionType, Pattern, Seq},
    engine::Publication,
};
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::time::Instant;

/// Server state behind one client id.
#[derive(Debug)]
pub struct Session {
    /// Its name on the wire.
    pub id: ClientId,
    /// Which fan-out lane serves it.
    pub lane: usize,
    /// The browser cookie it was made with.
    pub browser: Option<Box<str>>,
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

/// What the lock protects.
#[derive(Debug)]
pub struct State {
    queue: VecDeque<Arc<Publication>>,
    queue_bytes: usize,
    seen: Seq,
    handed: Seq,
    lag: Option<Lag>,
    attachments: [Option<Attachment>; 2],
    epoch: u64,
    /// What it asked for.
    pub subscriptions: Vec<Subscription>,
    /// When it expires unless something happens before.
    pub deadline: Instant,
    /// The pause the client announced or was advised, counted into its deadline.
    pub interval: Duration,
    /// The transport that connected last and the advice it was given; `None` before the first connect.
    pub advised: Option<(ConnectionType, Advice)>,
    /// Set once it is over.
    pub ended: Option<End>,
}

/// A stretch of the log that the queue gave up on and that is read from the log instead.
#[derive(Clone, Copy, Debug)]
struct Lag {
    /// Read on after this position.
    after: Seq,
    /// The newest position that concerns this session.
    to: Seq,
}

/// What an attachment is for. Each place belongs to the newest who took it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is given the messages: a held poll, or a transport that pushes.
    Delivery,
    /// It only shows that the client is there: a connect held beside a stream that cannot carry it.
    Heartbeat,
}

/// Who is to be told that a session ended.
pub type Wakers = [Option<Waker>; 2];

#[derive(Debug)]
struct Attachment {
    epoch: u64,
    waker: Option<Waker>,
}

/// What the next delivery has to do.
#[derive(Debug)]
pub enum Next {
    /// These, from the queue.
    Queued(Vec<Arc<Publication>>),
    /// Read the log after this position, keep what [`State::wants`], up to `to`, and [`State::caught_up`] tells the rest.
    FromLog {
        /// Read after this.
        after: Seq,
        /// Read up to this.
        to: Seq,
    },
    /// Nothing waits.
    Nothing,
}

impl Session {
    /// A new session that has seen everything up to `now_at`.
    pub fn new(id: ClientId, lane: usize, browser: Option<Box<str>>, now_at: Seq, deadline: Instant) -> Self {
        let state = State {
            queue: VecDeque::new(),
            queue_bytes: 0,
            seen: now_at,
            handed: now_at,
            lag: None,
            attachments: [None, None],
            epoch: 0,
            subscriptions: Vec::new(),
            deadline,
            interval: Duration::ZERO,
            advised: None,
            ended: None,
        };
        Self { id, lane, browser, state: Mutex::new(state) }
    }

    /// The state, for a moment.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Takes in a publication that concerns this session. Returns the waker of whoever should look, if anybody should.
    pub fn enqueue(&self, publication: &Arc<Publication>, limits: QueueLimits) -> Option<Waker> {
        let mut state = self.state.lock();
        if publication.seq <= state.seen || state.ended.is_some() {
            return None;
        }
        state.seen = publication.seq;
        state.push(publication, limits);
        state.wake()
    }

    /// Waits for the next event of attachment `epoch`. A heartbeat hears of no messages.
    pub fn poll_event(&self, place: Place, epoch: u64, cx: &mut Context<'_>) -> Poll<Event> {
        let mut state = self.state.lock();
        if let Some(end) = state.ended {
            return Poll::Ready(Event::Ended(end));
        }
        let waiting = place == Place::Delivery && state.has_messages();
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

    /// Lets go of an attachment that is not needed any more; a newer one stays.
    pub fn detach(&self, epoch: u64) {
        let mut state = self.state.lock();
        for place in &mut state.attachments {
            place.take_if(|attachment| attachment.epoch == epoch);
        }
    }

    /// Puts what could not be written back to the head, so that nothing is lost.
    pub fn restore(&self, publications: Vec<Arc<Publication>>) {
        let waker = {
            let mut state = self.state.lock();
            for publication in publications.into_iter().rev() {
                state.queue_bytes += publication.weight();
                state.queue.push_front(publication);
            }
            state.wake()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl State {
    /// Makes the caller the newest attachment of a place. Returns the epoch that names it, and the older one to wake.
    pub fn attach(&mut self, place: Place) -> (u64, Option<Waker>) {
        self.epoch += 1;
        let older = self.attachments[place as usize].replace(Attachment { epoch: self.epoch, waker: None });
        (self.epoch, older.and_then(|a| a.waker))
    }

    /// Whether somebody is attached who is given the messages.
    pub fn is_attached(&self) -> bool {
        self.attachments[Place::Delivery as usize].is_some()
    }

    /// Whether attachment `epoch` is the one that is given the messages.
    pub fn is_current(&self, epoch: u64) -> bool {
        self.attachments[Place::Delivery as usize].as_ref().is_some_and(|a| a.epoch == epoch)
    }

    /// Whether a delivery would find something.
    pub fn has_messages(&self) -> bool {
        !self.queue.is_empty() || self.lag.is_some()
    }

    /// The newest position handed to the client.
    pub fn handed(&self) -> Seq {
        self.handed
    }

    /// Messages and bytes queued now.
    pub fn queued(&self) -> (usize, usize) {
        (self.queue.len(), self.queue_bytes)
    }

    /// Marks it over. Returns who to tell; `None` when it was over already.
    pub fn end(&mut self, end: End) -> Option<Wakers> {
        if self.ended.is_some() {
            return None;
        }
        self.ended = Some(end);
        Some(self.attachments.each_mut().map(|place| place.as_mut().and_then(|a| a.waker.take())))
    }

    /// Whether a publication is for this session: addressed to it, or to a channel it subscribed to in time.
    pub fn wants(&self, own: ClientId, publication: &Publication, echo: bool) -> bool {
        let draft = &publication.draft;
        match draft.to {
            Some(to) => to == own,
            None if !echo && draft.publisher == Some(own) => false,
            None => self
                .subscriptions
                .iter()
                .any(|s| publication.seq > s.since && Pattern::of_valid(&s.pattern).matches(draft.channel())),
        }
    }

    /// What the next delivery of at most `max_bytes` should hold. Only the newest attachment gets anything.
    pub fn next(&mut self, epoch: u64, max_bytes: usize) -> Next {
        if !self.is_current(epoch) {
            return Next::Nothing;
        }
        if !self.queue.is_empty() {
            return Next::Queued(self.drain(max_bytes));
        }
        match self.lag {
            Some(Lag { after, to }) => Next::FromLog { after, to },
            None => Next::Nothing,
        }
    }

    /// Tells what a reading of the log gave: everything up to `through` was looked at. Returns whether it counts; it
    /// does not when another attachment or an older position took over meanwhile.
    pub fn caught_up(&mut self, epoch: u64, after: Seq, through: Seq) -> bool {
        let current = self.is_current(epoch);
        match &mut self.lag {
            Some(lag) if current && lag.after == after => {
                lag.after = through;
                if lag.after >= lag.to {
                    self.lag = None;
                }
                self.handed = self.handed.max(through);
                true
            }
            _ => false,
        }
    }

    fn push(&mut self, publication: &Arc<Publication>, limits: QueueLimits) {
        if let Some(lag) = &mut self.lag {
            lag.to = publication.seq;
            return;
        }
        let bytes = self.queue_bytes + publication.weight();
        if self.queue.len() >= limits.messages || (bytes > limits.bytes && !self.queue.is_empty()) {
            self.fall_behind(publication.seq);
            return;
        }
        self.queue_bytes = bytes;
        self.queue.push_back(Arc::clone(publication));
    }

    /// Gives the queue up: what it held is in the log and is read from there when the client comes.
    fn fall_behind(&mut self, to: Seq) {
        let after = self.queue.front().map_or(to, |first| first.seq) - 1;
        self.queue = VecDeque::new();
        self.queue_bytes = 0;
        self.lag = Some(Lag { after, to });
    }

    /// Goes back to a position the client names: everything after it is handed out again, from the log.
    pub fn rewind(&mut self, position: Seq) {
        if position < self.handed {
            self.queue = VecDeque::new();
            self.queue_bytes = 0;
            self.handed = position;
            self.lag = Some(Lag { after: position, to: self.seen });
        }
    }

    /// Begins as one who fell behind: whatever arrives is read from the log, from the cursor on.
    pub fn start_behind(&mut self) {
        self.lag = Some(Lag { after: self.handed, to: self.handed });
    }

    /// Has everything up to `to` that was not handed out yet read from the log.
    pub fn read_from_log(&mut self, to: Seq) {
        self.seen = self.seen.max(to);
        if let Some(lag) = &mut self.lag {
            lag.to = lag.to.max(to);
        } else if to > self.handed {
            let after = self.queue.front().map_or(self.handed, |first| first.seq - 1);
            self.queue = VecDeque::new();
            self.queue_bytes = 0;
            self.lag = Some(Lag { after, to });
        }
    }

    fn drain(&mut self, max_bytes: usize) -> Vec<Arc<Publication>> {
        let all = self.queue_bytes <= max_bytes;
        let count = if all { self.queue.len() } else { self.fitting(max_bytes) };
        let taken: Vec<_> = self.queue.drain(..count).collect();
        self.queue_bytes = if all { 0 } else { self.queue.iter().map(|p| p.weight()).sum() };
        if self.queue.is_empty() && self.queue.capacity() > IDLE_QUEUE_CAPACITY {
            self.queue = VecDeque::new();
        }
        self.handed = self.handed.max(taken.last().map_or(0, |p| p.seq));
        taken
    }

    /// How many from the head fit; at least one, so that a large message is not stuck.
    fn fitting(&self, max_bytes: usize) -> usize {
        let mut bytes = 0;
        let fits = self.queue.iter().take_while(|p| {
            bytes += p.weight();
            bytes <= max_bytes
        });
        fits.count().max(1)
    }

    fn wake(&mut self) -> Option<Waker> {
        self.attachments[Place::Delivery as usize].as_mut().and_then(|a| a.waker.take())
    }
}

/// Slots an empty queue may keep; a burst should not cost an idle session memory for ever.
const IDLE_QUEUE_CAPACITY: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Draft;
    use serde_json::value::RawValue;

    const LIMITS: QueueLimits = QueueLimits { messages: 3, bytes: 10_000 };

    fn publication(seq: Seq) -> Arc<Publication> {
        let data = RawValue::from_string(seq.to_string()).unwrap();
        Arc::new(Publication { seq, draft: Draft::new("/a", &data, None, 0) })
    }

    fn session() -> Session {
        Session::new(ClientId::from_bits(1), 0, None, 10, Instant::now())
    }

    fn seqs(next: Next) -> Vec<Seq> {
        match next {
            Next::Queued(p) => p.iter().map(|p| p.seq).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_publication_is_queued_once_and_never_from_before_the_session() {
        let s = session();
        for seq in [9, 10, 11, 11, 12, 11] {
            s.enqueue(&publication(seq), LIMITS);
        }
        let (epoch, _) = s.lock().attach(Place::Delivery);
        assert_eq!(seqs(s.lock().next(epoch, 1 << 20)), [11, 12]);
        assert_eq!(s.lock().handed(), 12);
    }

    #[test]
    fn what_could_not_be_written_comes_back_in_front() {
        let s = session();
        s.enqueue(&publication(11), LIMITS);
        s.enqueue(&publication(12), LIMITS);
        let (epoch, _) = s.lock().attach(Place::Delivery);
        let Next::Queued(taken) = s.lock().next(epoch, 1 << 20) else { panic!() };
        s.enqueue(&publication(13), LIMITS);
        s.restore(taken);
        assert_eq!(seqs(s.lock().next(epoch, 1 << 20)), [11, 12, 13]);
    }

    #[test]
    fn a_full_queue_becomes_a_cursor_and_then_a_queue_again() {
        let s = session();
        let (epoch, _) = s.lock().attach(Place::Delivery);
        for seq in 11..=14 {
            s.enqueue(&publication(seq), LIMITS);
        }
        assert_eq!(s.lock().queued(), (0, 0));
        s.enqueue(&publication(20), LIMITS);
        let Next::FromLog { after: 10, to: 20 } = s.lock().next(epoch, 1 << 20) else { panic!() };
        assert!(s.lock().caught_up(epoch, 10, 15));
        let Next::FromLog { after: 15, to: 20 } = s.lock().next(epoch, 1 << 20) else { panic!() };
        assert!(!s.lock().caught_up(epoch, 10, 15), "an answer to an old question does not count");
        assert!(s.lock().caught_up(epoch, 15, 20));
        s.enqueue(&publication(21), LIMITS);
        assert_eq!(seqs(s.lock().next(epoch, 1 << 20)), [21]);
    }

    #[test]
    fn only_the_newest_attachment_gets_messages() {
        let s = session();
        let (old, _) = s.lock().attach(Place::Delivery);
        let (new, _) = s.lock().attach(Place::Delivery);
        s.enqueue(&publication(11), LIMITS);
        assert!(matches!(s.lock().next(old, 1 << 20), Next::Nothing));
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(s.poll_event(Place::Delivery, old, &mut cx), Poll::Ready(Event::Superseded));
        assert_eq!(s.poll_event(Place::Delivery, new, &mut cx), Poll::Ready(Event::Messages));
        s.detach(old);
        assert_eq!(seqs(s.lock().next(new, 1 << 20)), [11]);
        assert_eq!(s.poll_event(Place::Delivery, new, &mut cx), Poll::Pending);
    }

    #[test]
    fn deliveries_are_bounded_but_never_empty() {
        let s = session();
        let (epoch, _) = s.lock().attach(Place::Delivery);
        for seq in 11..=13 {
            s.enqueue(&publication(seq), LIMITS);
        }
        let one = publication(11).weight();
        assert_eq!(seqs(s.lock().next(epoch, 1)), [11]);
        assert_eq!(seqs(s.lock().next(epoch, one + 1)), [12]);
        assert_eq!(seqs(s.lock().next(epoch, one + 1)), [13]);
        assert_eq!(s.lock().queued(), (0, 0));
    }

    #[test]
    fn subscriptions_begin_where_they_were_made() {
        let s = session();
        s.lock().subscriptions.push(Subscription { pattern: "/a".into(), since: 11 });
        let own = s.id;
        let wants = |seq, echo| s.lock().wants(own, &publication(seq), echo);
        assert!(!wants(11, true) && wants(12, true));
        let data = RawValue::from_string("1".into()).unwrap();
        let mine = Publication { seq: 12, draft: Draft::new("/a", &data, None, 0).from(Some(own)) };
        assert!(s.lock().wants(own, &mine, true) && !s.lock().wants(own, &mine, false));
        let other = Publication { seq: 12, draft: Draft::new("/a", &data, None, 0).to(ClientId::from_bits(9)) };
        assert!(!s.lock().wants(own, &other, true));
    }
}
