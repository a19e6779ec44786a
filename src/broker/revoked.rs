//! Revocations, kept beside the sessions' records so that they survive what those survive: a session that goes on after a
//! restart must not bring a token back with it.
//!
//! Called by the API and at recovery. What a revocation means is the policy's business.

use super::{
    Broker,
    policy::{Denial, Revocation, Revoked},
};
use crate::{bayeux::ClientId, engine::EngineError};
use bytes::Bytes;
use std::time::Duration;

impl Broker {
    /// Makes a token, or the tokens that a user has now, count no more, for as long as `lasting` or the policy says.
    ///
    /// # Errors
    /// When the policy cannot do it. `Unavailable` also when it counts now but could not be stored: asking again is safe.
    pub async fn revoke(&self, what: Revocation, lasting: Option<Duration>, now_ms: u64) -> Result<(), Denial> {
        let revoked = self.policy().revoke(what, lasting, now_ms)?;
        let bytes = serde_json::to_vec(&revoked).map_err(|_| Denial::Unavailable)?;
        self.engine().save(id_of(&revoked.what), Bytes::from(bytes)).await.map_err(|error| {
            tracing::error!(%error, "a revocation counts, and will be forgotten at a restart: it could not be stored");
            Denial::Unavailable
        })
    }

    /// Takes a record for what it is if it is that of a revocation; one that is over is forgotten.
    pub(super) async fn recover_revocation(&self, id: ClientId, record: &[u8], now_ms: u64) -> Result<(), EngineError> {
        match serde_json::from_slice::<Revoked>(record) {
            Ok(revoked) if revoked.until_ms <= now_ms => self.engine().forget(id).await,
            Ok(revoked) => {
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
