//! The HTTP answers of the API: JSON in one piece, never cached.
//!
//! Called by the dispatch and the calls. Nothing here decides what an answer says.

use super::error::{ApiError, Failure};
use crate::transport::{body::Answer, response};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use std::time::Duration;

/// The type of the API's answers.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A success, or a refusal.
pub type Outcome = Result<Answer, ApiError>;

/// An answer of these bytes.
pub fn bytes(status: StatusCode, bytes: impl Into<Bytes>) -> Answer {
    response::whole(status, JSON, bytes.into(), None)
}

/// A success that says this.
///
/// # Errors
/// When it is no JSON, which the types of this room always are.
pub fn json(body: &impl Serialize) -> Outcome {
    let body = serde_json::to_vec(body).map_err(|error| {
        tracing::error!(%error, "an answer cannot be written");
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the answer cannot be written")
    })?;
    Ok(bytes(StatusCode::OK, body))
}

/// The answer of a refusal.
pub fn refused(error: ApiError) -> Answer {
    let ApiError { status, shown, retry_after, allow } = error;
    let body = serde_json::to_vec(&Failure { error: shown }).unwrap_or_default();
    let mut answer = bytes(status, body);
    let headers = answer.headers_mut();
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(allow) = allow {
        headers.insert(header::ALLOW, HeaderValue::from_static(allow));
    }
    self::retry_after(&mut answer, retry_after);
    answer
}

/// Says when to come back, in whole seconds.
pub fn retry_after(answer: &mut Answer, after: Option<Duration>) {
    if let Some(after) = after {
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
}
