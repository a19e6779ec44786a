//! One TCP connection to the mount: who is at its other end, how many bytes it really wrote, and which deliveries wait
//! for that.
//!
//! The server makes one per connection and counts into it; bodies note their deliveries here. It holds the transport, so
//! that serving a request touches no counter that other connections share. When a connection ends, what it did not write goes back to the head of its session's queue.
//! Embedded in somebody else's server there is no such thing, and only whole bodies that were never read come back.

use super::Transport;
use crate::broker::{Broker, Delivery, Session};
use http::HeaderMap;
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::timeout;

/// What hyper writes around the headers of an answer: its first line, a date, the name of the length, an empty line.
const AROUND_HEADERS: usize =
    "HTTP/1.1 200 OK\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\ncontent-length: \r\n\r\n".len();

/// Bytes of an answer's head. Counting too little would take an answer for written whose last bytes are not; counting too
/// much would send again what arrived.
pub(crate) fn head_len(headers: &HeaderMap, body: usize) -> usize {
    let digits = body.checked_ilog10().map_or(1, |digits| digits as usize + 1);
    let headers: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum();
    AROUND_HEADERS + headers + digits
}

/// One TCP connection.
#[derive(Clone)]
pub struct Connection(Arc<Inner>);

struct Inner {
    transport: Transport,
    peer: Option<IpAddr>,
    /// Whether answers leave one after the other, so that bytes tell which of them are out.
    counted: bool,
    written: AtomicU64,
    /// Bytes that a buffer in front of the kernel took, as TLS has one. Tells only that something moves.
    buffered: AtomicU64,
    pending: Mutex<Pending>,
}

#[derive(Default)]
struct Pending {
    /// Bytes that must have been written for everything noted so far to be out.
    expected: u64,
    /// The oldest, apart from the rest: polls never have more than one, and then nothing is allocated.
    oldest: Option<(u64, Undelivered)>,
    later: VecDeque<(u64, Undelivered)>,
}

impl Pending {
    fn push(&mut self, due: u64, undelivered: Undelivered) {
        if self.oldest.is_none() {
            self.oldest = Some((due, undelivered));
        } else {
            self.later.push_back((due, undelivered));
        }
    }

    fn settle(&mut self, written: u64) {
        while self.oldest.take_if(|(due, _)| *due <= written).is_some() {
            self.oldest = self.later.pop_front();
        }
    }
}

/// A delivery that may still come back.
pub struct Undelivered {
    session: Arc<Session>,
    delivery: Delivery,
    /// What was taken before it for the same answer.
    before: Option<Box<Self>>,
}

impl Undelivered {
    /// A delivery on its way; `None` when it is empty and nothing could be lost.
    pub fn new(session: &Arc<Session>, delivery: Delivery) -> Option<Self> {
        (!delivery.is_empty() || delivery.gap.is_some()).then(|| Self {
            session: Arc::clone(session),
            delivery,
            before: None,
        })
    }

    /// The same after another one of the same answer. Each goes back to the session it was taken from.
    #[must_use]
    pub fn after(self, before: Option<Self>) -> Self {
        Self { before: before.map(Box::new), ..self }
    }

    /// Puts it back: the newest first, as each goes to the head.
    pub fn restore(self, broker: &Broker) {
        let mut next = Some(self);
        while let Some(Self { session, delivery, before }) = next {
            broker.restore(&session, delivery);
            next = before.map(|before| *before);
        }
    }
}

impl Connection {
    /// A new connection from `peer`, whose writes are counted. Without a peer it is one of somebody else's server:
    /// nothing is known of it.
    pub fn new(transport: Transport, peer: Option<IpAddr>) -> Self {
        Self::of(transport, peer, peer.is_some())
    }

    fn of(transport: Transport, peer: Option<IpAddr>, counted: bool) -> Self {
        let [written, buffered] = [AtomicU64::new(0), AtomicU64::new(0)];
        Self(Arc::new(Inner { transport, peer, counted, written, buffered, pending: Mutex::default() }))
    }

    /// The same for a connection that carries many requests at once (HTTP/2): an answer counts as written when its body
    /// was taken, as nobody can tell whose bytes are out.
    #[must_use]
    pub fn multiplexed(&self) -> Self {
        Self::of(self.0.transport.clone(), self.0.peer, false)
    }

    /// The mount it talks to.
    pub fn transport(&self) -> &Transport {
        &self.0.transport
    }

    /// Where it comes from.
    pub fn peer(&self) -> Option<IpAddr> {
        self.0.peer
    }

    /// Counts bytes that the kernel took.
    pub fn wrote(&self, bytes: usize) {
        self.0.written.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts bytes that a buffer in front of the kernel took.
    pub fn buffered(&self, bytes: usize) {
        self.0.buffered.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// A number that grows whenever bytes leave.
    pub(crate) fn moved(&self) -> u64 {
        self.0.written.load(Ordering::Relaxed) + self.0.buffered.load(Ordering::Relaxed)
    }

    /// Notes that a delivery was handed over as a whole answer of `bytes`, or as a part of `bytes` of an endless one.
    pub(super) fn handed_over(&self, bytes: usize, undelivered: Option<Undelivered>) {
        let (Some(undelivered), true) = (undelivered, self.0.counted) else { return };
        let mut pending = self.0.pending.lock();
        let written = self.settle(&mut pending);
        pending.expected = pending.expected.max(written) + bytes as u64;
        let due = pending.expected;
        pending.push(due, undelivered);
    }

    /// A new request on the connection: what was answered before has arrived.
    pub(super) fn next_request(&self) {
        let mut pending = self.0.pending.lock();
        pending.oldest = None;
        pending.later.clear();
    }

    /// The connection is over: what it did not write goes back.
    pub fn closed(&self) {
        let mut pending = self.0.pending.lock();
        self.settle(&mut pending);
        let lost: Vec<_> = pending.oldest.take().into_iter().chain(std::mem::take(&mut pending.later)).collect();
        drop(pending);
        // Newest first, as each goes to the head.
        let broker = &self.0.transport.exchange().broker;
        lost.into_iter().rev().for_each(|(_, undelivered)| undelivered.restore(broker));
    }

    fn settle(&self, pending: &mut Pending) -> u64 {
        let written = self.0.written.load(Ordering::Relaxed);
        pending.settle(written);
        written
    }
}

/// Waits for a write as long as bytes leave; `None` when none did for as long as `within`.
pub(super) async fn while_moving<T>(
    within: Duration,
    moved: impl Fn() -> u64,
    write: impl Future<Output = T>,
) -> Option<T> {
    tokio::pin!(write);
    loop {
        let before = moved();
        match timeout(within, write.as_mut()).await {
            Ok(done) => return Some(done),
            Err(_) if moved() == before => return None,
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use tokio::time::{Instant, sleep};

    #[tokio::test(start_paused = true)]
    async fn a_slow_peer_is_not_one_that_reads_nothing() {
        let start = Instant::now();
        let steadily = || start.elapsed().as_secs();
        let within = Duration::from_secs(30);
        let slow = while_moving(within, steadily, sleep(Duration::from_secs(100))).await;
        assert_eq!((slow, start.elapsed().as_secs()), (Some(()), 100));
        let begins_well = || start.elapsed().as_secs().min(110);
        assert_eq!(while_moving(within, begins_well, pending::<()>()).await, None);
        assert_eq!(start.elapsed().as_secs(), 160);
    }
}
