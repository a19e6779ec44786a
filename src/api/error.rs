//! What a backend is told when something is refused: a true HTTP status, a code that stays the same from release to
//! release, and whether trying again can help.
//!
//! Made by the calls, written by `answer.rs`. Never quotes a credential.

use crate::{
    bayeux::ProtocolError,
    broker::{Denial, Refusal},
};
use http::StatusCode;
use serde::Serialize;
use std::{borrow::Cow, time::Duration};
use utoipa::{IntoResponses, ToSchema};

/// A refusal.
#[derive(Clone, Debug)]
pub struct ApiError {
    /// The HTTP status.
    pub status: StatusCode,
    /// What goes into the body.
    pub shown: Shown,
    /// When to come back.
    pub retry_after: Option<Duration>,
    /// The methods that the address knows, when the one asked for is not among them.
    pub allow: Option<&'static str>,
}

/// The `error` of a body.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Error)]
pub struct Shown {
    /// The machine's name of what is wrong; it stays the same from release to release.
    #[schema(value_type = String, examples("channel_invalid"))]
    pub code: &'static str,
    /// What is wrong, for people.
    #[schema(value_type = String)]
    pub message: Cow<'static, str>,
    /// Whether the same request can succeed later.
    pub retryable: bool,
}

/// The body of every answer that is not a success.
#[derive(Debug, Serialize, ToSchema)]
pub struct Failure {
    /// What is wrong.
    pub error: Shown,
}

/// The refusals that any call may answer with, for the document.
#[derive(IntoResponses)]
pub enum Refused {
    /// The request is not what this document describes.
    #[response(status = 400)]
    Malformed(Failure),
    /// Credentials are needed, or were not accepted.
    #[response(status = 401)]
    NotAuthenticated(Failure),
    /// It is not allowed.
    #[response(status = 403)]
    Denied(Failure),
    /// Too often; `Retry-After` says when to come back.
    #[response(status = 429)]
    RateLimited(Failure),
    /// Not now; `Retry-After` says when to come back.
    #[response(status = 503)]
    Unavailable(Failure),
}

impl ApiError {
    /// A refusal that trying again does not change.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        let shown = Shown { code, message: message.into(), retryable: false };
        Self { status, shown, retry_after: None, allow: None }
    }

    /// The request is not what the document describes.
    pub fn malformed(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", message)
    }

    /// There is no such session here or elsewhere.
    pub fn session_unknown() -> Self {
        Self::new(StatusCode::NOT_FOUND, "session_unknown", "there is no such session, or it is over")
    }

    /// Nothing is served at this address.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "nothing is served here; see /api/v1/openapi.json")
    }

    /// The address knows only these methods.
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let message = "this address knows other methods; see the Allow header";
        let error = Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message);
        Self { allow: Some(allow), ..error }
    }

    /// It may work in a moment.
    #[must_use]
    pub fn retryable(mut self, after: Duration) -> Self {
        self.shown.retryable = true;
        self.retry_after = Some(after);
        self
    }

    /// The lanes do not keep up with the log.
    pub fn behind() -> Self {
        Self::unavailable("behind", "the broker is behind its log")
    }

    fn unavailable(code: &'static str, message: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message).retryable(Duration::from_secs(1))
    }
}

impl From<Denial> for ApiError {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::NotAuthenticated(reason) => Self::new(StatusCode::UNAUTHORIZED, "not_authenticated", reason),
            Denial::Denied(reason) => Self::new(StatusCode::FORBIDDEN, "denied", reason),
            Denial::NotNow(reason, after) => Self::new(StatusCode::FORBIDDEN, "denied", reason).retryable(after),
            Denial::RateLimited(after) => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "too many of these for now").retryable(after)
            }
            Denial::Unavailable => Self::unavailable("policy_unavailable", "whoever decides cannot be asked now"),
        }
    }
}

impl From<ProtocolError> for ApiError {
    fn from(error: ProtocolError) -> Self {
        match error {
            ProtocolError::ChannelInvalid => Self::new(
                StatusCode::BAD_REQUEST,
                "channel_invalid",
                "not a channel: segments like /a/b, no wildcard, within the bounds of the settings",
            ),
            ProtocolError::ChannelDenied => Self::new(
                StatusCode::FORBIDDEN,
                "channel_denied",
                "/meta/ belongs to the protocol, and /service/ reaches single sessions only",
            ),
            ProtocolError::Malformed(place, what) => Self::malformed(format!("{place}: {what}")),
            ProtocolError::MessageTooLarge => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "the body is larger than api.max_body_bytes")
            }
            ProtocolError::TooManyMessages => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_items", "more messages than api.max_items")
            }
            ProtocolError::Timeout => {
                Self::new(StatusCode::REQUEST_TIMEOUT, "too_slow", "the body took longer than api.body_read_timeout")
                    .retryable(Duration::from_secs(1))
            }
            ProtocolError::UnsupportedMediaType => Self::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "the content type must be application/json",
            ),
            ProtocolError::OriginDenied => {
                Self::new(StatusCode::FORBIDDEN, "origin_denied", "pages of this origin may not call the API")
            }
            ProtocolError::EngineUnavailable => {
                Self::unavailable("engine_unavailable", "the log cannot take or give messages now")
            }
            ProtocolError::ShuttingDown => Self::unavailable("shutting_down", "the broker is stopping"),
            other => {
                let status = StatusCode::from_u16(other.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                Self::new(status, "refused", other.to_string())
            }
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Denied(denial) => denial.into(),
            Refusal::Invalid(error) => error.into(),
        }
    }
}
