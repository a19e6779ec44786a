//! Sessions: list, look at, end, take subscriptions away, send to one of them or to all of a user.
//!
//! Sending asks the rules on publishing; everything else asks who may administer.

use super::{
    Api,
    answer::{self, Outcome},
    error::{ApiError, Failure, Refused},
    names::{ChannelName, ChannelPattern, SessionId},
    request::{Page, check, parse, query, session_id},
};
use crate::{
    bayeux::ClientId,
    broker::{Asking, Seen, Session},
};
use http::request::Parts;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Which sessions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Only those of this user.
    user: Option<String>,
    /// Only those that hold this channel, or a pattern that matches it.
    #[param(value_type = Option<ChannelPattern>)]
    channel: Option<String>,
    /// Entries on the page; the settings say how many at most.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// Those after this session: the `next` of the page before.
    #[param(value_type = Option<SessionId>)]
    after: Option<String>,
}

/// Which subscriptions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SubscriptionQuery {
    /// Only the subscription of this text; without it all of them.
    #[param(value_type = Option<ChannelPattern>)]
    channel: Option<String>,
}

/// A session as it was a moment ago.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
pub struct Shown {
    /// Its id.
    session: String,
    /// Its user, when it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    user: Option<Arc<str>>,
    /// What its token says.
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    claims: Map<String, Value>,
    /// When its identity ends, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    identity_expires: Option<u64>,
    /// What it asked for.
    subscriptions: Vec<Subscription>,
    /// The transport that connected last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    transport: Option<&'static str>,
    /// Whether somebody is there to be given messages now.
    connected: bool,
    /// Messages that wait for it.
    queued: usize,
    /// Their bytes.
    queued_bytes: usize,
    /// Whether it acknowledges what it receives.
    acknowledges: bool,
    /// The newest position it was handed.
    position: u64,
    /// When it expires unless it is heard of before, in milliseconds.
    expires_in: u64,
}

/// A channel or pattern that a session holds.
#[derive(Debug, Serialize, ToSchema)]
pub struct Subscription {
    /// The channel or pattern.
    #[schema(value_type = String)]
    channel: Arc<str>,
    /// Publications after this position are delivered.
    since: u64,
}

/// A page of sessions.
#[derive(Debug, Serialize, ToSchema)]
pub struct Sessions {
    /// In the order of their ids.
    sessions: Vec<Shown>,
    /// What `after` is for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// What became of a session.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ended {
    /// Its id.
    session: String,
}

/// What a session does not hold any more.
#[derive(Debug, Serialize, ToSchema)]
pub struct Removed {
    /// The channels and patterns.
    #[schema(value_type = Vec<String>)]
    removed: Vec<Arc<str>>,
}

/// A message for sessions alone.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Letter<'a> {
    /// The channel it arrives on; `/service/…` too. Nobody needs to have subscribed.
    #[schema(value_type = ChannelName)]
    channel: String,
    /// Any JSON; it arrives byte for byte.
    #[serde(borrow)]
    #[schema(value_type = Value)]
    data: &'a RawValue,
}

/// Where a letter stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct Delivered {
    /// Its place in the log.
    position: u64,
}

/// Where the letters to a user stand.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveredToUser {
    /// How many sessions the user has.
    sessions: usize,
    /// A place in the log for each.
    positions: Vec<u64>,
}

impl From<Seen> for Shown {
    fn from(seen: Seen) -> Self {
        let subscriptions = seen.subscriptions.into_iter().map(|(channel, since)| Subscription { channel, since });
        Self {
            session: seen.id.to_string(),
            user: seen.identity.user.clone(),
            claims: seen.identity.claims.clone(),
            identity_expires: seen.identity.expires_ms,
            subscriptions: subscriptions.collect(),
            transport: seen.transport,
            connected: seen.connected,
            queued: seen.queued.0,
            queued_bytes: seen.queued.1,
            acknowledges: seen.acknowledges,
            position: seen.handed,
            expires_in: u64::try_from(seen.expires_in.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// The sessions of this node.
///
/// # Errors
/// When the sender may not look, or asks for what is no page.
#[utoipa::path(
    get, path = "/api/v1/sessions", operation_id = "list_sessions", tag = "sessions", params(ListQuery),
    responses((status = 200, description = "A page", body = Sessions), Refused),
)]
pub async fn list(api: &Api, asking: &Asking, parts: &Parts) -> Outcome {
    let query: ListQuery = query(parts)?;
    check(api, query.channel.as_deref())?;
    api.administer(asking, query.channel.as_deref()).await?;
    let after = session_id(query.after.as_deref())?;
    let page = Page::new(api, query.limit)?;
    let mut found = api.broker().list(query.user.as_deref(), query.channel.as_deref(), after, page.with_one_more());
    let next = page.cut(&mut found).map(|last| last.id.to_string());
    let sessions = found.iter().map(|session| api.broker().see(session).into()).collect();
    answer::json(&Sessions { sessions, next })
}

/// One session.
///
/// # Errors
/// When the sender may not look, or there is none.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}", operation_id = "show_session", tag = "sessions", params(("id" = SessionId, Path, description = "The session")),
    responses(
        (status = 200, description = "The session", body = Shown),
        (status = 404, description = "There is none on this node", body = Failure), Refused,
    ),
)]
pub async fn show(api: &Api, asking: &Asking, id: &str) -> Outcome {
    api.administer(asking, None).await?;
    answer::json(&Shown::from(api.broker().see(&*find(api, id)?)))
}

/// Ends a session. Its client is told and does not come back by itself.
///
/// # Errors
/// When the sender may not, or there is none.
#[utoipa::path(
    delete, path = "/api/v1/sessions/{id}", operation_id = "end_session", tag = "sessions", params(("id" = SessionId, Path, description = "The session")),
    responses(
        (status = 200, description = "It is over", body = Ended),
        (status = 404, description = "There is none on this node", body = Failure), Refused,
    ),
)]
pub async fn end(api: &Api, asking: &Asking, id: &str) -> Outcome {
    api.administer(asking, None).await?;
    let session = find(api, id)?;
    if !api.broker().kick(&session).await {
        return Err(ApiError::session_unknown());
    }
    answer::json(&Ended { session: session.id.to_string() })
}

/// Takes subscriptions from a session. Its client is not told; what was published before still arrives.
///
/// # Errors
/// When the sender may not, or there is none.
#[utoipa::path(
    delete, path = "/api/v1/sessions/{id}/subscriptions", operation_id = "remove_subscriptions", tag = "sessions",
    params(("id" = SessionId, Path, description = "The session"), SubscriptionQuery),
    responses(
        (status = 200, description = "Those it held", body = Removed),
        (status = 404, description = "There is no such session on this node", body = Failure), Refused,
    ),
)]
pub async fn unsubscribe(api: &Api, asking: &Asking, parts: &Parts, id: &str) -> Outcome {
    let query: SubscriptionQuery = query(parts)?;
    check(api, query.channel.as_deref())?;
    api.administer(asking, query.channel.as_deref()).await?;
    let session = find(api, id)?;
    answer::json(&Removed { removed: api.broker().take_subscriptions(&session, query.channel.as_deref()).await? })
}

/// Sends a message to one session, whatever it subscribed to.
///
/// # Errors
/// When the sender may not publish to the channel, or there is no such session.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/deliver", operation_id = "deliver_to_session", tag = "publish",
    params(("id" = SessionId, Path, description = "The session")), request_body = Letter,
    responses(
        (status = 200, description = "It has its place in the log", body = Delivered),
        (status = 404, description = "There is no such session", body = Failure),
        (status = 408, description = "The body did not come in time", body = Failure),
        (status = 413, description = "The body is too large", body = Failure),
        (status = 415, description = "The body is not JSON", body = Failure), Refused,
    ),
)]
pub async fn deliver(api: &Api, asking: &Asking, id: &str, body: &[u8]) -> Outcome {
    let letter: Letter<'_> = parse(body)?;
    let id = ClientId::parse(id).ok_or_else(ApiError::session_unknown)?;
    if !api.broker().knows(id).await? {
        return Err(ApiError::session_unknown());
    }
    let positions = api.broker().deliver(asking, &[id], &letter.channel, letter.data).await?;
    let position = positions.first().copied().unwrap_or_default();
    answer::json(&Delivered { position })
}

/// Sends a message to every session of a user on this node, whatever they subscribed to.
///
/// # Errors
/// When the sender may not publish to the channel.
#[utoipa::path(
    post, path = "/api/v1/users/{sub}/deliver", operation_id = "deliver_to_user", tag = "publish",
    params(("sub" = String, Path, description = "The user, as `sub` of its tokens says")), request_body = Letter,
    responses(
        (status = 200, description = "How many sessions it is for; none is no failure", body = DeliveredToUser),
        (status = 408, description = "The body did not come in time", body = Failure),
        (status = 413, description = "The body is too large", body = Failure),
        (status = 415, description = "The body is not JSON", body = Failure), Refused,
    ),
)]
pub async fn deliver_to_user(api: &Api, asking: &Asking, user: &str, body: &[u8]) -> Outcome {
    let letter: Letter<'_> = parse(body)?;
    // Backends speak to users. Whoever shows no API key could write to others where only they read, and learn who is there.
    if asking.who.key.is_none() {
        api.administer(asking, Some(&letter.channel)).await?;
    }
    let to: Vec<ClientId> = api.broker().sessions_of(user).iter().map(|session| session.id).collect();
    let positions = api.broker().deliver(asking, &to, &letter.channel, letter.data).await?;
    answer::json(&DeliveredToUser { sessions: to.len(), positions })
}

fn find(api: &Api, id: &str) -> Result<Arc<Session>, ApiError> {
    ClientId::parse(id).and_then(|id| api.broker().find(id)).ok_or_else(ApiError::session_unknown)
}
