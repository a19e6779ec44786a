//! What publish takes and answers, as the OpenAPI document says it. `publish.rs` reads and writes the same by hand.

#![allow(dead_code, reason = "these types are described, never made")]

use super::{
    error::Shown,
    names::{ChannelName, SessionId},
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// One item, or several.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum PublishBody {
    /// A message to one channel.
    One(Item),
    /// The same message to several channels.
    Spread(SpreadItem),
    /// Several of either; each is accepted or refused on its own.
    Many(Vec<EitherItem>),
}

/// An item of an array.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum EitherItem {
    /// To one channel.
    One(Item),
    /// To several channels.
    Spread(SpreadItem),
}

/// A message to one channel.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// The channel; no wildcard, not below `/meta` or `/service`.
    channel: ChannelName,
    /// Any JSON; subscribers receive it byte for byte.
    data: Value,
    /// The same key to the same channel again takes no second place in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, min_length = 1, max_length = 255)]
    idempotency_key: Option<String>,
    /// A session that does not get the message although it subscribed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    exclude: Option<SessionId>,
}

/// The same message to several channels.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SpreadItem {
    /// The channels.
    #[schema(min_items = 1, max_items = 1000)]
    channels: Vec<ChannelName>,
    /// Any JSON; subscribers receive it byte for byte.
    data: Value,
    /// The same key to the same channel again takes no second place in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, min_length = 1, max_length = 255)]
    idempotency_key: Option<String>,
    /// A session that does not get the message although it subscribed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    exclude: Option<SessionId>,
}

/// What became of each message, in the order of the request.
#[derive(Serialize, ToSchema)]
pub struct Published {
    /// One for each channel of each item.
    results: Vec<PublishResult>,
}

/// What became of one message.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum PublishResult {
    /// It was accepted.
    Accepted(AcceptedItem),
    /// It was not.
    Refused(RefusedItem),
}

/// An accepted message.
#[derive(Serialize, ToSchema)]
pub struct AcceptedItem {
    /// The number of its item in the array of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    item: Option<usize>,
    /// Where it went.
    channel: String,
    /// Its place in the log.
    position: u64,
    /// Sessions of this node that it is for.
    sessions: usize,
    /// Whether it was there already under the same key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    repeated: Option<bool>,
}

/// A refused message.
#[derive(Serialize, ToSchema)]
pub struct RefusedItem {
    /// The number of its item in the array of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    item: Option<usize>,
    /// Where it was to go.
    channel: String,
    /// Why it did not.
    error: Shown,
}
