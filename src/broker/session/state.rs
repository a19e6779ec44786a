//! What the lock of a session protects: its queue, its cursor, its subscriptions, who is attached.
//!
//! Changed only by methods that are short, take the time as an argument and never wait.
//!
//! Invariants: a publication is queued at most once (`seen` only grows). While `lag` is set the queue holds only what
//! lies before it, so order survives. What was not acknowledged is never forgotten, only read again.

mod acks;
mod standing;

pub(in crate::broker) use standing::Standing;

use super::{
    super::{
        policy::Identity,
        replay::{begins_at, is_entry},
    },
    End, Place, QueueLimits, Subscription, Timer, Wakers,
    owed::Owed,
};
use crate::{
    bayeux::{Advice, ClientId, ConnectionType, Pattern, Seq},
    engine::{Publication, publication::Form},
};
use std::{collections::VecDeque, sync::Arc, task::Waker, time::Duration};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

/// How long after an answer, and the pause advised with it, a client's next poll may be on its way.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// What the lock protects.
#[derive(Debug)]
pub struct State {
    pub(super) queue: VecDeque<Arc<Publication>>,
    pub(super) queue_bytes: usize,
    pub(super) seen: Seq,
    /// Whether something in the queue should not wait.
    urgent: bool,
    /// When the queue should not wait any longer, if it holds only what may.
    lazy_due: Option<Instant>,
    handed: Seq,
    /// The newest position ever handed out; going back does not lower it, because the client may have got it all the same.
    sent: Seq,
    lag: Option<Lag>,
    /// Where the log holds what is addressed to it.
    owed: Owed,
    /// Positions it will not get, until it was told.
    gap: Option<(Seq, Seq)>,
    /// Whether it goes on from a record: only the client knows what it received before.
    resumed: bool,
    /// With the ack extension: everything up to here has arrived. Without it: `None`.
    acked: Option<Seq>,
    pub(super) attachments: [Option<Attachment>; 2],
    epoch: u64,
    /// When the newest to take messages is a stream that a client may come back to: where the streams began that followed
    /// one another. What lies before was handed over by others.
    streams: Option<Seq>,
    pub(super) timer: Option<Timer>,
    /// When its last poll was answered, until the next one comes.
    polled: Option<Instant>,
    /// A goodbye that waits for the poll under way.
    goodbye: Option<Arc<Notify>>,
    /// Who it belongs to.
    pub identity: Arc<Identity>,
    /// How its messages are written.
    pub form: Form,
    /// What it asked for.
    pub subscriptions: Vec<Subscription>,
    /// How often that changed, and up to which change the record knows of it.
    pub(in crate::broker) changes: (u64, u64),
    /// When it expires unless something happens before.
    pub deadline: Instant,
    /// When the client last did something else than connect; `None` while that is not known.
    pub active: Option<Instant>,
    /// The newest position handed out when that was last looked at.
    pub handed_before: Seq,
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

#[derive(Debug)]
pub(super) struct Attachment {
    pub(super) epoch: u64,
    pub(super) waker: Option<Waker>,
    occupies: bool,
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

impl State {
    /// The state of a session that has seen everything up to `now_at`.
    pub(super) fn new(now_at: Seq, deadline: Instant) -> Self {
        Self {
            queue: VecDeque::new(),
            queue_bytes: 0,
            seen: now_at,
            urgent: false,
            lazy_due: None,
            gap: None,
            resumed: false,
            form: Form::Plain,
            handed: now_at,
            sent: now_at,
            lag: None,
            owed: Owed::default(),
            acked: None,
            attachments: [None, None],
            epoch: 0,
            // Before a restart it may have been one.
            streams: Some(0),
            timer: None,
            polled: None,
            goodbye: None,
            identity: Arc::default(),
            subscriptions: Vec::new(),
            changes: (0, 0),
            deadline,
            active: None,
            handed_before: now_at,
            interval: Duration::ZERO,
            advised: None,
            ended: None,
        }
    }

    /// Makes the caller the newest attachment of a place; `occupies` says that it takes one of the few connections that a
    /// browser opens to one host. Returns the epoch that names it, and the older one to wake.
    pub fn attach(&mut self, place: Place, occupies: bool) -> (u64, Option<Waker>) {
        self.epoch += 1;
        self.polled = None;
        if place == Place::Delivery {
            self.streams = None;
        }
        if let Some(goodbye) = self.goodbye.take() {
            goodbye.notify_one();
        }
        let older = self.attachments[place as usize].replace(Attachment { epoch: self.epoch, waker: None, occupies });
        (self.epoch, older.and_then(|a| a.waker))
    }

    /// The same for a stream whose client says up to where it `heard` the one before. That counts only for streams that
    /// followed one another: what came by other ways meanwhile is there, and a browser does not know it. Gives where the
    /// client stands, too.
    pub fn attach_stream(&mut self, heard: Option<Seq>, occupies: bool) -> (u64, Option<Waker>, Seq) {
        let from = self.streams.unwrap_or_else(|| self.stands_at());
        let (epoch, older) = self.attach(Place::Delivery, occupies);
        self.streams = Some(from);
        if let Some(heard) = heard {
            self.rewind(heard.max(from));
        }
        (epoch, older, self.stands_at())
    }

    /// Its poll was answered: the next one is to be expected.
    pub fn poll_answered(&mut self, now: Instant) {
        self.polled = Some(now);
    }

    /// Who says goodbye between two polls may have sent the next one already. Gives what tells of its arrival.
    pub fn poll_under_way(&mut self, now: Instant) -> Option<Arc<Notify>> {
        let since = self.polled.filter(|_| self.attachments.iter().all(Option::is_none))?;
        (now < since + self.interval + ON_ITS_WAY).then(|| Arc::clone(self.goodbye.get_or_insert_default()))
    }

    /// The timer for a hold, to be given back when it ends.
    pub fn borrow_timer(&mut self) -> Timer {
        self.timer.take().unwrap_or_else(|| Box::pin(sleep(Duration::ZERO)))
    }

    /// How many of its browser's connections it holds now.
    pub fn connections(&self) -> usize {
        self.attachments.iter().flatten().filter(|a| a.occupies).count()
    }

    /// Whether somebody is attached who is given the messages.
    pub fn is_attached(&self) -> bool {
        self.attachments[Place::Delivery as usize].is_some()
    }

    /// Whether attachment `epoch` is the one that is given the messages.
    pub fn is_current(&self, epoch: u64) -> bool {
        self.attachments[Place::Delivery as usize].as_ref().is_some_and(|a| a.epoch == epoch)
    }

    /// Whether something waits that should be delivered now.
    pub fn has_messages(&self) -> bool {
        self.lag.is_some() || (self.urgent && !self.queue.is_empty())
    }

    /// Whether something in the queue leaves although the session is over, because that is the broker's doing. What would
    /// have to be read from the log does not: it may be much.
    pub fn has_last_words(&self) -> bool {
        self.ended == Some(End::ShuttingDown) && self.lag.is_none() && !self.queue.is_empty()
    }

    /// The newest position handed to the client.
    pub fn handed(&self) -> Seq {
        self.handed
    }

    /// Messages and bytes queued now.
    pub fn queued(&self) -> (usize, usize) {
        (self.queue.len(), self.queue_bytes)
    }

    /// The position of the first that waits, in the queue or in the log.
    pub(in crate::broker) fn first_waiting(&self) -> Option<Seq> {
        self.queue.front().map(|first| first.seq).or(self.lag.map(|lag| lag.after + 1))
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
            None if draft.without == Some(own) => false,
            None => self
                .subscriptions
                .iter()
                .any(|s| publication.seq > s.since && Pattern::of_valid(&s.pattern).matches(draft.channel())),
        }
    }

    /// What the next delivery of at most `max_bytes` should hold. Only the newest attachment gets anything.
    pub fn next(&mut self, epoch: u64, max_bytes: usize) -> Next {
        if !self.is_current(epoch) || self.ended.is_some() && !self.has_last_words() {
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
        let current = self.is_current(epoch) && self.ended.is_none();
        match &mut self.lag {
            Some(lag) if current && lag.after == after => {
                let to = lag.to;
                lag.after = through;
                if lag.after >= lag.to {
                    self.lag = None;
                }
                // Not beyond what the lane has shown this session: the rest is still to be queued.
                self.hand_out(through.min(to));
                true
            }
            _ => false,
        }
    }

    /// Queues a publication; one that may wait until `lazy` urges nobody. Returns whether the queue was given up.
    pub(super) fn push(&mut self, publication: &Arc<Publication>, limits: QueueLimits, lazy: Option<Instant>) -> bool {
        // What was said of messages that have gone, also back into the log, says nothing of this one.
        if self.queue.is_empty() {
            (self.urgent, self.lazy_due) = (false, None);
        }
        match lazy {
            None => self.urgent = true,
            Some(due) => self.lazy_due = Some(self.lazy_due.map_or(due, |earlier| earlier.min(due))),
        }
        if publication.draft.to.is_some() {
            self.owed = self.owed.and(publication.seq, begins_at(publication), self.settled());
        }
        if let Some(lag) = &mut self.lag {
            lag.to = publication.seq;
            return false;
        }
        let bytes = self.queue_bytes + publication.weight();
        if self.queue.len() >= limits.messages || (bytes > limits.bytes && !self.queue.is_empty()) {
            self.fall_behind(publication.seq);
            return true;
        }
        self.queue_bytes = bytes;
        self.queue.push_back(Arc::clone(publication));
        false
    }

    /// What a reader who stands at `after` loses of what is addressed to it, with the log up to `lost`.
    pub(in crate::broker) fn owed_and_lost(&self, after: Seq, lost: Seq) -> Option<(Seq, Seq)> {
        self.owed.lost(after, lost)
    }

    /// What is addressed to it and may still have to be read from the log.
    pub(in crate::broker) fn owed(&self) -> Owed {
        self.owed.unsettled(self.settled())
    }

    /// Up to where it surely has everything.
    fn settled(&self) -> Seq {
        self.acked.unwrap_or(self.handed)
    }

    /// Nobody has looked at what lies up to `to` for it.
    pub(in crate::broker) fn owe_anything(&mut self, to: Seq) {
        self.owed = self.owed.unseen(to);
    }

    /// When the queue should be delivered although nothing in it is urgent.
    pub fn lazy_due(&self) -> Option<Instant> {
        self.lazy_due.filter(|_| !self.urgent && !self.queue.is_empty())
    }

    /// What could wait has waited long enough.
    pub(in crate::broker) fn urge(&mut self) {
        self.urgent = true;
    }

    /// Gives the queue up: what it held is in the log and is read from there when the client comes. What came back from a
    /// failed write stays: it may be from before its subscription.
    fn fall_behind(&mut self, to: Seq) {
        let restored = self.queue.iter().take_while(|p| p.seq <= self.handed).count();
        let after = self.queue.get(restored).map_or(to, |first| first.seq) - 1;
        self.queue.truncate(restored);
        self.queue.shrink_to_fit();
        self.queue_bytes = self.queue.iter().map(|p| p.weight()).sum();
        self.lag = Some(Lag { after: after.max(self.handed), to });
    }

    /// Notes positions that it will not get. Returns how many of them are news, and the waker of a heartbeat that can tell
    /// the client.
    pub(in crate::broker) fn note_gap(&mut self, first: Seq, last: Seq) -> (u64, Option<Waker>) {
        let count = self.gap.map_or(last + 1 - first, |known| standing::beyond(known, first, last));
        self.gap = Some(self.gap.map_or((first, last), |(a, b)| (a.min(first), b.max(last))));
        (count, self.attachments[Place::Heartbeat as usize].as_mut().and_then(|a| a.waker.take()))
    }

    /// The gap to tell of.
    pub fn gap(&self) -> Option<(Seq, Seq)> {
        self.gap
    }

    /// The gap to tell the client of. One who acknowledges is told until it is acknowledged, others once.
    pub(in crate::broker) fn tell_gap(&mut self) -> Option<(Seq, Seq)> {
        if self.acked.is_some() { self.gap } else { self.gap.take() }
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

    /// Has everything up to `to` that was not handed out yet read from the log.
    pub fn read_from_log(&mut self, to: Seq) {
        self.seen = self.seen.max(to);
        if let Some(lag) = &mut self.lag {
            lag.to = lag.to.max(to);
        } else if to > self.handed {
            self.fall_behind(to);
            self.lag = Some(Lag { after: self.handed, to });
        }
    }

    fn drain(&mut self, max_bytes: usize) -> Vec<Arc<Publication>> {
        let fitting = if self.queue_bytes <= max_bytes { self.queue.len() } else { self.fitting(max_bytes) };
        // An entry to be expanded goes alone.
        let count = match self.queue.iter().take(fitting).position(|p| is_entry(p)) {
            Some(entry) => entry.max(1),
            None => fitting,
        };
        let all = count == self.queue.len();
        let taken: Vec<_> = self.queue.drain(..count).collect();
        if self.queue.is_empty() {
            self.urgent = false;
            self.lazy_due = None;
        }
        self.queue_bytes = if all { 0 } else { self.queue.iter().map(|p| p.weight()).sum() };
        if self.queue.is_empty() && self.queue.capacity() > IDLE_QUEUE_CAPACITY {
            self.queue = VecDeque::new();
        }
        self.hand_out(taken.last().map_or(0, |p| p.seq));
        taken
    }

    fn hand_out(&mut self, position: Seq) {
        self.handed = self.handed.max(position);
        self.sent = self.sent.max(position);
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

    pub(super) fn wake(&mut self) -> Option<Waker> {
        self.attachments[Place::Delivery as usize].as_mut().and_then(|a| a.waker.take())
    }
}

/// Slots an empty queue may keep; a burst should not cost an idle session memory for ever.
const IDLE_QUEUE_CAPACITY: usize = 16;
