//! §4, what somebody is told whose session the server does not know.
//!
//! Refusals to one peer are delayed from the second on, so every case uses a clientId and, where the machine allows it,
//! an address of its own.

use super::expect::{accepted, advises, refused};
use crate::{
    case::{Case, Wait, case},
    context::{AT_ONCE, Context},
    peer::Peer,
    transport::{DELIVERY, HTTP, REQUESTS},
};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

const UNKNOWN: &str = "§4 Unknown, expired or foreign session: 402::session_unknown with advice {reconnect:handshake, interval:0, timeout} on every meta reply.";
const DELAYED: &str = "§4 The first at once, repeats from the same peer delayed 1 -> 5 s.";
const PUBLISH: &str =
    "§2 402::session_unknown; §7 a publish without a session has no clientId, one with an unknown clientId is refused.";

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("unknown_session.connect", "a connect is refused with advice", UNKNOWN, |cx| {
            meta(cx, "/meta/connect", json!({"connectionType": "long-polling"}))
        })
        .over(REQUESTS),
        case("unknown_session.subscribe", "so is a subscribe", UNKNOWN, |cx| {
            meta(cx, "/meta/subscribe", json!({"subscription": "/a/b"}))
        })
        .over(REQUESTS),
        case("unknown_session.unsubscribe", "so is an unsubscribe", UNKNOWN, |cx| {
            meta(cx, "/meta/unsubscribe", json!({"subscription": "/a/b"}))
        })
        .over(REQUESTS),
        case("unknown_session.disconnect", "so is a disconnect", UNKNOWN, |cx| meta(cx, "/meta/disconnect", json!({})))
            .over(REQUESTS),
        case(
            "unknown_session.missing_client_id",
            "a connect without clientId is refused likewise",
            UNKNOWN,
            missing_client_id,
        )
        .over(REQUESTS),
        case("unknown_session.null_client_id", "a subscribe with clientId null is refused", UNKNOWN, null_client_id)
            .over(REQUESTS),
        case("unknown_session.publish", "a publish is refused and goes nowhere", PUBLISH, publish).over(REQUESTS),
        case(
            "unknown_session.each_on_its_own",
            "a stranger's message in a batch does not spoil the others",
            "§2 Exactly one reply per request message; §1 the rest of the batch is served.",
            each_on_its_own,
        )
        .over(REQUESTS),
        case(
            "unknown_session.handshake_helps",
            "a handshake afterwards gives a working session",
            UNKNOWN,
            handshake_helps,
        )
        .over(REQUESTS),
        case("unknown_session.first_at_once", "the first refusal comes at once", DELAYED, first_at_once).over(REQUESTS),
        case("unknown_session.repeats_delayed", "repeats come slower and slower, up to 5 s", DELAYED, repeats_delayed)
            .over(REQUESTS)
            .waits(Wait::Fixed(Duration::from_secs(12))),
        case(
            "unknown_session.delay_hurts_nobody",
            "a neighbour is served meanwhile",
            "§4 Repeats from the same peer are delayed; golden rule: nothing a client sends can hurt another.",
            delay_hurts_nobody,
        )
        .over(HTTP)
        .waits(Wait::Fixed(Duration::from_secs(5))),
        case("unknown_session.still_receives_nothing", "an unknown clientId never receives", UNKNOWN, never_receives)
            .over(DELIVERY),
    ]
}

/// Somebody with a clientId that nobody was ever given.
async fn stranger(cx: &Context) -> Result<Peer> {
    Peer::attach(cx.clone(), cx.transport, &format!("nobody-{}", cx.tag()), None).await
}

async fn meta(cx: Context, channel: &'static str, fields: Value) -> Result<()> {
    let mut stranger = stranger(&cx).await?;
    let message = stranger.message(channel, fields);
    let reply = stranger.ask_one(message).await?;
    refused(&reply, "402::session_unknown")?;
    advises(&reply, "handshake")?;
    ensure!(reply["advice"]["interval"] == 0, "interval {}", reply["advice"]["interval"]);
    ensure!(reply.get("clientId").is_none(), "the clientId comes back: {}", reply.raw);
    Ok(())
}

async fn missing_client_id(cx: Context) -> Result<()> {
    let mut stranger = stranger(&cx).await?;
    let mut message = stranger.connect_message(None);
    message.as_object_mut().map(|message| message.remove("clientId"));
    let reply = stranger.ask_one(message).await?;
    refused(&reply, "402::session_unknown")?;
    advises(&reply, "handshake")
}

async fn null_client_id(cx: Context) -> Result<()> {
    let mut stranger = stranger(&cx).await?;
    let mut message = stranger.subscribe_message(cx.channel("a"));
    message["clientId"] = Value::Null;
    let reply = stranger.ask_one(message).await?;
    refused(&reply, "402::session_unknown").or_else(|_| refused(&reply, "400:clientId:"))
}

async fn publish(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut subscriber = cx.publisher().await?;
    subscriber.subscribe(&channel).await?;
    let mut stranger = stranger(&cx).await?;
    let message = stranger.publish_message(&channel, "must not arrive");
    refused(&stranger.ask_one(message).await?, "402::session_unknown")?;
    let mut publisher = cx.publisher().await?;
    subscriber.nothing_so_far(&mut publisher).await
}

async fn each_on_its_own(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    let mut batch: Vec<Value> = (0..3).map(|n| peer.publish_message(&channel, n)).collect();
    batch[0]["clientId"] = json!(format!("nobody-{}", cx.tag()));
    let turn = peer.ask(&batch).await?;
    refused(turn.nth(0)?, "402::session_unknown")?;
    accepted(turn.nth(1)?)?;
    accepted(turn.nth(2)?)
}

async fn handshake_helps(cx: Context) -> Result<()> {
    let mut stranger = stranger(&cx).await?;
    let connect = stranger.connect_message(None);
    refused(&stranger.ask_one(connect).await?, "402::session_unknown")?;
    let hello = stranger.handshake_message();
    let reply = stranger.ask_one(hello).await?;
    accepted(&reply)?;
    stranger.client_id = reply["clientId"].as_str().unwrap_or_default().to_owned();
    accepted(stranger.connect(None).await?.reply()?)
}

async fn first_at_once(cx: Context) -> Result<()> {
    let mut stranger = stranger(&cx).await?;
    let connect = stranger.connect_message(None);
    let since = Instant::now();
    refused(&stranger.ask_one(connect).await?, "402::session_unknown")?;
    ensure!(since.elapsed() < Duration::from_secs(1), "the first refusal took {:?}", since.elapsed());
    Ok(())
}

async fn repeats_delayed(cx: Context) -> Result<()> {
    const ASKED: usize = 4;
    const SHORTEST: Duration = Duration::from_millis(900);
    const LONGEST: Duration = Duration::from_millis(5500);
    let mut stranger = stranger(&cx).await?;
    let mut delays = Vec::new();
    for _ in 0..ASKED {
        let connect = stranger.connect_message(None);
        let since = Instant::now();
        refused(&stranger.ask_one(connect).await?, "402::session_unknown")?;
        delays.push(since.elapsed());
    }
    ensure!(delays[1] >= SHORTEST, "the second refusal came after {:?}", delays[1]);
    ensure!(delays[ASKED - 1] > delays[1], "the delay does not grow: {delays:?}");
    ensure!(delays.iter().all(|delay| *delay <= LONGEST), "longer than 5 s: {delays:?}");
    Ok(())
}

async fn delay_hurts_nobody(cx: Context) -> Result<()> {
    let mut stranger = stranger(&cx).await?;
    let connect = stranger.connect_message(None);
    refused(&stranger.ask_one(connect.clone()).await?, "402::session_unknown")?;
    let delayed = stranger.start(&[connect]).await?;
    let since = Instant::now();
    let mut neighbour = cx.peer().await?;
    neighbour.publish(&cx.channel("a"), 1).await?;
    ensure!(since.elapsed() < AT_ONCE, "the neighbour waited {:?}", since.elapsed());
    refused(stranger.finish(delayed).await?.reply()?, "402::session_unknown")
}

async fn never_receives(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut stranger = stranger(&cx).await?;
    let message = stranger.subscribe_message(channel.as_str());
    refused(&stranger.ask_one(message).await?, "402::session_unknown")?;
    let published = cx.publisher().await?.publish(&channel, "must not arrive").await?;
    accepted(&published)?;
    let connect = stranger.connect_message(Some(json!({"timeout": 0})));
    let turn = stranger.ask(&[connect]).await?;
    ensure!(turn.events().is_empty(), "a stranger received {}", turn.text());
    refused(turn.reply()?, "402::session_unknown")
}
