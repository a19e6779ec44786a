//! Makes tokens for development, signed with a shared secret: `bayeuxd token`.

use super::{
    hidden::Hidden,
    jwt::{Algorithm, secret},
    settings::JwtSettings,
};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Map, Value, json};
use std::time::Duration;
use uuid::Uuid;

/// A token for `user` that an entry of the configuration accepts.
///
/// # Errors
/// When the entry has no shared secret, or it cannot be used.
pub fn mint(
    issuer: &JwtSettings,
    user: &str,
    more: Map<String, Value>,
    lasting: Duration,
    now_s: u64,
) -> Result<Hidden, String> {
    let secret = secret(issuer)?.ok_or("only an issuer with a shared secret can be spoken for")?;
    let mut claims = Map::new();
    claims.insert(issuer.user_claim.clone(), json!(user));
    claims.insert("iat".into(), json!(now_s));
    claims.insert("exp".into(), json!(now_s + lasting.as_secs()));
    claims.insert("jti".into(), json!(Uuid::new_v4().simple().to_string()));
    if !issuer.issuer.is_empty() {
        claims.insert("iss".into(), json!(issuer.issuer));
    }
    if let Some(audience) = issuer.audience.first() {
        claims.insert("aud".into(), json!(audience));
    }
    claims.extend(more);
    let algorithm = issuer.algorithms.first().copied().unwrap_or(Algorithm::HS256);
    let token = encode(&Header::new(algorithm), &claims, &EncodingKey::from_secret(&secret));
    token.map(Hidden::new).map_err(|error| format!("cannot sign: {error}"))
}
