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
/// Longest time that may be asked for: ten years.
const MAX_SECONDS: u64 = 10 * 366 * 24 * 3600;

/// What to revoke: exactly one of `token` and `user`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ToRevoke {
    /// The id of a token: its `jti`.
    #[schema(min_length = 1, max_length = 255)]
    token: Option<String>,
    /// A user, all of whose tokens issued until now are void.
    #[schema(min_length = 1, max_length = 255)]
    user: Option<String>,
    /// How long to remember it, in seconds; at least as long as the tokens live. `access.revocation_time` when absent.
    #[schema(minimum = 1, maximum = 316224000)]
    seconds: Option<u64>,
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
/// When the sender may not, or as much is revoked as can be remembered.
#[utoipa::path(
    post, path = "/api/v1/revoke", tag = "access", request_body = ToRevoke,
    responses(
        (status = 200, description = "It counts no more", body = Revoked),
        (status = 413, description = "The body is too large", body = Failure),
        (status = 415, description = "The body is not JSON", body = Failure), Refused,
    ),
)]
pub async fn revoke(api: &Api, asking: &Asking, body: &[u8]) -> Outcome {
    let asked: ToRevoke = parse(body)?;
    api.administer(asking, None).await?;
    let named = |name: &String| (1..=MAX_NAME).contains(&name.len());
    let what = match (asked.token.filter(named), asked.user.filter(named)) {
        (Some(token), None) => Revocation::Token(token.into()),
        (None, Some(user)) => Revocation::User(user.into()),
        _ => return Err(ApiError::malformed("body: exactly one of token and user must name something")),
    };
    if asked.seconds.is_some_and(|seconds| !(1..=MAX_SECONDS).contains(&seconds)) {
        return Err(ApiError::malformed(format!("body: seconds must be from 1 to {MAX_SECONDS}")));
    }
    let now_ms = wall_clock_ms();
    api.broker().policy().revoke(what, asked.seconds.map(Duration::from_secs), now_ms)?;
    answer::json(&Revoked { sessions: api.broker().end_those_over(now_ms).await })
}
