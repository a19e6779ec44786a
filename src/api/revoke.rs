//! `POST /api/v1/revoke`: a token, or what a user has shown until now, counts no more, and their sessions end.
//!
//! Asks who may administer. Only this node is told; its policy keeps the list.

use super::{
    Api,
    answer::{self, Outcome},
    error::{ApiError, Failure, Refused},
    request::parse,
};
use crate::broker::{Asking, Revocation, wall_clock_ms};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

/// Longest id or name, in bytes.
const MAX_NAME: usize = 1024;
/// What is said of a body that is of another form.
const FORM: &str = "body: exactly one of token and user must name something, and beside it there may be seconds";
/// Longest time that may be asked for: ten years.
const MAX_SECONDS: f64 = 10.0 * 366.0 * 24.0 * 3600.0;

/// What to revoke.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum ToRevoke {
    /// One token.
    Token(TokenToRevoke),
    /// All tokens of a user.
    User(UserToRevoke),
}

/// A token that counts no more.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenToRevoke {
    /// The id of the token: its `jti`.
    #[schema(min_length = 1, max_length = 255)]
    token: String,
    /// How long to remember it, in seconds; at least as long as the token lives. `access.revocation_time` when absent.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 316224000)]
    seconds: Option<f64>,
}

/// A user, all of whose tokens issued until now are void.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserToRevoke {
    /// The user's name: the `sub` of the tokens.
    #[schema(min_length = 1, max_length = 255)]
    user: String,
    /// How long to remember it, in seconds; at least as long as tokens live. `access.revocation_time` when absent.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 316224000)]
    seconds: Option<f64>,
}

/// What came of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Revoked {
    /// Sessions of this node that ended.
    sessions: usize,
}

/// Makes a token or a user's tokens count no more, and ends their sessions.
///
/// # Errors
/// When the sender may not, as much is revoked as can be remembered, or it could not be stored.
#[utoipa::path(
    post, path = "/api/v1/revoke", tag = "access", request_body = ToRevoke,
    responses(
        (status = 200, description = "It counts no more", body = Revoked),
        (status = 408, description = "The body did not come in time", body = Failure),
        (status = 413, description = "The body is too large", body = Failure),
        (status = 415, description = "The body is not JSON", body = Failure), Refused,
    ),
)]
pub async fn revoke(api: &Api, asking: &Asking, body: &[u8]) -> Outcome {
    let asked = parse(body).map_err(|_| ApiError::malformed(FORM))?;
    api.administer(asking, None).await?;
    let (name, seconds) = match &asked {
        ToRevoke::Token(asked) => (&asked.token, asked.seconds),
        ToRevoke::User(asked) => (&asked.user, asked.seconds),
    };
    if !(1..=MAX_NAME).contains(&name.len()) {
        return Err(ApiError::malformed(FORM));
    }
    // 60.0 is a whole number, too, as JSON Schema sees it.
    if seconds.is_some_and(|seconds| seconds.fract() != 0.0 || !(1.0..=MAX_SECONDS).contains(&seconds)) {
        return Err(ApiError::malformed(format!("body: seconds must be a whole number from 1 to {MAX_SECONDS}")));
    }
    let what = match asked {
        ToRevoke::Token(asked) => Revocation::Token(asked.token.into()),
        ToRevoke::User(asked) => Revocation::User(asked.user.into()),
    };
    let now_ms = wall_clock_ms();
    api.broker().revoke(what, seconds.map(Duration::from_secs_f64), now_ms).await?;
    answer::json(&Revoked { sessions: api.broker().end_those_over(now_ms).await })
}
