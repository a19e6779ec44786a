//! Which call a method and a path mean. Plain matching on the segments, because channels span several of them.
//!
//! Called by the dispatch; reads nothing else of a request.

use super::error::ApiError;
use http::Method;
use percent_encoding::percent_decode_str;

/// The path of the API.
pub const API: &str = "/api/v1";
/// Pages beside the API: metrics, and how the broker is.
pub const METRICS: &str = "/metrics";
/// Whether the process serves.
pub const HEALTH: &str = "/healthz";
/// Whether the broker should be given work.
pub const READY: &str = "/readyz";

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// `POST publish`.
    Publish,
    /// `POST sessions/{id}/deliver`.
    DeliverToSession(String),
    /// `POST users/{sub}/deliver`.
    DeliverToUser(String),
    /// `GET sessions`.
    ListSessions,
    /// `GET sessions/{id}`.
    ShowSession(String),
    /// `DELETE sessions/{id}`.
    EndSession(String),
    /// `DELETE sessions/{id}/subscriptions`.
    RemoveSubscriptions(String),
    /// `GET channels`.
    ListChannels,
    /// `GET channels/{channel}/subscribers`.
    Subscribers(String),
    /// `GET channels/{channel}/history`.
    History(String),
    /// `POST explain`.
    Explain,
    /// `POST revoke`.
    Revoke,
    /// `GET openapi.json`.
    Document,
    /// `GET /metrics`.
    Metrics,
    /// `GET /healthz`.
    Health,
    /// `GET /readyz`.
    Ready,
}

impl Call {
    /// Its name in logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::DeliverToSession(_) => "deliver_to_session",
            Self::DeliverToUser(_) => "deliver_to_user",
            Self::ListSessions => "list_sessions",
            Self::ShowSession(_) => "show_session",
            Self::EndSession(_) => "end_session",
            Self::RemoveSubscriptions(_) => "remove_subscriptions",
            Self::ListChannels => "list_channels",
            Self::Subscribers(_) => "subscribers",
            Self::History(_) => "history",
            Self::Explain => "explain",
            Self::Revoke => "revoke",
            Self::Document => "document",
            Self::Metrics => "metrics",
            Self::Health => "health",
            Self::Ready => "ready",
        }
    }
}

/// Whether a path is one of the API's.
pub fn is_api(path: &str) -> bool {
    path.strip_prefix("/api").is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) || path == METRICS
}

/// Whether a path asks how the broker is: these are served on every listener.
pub fn is_health(path: &str) -> bool {
    path == HEALTH || path == READY
}

/// The call that a request means.
///
/// # Errors
/// When nothing is served there, or not by this method.
pub fn call(method: &Method, path: &str) -> Result<Call, ApiError> {
    match path {
        "/api/v1/publish" => return one(method, Method::POST, "POST", Call::Publish),
        METRICS => return one(method, Method::GET, GET, Call::Metrics),
        HEALTH => return one(method, Method::GET, GET, Call::Health),
        READY => return one(method, Method::GET, GET, Call::Ready),
        _ => {}
    }
    let rest = path.strip_prefix(API).and_then(|rest| rest.strip_prefix('/')).ok_or_else(ApiError::not_found)?;
    let segments: Vec<&str> = rest.split('/').collect();
    match segments.as_slice() {
        ["openapi.json"] => one(method, Method::GET, GET, Call::Document),
        ["explain"] => one(method, Method::POST, "POST", Call::Explain),
        ["revoke"] => one(method, Method::POST, "POST", Call::Revoke),
        ["sessions"] => one(method, Method::GET, GET, Call::ListSessions),
        ["sessions", id] if *method == Method::DELETE => Ok(Call::EndSession(decoded(id)?)),
        ["sessions", id] => one(method, Method::GET, "GET, HEAD, DELETE", Call::ShowSession(decoded(id)?)),
        ["sessions", id, "deliver"] => one(method, Method::POST, "POST", Call::DeliverToSession(decoded(id)?)),
        ["sessions", id, "subscriptions"] => {
            one(method, Method::DELETE, "DELETE", Call::RemoveSubscriptions(decoded(id)?))
        }
        ["users", user, "deliver"] => one(method, Method::POST, "POST", Call::DeliverToUser(decoded(user)?)),
        ["channels"] => one(method, Method::GET, GET, Call::ListChannels),
        ["channels", channel @ .., "subscribers"] if !channel.is_empty() => {
            one(method, Method::GET, GET, Call::Subscribers(channel_of(channel)?))
        }
        ["channels", channel @ .., "history"] if !channel.is_empty() => {
            one(method, Method::GET, GET, Call::History(channel_of(channel)?))
        }
        _ => Err(ApiError::not_found()),
    }
}

const GET: &str = "GET, HEAD";

fn one(method: &Method, wanted: Method, allow: &'static str, call: Call) -> Result<Call, ApiError> {
    if *method == wanted || (wanted == Method::GET && *method == Method::HEAD) {
        Ok(call)
    } else {
        Err(ApiError::method_not_allowed(allow))
    }
}

fn decoded(segment: &str) -> Result<String, ApiError> {
    let text = percent_decode_str(segment).decode_utf8();
    text.map(Into::into).map_err(|_| ApiError::malformed("path: not UTF-8"))
}

/// Paths name channels without their leading slash; the slashes inside may be escaped.
fn channel_of(segments: &[&str]) -> Result<String, ApiError> {
    decoded(&segments.join("/")).map(|channel| format!("/{channel}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;

    #[test]
    fn channels_span_segments_escaped_or_not() {
        for path in ["/api/v1/channels/a/b%20c/history", "/api/v1/channels/a%2Fb%20c/history"] {
            assert_eq!(call(&Method::GET, path).unwrap(), Call::History("/a/b c".into()), "{path}");
        }
        let nested = call(&Method::GET, "/api/v1/channels/history/subscribers/subscribers").unwrap();
        assert_eq!(nested, Call::Subscribers("/history/subscribers".into()));
        assert!(call(&Method::GET, "/api/v1/channels/history").is_err());
        assert!(call(&Method::GET, "/api/v1/channels/%ff/history").is_err());
    }

    #[test]
    fn other_methods_are_told_which_there_are() {
        let refused = |method, path| call(&method, path).unwrap_err();
        assert_eq!(refused(Method::GET, "/api/v1/publish").allow, Some("POST"));
        assert_eq!(refused(Method::PUT, "/api/v1/sessions/x").allow, Some("GET, HEAD, DELETE"));
        assert_eq!(refused(Method::POST, "/metrics").status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(refused(Method::GET, "/api/v2/publish").status, StatusCode::NOT_FOUND);
        assert_eq!(call(&Method::HEAD, "/healthz").unwrap(), Call::Health);
    }

    #[test]
    fn paths_beside_the_api_are_left_alone() {
        assert!(is_api("/api/v1/publish") && is_api("/api") && is_api("/metrics"));
        assert!(!is_api("/apiary") && !is_api("/") && !is_api("/bayeux"));
    }
}
