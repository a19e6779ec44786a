//! The log and the session records, behind one trait that every engine implements.
//!
//! The broker appends to the log and reads it in order; the server decides which engine stands behind the trait.
//! An engine knows nothing of live sessions, sockets or the protocol: it orders, keeps and forgets.

pub mod disk;
pub mod idempotency;
pub mod kept;
pub mod memory;
pub mod newest;
pub mod publication;
pub mod retention;
pub mod settings;
#[cfg(test)]
pub mod suite;

pub use disk::DiskEngine;
pub use memory::MemoryEngine;
pub use publication::{Draft, Publication};
pub use retention::{Bounds, Retention};
pub use settings::{DiskSettings, Durability, EngineKind, EngineSettings, Retain};

use crate::bayeux::{ClientId, Seq};
use bytes::Bytes;
use prometheus_client::registry::Registry;
use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::sync::watch;

/// Why the engine could not do what it was asked.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum EngineError {
    /// It cannot take or give messages now; trying again later may work.
    #[error("the log is unavailable: {0}")]
    Unavailable(String),
}

/// Consecutive publications of the log.
#[derive(Debug, Default)]
pub struct Batch {
    /// In log order.
    pub publications: Vec<Arc<Publication>>,
    /// Everything up to here has been looked at; read on from here.
    pub through: Seq,
    /// What was asked for and is no longer kept; nearly always nothing.
    pub lost: Vec<Lost>,
}

/// Positions of one retention class that are no longer kept. Others between them may still be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The class, as [`Retention`] numbers them.
    pub class: usize,
    /// The first position that may be missing.
    pub first: Seq,
    /// The last one that is.
    pub last: Seq,
}

/// Where a draft went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its position; of a repeated one the position of the first.
    pub seq: Seq,
    /// Whether its idempotency key was seen before, so that it was not appended again.
    pub repeated: bool,
}

/// An ordered log with a record beside it for every session.
///
/// Positions grow by at least one from publication to publication, never repeat, also not after a restart, and stay
/// below 2^53.
pub trait Engine: Send + Sync + 'static {
    /// Gives each draft its place, in the order given and without anything in between, and keeps it as durably as
    /// the engine promises. The answer holds the positions. A draft whose idempotency key was seen within the window is
    /// not appended again.
    fn append(&self, drafts: Vec<Draft>) -> Answer<Result<Vec<Placed>, EngineError>>;

    /// The newest position, now and whenever it changes.
    fn head(&self) -> watch::Receiver<Seq>;

    /// The newest position now.
    fn newest(&self) -> Seq;

    /// The oldest position still kept; one above the newest when nothing is kept.
    fn oldest(&self) -> Seq;

    /// Up to `limit` publications after a position.
    fn read(&self, after: Seq, limit: usize) -> Answer<Result<Batch, EngineError>>;

    /// Up to `limit` publications after a position that are for everybody, on channels that `pattern` matches. May look
    /// at a bounded part only; [`Batch::through`] tells how far.
    fn read_matching(&self, pattern: &str, after: Seq, limit: usize) -> Answer<Result<Batch, EngineError>>;

    /// The newest publication of each channel that `pattern` matches, of classes that keep it, in log order.
    fn newest_matching(&self, pattern: &str) -> Answer<Result<Vec<Arc<Publication>>, EngineError>>;

    /// Stores the record of a session, replacing the older one.
    fn save(&self, id: ClientId, record: Bytes) -> Answer<Result<(), EngineError>>;

    /// The record of a session.
    fn load(&self, id: ClientId) -> Answer<Result<Option<Bytes>, EngineError>>;

    /// All records.
    fn records(&self) -> Answer<Result<Vec<(ClientId, Bytes)>, EngineError>>;

    /// Forgets the record of a session.
    fn forget(&self, id: ClientId) -> Answer<Result<(), EngineError>>;

    /// Everything up to `position` was fanned out: what lies after it must not be cut yet, whatever the bounds say. Before
    /// the first such call there is nobody to wait for.
    fn passed(&self, position: Seq);

    /// Lets go of what is older than the settings allow. `now_ms` is the wall clock in milliseconds.
    fn sweep(&self, now_ms: u64);

    /// Makes what it counts of its own known under public names.
    fn register(&self, _registry: &mut Registry) {}
}

/// An answer that is there already or comes later. Engines in memory answer at once, and the way of a message then
/// costs no allocation.
pub enum Answer<T> {
    /// It is here.
    Now(T),
    /// It comes.
    Later(Pin<Box<dyn Future<Output = T> + Send>>),
}

impl<T: Send + 'static> Answer<T> {
    /// An answer that some work will give.
    pub fn later(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self::Later(Box::pin(work))
    }
}

impl<T: Unpin> IntoFuture for Answer<T> {
    type Output = T;
    type IntoFuture = Answering<T>;

    fn into_future(self) -> Answering<T> {
        match self {
            Self::Now(value) => Answering::Now(Some(value)),
            Self::Later(work) => Answering::Later(work),
        }
    }
}

/// The future of an [`Answer`].
pub enum Answering<T> {
    /// Holds the value until it is polled.
    Now(Option<T>),
    /// Waits for it.
    Later(Pin<Box<dyn Future<Output = T> + Send>>),
}

impl<T: Unpin> Future for Answering<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match self.get_mut() {
            Self::Now(value) => value.take().map_or(Poll::Pending, Poll::Ready),
            Self::Later(work) => work.as_mut().poll(cx),
        }
    }
}
