//! §7, publishing: what travels, what does not, and what the acknowledgement means; with a session and without.

use super::expect::{accepted, in_order, only_fields, only_message, refused, reply_fields};
use crate::{
    case::{Case, Feature, case},
    context::{Context, PATIENCE},
    transport::{DELIVERY, HTTP, REQUESTS, SOCKET, Transport},
    wire::{
        message::Message,
        request::{Request, percent},
    },
};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

const TRAVELS: &str = "§7 Subscribers receive channel, data and the ext keys that extensions own. Nothing else of the publisher's message travels: no id, clientId, advice, error, credentials.";
const DATA: &str = "§7 Missing data: 400:data:missing. null, false, 0, \"\" are data.";
const ECHO: &str = "§7 Echo to the publisher by default (broadcast_to_publisher).";
const ACCEPTED: &str = "§7 successful:true means: in the log, its place in the order fixed.";
const SESSIONLESS: &str = "§7 Without a session (no clientId): allowed when the request is authorised (an open server); one message or an array, each acknowledged on its own.";

pub(super) fn cases() -> Vec<Case> {
    let is_data = |id, title, data: &'static str| case(id, title, DATA, move |cx| delivers(cx, data)).over(DELIVERY);
    vec![
        case("publish.only_channel_and_data", "a message is channel and data", TRAVELS, only_channel_and_data)
            .over(DELIVERY),
        case("publish.hostile_fields_stay", "no other field of the publisher arrives", TRAVELS, hostile_fields_stay)
            .over(DELIVERY),
        case("publish.credentials_stay", "credentials in ext stay with the server", TRAVELS, credentials_stay)
            .over(DELIVERY),
        case(
            "publish.binary_ext_travels",
            "the marker of the binary extension travels",
            "§7 the ext keys that extensions own (binary, ...) travel.",
            binary_ext_travels,
        )
        .over(DELIVERY),
        is_data("publish.data_null", "null is data", "null"),
        is_data("publish.data_false", "false is data", "false"),
        is_data("publish.data_zero", "0 is data", "0"),
        is_data("publish.data_empty_string", "the empty string is data", "\"\""),
        is_data("publish.data_empty_array", "so is an empty array", "[]"),
        is_data("publish.data_nulls_inside", "nulls inside are kept", r#"{"a":null,"b":[null]}"#),
        case("publish.data_missing", "no data is refused and goes nowhere", DATA, data_missing).over(REQUESTS),
        case("publish.no_subscribers", "a publish that nobody hears succeeds", ACCEPTED, no_subscribers).over(REQUESTS),
        case("publish.acknowledged_then_delivered", "what was acknowledged arrives", ACCEPTED, acknowledged_arrives)
            .over(REQUESTS),
        case("publish.echo", "the publisher hears itself", ECHO, echo).over(DELIVERY).unless(Feature::NoEcho),
        case("publish.no_echo", "unless the server is told otherwise", ECHO, no_echo)
            .over(DELIVERY)
            .needs(Feature::NoEcho),
        case(
            "publish.foreign_client_id",
            "an unknown clientId publishes nothing",
            "§4 Unknown session; §7.",
            foreign_client_id,
        )
        .over(REQUESTS),
        case("publish.sessionless_object", "one message without a session", SESSIONLESS, sessionless_object),
        case("publish.sessionless_array", "several, each with its own verdict", SESSIONLESS, sessionless_array),
        case("publish.sessionless_form", "as a form", SESSIONLESS, sessionless_form),
        case(
            "publish.sessionless_over_websocket",
            "over a WebSocket without handshake",
            SESSIONLESS,
            sessionless_socket,
        )
        .over(SOCKET),
        case(
            "publish.sessionless_reply",
            "its reply has no clientId and the id as sent",
            SESSIONLESS,
            sessionless_reply,
        ),
        case(
            "publish.sessionless_gives_no_session",
            "it makes nobody a subscriber",
            "§7 Without a session: publishing only.",
            sessionless_no_session,
        ),
        case(
            "publish.sessionless_php",
            "the oldest PHP client: ext [] and no id",
            "Golden rule: every living client works unmodified (nc/faye-client).",
            sessionless_php,
        ),
        case("publish.sessionless_missing_data", "also there data is required", DATA, sessionless_missing_data),
        case(
            "publish.sessionless_curl",
            "curl's default content type with raw JSON is told what is wrong",
            "§1 Protocol: application/x-www-form-urlencoded needs message=; never an empty body.",
            curl_default_type,
        )
        .over(HTTP),
    ]
}

/// What one subscriber receives of this publish.
async fn received(cx: &Context, fields: Value) -> Result<Message> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    let mut publisher = cx.publisher().await?;
    let message = publisher.message(&channel, fields);
    accepted(&publisher.ask_one(message).await?)?;
    peer.receive_one().await
}

async fn only_channel_and_data(cx: Context) -> Result<()> {
    let message = received(&cx, json!({"data": {"a": 1}})).await?;
    ensure!(message["data"] == json!({"a": 1}), "{}", message.raw);
    ensure!(message.field_names() == ["channel", "data"], "fields {:?}", message.field_names());
    Ok(())
}

async fn hostile_fields_stay(cx: Context) -> Result<()> {
    let hostile = json!({"data": 1, "advice": {"reconnect": "none"}, "error": "402::session_unknown", "successful": false,
        "timestamp": "now", "subscription": "/x", "connectionType": "websocket", "version": "9", "foo": {"bar": 1}});
    only_fields(&received(&cx, hostile).await?, &["channel", "data"])
}

async fn credentials_stay(cx: Context) -> Result<()> {
    let message =
        received(&cx, json!({"data": 1, "ext": {"token": "secret", "authentication": {"user": "x"}}})).await?;
    ensure!(!message.raw.contains("secret") && !message.raw.contains("authentication"), "{}", message.raw);
    Ok(())
}

async fn binary_ext_travels(cx: Context) -> Result<()> {
    let data = json!({"data": "HelloWorld", "last": true, "meta": {"name": "x"}});
    let message = received(&cx, json!({"data": data, "ext": {"binary": {}}})).await?;
    ensure!(message["data"] == data && message["ext"]["binary"].is_object(), "{}", message.raw);
    Ok(())
}

async fn delivers(cx: Context, data: &str) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    cx.publisher().await?.publish_bytes(&channel, data).await?;
    let message = peer.receive_one().await?;
    ensure!(message.raw_field("data").as_deref() == Some(data), "{}", message.raw);
    Ok(())
}

async fn data_missing(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    let message = peer.message(&channel, json!({}));
    refused(&peer.ask_one(message).await?, "400:data:missing")?;
    let mut publisher = cx.publisher().await?;
    peer.nothing_so_far(&mut publisher).await
}

async fn no_subscribers(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    for name in ["never", "never/heard/of"] {
        accepted(&peer.publish(&cx.channel(name), 1).await?)?;
    }
    Ok(())
}

async fn acknowledged_arrives(cx: Context) -> Result<()> {
    const MESSAGES: u64 = 30;
    let channel = cx.channel("a");
    let mut subscriber = cx.publisher().await?;
    subscriber.subscribe(&channel).await?;
    let mut peer = cx.peer().await?;
    for n in 0..MESSAGES {
        accepted(&peer.publish(&channel, n).await?)?;
    }
    in_order(&subscriber.received_so_far(&mut peer).await?, 0..MESSAGES)
}

async fn echo(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    peer.publish(&channel, 0).await?;
    in_order(&peer.receive(1).await?, 0..1)
}

async fn no_echo(cx: Context) -> Result<()> {
    let (mut peer, mut other) = (cx.peer().await?, cx.peer().await?);
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    other.subscribe(&channel).await?;
    peer.publish(&channel, 0).await?;
    in_order(&other.receive(1).await?, 0..1)?;
    let mut publisher = cx.publisher().await?;
    peer.nothing_so_far(&mut publisher).await
}

async fn foreign_client_id(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut subscriber = cx.publisher().await?;
    subscriber.subscribe(&channel).await?;
    let mut peer = cx.peer().await?;
    let mut message = peer.publish_message(&channel, "must not arrive");
    message["clientId"] = json!("somebody-else");
    refused(&peer.ask_one(message).await?, "402::session_unknown")?;
    let mut publisher = cx.publisher().await?;
    subscriber.nothing_so_far(&mut publisher).await
}

async fn subscribed(cx: &Context) -> Result<(crate::peer::Peer, String)> {
    let mut subscriber = cx.peer_over(Transport::LongPolling).await?;
    let channel = cx.channel("a");
    subscriber.subscribe(&channel).await?;
    Ok((subscriber, channel))
}

async fn sessionless_object(cx: Context) -> Result<()> {
    let (mut subscriber, channel) = subscribed(&cx).await?;
    accepted(&only_message(&cx.post(json!({"channel": channel, "data": 0}).to_string()).await?)?)?;
    in_order(&subscriber.receive(1).await?, 0..1)
}

async fn sessionless_array(cx: Context) -> Result<()> {
    let (mut subscriber, channel) = subscribed(&cx).await?;
    let batch = json!([{"channel": channel, "data": 0, "id": "1"}, {"channel": "/bad//name", "data": 9, "id": "2"},
        {"channel": channel, "data": 1, "id": "3"}]);
    let replies = cx.post(batch.to_string()).await?.messages()?;
    let verdicts: Vec<(&str, bool)> =
        replies.iter().map(|reply| (reply["id"].as_str().unwrap_or_default(), reply.successful())).collect();
    ensure!(verdicts == [("1", true), ("2", false), ("3", true)], "verdicts {verdicts:?}");
    in_order(&subscriber.receive(2).await?, 0..2)
}

async fn sessionless_form(cx: Context) -> Result<()> {
    let (mut subscriber, channel) = subscribed(&cx).await?;
    let form = format!("message={}", percent(&json!({"channel": channel, "data": 0}).to_string()));
    let request = Request::new("POST", &cx.target("")).header("Content-Type", "application/x-www-form-urlencoded");
    accepted(&only_message(&cx.send(&request.body(form)).await?)?)?;
    in_order(&subscriber.receive(1).await?, 0..1)
}

async fn sessionless_socket(cx: Context) -> Result<()> {
    let (mut subscriber, channel) = subscribed(&cx).await?;
    let mut socket = cx.socket().await?;
    socket.send(&json!([{"channel": channel, "data": 0, "id": "1"}]).to_string()).await?;
    accepted(socket.frame(PATIENCE).await?.first().context("an empty frame")?)?;
    in_order(&subscriber.receive(1).await?, 0..1)
}

async fn sessionless_reply(cx: Context) -> Result<()> {
    let response = cx.post(json!({"channel": cx.channel("a"), "data": 0, "id": 17}).to_string()).await?;
    let reply = only_message(&response)?;
    reply_fields(&reply, &[])?;
    ensure!(reply["id"] == 17 && reply.successful(), "{}", reply.raw);
    Ok(())
}

async fn sessionless_no_session(cx: Context) -> Result<()> {
    let batch = json!([{"channel": "/meta/subscribe", "subscription": cx.channel("a"), "id": "1"}]);
    refused(&only_message(&cx.post(batch.to_string()).await?)?, "402::session_unknown")
}

async fn sessionless_php(cx: Context) -> Result<()> {
    let (mut subscriber, channel) = subscribed(&cx).await?;
    let body = format!(r#"{{"channel":"{}","data":0,"ext":[]}}"#, channel.replace('/', "\\/"));
    accepted(&only_message(&cx.post(body).await?)?)?;
    in_order(&subscriber.receive(1).await?, 0..1)
}

async fn sessionless_missing_data(cx: Context) -> Result<()> {
    let response = cx.post(json!({"channel": cx.channel("a"), "id": "1"}).to_string()).await?;
    refused(&only_message(&response)?, "400:data:missing")
}

async fn curl_default_type(cx: Context) -> Result<()> {
    let request = Request::new("POST", &cx.target("")).header("Content-Type", "application/x-www-form-urlencoded");
    let response = cx.send(&request.body(json!({"channel": cx.channel("a"), "data": 0}).to_string())).await?;
    // Serving it would be kind; refusing it is the contract. Either way the caller is told.
    let reply = response.messages()?.into_iter().next().context("an empty answer")?;
    ensure!(reply.successful() == (response.status() == 200), "status {}: {}", response.status(), reply.raw);
    Ok(())
}
