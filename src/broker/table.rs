//! All sessions by their id, in shards so that requests of different sessions do not meet on one lock.
//!
//! Used by the broker only. Holds who is there, decides nothing.

use super::session::Session;
use crate::bayeux::ClientId;
// In tests what is done in the order of the table must be done in the same order again.
#[cfg(test)]
use foldhash::fast::FixedState as HashState;
#[cfg(not(test))]
use foldhash::fast::RandomState as HashState;
use parking_lot::RwLock;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// More shards than cores, so that two rarely want the same.
const SHARDS: usize = 64;

type Shard = RwLock<HashMap<ClientId, Arc<Session>, HashState>>;

/// The sessions of this process.
pub struct SessionTable {
    shards: Vec<Shard>,
    count: AtomicUsize,
}

impl Default for SessionTable {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| RwLock::default()).collect(), count: AtomicUsize::new(0) }
    }
}

impl SessionTable {
    fn shard(&self, id: ClientId) -> &Shard {
        &self.shards[(id.bits() as usize) % SHARDS]
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// The session with this id.
    pub fn get(&self, id: ClientId) -> Option<Arc<Session>> {
        self.shard(id).read().get(&id).cloned()
    }

    /// Adds a session, or replaces the one of the same id.
    pub fn insert(&self, session: Arc<Session>) {
        if self.shard(session.id).write().insert(session.id, session).is_none() {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Adds a session unless one of the same id is there; returns the one that is there now.
    pub fn insert_if_absent(&self, session: Arc<Session>) -> Arc<Session> {
        let mut shard = self.shard(session.id).write();
        if let Some(there) = shard.get(&session.id) {
            return Arc::clone(there);
        }
        shard.insert(session.id, Arc::clone(&session));
        self.count.fetch_add(1, Ordering::Relaxed);
        session
    }

    /// Removes exactly this session; a newer one of the same id stays.
    pub fn remove(&self, session: &Arc<Session>) {
        let mut shard = self.shard(session.id).write();
        if shard.get(&session.id).is_some_and(|there| Arc::ptr_eq(there, session)) {
            shard.remove(&session.id);
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Calls `each` for every session; one shard is looked at at a time.
    pub fn each(&self, mut each: impl FnMut(&Arc<Session>)) {
        for shard in &self.shards {
            shard.read().values().for_each(&mut each);
        }
    }

    /// The sessions that a question holds for. One shard is looked at at a time.
    pub fn filter(&self, mut question: impl FnMut(&Arc<Session>) -> bool) -> Vec<Arc<Session>> {
        let mut found = Vec::new();
        for shard in &self.shards {
            found.extend(shard.read().values().filter(|s| question(s)).cloned());
        }
        found
    }
}
