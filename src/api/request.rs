//! What is read from a request: who asks, from where, and its JSON body within bounds.
//!
//! Called by the dispatch before any call. Forms are turned away here.

use super::{Api, answer::Outcome, error::ApiError};
use crate::{
    bayeux::{ChannelLimits, ClientId, Pattern, ProtocolError, decode},
    broker::Asking,
    transport::request,
};
use axum::{BoxError, extract::Query};
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
        let credentials = request::credentials(self.broker(), &parts.headers, false);
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
        B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
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

/// Whether a text, if there is one, is a channel or a pattern.
///
/// # Errors
/// When it is not.
pub fn check(api: &Api, pattern: Option<&str>) -> Result<(), ApiError> {
    let settings = api.broker().settings();
    let limits = ChannelLimits { bytes: settings.max_channel_bytes, segments: settings.max_channel_segments };
    let good = pattern.is_none_or(|pattern| Pattern::parse(pattern, limits).is_some());
    if good { Ok(()) } else { Err(ProtocolError::ChannelInvalid.into()) }
}

/// The session that a page begins after.
///
/// # Errors
/// When it is not an id.
pub fn session_id(after: Option<&str>) -> Result<Option<ClientId>, ApiError> {
    let wrong = || ApiError::malformed("query: after is not a session id");
    after.map(|id| ClientId::parse(id).ok_or_else(wrong)).transpose()
}

/// How many entries of a list are asked for.
pub struct Page(usize);

impl Page {
    /// The page of a `limit`, or of the usual size.
    ///
    /// # Errors
    /// When it is none or more than the settings allow.
    pub fn new(api: &Api, limit: Option<usize>) -> Result<Self, ApiError> {
        let most = api.settings().max_page;
        match limit.unwrap_or(api.settings().page) {
            limit if (1..=most).contains(&limit) => Ok(Self(limit)),
            _ => Err(ApiError::malformed(format!("query: limit must be from 1 to {most}"))),
        }
    }

    /// How many it holds at most.
    pub fn limit(&self) -> usize {
        self.0
    }

    /// What to ask for to know whether there are more.
    pub fn with_one_more(&self) -> usize {
        self.0 + 1
    }

    /// Takes off what is beyond the page; then returns its last entry, after which the next page begins.
    pub fn cut<'a, T>(&self, entries: &'a mut Vec<T>) -> Option<&'a T> {
        let more = entries.len() > self.0;
        entries.truncate(self.0);
        entries.last().filter(|_| more)
    }
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
