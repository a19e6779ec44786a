//! Tokens: which issuer one is from, whether its signature and its claims hold, and who it says somebody is.
//!
//! Each key is pinned to the algorithms that its entry, its kind and its own `alg` allow, so that a token cannot choose
//! how it is verified; `none` is no algorithm here. The crate `jsonwebtoken` verifies signatures; times are compared
//! here, with the clock as an argument. Tokens are never logged.

pub use jsonwebtoken::Algorithm;

use super::{
    jwks::{Fetch, Jwks, Lookup},
    settings::{AccessSettings, JwtSettings},
};
use crate::{
    broker::{Denial, Identity},
    engine::Answer,
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{AlgorithmFamily, DecodingKey, Validation, dangerous, decode, errors::ErrorKind};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::{collections::HashMap, sync::Arc};

/// Fewest bytes of a shared secret.
const LEAST_SECRET: usize = 32;

/// A key that verifies tokens, with what it may be used for.
#[derive(Clone, Debug)]
pub struct VerifyingKey {
    /// Its name in the issuer's list.
    pub id: Option<String>,
    /// The algorithms it is pinned to.
    pub algorithms: Vec<Algorithm>,
    /// The key.
    pub key: DecodingKey,
}

/// One `[[jwt]]`.
#[derive(Debug)]
struct Issuer {
    settings: JwtSettings,
    keys: Keys,
}

#[derive(Debug)]
enum Keys {
    Own(Arc<VerifyingKey>),
    Fetched(Arc<Jwks>),
}

/// All issuers, and the tokens that were verified before.
pub struct Tokens {
    issuers: Vec<Arc<Issuer>>,
    remembered: Mutex<HashMap<[u8; 32], Remembered>>,
    most: usize,
}

struct Remembered {
    identity: Arc<Identity>,
    /// The version of the issuers' keys that verified it.
    version: u64,
}

/// What the head of a token says.
#[derive(Clone, Debug)]
pub struct Head {
    /// How it is signed.
    pub algorithm: Algorithm,
    /// With which key.
    pub key: Option<String>,
}

impl Tokens {
    /// The issuers of the settings; their secrets and keys are read now.
    ///
    /// # Errors
    /// What cannot be read or used, without the secret.
    pub fn new(common: &AccessSettings, issuers: &[JwtSettings], fetch: &Arc<dyn Fetch>) -> Result<Self, String> {
        let issuer = |(n, settings): (usize, &JwtSettings)| {
            let keys = Keys::new(settings, fetch).map_err(|why| format!("jwt[{n}]: {why}"))?;
            Ok(Arc::new(Issuer { settings: settings.clone(), keys }))
        };
        let issuers = issuers.iter().enumerate().map(issuer).collect::<Result<_, String>>()?;
        Ok(Self { issuers, remembered: Mutex::default(), most: common.max_remembered })
    }

    /// Who a token says somebody is.
    pub fn verify(self: &Arc<Self>, token: &str, now_ms: u64) -> Answer<Result<Arc<Identity>, Denial>> {
        let mark: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        if let Some(known) = self.recall(&mark, now_ms) {
            return Answer::Now(Ok(known));
        }
        match self.begin(token, now_ms) {
            Err(denial) => Answer::Now(Err(denial)),
            Ok(Begun::Verified(who)) => Answer::Now(Ok(self.remember(mark, who, now_ms))),
            Ok(Begun::Refused(denial)) => Answer::Now(Err(denial)),
            Ok(Begun::Wants(head, issuers)) => {
                let (own, token) = (Arc::clone(self), token.to_owned());
                Answer::later(async move {
                    let who = ask(&token, &head, &issuers, now_ms).await?;
                    Ok(own.remember(mark, who, now_ms))
                })
            }
        }
    }

    /// Tries the keys that are here.
    fn begin(&self, token: &str, now_ms: u64) -> Result<Begun, Denial> {
        let head = head(token)?;
        let claimed: Claimed =
            dangerous::insecure_decode_claims(token).map_err(|_| refused("the token is malformed"))?;
        let said = claimed.iss.as_ref().and_then(Value::as_str).unwrap_or_default();
        let fits = |issuer: &&Arc<Issuer>| issuer.settings.issuer.is_empty() || issuer.settings.issuer == said;
        let (mut why, mut absent) = (refused("no issuer is known for the token"), Vec::new());
        for issuer in self.issuers.iter().filter(fits) {
            match issuer.keys.here(&head) {
                Lookup::Keys(keys) => match issuer.try_all(token, &head, &keys, now_ms) {
                    Ok(who) => return Ok(Begun::Verified(who)),
                    Err(denial) => why = denial,
                },
                Lookup::Absent => absent.push(Arc::clone(issuer)),
            }
        }
        Ok(if absent.is_empty() { Begun::Refused(why) } else { Begun::Wants(head, absent) })
    }

    fn version(&self) -> u64 {
        let version = |issuer: &Arc<Issuer>| match &issuer.keys {
            Keys::Own(_) => 0,
            Keys::Fetched(jwks) => jwks.version(),
        };
        self.issuers.iter().map(version).sum()
    }

    fn recall(&self, mark: &[u8; 32], now_ms: u64) -> Option<Arc<Identity>> {
        let version = self.version();
        let remembered = self.remembered.lock();
        let known = remembered.get(mark).filter(|known| known.version == version)?;
        let is_over = known.identity.expires_ms.is_some_and(|at| at <= now_ms);
        (!is_over).then(|| Arc::clone(&known.identity))
    }

    fn remember(&self, mark: [u8; 32], identity: Identity, now_ms: u64) -> Arc<Identity> {
        let (identity, version) = (Arc::new(identity), self.version());
        if self.most > 0 {
            let mut remembered = self.remembered.lock();
            if remembered.len() >= self.most {
                let current = |known: &Remembered| {
                    known.version == version && known.identity.expires_ms.is_some_and(|at| at > now_ms)
                };
                remembered.retain(|_, known| current(known));
            }
            if remembered.len() >= self.most {
                // They are verified again when they come again.
                remembered.clear();
            }
            remembered.insert(mark, Remembered { identity: Arc::clone(&identity), version });
        }
        identity
    }
}

/// How far a verification came with the keys that are here.
enum Begun {
    Verified(Identity),
    Refused(Denial),
    Wants(Head, Vec<Arc<Issuer>>),
}

/// Asks issuers for their keys, one after the other.
async fn ask(token: &str, head: &Head, issuers: &[Arc<Issuer>], now_ms: u64) -> Result<Identity, Denial> {
    let mut why = refused("no issuer is known for the token");
    for issuer in issuers {
        let Keys::Fetched(jwks) = &issuer.keys else { continue };
        match jwks.fetched(head).await.and_then(|keys| issuer.try_all(token, head, &keys, now_ms)) {
            Ok(who) => return Ok(who),
            Err(denial) => why = denial,
        }
    }
    Err(why)
}

/// What a token claims before anything of it was verified: enough to find its issuer.
#[derive(Deserialize)]
struct Claimed {
    #[serde(default)]
    iss: Option<Value>,
}

fn refused(why: &str) -> Denial {
    Denial::NotAuthenticated(why.into())
}

fn head(token: &str) -> Result<Head, Denial> {
    #[derive(Deserialize)]
    struct Raw {
        alg: String,
        #[serde(default)]
        kid: Option<String>,
        #[serde(default)]
        crit: Option<Value>,
    }
    let malformed = || refused("the token is malformed");
    let first = token.split('.').next().unwrap_or_default();
    let json = URL_SAFE_NO_PAD.decode(first.trim_end_matches('=')).map_err(|_| malformed())?;
    let raw: Raw = serde_json::from_slice(&json).map_err(|_| malformed())?;
    if raw.crit.is_some() {
        return Err(refused("the token asks for something that is not understood"));
    }
    let algorithm = raw.alg.parse().map_err(|_| refused("the algorithm of the token is not accepted"))?;
    Ok(Head { algorithm, key: raw.kid })
}

impl Issuer {
    fn try_all(&self, token: &str, head: &Head, keys: &[Arc<VerifyingKey>], now_ms: u64) -> Result<Identity, Denial> {
        let mut why = refused("the algorithm of the token is not accepted");
        for key in keys.iter().filter(|key| key.algorithms.contains(&head.algorithm)) {
            match self.verify(token, head, key, now_ms) {
                Ok(who) => return Ok(who),
                Err(denial) => why = denial,
            }
        }
        Err(why)
    }

    fn verify(&self, token: &str, head: &Head, key: &VerifyingKey, now_ms: u64) -> Result<Identity, Denial> {
        let mut validation = Validation::new(head.algorithm);
        validation.required_spec_claims.clear();
        (validation.validate_exp, validation.validate_nbf) = (false, false);
        if !self.settings.issuer.is_empty() {
            validation.set_issuer(&[&self.settings.issuer]);
            validation.required_spec_claims.insert("iss".into());
        }
        if !self.settings.audience.is_empty() {
            validation.set_audience(&self.settings.audience);
            validation.required_spec_claims.insert("aud".into());
        }
        let verified = decode::<Map<String, Value>>(token, &key.key, &validation);
        let claims = verified.map_err(|error| refused(in_words(error.kind())))?.claims;
        self.identity(claims, now_ms)
    }

    /// Reads claims whose signature holds.
    fn identity(&self, claims: Map<String, Value>, now_ms: u64) -> Result<Identity, Denial> {
        let leeway_ms = u64::try_from(self.settings.leeway.as_millis()).unwrap_or(0);
        let expires_ms = match time_ms(&claims, "exp")? {
            None if self.settings.require_expiry => return Err(refused("the token does not say when it expires")),
            at => at.map(|at| at.saturating_add(leeway_ms)),
        };
        if expires_ms.is_some_and(|at| at <= now_ms) {
            return Err(refused("the token has expired"));
        }
        if time_ms(&claims, "nbf")?.is_some_and(|from| from > now_ms.saturating_add(leeway_ms)) {
            return Err(refused("the token is not valid yet"));
        }
        let text = |name: &str| claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let user = text(&self.settings.user_claim).ok_or_else(|| refused("the token names no user"))?.into();
        let token = text("jti").map(Into::into);
        Ok(Identity { user: Some(user), key: None, token, expires_ms, claims })
    }
}

/// A time claim, from seconds since 1970 to milliseconds.
fn time_ms(claims: &Map<String, Value>, name: &str) -> Result<Option<u64>, Denial> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => match value.as_f64() {
            Some(seconds) if (0.0..1e12).contains(&seconds) => Ok(Some((seconds * 1000.0) as u64)),
            _ => Err(refused("the token is malformed")),
        },
    }
}

fn in_words(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidSignature => "the signature of the token is wrong",
        ErrorKind::InvalidAudience => "the token is for another audience",
        ErrorKind::InvalidIssuer => "no issuer is known for the token",
        ErrorKind::MissingRequiredClaim(claim) if claim == "aud" => "the token is for another audience",
        ErrorKind::MissingRequiredClaim(_) => "the token misses a claim",
        ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm => "the algorithm of the token is not accepted",
        _ => "the token is malformed",
    }
}

impl Keys {
    fn new(settings: &JwtSettings, fetch: &Arc<dyn Fetch>) -> Result<Self, String> {
        if settings.jwks_url.is_some() {
            return Ok(Self::Fetched(Arc::new(Jwks::new(settings, Arc::clone(fetch))?)));
        }
        let own = |key, algorithms| Self::Own(Arc::new(VerifyingKey { id: None, algorithms, key }));
        if let Some(secret) = secret(settings)? {
            let algorithms = match settings.algorithms.as_slice() {
                [] => vec![Algorithm::HS256],
                given => given.to_vec(),
            };
            return Ok(own(DecodingKey::from_secret(&secret), algorithms));
        }
        let pem = match (&settings.public_key, &settings.public_key_file) {
            (Some(pem), _) => pem.clone(),
            (None, Some(file)) => read(file)?,
            (None, None) => return Err("has no key".into()),
        };
        Ok(own(public(&pem, &settings.algorithms)?, settings.algorithms.clone()))
    }

    fn here(&self, head: &Head) -> Lookup {
        match self {
            Self::Own(key) => Lookup::Keys(vec![Arc::clone(key)]),
            Self::Fetched(jwks) => jwks.here(head),
        }
    }
}

fn read(file: &std::path::Path) -> Result<String, String> {
    std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}

/// A public key from its PEM, for algorithms of one family.
fn public(pem: &str, algorithms: &[Algorithm]) -> Result<DecodingKey, String> {
    let key = match algorithms.first().map(|algorithm| algorithm.family()) {
        Some(AlgorithmFamily::Rsa) => DecodingKey::from_rsa_pem(pem.as_bytes()),
        Some(AlgorithmFamily::Ec) => DecodingKey::from_ec_pem(pem.as_bytes()),
        Some(AlgorithmFamily::Ed) => DecodingKey::from_ed_pem(pem.as_bytes()),
        _ => return Err("algorithms must name what the public key is for".into()),
    };
    key.map_err(|_| "public_key is no PEM of a public key for these algorithms".into())
}

/// Whether a key that stands in an entry itself can be used; files and variables may be there only where the broker
/// starts.
///
/// # Errors
/// The name of the setting, and what is wrong, without the secret.
pub fn check(settings: &JwtSettings) -> Result<(), (&'static str, String)> {
    if settings.secret.is_some() {
        secret(settings).map_err(|why| ("secret", why))?;
    }
    if let Some(pem) = &settings.public_key {
        public(pem, &settings.algorithms).map_err(|why| ("public_key", why))?;
    }
    Ok(())
}

/// The shared secret of an entry, if it has one.
///
/// # Errors
/// When it cannot be read or is too short.
pub fn secret(settings: &JwtSettings) -> Result<Option<Vec<u8>>, String> {
    let text = match (&settings.secret, &settings.secret_file, &settings.secret_env) {
        (Some(secret), ..) => secret.reveal().to_owned(),
        (_, Some(file), _) => read(file)?.trim_end().to_owned(),
        (.., Some(name)) => std::env::var(name).map_err(|_| format!("the variable {name} is not set"))?,
        _ => return Ok(None),
    };
    let secret = match text.strip_prefix("base64:") {
        Some(encoded) => STANDARD.decode(encoded).map_err(|_| "the secret is not base64 after base64:")?,
        None => text.into_bytes(),
    };
    if secret.len() < LEAST_SECRET {
        return Err(format!("the secret must hold at least {LEAST_SECRET} bytes"));
    }
    Ok(Some(secret))
}

#[cfg(test)]
mod tests;
