//! Revocations, kept beside the sessions' records so that they survive what those survive: a session that goes on after a
//! restart must not bring a token back with it.
//!
//! Called by the API, by the sweep and at recovery. What a revocation means is the policy's business. No record outlives
//! its revocation by more than a sweep.

use super::{
    Broker,
    policy::{Denial, Revocation, Revoked},
};
use crate::{bayeux::ClientId, engine::EngineError};
use bytes::Bytes;
use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

/// Which revocations have a record, and until when, in milliseconds since 1970. As many as the policy remembers.
#[derive(Debug, Default)]
pub(super) struct Stored {
    until: HashMap<ClientId, u64>,
    queue: BTreeSet<(u64, ClientId)>,
}

impl Stored {
    /// A record was written, perhaps over an older one.
    fn add(&mut self, id: ClientId, until_ms: u64) {
        if let Some(before) = self.until.insert(id, until_ms) {
            self.queue.remove(&(before, id));
        }
        self.queue.insert((until_ms, id));
    }

    /// One that need not be kept any longer.
    fn take_over(&mut self, now_ms: u64) -> Option<ClientId> {
        let (_, id) = self.queue.first().copied().filter(|(until_ms, _)| *until_ms <= now_ms)?;
        self.queue.pop_first();
        self.until.remove(&id);
        Some(id)
    }
}

impl Broker {
    /// Makes a token, or the tokens that a user has now, count no more, for as long as `lasting` or the policy says.
    ///
    /// # Errors
    /// When the policy cannot do it. `Unavailable` also when it counts now but could not be stored: asking again is safe.
    pub async fn revoke(&self, what: Revocation, lasting: Option<Duration>, now_ms: u64) -> Result<(), Denial> {
        let saving = {
            // Engines store in the order they are asked: held, so that of two for the same user the later stays.
            let mut stored = self.revocations().lock();
            let revoked = self.policy().revoke(what, lasting, now_ms)?;
            let bytes = serde_json::to_vec(&revoked).map_err(|_| Denial::Unavailable)?;
            let id = id_of(&revoked.what);
            stored.add(id, revoked.until_ms);
            self.engine().save(id, Bytes::from(bytes))
        };
        saving.await.map_err(|error| {
            tracing::error!(%error, "a revocation counts, and will be forgotten at a restart: it could not be stored");
            Denial::Unavailable
        })
    }

    /// Forgets the records of revocations that are over: tokens expire all the time, and a broker runs for months.
    pub(super) async fn forget_revocations(&self, now_ms: u64) {
        let forgetting: Vec<_> = {
            let mut stored = self.revocations().lock();
            std::iter::from_fn(|| stored.take_over(now_ms)).map(|id| self.engine().forget(id)).collect()
        };
        for forgotten in forgetting {
            if let Err(error) = forgotten.await {
                tracing::warn!(%error, "a revocation that is over stays stored until the next start");
            }
        }
    }

    /// Takes a record for what it is if it is that of a revocation; one that is over is forgotten.
    pub(super) async fn recover_revocation(&self, id: ClientId, record: &[u8], now_ms: u64) -> Result<(), EngineError> {
        match serde_json::from_slice::<Revoked>(record) {
            Ok(revoked) if revoked.until_ms <= now_ms => self.engine().forget(id).await,
            Ok(revoked) => {
                self.revocations().lock().add(id, revoked.until_ms);
                self.policy().revoked_before(revoked);
                Ok(())
            }
            // Others keep records of their own kind.
            Err(_) => Ok(()),
        }
    }
}

fn id_of(what: &Revocation) -> ClientId {
    match what {
        Revocation::Token(id) => ClientId::of_name(&format!("revoked token: {id}")),
        Revocation::User(name) => ClientId::of_name(&format!("revoked user: {name}")),
    }
}
