//! Channels: which are held, by whom, and what was published to them.
//!
//! All of it asks who may administer, with the channel in question.

use super::{
    Api,
    answer::{self, Outcome},
    error::{ApiError, Refused},
    names::{ChannelInPath, ChannelPattern, MAX_POSITION, SessionId},
    request::{Page, check, query, session_id},
};
use crate::broker::{Asking, History};
use http::{StatusCode, request::Parts};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{io::Write, sync::Arc};
use utoipa::{IntoParams, ToSchema};

/// Bytes of an entry of a history around its data.
const ENTRY_CAPACITY: usize = 96;

/// Which channels.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Only this channel or pattern, and those that it matches.
    #[param(value_type = Option<ChannelPattern>)]
    pattern: Option<String>,
    /// Entries on the page; the settings say how many at most.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// Those after this name: the `next` of the page before.
    after: Option<String>,
}

/// Which subscribers.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SubscribersQuery {
    /// Entries on the page; the settings say how many at most.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// Those after this session: the `next` of the page before.
    #[param(value_type = Option<SessionId>)]
    after: Option<String>,
}

/// Which publications.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HistoryQuery {
    /// Only those after this position; without it everything that is kept.
    #[param(minimum = 0, maximum = 9007199254740991_u64)]
    since: Option<u64>,
    /// Entries on the page; the settings say how many at most.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// A page of channels.
#[derive(Debug, Serialize, ToSchema)]
pub struct Channels {
    /// In the order of their names.
    channels: Vec<Channel>,
    /// What `after` is for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    next: Option<Box<str>>,
}

/// A channel or pattern that somebody holds, or a persistent channel.
#[derive(Debug, Serialize, ToSchema)]
pub struct Channel {
    /// Its name.
    #[schema(value_type = String)]
    channel: Box<str>,
    /// Sessions of this node that hold exactly this.
    sessions: usize,
}

/// A page of subscribers.
#[derive(Debug, Serialize, ToSchema)]
pub struct Subscribers {
    /// All of them on this node, also those on other pages.
    total: usize,
    /// In the order of their ids.
    subscribers: Vec<Subscriber>,
    /// What `after` is for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Somebody whom a publication reaches.
#[derive(Debug, Serialize, ToSchema)]
pub struct Subscriber {
    /// The session.
    session: String,
    /// Its user, when it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    user: Option<Arc<str>>,
}

/// A part of the log.
#[derive(Debug, Serialize, ToSchema)]
pub struct Publications {
    /// In the order of the log.
    publications: Vec<Publication>,
    /// What `since` is for the next page.
    next: u64,
    /// Whether the end of the log was reached.
    complete: bool,
    /// The first and last position that were asked for and are not kept any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<Vec<u64>>,
}

/// A message with its place in the log.
#[derive(Debug, Serialize, ToSchema)]
pub struct Publication {
    /// Its place.
    position: u64,
    /// The channel.
    channel: String,
    /// When it was published, in milliseconds since 1970.
    time: u64,
    /// Any JSON, byte for byte as it was published.
    data: Value,
}

/// The channels and patterns that sessions of this node hold.
///
/// # Errors
/// When the sender may not look, or asks for what is no page.
#[utoipa::path(
    get, path = "/api/v1/channels", operation_id = "list_channels", tag = "channels", params(ListQuery),
    responses((status = 200, description = "A page", body = Channels), Refused),
)]
pub async fn list(api: &Api, asking: &Asking, parts: &Parts) -> Outcome {
    let query: ListQuery = query(parts)?;
    check(api, query.pattern.as_deref())?;
    api.administer(asking, query.pattern.as_deref()).await?;
    let page = Page::new(api, query.limit)?;
    let mut found = api.broker().channels(query.pattern.as_deref(), query.after.as_deref(), page.with_one_more());
    let next = page.cut(&mut found).map(|(name, _)| name.clone());
    let channels = found.into_iter().map(|(channel, sessions)| Channel { channel, sessions }).collect();
    answer::json(&Channels { channels, next })
}

/// Whom a publication to the channel reaches; of a pattern, who holds exactly it.
///
/// # Errors
/// When the sender may not look, or the name is none.
#[utoipa::path(
    get, path = "/api/v1/channels/{channel}/subscribers", tag = "channels",
    params(("channel" = ChannelInPath, Path, description = "The channel or pattern"), SubscribersQuery),
    responses((status = 200, description = "A page", body = Subscribers), Refused),
)]
pub async fn subscribers(api: &Api, asking: &Asking, parts: &Parts, channel: &str) -> Outcome {
    let query: SubscribersQuery = query(parts)?;
    check(api, Some(channel))?;
    api.administer(asking, Some(channel)).await?;
    let page = Page::new(api, query.limit)?;
    let all = api.broker().subscribers(channel);
    let total = all.len();
    let after = session_id(query.after.as_deref())?;
    let mut found: Vec<Subscriber> = all
        .iter()
        .filter(|session| after.is_none_or(|after| session.id > after))
        .take(page.with_one_more())
        .map(|session| Subscriber { session: session.id.to_string(), user: session.identity().user.clone() })
        .collect();
    let next = page.cut(&mut found).map(|last| last.session.clone());
    answer::json(&Subscribers { total, subscribers: found, next })
}

/// What was published to the channel, or to all that a pattern matches, as far as it is kept. Oldest first.
///
/// # Errors
/// When the sender may not look, or the name is none.
#[utoipa::path(
    get, path = "/api/v1/channels/{channel}/history", tag = "channels",
    params(("channel" = ChannelInPath, Path, description = "The channel or pattern"), HistoryQuery),
    responses((status = 200, description = "A page", body = Publications), Refused),
)]
pub async fn history(api: &Api, asking: &Asking, parts: &Parts, channel: &str) -> Outcome {
    let query: HistoryQuery = query(parts)?;
    check(api, Some(channel))?;
    api.administer(asking, Some(channel)).await?;
    let limit = Page::new(api, query.limit)?.limit();
    let since = query.since.unwrap_or(0);
    if since > MAX_POSITION {
        return Err(ApiError::malformed("query: since is no position"));
    }
    let scan = api.settings().max_history_scan;
    let history = api.broker().history(channel, since, limit, scan).await?;
    Ok(answer::bytes(StatusCode::OK, write(&history)))
}

/// Written by hand: data that was never parsed is not parsed now.
fn write(history: &History) -> Vec<u8> {
    let weight: usize = history.publications.iter().map(|p| p.draft.encoded().len() + ENTRY_CAPACITY).sum();
    let mut out = Vec::with_capacity(weight + ENTRY_CAPACITY);
    out.extend_from_slice(b"{\"publications\":[");
    for (n, publication) in history.publications.iter().enumerate() {
        let (seq, draft) = (publication.seq, &publication.draft);
        let separator = if n > 0 { "," } else { "" };
        // Writing to a Vec cannot fail; a channel holds nothing that JSON escapes.
        let _ = write!(
            out,
            "{separator}{{\"position\":{seq},\"channel\":\"{}\",\"time\":{},\"data\":{}}}",
            draft.channel(),
            draft.time_ms,
            draft.data(),
        );
    }
    let _ = write!(out, "],\"next\":{},\"complete\":{}", history.through, history.complete);
    if let Some((first, last)) = history.lost {
        let _ = write!(out, ",\"lost\":[{first},{last}]");
    }
    out.push(b'}');
    out
}
