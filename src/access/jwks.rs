//! Keys that an issuer publishes: fetched when they are first needed, kept, and fetched again when they get old or a token
//! names one that is not among them.
//!
//! One fetch at a time, and never two within the pause, so that tokens with invented key names cost the issuer nothing.
//! While the issuer cannot be reached its keys stay in use for a bounded time. Opens no socket: that is [`Fetch`]'s.

use super::{
    jwt::{Algorithm, Head, VerifyingKey},
    settings::JwtSettings,
};
use crate::{broker::Denial, engine::Answer};
use http::Uri;
use jsonwebtoken::{
    DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse},
};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::Value;
use std::{
    fmt,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, timeout};

/// Most keys of a list that are looked at.
const MOST_KEYS: usize = 64;
/// Most keys that are tried for a token that names none.
const MOST_TRIED: usize = 8;

/// Gets a document. Follows no redirect, and reads no more than it is told.
pub trait Fetch: Send + Sync + 'static {
    /// The bytes at a URL, at most `most`.
    fn get(&self, url: &str, most: usize) -> Answer<Result<Vec<u8>, String>>;
}

/// Whether the keys for a token are here.
pub enum Lookup {
    /// These may have signed it.
    Keys(Vec<Arc<VerifyingKey>>),
    /// They must be fetched.
    Absent,
}

/// The keys of one issuer.
pub struct Jwks {
    url: String,
    algorithms: Vec<Algorithm>,
    refresh: Duration,
    pause: Duration,
    keep: Duration,
    patience: Duration,
    most: usize,
    fetch: Arc<dyn Fetch>,
    state: Mutex<State>,
    turn: tokio::sync::Mutex<()>,
    version: AtomicU64,
}

impl fmt::Debug for Jwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Jwks({})", self.url)
    }
}

#[derive(Default)]
struct State {
    keys: Vec<Arc<VerifyingKey>>,
    /// The list as it came, to see whether it changed.
    text: Vec<u8>,
    fetched: Option<Instant>,
    tried: Option<Instant>,
}

/// Whether keys may be fetched from a URL.
///
/// # Errors
/// Why not.
pub fn check_url(url: &str, hosts: &[String]) -> Result<(), String> {
    let parsed: Uri = url.parse().map_err(|_| "is not a URL")?;
    let authority = parsed.authority().ok_or("must begin with https://")?;
    if authority.as_str().contains('@') {
        return Err("must hold no credentials".into());
    }
    let host = authority.host();
    let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
    let is_loopback = host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback());
    match parsed.scheme_str() {
        Some("https") => {}
        Some("http") if is_loopback => {}
        _ => return Err("must begin with https://; http:// is for loopback addresses".into()),
    }
    if hosts.is_empty() || hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host)) {
        return Ok(());
    }
    Err(format!("the host {host} is not in access.jwks_hosts"))
}

impl Jwks {
    /// The keys of an entry; nothing is fetched yet.
    ///
    /// # Errors
    /// When there is no URL.
    pub fn new(settings: &JwtSettings, fetch: Arc<dyn Fetch>) -> Result<Self, String> {
        Ok(Self {
            url: settings.jwks_url.clone().ok_or("has no jwks_url")?,
            algorithms: settings.algorithms.clone(),
            refresh: settings.jwks_refresh,
            pause: settings.jwks_pause,
            keep: settings.jwks_keep,
            patience: settings.jwks_timeout,
            most: settings.jwks_max_bytes,
            fetch,
            state: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            version: AtomicU64::new(0),
        })
    }

    /// Grows whenever the keys change.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The keys that may have signed a token, if they are here and not too old. Old ones are fetched again beside.
    pub fn here(self: &Arc<Self>, head: &Head) -> Lookup {
        let now = Instant::now();
        let state = self.state.lock();
        let Some(fetched) = state.fetched.filter(|at| now - *at < self.keep) else { return Lookup::Absent };
        let keys = candidates(&state.keys, head);
        if keys.is_empty() {
            return Lookup::Absent;
        }
        if now - fetched >= self.refresh && self.may_try(&state, now) {
            let own = Arc::clone(self);
            tokio::spawn(async move {
                let _turn = own.turn.lock().await;
                if own.may_try(&own.state.lock(), Instant::now()) {
                    own.try_fetch().await;
                }
            });
        }
        Lookup::Keys(keys)
    }

    fn may_try(&self, state: &State, now: Instant) -> bool {
        state.tried.is_none_or(|at| now - at >= self.pause)
    }

    /// The keys that may have signed a token, fetched if that may be.
    ///
    /// # Errors
    /// When the issuer cannot be asked, or does not know the key.
    pub async fn fetched(self: &Arc<Self>, head: &Head) -> Result<Vec<Arc<VerifyingKey>>, Denial> {
        let _turn = self.turn.lock().await;
        // Whoever had the turn before may have fetched what is wanted.
        if let Lookup::Keys(keys) = self.here(head) {
            return Ok(keys);
        }
        let may_try = self.may_try(&self.state.lock(), Instant::now());
        if may_try {
            self.try_fetch().await;
        }
        if let Lookup::Keys(keys) = self.here(head) {
            return Ok(keys);
        }
        let state = self.state.lock();
        let is_current = state.fetched.is_some_and(|at| at.elapsed() < self.keep);
        let unknown = "the token names a key that its issuer does not publish";
        Err(if is_current { Denial::NotAuthenticated(unknown.into()) } else { Denial::Unavailable })
    }

    async fn try_fetch(&self) {
        self.state.lock().tried = Some(Instant::now());
        let outcome = match timeout(self.patience, self.fetch.get(&self.url, self.most).into_future()).await {
            Ok(outcome) => outcome,
            Err(_) => Err("no answer in time".into()),
        };
        match outcome.and_then(|text| Ok((read(&text, &self.algorithms)?, text))) {
            Ok((keys, text)) => {
                let mut state = self.state.lock();
                state.fetched = Some(Instant::now());
                if state.text != text {
                    tracing::info!(url = self.url, keys = keys.len(), "the issuer's keys are new");
                    (state.keys, state.text) = (keys, text);
                    self.version.fetch_add(1, Ordering::AcqRel);
                }
            }
            Err(why) => tracing::warn!(url = self.url, "the issuer's keys cannot be fetched: {why}"),
        }
    }
}

/// The keys that a token names, or that fit when it names none.
fn candidates(keys: &[Arc<VerifyingKey>], head: &Head) -> Vec<Arc<VerifyingKey>> {
    let named = |key: &&Arc<VerifyingKey>| head.key.is_none() || key.id == head.key;
    let fits = |key: &&Arc<VerifyingKey>| key.algorithms.contains(&head.algorithm);
    keys.iter().filter(named).filter(fits).take(MOST_TRIED).cloned().collect()
}

/// Reads a list of keys; those of other kinds, and those for encryption, are left out.
fn read(text: &[u8], accepted: &[Algorithm]) -> Result<Vec<Arc<VerifyingKey>>, String> {
    #[derive(Deserialize)]
    struct List {
        keys: Vec<Value>,
    }
    let list: List = serde_json::from_slice(text).map_err(|_| "the answer is no list of keys")?;
    let keys = list.keys.into_iter().take(MOST_KEYS).filter_map(|key| {
        let key: Jwk = serde_json::from_value(key).ok()?;
        verifying(&key, accepted).map(Arc::new)
    });
    Ok(keys.collect())
}

fn verifying(key: &Jwk, accepted: &[Algorithm]) -> Option<VerifyingKey> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    if key.common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
        return None;
    }
    // A published key is public: a shared secret among them is a mistake that must not be believed.
    let kind: &[Algorithm] = match &key.algorithm {
        AlgorithmParameters::RSA(_) => &[RS256, RS384, RS512, PS256, PS384, PS512],
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => &[ES256],
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P384 => &[ES384],
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => &[EdDSA],
        _ => return None,
    };
    let own = key.common.key_algorithm.map(Algorithm::try_from);
    let fits = |algorithm: &Algorithm| {
        own.as_ref().is_none_or(|own| own.as_ref().is_ok_and(|own| own == algorithm))
            && (accepted.is_empty() || accepted.contains(algorithm))
    };
    let algorithms: Vec<Algorithm> = kind.iter().copied().filter(fits).collect();
    let decoding = DecodingKey::from_jwk(key).ok()?;
    (!algorithms.is_empty()).then(|| VerifyingKey { id: key.common.key_id.clone(), algorithms, key: decoding })
}

#[cfg(test)]
mod tests;
