//! What is read from a request: who asks, from where, and its JSON body within bounds.
//!
//! Called by the dispatch before any call. Pages of foreign origins are turned away here, so that no browser can be
//! made to drive the API.

use super::{Api, answer::Outcome, error::ApiError};
use crate::{
    bayeux::{ProtocolError, decode},
    broker::Asking,
    transport::{origin::Verdict, request},
};
use axum::extract::Query;
use bytes::Bytes;
use http::{Method, StatusCode, header, request::Parts};
use http_body::Body;
use serde::{Deserialize, de::DeserializeOwned};
use std::{net::IpAddr, sync::Arc};

/// A request whose sender is known.
pub struct Asked<'a> {
    /// Its head.
    pub parts: &'a Parts,
    /// Who asks.
    pub asking: Asking,
}

impl Api {
    /// Who sends a request, if it may be listened to at all.
    pub(super) async fn admit(&self, peer: Option<IpAddr>, parts: &Parts) -> Result<Asking, ApiError> {
        if self.origins().judge(&parts.method, &parts.headers) == Verdict::Denied {
            return Err(ProtocolError::OriginDenied.into());
        }
        let credentials = request::credentials(self.broker(), &parts.headers);
        let who = self.broker().policy().identify(credentials.as_ref(), None).await?;
        Ok(Asking { who, session: None, peer, credentials })
    }

    /// Whether the sender may look at or change what belongs to others.
    pub(super) async fn administer(&self, asking: &Asking, channel: Option<&str>) -> Result<(), ApiError> {
        Ok(self.broker().policy().may_administer(asking, channel).await?)
    }

    /// The body of a request that must have one.
    pub(super) async fn body<B>(&self, parts: &Parts, body: B) -> Result<Bytes, ApiError>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        if parts.method == Method::POST && !is_json(parts) {
            return Err(ProtocolError::UnsupportedMediaType.into());
        }
        let settings = self.settings();
        let limit = settings.max_body_bytes;
        let body = request::body(&parts.headers, body, limit, settings.body_read_timeout).await.map_err(|bad| bad.0)?;
        if decode::deeper_than(&body, settings.max_json_depth) {
            return Err(ApiError::malformed("the body is nested too deep"));
        }
        Ok(body)
    }
}

/// Forms and plain text, which browsers send anywhere without asking, are not taken for JSON.
fn is_json(parts: &Parts) -> bool {
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// Reads a JSON body as what the document says it is.
///
/// # Errors
/// When it is not.
pub fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::malformed(format!("body: {error}")))
}

/// Reads the query as what the document says it is.
///
/// # Errors
/// When it is not; names nobody knows are refused too, as they are typing errors.
pub fn query<T: DeserializeOwned>(parts: &Parts) -> Result<T, ApiError> {
    Query::try_from_uri(&parts.uri).map(|Query(query)| query).map_err(|error| {
        ApiError::malformed(format!(
            "query: {}",
            error.body_text().trim_start_matches("Failed to deserialize query string: ")
        ))
    })
}

/// Turns a result into an answer.
pub fn status_of(outcome: &Outcome) -> StatusCode {
    outcome.as_ref().map_or_else(|error| error.status, |answer| answer.status())
}

/// What the credentials of a request show, for the access log: a name, never a secret.
pub fn name_of(asking: &Asking) -> Arc<str> {
    let who = &asking.who;
    who.key.clone().or_else(|| who.user.clone()).unwrap_or_else(|| "anonymous".into())
}
