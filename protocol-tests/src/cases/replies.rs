//! §2, what a reply looks like and how one answer is laid out.
//!
//! Verdicts themselves are the business of the verbs' own files.

use super::expect::{accepted, refused, reply_fields};
use crate::{
    case::{Case, case},
    context::Context,
    peer::Turn,
    transport::{POLLING, REQUESTS, SOCKET},
};
use anyhow::{Result, ensure};
use serde_json::{Value, json};

const ONE_EACH: &str = "§2 Exactly one reply per request message.";
const ID: &str = "§2 id is echoed verbatim with its JSON type; absent if absent.";
const FIELDS: &str = "§2 A reply has channel, id, successful and what its verb adds. Never data, never null, no clientId but in the handshake reply, no ext that was not negotiated.";
const SUBSCRIPTION: &str = "§2 subscription is echoed on every subscribe/unsubscribe reply in the shape it came, also on failures (\"\" when it was missing).";
const LAYOUT: &str = "§2 One response is laid out [queued messages in order, replies in request order], the connect reply last. A handshake reply stands alone.";

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("replies.one_for_each", "twenty messages get twenty replies in order", ONE_EACH, one_for_each)
            .over(REQUESTS),
        case("replies.mixed_batch", "every verb of a batch is answered", ONE_EACH, mixed_batch).over(REQUESTS),
        case("replies.id_string", "an odd string id comes back as it was", ID, |cx| echoes(cx, r#""a-B_c.1 \u00e9""#))
            .over(REQUESTS),
        case("replies.id_number", "a number comes back as a number", ID, |cx| echoes(cx, "12")).over(REQUESTS),
        case("replies.id_big_number", "a number beyond 64 bit keeps its digits", ID, |cx| {
            echoes(cx, "12345678901234567890123")
        })
        .over(REQUESTS),
        case("replies.id_decimal", "a decimal keeps its zero", ID, |cx| echoes(cx, "1.10")).over(REQUESTS),
        case("replies.id_number_in_handshake", "also in the handshake", ID, id_number_in_handshake).over(REQUESTS),
        case("replies.id_absent", "no id, no id in the reply", ID, id_absent).over(POLLING),
        case("replies.id_null", "id null is answered without null", FIELDS, id_null).over(POLLING),
        case("replies.same_id_twice", "two messages with one id get two replies", ONE_EACH, same_id_twice)
            .over(POLLING),
        case("replies.publish_fields", "nothing but the allowed fields on publish", FIELDS, publish_fields)
            .over(REQUESTS),
        case("replies.subscribe_fields", "… on subscribe", FIELDS, subscribe_fields).over(REQUESTS),
        case("replies.unsubscribe_fields", "… on unsubscribe", FIELDS, unsubscribe_fields).over(REQUESTS),
        case("replies.connect_fields", "… on connect", FIELDS, connect_fields).over(REQUESTS),
        case("replies.disconnect_fields", "… on disconnect", FIELDS, disconnect_fields).over(REQUESTS),
        case("replies.handshake_fields", "… on handshake", FIELDS, handshake_fields).over(REQUESTS),
        case("replies.refusal_fields", "… on a refusal", FIELDS, refusal_fields).over(REQUESTS),
        case("replies.no_error_on_success", "a success has no error field", FIELDS, no_error_on_success).over(REQUESTS),
        case("replies.successful_is_boolean", "the verdict is a JSON boolean", FIELDS, successful_is_boolean)
            .over(REQUESTS),
        case("replies.unknown_ext", "an unknown ext is not answered", FIELDS, unknown_ext).over(REQUESTS),
        case("replies.subscription_string", "a string comes back as a string", SUBSCRIPTION, |cx| {
            echoes_subscription(cx, "x")
        })
        .over(REQUESTS),
        case("replies.subscription_array", "a list comes back as a list", SUBSCRIPTION, subscription_array)
            .over(REQUESTS),
        case("replies.subscription_on_failure", "also when it was refused", SUBSCRIPTION, subscription_on_failure)
            .over(REQUESTS),
        case("replies.subscription_missing", "a missing one comes back empty", SUBSCRIPTION, subscription_missing)
            .over(REQUESTS),
        case(
            "replies.subscription_unknown_session",
            "also when the session is unknown",
            SUBSCRIPTION,
            subscription_unknown_session,
        )
        .over(REQUESTS),
        case(
            "replies.hostile_text",
            "what a client sends cannot break the error grammar",
            "§2 Errors are code:args:text, exactly two colons, args and text in [A-Za-z0-9 _./*()!~$@-].",
            hostile_text,
        )
        .over(REQUESTS),
        case("replies.messages_first", "messages stand before the connect reply", LAYOUT, messages_first).over(POLLING),
        case("replies.connect_last", "the connect reply is the last one", LAYOUT, connect_last).over(POLLING),
        case("replies.handshake_alone", "nothing stands beside a handshake reply", LAYOUT, handshake_alone)
            .over(POLLING),
        case("replies.handshake_alone_in_frame", "nor in its frame", LAYOUT, handshake_alone_in_frame).over(SOCKET),
    ]
}

async fn one_for_each(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    let batch: Vec<Value> = (0..20).map(|n| peer.publish_message(&channel, n)).collect();
    let turn = peer.ask(&batch).await?;
    turn.replies()?.into_iter().try_for_each(accepted)?;
    let order: Vec<&Value> = turn.messages.iter().filter(|m| m.is_reply()).map(|m| &m["id"]).collect();
    ensure!(order == batch.iter().map(|m| &m["id"]).collect::<Vec<_>>(), "replies out of order: {order:?}");
    Ok(())
}

async fn mixed_batch(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    let batch = [
        peer.subscribe_message(channel.as_str()),
        peer.publish_message(&channel, 1),
        peer.message("/meta/nonsense", json!({})),
        peer.unsubscribe_message(channel.as_str()),
        peer.message(&channel, json!({})),
    ];
    let turn = peer.ask(&batch).await?;
    let verdicts: Vec<bool> = turn.replies()?.iter().map(|reply| reply.successful()).collect();
    ensure!(verdicts == [true, true, false, true, false], "verdicts {verdicts:?}");
    let channels = batch.iter().zip(turn.replies()?).filter(|(sent, reply)| sent["channel"] == reply["channel"]);
    ensure!(channels.count() == batch.len(), "a reply names another channel: {}", turn.text());
    Ok(())
}

async fn echoes(cx: Context, id: &'static str) -> Result<()> {
    let mut peer = cx.peer().await?;
    let body = format!(r#"[{{"channel":"{}","clientId":"{}","id":{id},"data":1}}]"#, cx.channel("a"), peer.client_id);
    let pending = peer.start_text(&body, vec![serde_json::from_str(id)?]).await?;
    let turn = peer.finish(pending).await?;
    let seen = turn.reply()?.raw_field("id").unwrap_or_default();
    // Strings may be spelt otherwise; numbers may not.
    let same = seen == id
        || (id.starts_with('"') && serde_json::from_str::<Value>(&seen)? == serde_json::from_str::<Value>(id)?);
    ensure!(same, "sent {id}, came back {seen}");
    Ok(())
}

async fn id_number_in_handshake(cx: Context) -> Result<()> {
    let mut peer = cx.newborn().await?;
    let mut hello = peer.handshake_message();
    hello["id"] = json!(7);
    accepted(&peer.ask_one(hello).await?)
}

/// A publish whose id is replaced by this text, answered over a polling transport.
async fn odd_id(cx: &Context, id: &str) -> Result<Turn> {
    let mut peer = cx.peer().await?;
    let body = format!(r#"[{{"channel":"{}","clientId":"{}"{id},"data":1}}]"#, cx.channel("a"), peer.client_id);
    let pending = peer.start_text(&body, vec![]).await?;
    peer.finish(pending).await
}

async fn id_absent(cx: Context) -> Result<()> {
    let turn = odd_id(&cx, "").await?;
    ensure!(turn.messages.len() == 1, "{} messages", turn.messages.len());
    accepted(&turn.messages[0])?;
    ensure!(turn.messages[0].get("id").is_none(), "an id out of nowhere: {}", turn.text());
    Ok(())
}

async fn id_null(cx: Context) -> Result<()> {
    let turn = odd_id(&cx, r#","id":null"#).await?;
    ensure!(turn.messages.len() == 1, "{} messages", turn.messages.len());
    reply_fields(&turn.messages[0], &[])
}

async fn same_id_twice(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let message = peer.publish_message(&cx.channel("a"), 1);
    let response = cx.send(&peer.request(&json!([message, message]).to_string())).await?;
    let replies = response.messages()?;
    ensure!(
        replies.len() == 2 && replies.iter().all(|reply| reply["id"] == message["id"]),
        "{} replies",
        replies.len()
    );
    Ok(())
}

async fn publish_fields(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    reply_fields(&peer.publish(&cx.channel("a"), json!({"a": 1})).await?, &[])
}

async fn subscribe_fields(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let message = peer.subscribe_message(cx.channel("a"));
    reply_fields(&peer.ask_one(message).await?, &["subscription"])
}

async fn unsubscribe_fields(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let message = peer.unsubscribe_message(cx.channel("a"));
    reply_fields(&peer.ask_one(message).await?, &["subscription"])
}

async fn connect_fields(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    reply_fields(peer.connect(Some(json!({"timeout": 0}))).await?.reply()?, &[])
}

async fn disconnect_fields(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    reply_fields(&peer.disconnect().await?, &[])
}

async fn handshake_fields(cx: Context) -> Result<()> {
    let mut peer = cx.newborn().await?;
    let hello = peer.handshake_message();
    let reply = peer.ask_one(hello).await?;
    reply_fields(&reply, &["clientId", "version", "minimumVersion", "supportedConnectionTypes"])
}

async fn refusal_fields(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let message = peer.message("/not//a/channel/", json!({"data": {"secret": 1}, "ext": {"token": "x"}}));
    let reply = peer.ask_one(message).await?;
    refused(&reply, "4")?;
    reply_fields(&reply, &[])
}

async fn no_error_on_success(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let reply = peer.publish(&cx.channel("a"), 1).await?;
    ensure!(reply.get("error").is_none(), "an error beside success: {}", reply.raw);
    Ok(())
}

async fn successful_is_boolean(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let batch = [peer.publish_message(&cx.channel("a"), 1), peer.publish_message("/bad//name", 1)];
    let turn = peer.ask(&batch).await?;
    ensure!(turn.replies()?.iter().all(|reply| reply["successful"].is_boolean()), "{}", turn.text());
    Ok(())
}

async fn unknown_ext(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let mut hello = peer.handshake_message();
    hello["ext"] = json!({"x.unheard-of": true});
    let reply = peer.ask_one(hello).await?;
    accepted(&reply)?;
    ensure!(reply["ext"].get("x.unheard-of").is_none(), "negotiated something unknown: {}", reply.raw);
    let mut publish = peer.publish_message(&cx.channel("a"), 1);
    publish["ext"] = json!({"x.unheard-of": true});
    let reply = peer.ask_one(publish).await?;
    ensure!(reply.get("ext").is_none(), "an ext on a publish reply: {}", reply.raw);
    Ok(())
}

async fn echoes_subscription(cx: Context, name: &str) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel(name);
    for message in [peer.subscribe_message(channel.as_str()), peer.unsubscribe_message(channel.as_str())] {
        let reply = peer.ask_one(message).await?;
        ensure!(reply["subscription"] == *channel, "{}", reply.raw);
    }
    Ok(())
}

async fn subscription_array(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    for list in [json!([cx.channel("a"), cx.channel("b")]), json!([cx.channel("c")])] {
        for message in [peer.subscribe_message(list.clone()), peer.unsubscribe_message(list.clone())] {
            let reply = peer.ask_one(message).await?;
            ensure!(reply["subscription"] == list, "sent {list}, came back {}", reply.raw);
        }
    }
    Ok(())
}

async fn subscription_on_failure(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    for bad in [json!("no slash"), json!([cx.channel("a"), "//"])] {
        for message in [peer.subscribe_message(bad.clone()), peer.unsubscribe_message(bad.clone())] {
            let reply = peer.ask_one(message).await?;
            ensure!(!reply.successful() && reply["subscription"] == bad, "sent {bad}, came back {}", reply.raw);
        }
    }
    Ok(())
}

async fn subscription_missing(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    for channel in ["/meta/subscribe", "/meta/unsubscribe"] {
        let message = peer.message(channel, json!({}));
        let reply = peer.ask_one(message).await?;
        refused(&reply, "403::subscription_missing")?;
        ensure!(reply["subscription"] == "", "{}", reply.raw);
    }
    Ok(())
}

async fn subscription_unknown_session(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let mut message = peer.subscribe_message("/a/b");
    message["clientId"] = json!(format!("nobody-{}", cx.tag()));
    let reply = peer.ask_one(message).await?;
    ensure!(!reply.successful() && reply["subscription"] == "/a/b", "{}", reply.raw);
    Ok(())
}

async fn hostile_text(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let hostile = "/a:b,\"c\":{d}\n:é<e>'&;";
    let mut batch = vec![
        peer.publish_message(hostile, 1),
        peer.subscribe_message(hostile),
        peer.subscribe_message(json!([hostile])),
        peer.message(&format!("/meta{hostile}"), json!({"data": 1})),
        peer.publish_message(&cx.channel("a"), 1),
    ];
    batch[4]["clientId"] = json!(hostile);
    // The watch holds every error against the grammar; here they only have to be refusals.
    for reply in peer.ask(&batch).await?.replies()? {
        refused(reply, "4")?;
    }
    Ok(())
}

async fn messages_first(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    let mut publisher = cx.publisher().await?;
    for n in 0..3 {
        publisher.publish(&channel, n).await?;
    }
    // Who does not wait gets all that was accepted before.
    let turn = peer.connect(Some(json!({"timeout": 0}))).await?;
    ensure!(turn.messages.len() > 1, "no messages waited: {}", turn.text());
    let (last, before) = turn.messages.split_last().unwrap_or((&turn.messages[0], &[]));
    ensure!(last.channel() == "/meta/connect", "the connect reply is not last: {}", turn.text());
    super::expect::in_order(before, 0..3)
}

async fn connect_last(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    let batch = [
        peer.connect_message(None),
        peer.subscribe_message(channel.as_str()),
        peer.publish_message(&channel, 1),
        peer.unsubscribe_message(channel.as_str()),
    ];
    let turn = peer.ask(&batch).await?;
    let order: Vec<&str> = turn.messages.iter().filter(|m| m.is_reply()).map(|m| m.channel()).collect();
    ensure!(order == ["/meta/subscribe", channel.as_str(), "/meta/unsubscribe", "/meta/connect"], "order {order:?}");
    ensure!(turn.messages.last().is_some_and(|m| m.channel() == "/meta/connect"), "something follows: {}", turn.text());
    Ok(())
}

async fn handshake_alone(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    cx.publisher().await?.publish(&channel, 1).await?;
    let mut hello = peer.handshake_message();
    hello["clientId"] = json!(peer.client_id);
    let turn = peer.ask(&[hello]).await?;
    ensure!(turn.messages.len() == 1, "beside the handshake reply: {}", turn.text());
    Ok(())
}

async fn handshake_alone_in_frame(cx: Context) -> Result<()> {
    let mut peer = cx.newborn().await?;
    let hello = peer.handshake_message();
    peer.ask_one(hello).await?;
    let counts: Vec<usize> = peer.socket.iter().flat_map(|socket| &socket.frames).map(|(_, count)| *count).collect();
    ensure!(counts == [1, 1], "messages in the frames: {counts:?}");
    Ok(())
}
