//! `POST /api/v1/publish`: the call that backends make all day. Its data is not parsed beyond its end, all messages of a
//! request get their places together, and the answer is written by hand.

use super::{
    Api,
    answer::{self, Outcome},
    error::{ApiError, Failure, Refused, Shown},
    schema::{PublishBody, Published},
};
use crate::{
    bayeux::{ClientId, ProtocolError},
    broker::{Accepted, Asking, Item, Refusal},
};
use http::StatusCode;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeSeed, Error, IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt, io::Write};

/// Bytes that one result usually takes.
const RESULT_CAPACITY: usize = 96;
/// Longest idempotency key, in characters.
const MAX_KEY: usize = 255;

/// One item of a request, as it is read. `schema.rs` says the same to people.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "'de: 'a"))]
struct Given<'a> {
    #[serde(default, deserialize_with = "text")]
    channel: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "texts")]
    channels: Option<Vec<Text<'a>>>,
    // Present and `null` is data too.
    #[serde(default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "text")]
    idempotency_key: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "text")]
    exclude: Option<Cow<'a, str>>,
}

/// A text that is borrowed where it holds no escape.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn text<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Option<Cow<'a, str>>, D::Error> {
    Text::deserialize(from).map(|text| Some(text.0))
}

fn texts<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<Text<'a>>>, D::Error> {
    Vec::deserialize(from).map(Some)
}

fn present<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

/// Publishes messages to everyone who subscribed; each gets its place in the log.
///
/// # Errors
/// When the body as a whole is wrong, or nothing of it was accepted.
#[utoipa::path(
    post, path = "/api/v1/publish", tag = "publish", request_body = PublishBody,
    responses(
        (status = 200, description = "At least one message was accepted", body = Published),
        (status = 408, description = "The body did not come in time", body = Failure),
        (status = 413, description = "The body is too large, or holds too many messages", body = Failure),
        (status = 415, description = "The body is not JSON", body = Failure),
        Refused,
    ),
)]
pub async fn publish(api: &Api, asking: &Asking, body: &[u8]) -> Outcome {
    let (given, bare) = read(body, api.settings().max_items)?;
    let (items, of) = items(&given, api.settings().max_items)?;
    let outcomes = api.broker().publish_many(asking, &items).await;
    let results: Vec<_> = items.iter().zip(&of).zip(outcomes).collect();
    let mut refused = None;
    if results.iter().all(|(_, outcome)| outcome.is_err())
        && let Some((_, Err(first))) = results.first()
    {
        let error = ApiError::from(first.clone());
        // One refused message is the refusal; of many, each says why, after the first one.
        if bare && results.len() == 1 {
            return Err(error);
        }
        refused = Some(error);
    }
    let status = refused.as_ref().map_or(StatusCode::OK, |error| error.status);
    let after = refused.as_ref().and_then(|error| error.retry_after);
    let mut answer = answer::bytes(status, write(results, bare, refused));
    answer::retry_after(&mut answer, after);
    Ok(answer)
}

/// The items of a body, and whether it was one without an array around it.
fn read(body: &[u8], limit: usize) -> Result<(Vec<Given<'_>>, bool), ApiError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let explain = |error: serde_json::Error| {
        let text = error.to_string();
        if text.starts_with(TOO_MANY) {
            return ApiError::from(ProtocolError::TooManyMessages);
        }
        ApiError::malformed(format!("body: {text}"))
    };
    let bare = body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'[');
    let given = if bare {
        vec![Given::deserialize(&mut json).map_err(explain)?]
    } else {
        Items { limit }.deserialize(&mut json).map_err(explain)?
    };
    json.end().map_err(explain)?;
    Ok((given, bare))
}

/// One message for each channel of each item, and the number of the item it came from.
fn items<'a>(given: &'a [Given<'a>], limit: usize) -> Result<(Vec<Item<'a>>, Vec<usize>), ApiError> {
    let mut items = Vec::with_capacity(given.len());
    let mut of = Vec::with_capacity(given.len());
    for (number, one) in given.iter().enumerate() {
        let wrong = |what: &str| ApiError::malformed(format!("item {number}: {what}"));
        let data = one.data.ok_or_else(|| wrong("data is missing"))?;
        let key = one.idempotency_key.as_deref();
        if key.is_some_and(|key| key.is_empty() || key.chars().count() > MAX_KEY) {
            return Err(wrong("idempotency_key must have 1 to 255 characters"));
        }
        let without = match &one.exclude {
            None => None,
            Some(id) => Some(ClientId::parse(id).ok_or_else(|| wrong("exclude is not a session id"))?),
        };
        match (&one.channel, &one.channels) {
            (Some(channel), None) => items.push(Item { channel, data, key, without }),
            (None, Some(channels)) if !channels.is_empty() => {
                items.extend(channels.iter().map(|channel| Item { channel: &channel.0, data, key, without }));
            }
            _ => return Err(wrong("either channel or channels must say where to")),
        }
        if items.len() > limit {
            return Err(ProtocolError::TooManyMessages.into());
        }
        of.resize(items.len(), number);
    }
    Ok((items, of))
}

type OneResult<'a> = ((&'a Item<'a>, &'a usize), Result<Accepted, Refusal>);

fn write(results: Vec<OneResult<'_>>, bare: bool, refused: Option<ApiError>) -> Vec<u8> {
    let mut out = Vec::with_capacity(16 + results.len() * RESULT_CAPACITY);
    // Writing to a Vec cannot fail, and texts always serialise.
    out.push(b'{');
    if let Some(refused) = refused {
        out.extend_from_slice(b"\"error\":");
        let _ = serde_json::to_writer(&mut out, &refused.shown);
        out.push(b',');
    }
    out.extend_from_slice(b"\"results\":[");
    for (n, ((item, of), outcome)) in results.into_iter().enumerate() {
        out.extend_from_slice(if n > 0 { b",{" } else { b"{" });
        if !bare {
            let _ = write!(out, "\"item\":{of},");
        }
        match outcome {
            Ok(Accepted { position, repeated, sessions }) => {
                // A channel that was accepted holds nothing that JSON escapes.
                out.extend_from_slice(b"\"channel\":\"");
                out.extend_from_slice(item.channel.as_bytes());
                let _ = write!(out, "\",\"position\":{position},\"sessions\":{sessions}");
                if repeated {
                    out.extend_from_slice(b",\"repeated\":true");
                }
                out.push(b'}');
            }
            Err(refusal) => {
                let failed = Failed { channel: item.channel, error: ApiError::from(refusal).shown };
                let object = serde_json::to_vec(&failed).unwrap_or_default();
                out.extend_from_slice(object.get(1..).unwrap_or_default());
            }
        }
    }
    out.extend_from_slice(b"]}");
    out
}

/// A result that is a failure.
#[derive(Serialize)]
struct Failed<'a> {
    channel: &'a str,
    error: Shown,
}

const TOO_MANY: &str = "too many items";

/// The array of a body, read up to its limit.
struct Items {
    limit: usize,
}

impl<'de> DeserializeSeed<'de> for Items {
    type Value = Vec<Given<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Items {
    type Value = Vec<Given<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an item or an array of items")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while items.len() < self.limit {
            let Some(item) = seq.next_element()? else { return Ok(items) };
            items.push(item);
        }
        match seq.next_element::<IgnoredAny>()? {
            None => Ok(items),
            Some(_) => Err(A::Error::custom(TOO_MANY)),
        }
    }
}
