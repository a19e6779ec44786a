//! §8, the profile for clients of Salesforce's streaming API: their paths, their errors, their replay ids.
//!
//! The server under test is mounted at `/cometd` with `profile = "salesforce"`.

use super::expect::{advises, refused};
use crate::{
    case::{Case, Feature, case},
    context::{Context, PATIENCE},
    peer::Peer,
    transport::{HTTP, POLLING, REQUESTS},
    wire::{message::Message, request::Request},
};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

const PATHS: &str = "§1 Any sub-path is the same endpoint (/bayeux/38.0 ...: clients append them).";
const UNKNOWN: &str =
    "§2 402::session_unknown (text configurable per mount: some clients look for 403::Unknown client).";
const POSITION: &str = "§8 replay: data.event.replayId on a mount with profile = \"salesforce\".";
const INVALID: &str = "§8 replay: An id no longer retained: 400::The replayId {N} you provided was invalid.  Please provide a valid ID, -2 to replay all events, or -1 to replay only new events.";

pub(super) fn cases() -> Vec<Case> {
    let all = vec![
        case("salesforce.version_in_path", "an API version below the mount", PATHS, version_in_path).over(HTTP),
        case("salesforce.unknown_client", "sessions that do not exist", UNKNOWN, unknown_client).over(REQUESTS),
        case("salesforce.replay_id", "data.event.replayId, also unasked", POSITION, replay_id).over(POLLING),
        case("salesforce.event_is_kept", "what the publisher put into event stays", POSITION, event_is_kept).over(HTTP),
        case("salesforce.other_data", "data that is no object stays as it is", POSITION, other_data).over(HTTP),
        case("salesforce.replay_from_id", "a replay from such an id", POSITION, replay_from_id).over(POLLING),
        case("salesforce.replay_invalid", "the error text that clients parse", INVALID, replay_invalid).over(POLLING),
    ];
    all.into_iter().map(|case| case.needs(Feature::Salesforce)).collect()
}

async fn version_in_path(cx: Context) -> Result<()> {
    for path in ["/58.0", "/58.0/", "/66.0/handshake", "/38.0/handshake"] {
        let body = json!([{"channel": "/meta/handshake", "version": "1.0", "minimumVersion": "1.0", "id": "1",
            "supportedConnectionTypes": ["long-polling"], "ext": {"replay": true}}]);
        let mut connection = cx.connection().await?;
        connection.send(&Request::json(&cx.target(path), body.to_string())).await?;
        let response = connection.response(PATIENCE).await?;
        let messages = response.messages().with_context(|| format!("status {} at {path}", response.status()))?;
        ensure!(messages.len() == 1 && messages[0].successful(), "refused at {path}");
        ensure!(messages[0]["ext"]["replay"] == true, "no replay at {path}: {}", messages[0].raw);
    }
    Ok(())
}

async fn unknown_client(cx: Context) -> Result<()> {
    let mut peer = Peer::attach(cx.clone(), cx.transport, "5b1c0b8e-0000-4000-8000-000000000000", None).await?;
    let connect = peer.connect_message(None);
    let reply = peer.ask_one(connect).await?;
    refused(&reply, "403::Unknown client")?;
    ensure!(reply.error() == "403::Unknown client", "exactly that text: {}", reply.raw);
    advises(&reply, "handshake")
}

async fn event(cx: &Context, data: &str) -> Result<Message> {
    let channel = cx.channel("a");
    let mut peer = cx.peer().await?;
    peer.subscribe(&channel).await?;
    cx.publisher().await?.publish_bytes(&channel, data).await?;
    peer.receive_one().await
}

fn id(message: &Message) -> Result<u64> {
    let id = message["data"]["event"]["replayId"].as_u64();
    id.with_context(|| format!("no data.event.replayId in {}", message.raw))
}

async fn replay_id(cx: Context) -> Result<()> {
    let message = event(&cx, r#"{"schema":"s","payload":{"n":1.10}}"#).await?;
    let number = id(&message)?;
    ensure!(
        message.raw_field("data").unwrap_or_default()
            == format!(r#"{{"schema":"s","payload":{{"n":1.10}},"event":{{"replayId":{number}}}}}"#),
        "not the data with its id: {}",
        message.raw
    );
    ensure!(message.get("ext").is_none(), "an ext that was not negotiated: {}", message.raw);
    Ok(())
}

async fn event_is_kept(cx: Context) -> Result<()> {
    let message =
        event(&cx, r#"{"event":{"createdDate":"2026-11-26","replayId":5,"type":"created"},"sobject":{}}"#).await?;
    ensure!(id(&message)? > 5, "a publisher chose the id: {}", message.raw);
    ensure!(message["data"]["event"]["createdDate"] == "2026-11-26", "lost: {}", message.raw);
    ensure!(message["data"]["event"]["type"] == "created", "lost: {}", message.raw);
    ensure!(message["data"]["sobject"] == json!({}), "lost: {}", message.raw);
    Ok(())
}

async fn other_data(cx: Context) -> Result<()> {
    for data in ["[1,2]", "\"text\"", "7", "null"] {
        let message = event(&cx, data).await?;
        ensure!(message.raw_field("data").as_deref() == Some(data), "{data} arrived as {}", message.raw);
    }
    Ok(())
}

async fn replaying(cx: &Context, channel: &str, from: Value) -> Result<(Peer, Message)> {
    let (mut peer, _) = Peer::extended(cx.clone(), cx.transport, json!({"replay": true})).await?;
    peer.settle().await?;
    let mut message = peer.subscribe_message(channel);
    message["ext"] = json!({"replay": {channel: from}});
    let reply = peer.ask_one(message).await?;
    Ok((peer, reply))
}

async fn replay_from_id(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut publisher = cx.publisher().await?;
    for n in 0..3 {
        publisher.publish(&channel, json!({"n": n})).await?;
    }
    let (mut all, reply) = replaying(&cx, &channel, json!(-2)).await?;
    ensure!(reply.successful(), "refused: {}", reply.raw);
    let received = all.receive(3).await?;
    let (mut rest, reply) = replaying(&cx, &channel, json!(id(&received[0])?)).await?;
    ensure!(reply.successful(), "refused: {}", reply.raw);
    let seen: Vec<Value> = rest.receive(2).await?.iter().map(|m| m["data"]["n"].clone()).collect();
    ensure!(seen == [json!(1), json!(2)], "after the first came {seen:?}");
    ensure!(id(&received[2])? > id(&received[1])?, "ids do not grow");
    Ok(())
}

async fn replay_invalid(cx: Context) -> Result<()> {
    let (_, reply) = replaying(&cx, &cx.channel("a"), json!(9_007_199_254_740_991_u64)).await?;
    ensure!(
        reply.error()
            == "400::The replayId {9007199254740991} you provided was invalid.  Please provide a valid ID, -2 to replay all events, or -1 to replay only new events.",
        "another text: {}",
        reply.raw
    );
    Ok(())
}
