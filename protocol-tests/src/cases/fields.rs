//! §1, single fields: of the wrong type, unknown, odd but tolerated.
//!
//! A wrong field costs its own message and nothing else; an odd one costs nothing.

use super::expect::{accepted, refused};
use crate::{
    case::{Case, Feature, case},
    context::Context,
    transport::{DELIVERY, REQUESTS},
    wire::message::Message,
};
use anyhow::{Result, ensure};
use serde_json::{Value, json};

const WRONG: &str = "§1 A message with a field of the wrong JSON type gets its own 400:<field>:<text> reply; the rest of the batch is served.";
const TOLERATED: &str = "§1 Tolerated: unknown fields, timestamp, ext:[], clientId:\"\" or null in a handshake, \\/ escapes, numeric ids, no id.";

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("fields.channel_number", "a channel that is a number", WRONG, |cx| wrong(cx, "channel", json!(5))).over(REQUESTS),
        case("fields.channel_missing", "no channel at all", WRONG, channel_missing).over(REQUESTS),
        case("fields.client_id_number", "a clientId that is a number", WRONG, |cx| wrong(cx, "clientId", json!(5))).over(REQUESTS),
        case("fields.client_id_object", "a clientId that is an object", WRONG, |cx| wrong(cx, "clientId", json!({}))).over(REQUESTS),
        case("fields.ext_string", "an ext that is a string", WRONG, |cx| wrong(cx, "ext", json!("x"))).over(REQUESTS),
        case("fields.advice_string", "advice that is a string", WRONG, advice_string).over(REQUESTS),
        case("fields.id_object", "an id that is an object", WRONG, id_object).over(REQUESTS),
        case("fields.subscription_number", "a subscription that is a number", WRONG, |cx| wrong_subscription(cx, json!(5))).over(REQUESTS),
        case("fields.subscription_object", "a subscription that is an object", WRONG, |cx| wrong_subscription(cx, json!({"a": 1}))).over(REQUESTS),
        case("fields.subscription_mixed", "a list with something that is no string", WRONG, |cx| wrong_subscription(cx, json!(["/a", 5]))).over(REQUESTS),
        case("fields.connection_types_string", "supportedConnectionTypes that is a string", WRONG, |cx| wrong_hello(cx, "supportedConnectionTypes", json!("websocket"))).over(REQUESTS),
        case("fields.version_number", "a version that is a number is refused or tolerated, not failed", "§1 Never 500.", version_number).over(REQUESTS),
        case("fields.hello_client_id_empty", "a handshake with an empty clientId", TOLERATED, |cx| odd_hello(cx, json!({"clientId": ""}))).over(REQUESTS),
        case("fields.hello_client_id_null", "a handshake with clientId null", TOLERATED, |cx| odd_hello(cx, json!({"clientId": null}))).over(REQUESTS),
        case("fields.hello_ext_array", "a handshake with ext []", TOLERATED, |cx| odd_hello(cx, json!({"ext": []}))).over(REQUESTS),
        case("fields.hello_timestamp", "a handshake with a timestamp", TOLERATED, |cx| odd_hello(cx, json!({"timestamp": "Thu, 01 Jan 1970 00:00:00 GMT"}))).over(REQUESTS),
        case("fields.hello_unknown", "a handshake with fields nobody knows", TOLERATED, |cx| odd_hello(cx, json!({"x": {"y": [1, null]}, "json-comment-filtered": false}))).over(REQUESTS),
        case("fields.hello_advice", "a handshake with advice of the client", TOLERATED, |cx| odd_hello(cx, json!({"advice": {"timeout": 60000, "interval": 0}}))).over(REQUESTS),
        case("fields.publish_ext_array", "a publish with ext []", TOLERATED, |cx| odd_publish(cx, json!({"ext": []}))).over(REQUESTS),
        case("fields.publish_unknown", "a publish with fields nobody knows", TOLERATED, |cx| odd_publish(cx, json!({"timestamp": "now", "foo": [1], "version": "1.0"}))).over(REQUESTS),
        case("fields.connect_without_type", "a connect without connectionType", TOLERATED, connect_without_type).over(REQUESTS),
        case("fields.connect_other_type", "a connect that names another transport", "Golden rule: every living client works unmodified (one says long-polling over WebSocket, one names a type of its own).", connect_other_type).over(REQUESTS),
        case("fields.escaped_slashes", "channels spelt with \\/ and \\u002f", TOLERATED, escaped_slashes).over(DELIVERY),
        case("fields.prototype_names", "__proto__ and constructor are names like any other", "§1 Nothing a client sends can hurt another client (CVE-2020-11020 and Faye 1.4.2).", prototype_names).over(REQUESTS).unless(Feature::NoEcho),
    ]
}

/// A publish with one wrong field between two good ones: it alone is refused.
async fn wrong(cx: Context, field: &'static str, value: Value) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    let mut batch: Vec<Value> = (0..3).map(|n| peer.publish_message(&channel, n)).collect();
    batch[1][field] = value;
    let turn = peer.ask(&batch).await?;
    accepted(turn.nth(0)?)?;
    refused(turn.nth(1)?, &format!("400:{field}:"))?;
    accepted(turn.nth(2)?)
}

async fn channel_missing(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    let mut batch: Vec<Value> = (0..2).map(|n| peer.publish_message(&channel, n)).collect();
    batch[0].as_object_mut().map(|message| message.remove("channel"));
    let turn = peer.ask(&batch).await?;
    refused(turn.nth(0)?, "400:")?;
    accepted(turn.nth(1)?)
}

async fn advice_string(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let connect = peer.connect_message(Some(json!("x")));
    let publish = peer.publish_message(&cx.channel("a"), 1);
    let turn = peer.ask(&[connect, publish]).await?;
    refused(turn.nth(0)?, "400:advice:")?;
    accepted(turn.nth(1)?)
}

async fn id_object(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    let (mut odd, good) = (peer.publish_message(&channel, 1), peer.publish_message(&channel, 2));
    odd["id"] = json!({"a": 1});
    let ids = vec![good["id"].clone()];
    let pending = peer.start_text(&json!([odd, good]).to_string(), ids).await?;
    let turn = peer.finish(pending).await?;
    accepted(turn.reply()?)?;
    let refusals: Vec<&Message> = turn.messages.iter().filter(|m| m.is_reply() && !m.successful()).collect();
    ensure!(refusals.len() == 1, "{} refusals: {}", refusals.len(), turn.text());
    let error = refusals[0].error();
    ensure!(error.starts_with("400:id:") || error == "405::message_id_invalid", "refused with {error}");
    Ok(())
}

async fn wrong_subscription(cx: Context, subscription: Value) -> Result<()> {
    let mut peer = cx.peer().await?;
    let message = peer.subscribe_message(subscription);
    let reply = peer.ask_one(message).await?;
    // The error table has a name for it too; both tell the client what is wrong.
    refused(&reply, "400:subscription:").or_else(|_| refused(&reply, "403::subscription_invalid"))
}

async fn wrong_hello(cx: Context, field: &'static str, value: Value) -> Result<()> {
    let mut peer = cx.peer().await?;
    let mut hello = peer.handshake_message();
    hello[field] = value;
    refused(&peer.ask_one(hello).await?, &format!("400:{field}:"))
}

async fn version_number(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let mut hello = peer.handshake_message();
    hello["version"] = json!(1.0);
    let reply = peer.ask_one(hello).await?;
    accepted(&reply).or_else(|_| refused(&reply, "400:version:"))
}

async fn odd_hello(cx: Context, fields: Value) -> Result<()> {
    let mut peer = cx.peer().await?;
    let mut hello = peer.handshake_message();
    if let (Some(hello), Value::Object(fields)) = (hello.as_object_mut(), fields) {
        hello.extend(fields);
    }
    accepted(&peer.ask_one(hello).await?)
}

async fn odd_publish(cx: Context, fields: Value) -> Result<()> {
    let mut peer = cx.peer().await?;
    let mut message = peer.message(&cx.channel("a"), fields);
    message["data"] = json!("x");
    accepted(&peer.ask_one(message).await?)
}

async fn connect_without_type(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let connect = peer.message("/meta/connect", json!({"advice": {"timeout": 0}}));
    accepted(&peer.ask_one(connect).await?)
}

async fn connect_other_type(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    for name in ["long-polling", "ssl-websocket"] {
        let connect = peer.message("/meta/connect", json!({"connectionType": name, "advice": {"timeout": 0}}));
        accepted(&peer.ask_one(connect).await?)?;
    }
    Ok(())
}

async fn escaped_slashes(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    let escaped = channel.replace('/', "\\/");
    let id = peer.id();
    let body = format!(
        r#"[{{"channel":"\/meta\u002fsubscribe","clientId":"{}","id":"{id}","subscription":"{escaped}"}}]"#,
        peer.client_id
    );
    let pending = peer.start_text(&body, vec![json!(id)]).await?;
    let turn = peer.finish(pending).await?;
    accepted(turn.reply()?)?;
    cx.publisher().await?.publish(&channel, "plain").await?;
    let message = peer.receive_one().await?;
    ensure!(message.channel() == channel, "arrived on {}", message.channel());
    Ok(())
}

async fn prototype_names(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    for name in ["__proto__", "constructor", "toString"] {
        let channel = cx.channel(name);
        peer.subscribe(&channel).await?;
        peer.publish(&channel, name).await?;
        let message = peer.receive_one().await?;
        ensure!(message["data"] == *name, "got {}", message.raw);
        let mut impostor = peer.message("/meta/connect", json!({"advice": {"timeout": 0}}));
        impostor["clientId"] = json!(name);
        refused(&peer.ask_one(impostor).await?, "402::session_unknown")?;
    }
    Ok(())
}
