//! §8, the small extensions: timesync, timestamp, binary, activity. Each only for who uses it.
//!
//! Timesync and binary need no setting. For the others the server has those of the README.

use super::expect::{advises, only_fields};
use crate::{
    case::{Case, Feature, Wait, case},
    context::{AT_ONCE, Context},
    peer::Peer,
    transport::{DELIVERY, HTTP, REQUESTS},
    wire::message::Message,
};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

const TIMESYNC: &str =
    "§8 timesync: a reply tells tc as it came, ts on receipt, p as long as it was held, a = tc + o + l - ts.";
const KNOWN: &str = "§8 timesync: answered if l is 0 or |a| >= 25 ms, else omitted.";
const UNASKED: &str = "§2 No ext that was not negotiated.";
const TIMESTAMP: &str = "§8 timestamp: replies to messages with a timestamp carry one, where that is switched on.";
const BINARY: &str = "§8 binary: ext and data stay intact on broadcast, byte for byte.";
const ACTIVITY: &str =
    "§8 activity: a session that only connects for too long is told /meta/disconnect, 402 and reconnect:none.";

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("timesync.every_meta_reply", "every meta reply tells", TIMESYNC, every_verb).over(REQUESTS),
        case("timesync.hold_is_measured", "p is as long as the connect was held", TIMESYNC, hold).over(DELIVERY),
        case("timesync.lag_unknown", "without l there is no a", TIMESYNC, without_lag).over(REQUESTS),
        case("timesync.who_knows_is_not_told", "a client that is right is told nothing", KNOWN, knows).over(HTTP),
        case("timesync.refusals_tell", "also who is refused", TIMESYNC, refusals).over(REQUESTS),
        case("timesync.not_asked", "who does not ask is not told", UNASKED, not_asked).over(REQUESTS),
        case("timesync.not_for_publishes", "publishes are not told", TIMESYNC, not_for_publishes).over(REQUESTS),
        case("timesync.rubbish", "rubbish is as if it were not there", TIMESYNC, rubbish).over(REQUESTS),
        case("timestamp.tolerated", "off by default: taken and not answered", UNASKED, tolerated)
            .over(REQUESTS)
            .unless(Feature::Extensions),
        case("timestamp.answered", "every reply carries one", TIMESTAMP, answered)
            .over(REQUESTS)
            .needs(Feature::Extensions),
        case(
            "timestamp.stays",
            "what a publisher says stays with it",
            "§7 Nothing else of the publisher's message travels.",
            timestamp_stays,
        )
        .over(DELIVERY),
        case("binary.travels", "marker and data arrive as they were sent", BINARY, binary_travels).over(DELIVERY),
        case("binary.nothing_else_travels", "other members of ext stay", BINARY, nothing_else).over(DELIVERY),
        case("activity.idle_is_ended", "who only connects is ended", ACTIVITY, idle_is_ended)
            .over(REQUESTS)
            .needs(Feature::Extensions)
            .waits(Wait::Fixed(Duration::from_secs(9))),
        case("activity.who_acts_stays", "who does something stays", ACTIVITY, who_acts_stays)
            .over(HTTP)
            .needs(Feature::Extensions)
            .waits(Wait::Fixed(Duration::from_secs(9))),
    ]
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}

/// The same with a question for the server's time.
fn asking(mut message: Value, said: Value) -> Value {
    message["ext"] = json!({"timesync": said});
    message
}

/// What the reply tells: tc, ts, p.
fn told(reply: &Message, tc: i64) -> Result<(i64, i64)> {
    let told = &reply["ext"]["timesync"];
    ensure!(told["tc"] == tc, "tc is not given back: {}", reply.raw);
    let both = told["ts"].as_i64().zip(told["p"].as_i64());
    both.with_context(|| format!("no ts and p in {}", reply.raw))
}

async fn every_verb(cx: Context) -> Result<()> {
    let said = |tc| json!({"tc": tc, "l": 0, "o": 0});
    let (mut peer, hello) = Peer::extended(cx.clone(), cx.transport, json!({"timesync": said(11)})).await?;
    told(&hello, 11)?;
    let messages = [
        peer.connect_message(Some(json!({"timeout": 0}))),
        peer.subscribe_message(cx.channel("a")),
        peer.unsubscribe_message(cx.channel("a")),
        peer.message("/meta/disconnect", json!({})),
    ];
    for (tc, message) in (12..).zip(messages) {
        let reply = peer.ask_one(asking(message, said(tc))).await?;
        let (ts, p) = told(&reply, tc).with_context(|| reply.channel().to_owned())?;
        ensure!(reply["ext"]["timesync"]["a"] == tc - ts, "a is not tc + o + l - ts: {}", reply.raw);
        ensure!((0..AT_ONCE.as_millis() as i64).contains(&p), "p of an answer at once is {p}");
    }
    Ok(())
}

async fn hold(cx: Context) -> Result<()> {
    const HOLD_MS: i64 = 700;
    let mut peer = cx.peer().await?;
    let connect = peer.connect_message(Some(json!({"timeout": HOLD_MS})));
    let since = Instant::now();
    let reply = peer.ask_one(asking(connect, json!({"tc": 5, "l": 0, "o": 0}))).await?;
    let took = since.elapsed().as_millis() as i64;
    let (_, p) = told(&reply, 5)?;
    ensure!((HOLD_MS - 50..=took).contains(&p), "held for {took} ms, and p is {p}");
    Ok(())
}

async fn without_lag(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let connect = peer.connect_message(Some(json!({"timeout": 0})));
    let reply = peer.ask_one(asking(connect, json!({"tc": 5}))).await?;
    told(&reply, 5)?;
    ensure!(reply["ext"]["timesync"].get("a").is_none(), "an accuracy of nothing: {}", reply.raw);
    Ok(())
}

async fn knows(cx: Context) -> Result<()> {
    const TRIES: usize = 20;
    let mut peer = cx.peer().await?;
    let first = peer.connect_message(Some(json!({"timeout": 0})));
    let tc = now_ms();
    let reply = peer.ask_one(asking(first, json!({"tc": tc, "l": 0, "o": 0}))).await?;
    let (ts, _) = told(&reply, tc)?;
    // A busy machine delays requests by more than the accuracy; not every time.
    for _ in 0..TRIES {
        let connect = peer.connect_message(Some(json!({"timeout": 0})));
        let reply = peer.ask_one(asking(connect, json!({"tc": now_ms(), "l": 1, "o": ts - tc}))).await?;
        if reply.get("ext").is_none() {
            return Ok(());
        }
    }
    anyhow::bail!("told {TRIES} times what it knew")
}

async fn refusals(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let message = peer.subscribe_message("no channel");
    let reply = peer.ask_one(asking(message, json!({"tc": 5, "l": 0, "o": 0}))).await?;
    ensure!(!reply.successful(), "accepted: {}", reply.raw);
    told(&reply, 5).map(drop)
}

async fn not_asked(cx: Context) -> Result<()> {
    let (mut peer, _) =
        Peer::extended(cx.clone(), cx.transport, json!({"timesync": {"tc": 1, "l": 0, "o": 0}})).await?;
    let connect = peer.connect_message(Some(json!({"timeout": 0})));
    let reply = peer.ask_one(connect).await?;
    ensure!(reply.get("ext").is_none(), "told without being asked: {}", reply.raw);
    Ok(())
}

async fn not_for_publishes(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let message = peer.publish_message(&cx.channel("a"), 1);
    let reply = peer.ask_one(asking(message, json!({"tc": 1, "l": 0, "o": 0}))).await?;
    ensure!(reply.successful() && reply.get("ext").is_none(), "told about a publish: {}", reply.raw);
    Ok(())
}

async fn rubbish(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    for said in [
        json!({}),
        json!(null),
        json!("now"),
        json!({"tc": "1"}),
        json!({"tc": 1, "l": "0"}),
        json!({"tc": [1], "l": 0}),
        json!({"tc": 1e300, "l": 0, "o": 1e300}),
    ] {
        let connect = peer.connect_message(Some(json!({"timeout": 0})));
        let reply = peer.ask_one(asking(connect, said.clone())).await?;
        ensure!(reply.successful() && reply.get("ext").is_none(), "{said} gave {}", reply.raw);
    }
    Ok(())
}

/// One message of each kind, each with a timestamp.
fn timestamped(cx: &Context, peer: &mut Peer) -> Vec<Value> {
    let messages = vec![
        peer.subscribe_message(cx.channel("a")),
        peer.publish_message(&cx.channel("a"), 1),
        peer.unsubscribe_message(cx.channel("a")),
        peer.connect_message(Some(json!({"timeout": 0}))),
    ];
    let stamp = |mut message: Value| {
        message["timestamp"] = json!("Thu, 26 Nov 2026 11:04:20 GMT");
        message
    };
    messages.into_iter().map(stamp).collect()
}

async fn tolerated(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    for message in timestamped(&cx, &mut peer) {
        let reply = peer.ask_one(message).await?;
        ensure!(reply.successful() && reply.get("timestamp").is_none(), "seen: {}", reply.raw);
    }
    Ok(())
}

async fn answered(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    for message in timestamped(&cx, &mut peer) {
        let reply = peer.ask_one(message).await?;
        let stamp = reply["timestamp"].as_str().with_context(|| format!("no timestamp: {}", reply.raw))?;
        ensure!(stamp.ends_with(" GMT") && stamp.len() == 29, "not a date as clients write it: {stamp}");
    }
    let connect = peer.connect_message(Some(json!({"timeout": 0})));
    let reply = peer.ask_one(connect).await?;
    ensure!(reply.get("timestamp").is_none(), "told without being asked: {}", reply.raw);
    Ok(())
}

async fn timestamp_stays(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut peer = cx.peer().await?;
    peer.subscribe(&channel).await?;
    let mut publisher = cx.publisher().await?;
    let mut message = publisher.publish_message(&channel, 1);
    message["timestamp"] = json!("Thu, 26 Nov 2026 11:04:20 GMT");
    ensure!(publisher.ask_one(message).await?.successful(), "refused");
    only_fields(&peer.receive_one().await?, &["channel", "data"])
}

/// Publishes this `ext` with data that looks like bytes, and gives what arrives.
async fn publish_binary(cx: &Context, ext: &str) -> Result<(String, Message)> {
    let data = r#"{"data":"0rJua1Qkhq0000&0{>}","last":true,"meta":{ "n":1.10,"contentType":"a\/b"}}"#;
    let channel = cx.channel("a");
    let mut peer = cx.peer().await?;
    peer.subscribe(&channel).await?;
    let mut publisher = cx.publisher().await?;
    let (client, id) = (publisher.client_id.clone(), publisher.id());
    let body = format!(r#"[{{"channel":"{channel}","clientId":"{client}","id":"{id}","data":{data},"ext":{ext}}}]"#);
    let pending = publisher.start_text(&body, vec![json!(id)]).await?;
    let turn = publisher.finish(pending).await?;
    ensure!(turn.reply()?.successful(), "refused: {}", turn.text());
    Ok((data.to_owned(), peer.receive_one().await?))
}

async fn binary_travels(cx: Context) -> Result<()> {
    let (data, event) = publish_binary(&cx, r#"{"binary":{ "x" : 1.50 }}"#).await?;
    let raw = |name| event.raw_field(name).unwrap_or_default();
    ensure!(raw("data") == data, "data arrived as {}", raw("data"));
    ensure!(raw("ext") == r#"{"binary":{ "x" : 1.50 }}"#, "ext arrived as {}", raw("ext"));
    Ok(())
}

async fn nothing_else(cx: Context) -> Result<()> {
    let (_, event) = publish_binary(&cx, r#"{"secret":1,"binary":{},"ack":7,"timesync":{"tc":1}}"#).await?;
    let ext = event.raw_field("ext").unwrap_or_default();
    ensure!(ext == r#"{"binary":{}}"#, "ext arrived as {ext}");
    Ok(())
}

async fn idle_is_ended(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        ensure!(Instant::now() < deadline, "connects alone keep the session");
        let message = peer.connect_message(Some(json!({"timeout": 1000})));
        let turn = peer.ask(&[message]).await?;
        let reply = turn.reply()?;
        if reply.successful() {
            continue;
        }
        ensure!(reply.error() == "402::session_unknown", "ended with {}", reply.raw);
        advises(reply, "none")?;
        let goodbye = turn.messages.iter().position(|m| m.channel() == "/meta/disconnect" && m.successful());
        let answer = turn.messages.iter().position(|m| m.channel() == "/meta/connect");
        ensure!(goodbye.is_some() && goodbye < answer, "not told before the reply: {}", turn.text());
        return Ok(());
    }
}

async fn who_acts_stays(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let until = Instant::now() + Duration::from_secs(8);
    while Instant::now() < until {
        let turn = peer.connect(Some(json!({"timeout": 1000}))).await?;
        ensure!(turn.reply()?.successful(), "ended although it publishes: {}", turn.text());
        peer.publish(&cx.channel("a"), 1).await?;
    }
    Ok(())
}
