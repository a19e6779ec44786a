//! §7 and §8, what is kept: gaps that are told, publishes that may be repeated, lazy channels, newest messages.
//!
//! The server under test has the channels of the README: `/brief/**` keeps 20 messages, `/lazy/**` may wait 800 ms,
//! `/last/**` keeps the newest message, and a session's queue holds 10. Idempotency needs no setting.

use super::expect::{in_order, numbers, refused};
use crate::{
    case::{Case, Feature, case},
    context::{AT_ONCE, Context, PATIENCE},
    peer::{Peer, Turn},
    transport::{DELIVERY, HTTP, POLLING, REQUESTS},
    wire::message::Message,
};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::time::Instant;

const GAP: &str = "§8 When its place is no longer retained it is told, never silently skipped: the next connect reply carries ext.gap with the first and last lost position.";
const LAGS: &str =
    "§7 A reader that falls behind keeps only its cursor and reads from the log: nothing is lost while retained.";
const ONCE: &str =
    "§7 ext.idempotency: the second one is acknowledged with the first one's position and not delivered again.";
const LAZY: &str = "§8 Lazy messages are queued without waking the poll; they leave with the next non-lazy one or after the channel's time.";
const LAST: &str = "§7 retain_last: a new subscriber gets the newest message at once.";
const INVALID: &str = "§8 replay: An id no longer retained: 400::The replayId {N} you provided was invalid.";

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("kept.gap_is_told", "who fell out of what is kept is told", GAP, gap_is_told)
            .over(POLLING)
            .needs(Feature::Kept),
        case("kept.gap_is_told_until_acknowledged", "with ack until that arrived", GAP, gap_with_ack)
            .over(DELIVERY)
            .needs(Feature::Kept),
        case("kept.slow_reader", "a reader far behind its queue misses nothing that is kept", LAGS, slow_reader)
            .over(DELIVERY)
            .needs(Feature::Kept),
        case("kept.replay_of_what_is_gone", "an id that is no longer kept is refused", INVALID, replay_of_what_is_gone)
            .over(REQUESTS)
            .needs(Feature::Kept),
        case("kept.lazy_waits", "a lazy message does not release a poll", LAZY, lazy_waits)
            .over(HTTP)
            .needs(Feature::Kept),
        case("kept.lazy_arrives", "it arrives when its time is over", LAZY, lazy_arrives)
            .over(DELIVERY)
            .needs(Feature::Kept),
        case("kept.lazy_goes_along", "it leaves with one that is not lazy, in order", LAZY, lazy_goes_along)
            .over(DELIVERY)
            .needs(Feature::Kept),
        case("kept.newest_for_new_subscribers", "and only the newest, then what is live", LAST, newest)
            .over(DELIVERY)
            .needs(Feature::Kept),
        case("kept.newest_of_each_channel", "of a pattern the newest of each channel", LAST, newest_of_each)
            .over(REQUESTS)
            .needs(Feature::Kept),
        case("kept.publish_once", "a repeated publish arrives once", ONCE, publish_once).over(REQUESTS),
        case("kept.publish_once_in_one_batch", "also within one request", ONCE, publish_once_in_batch).over(REQUESTS),
        case(
            "kept.keys_that_are_none",
            "a key must be a text of 1 to 255 bytes",
            "§1 A field of the wrong JSON type gets its own 400 reply.",
            bad_keys,
        )
        .over(REQUESTS),
        case(
            "kept.key_stays_with_the_broker",
            "subscribers do not see the key",
            "§7 Nothing else of the publisher's message travels.",
            key_stays,
        )
        .over(HTTP)
        .unless(Feature::NoEcho),
    ]
}

/// More than `/brief/**` keeps and than a queue holds.
const MANY: u64 = 60;

fn channel(cx: &Context, kind: &str) -> String {
    format!("/{kind}/{}", cx.tag())
}

async fn publish(cx: &Context, channel: &str, numbers: std::ops::Range<u64>) -> Result<()> {
    let mut publisher = cx.publisher().await?;
    for n in numbers {
        publisher.publish(channel, n).await?;
    }
    Ok(())
}

fn gap(turn: &Turn) -> Result<Option<(u64, u64)>> {
    let gap = &turn.reply()?["ext"]["gap"];
    if gap.is_null() {
        return Ok(None);
    }
    let both = gap["first"].as_u64().zip(gap["last"].as_u64());
    let (first, last) = both.with_context(|| format!("ext.gap without first and last: {}", turn.text()))?;
    ensure!(first <= last, "a gap that ends before it begins: {}", turn.text());
    Ok(Some((first, last)))
}

fn ends(events: &[Message]) -> bool {
    events.last().is_some_and(|last| last["data"] == MANY - 1)
}

/// The newest of the messages, without holes, and not all of them.
fn is_a_tail(events: &[&Message]) -> Result<()> {
    let seen: Vec<u64> = events.iter().filter_map(|event| event["data"].as_u64()).collect();
    let first = *seen.first().context("nothing arrived at all")?;
    ensure!(seen == (first..MANY).collect::<Vec<_>>(), "not the newest in order: {seen:?}");
    ensure!(first > 0, "all arrived: nothing was lost");
    Ok(())
}

async fn gap_is_told(cx: Context) -> Result<()> {
    let channel = channel(&cx, "brief");
    let mut peer = cx.peer().await?;
    peer.subscribe(&channel).await?;
    publish(&cx, &channel, 0..MANY).await?;
    let turn = peer.connect(Some(json!({"timeout": 3000}))).await?;
    ensure!(gap(&turn)?.is_some(), "messages are lost and nobody says so: {}", turn.text());
    let mut events: Vec<Message> = turn.events().into_iter().cloned().collect();
    // What was just accepted may need a moment.
    let deadline = Instant::now() + PATIENCE;
    while !ends(&events) && Instant::now() < deadline {
        let turn = peer.connect(Some(json!({"timeout": 3000}))).await?;
        events.extend(turn.events().into_iter().cloned());
    }
    is_a_tail(&events.iter().collect::<Vec<_>>())?;
    let next = peer.connect(Some(json!({"timeout": 0}))).await?;
    ensure!(gap(&next)?.is_none(), "the same gap twice: {}", next.text());
    Ok(())
}

async fn gap_with_ack(cx: Context) -> Result<()> {
    let channel = channel(&cx, "brief");
    let (mut peer, _) = Peer::extended(cx.clone(), cx.transport, json!({"ack": true})).await?;
    peer.subscribe(&channel).await?;
    let connect = async |peer: &mut Peer, ack: &Value| {
        let mut message = peer.connect_message(Some(json!({"timeout": 0})));
        message["ext"] = json!({"ack": ack});
        peer.ask(&[message]).await
    };
    let number = connect(&mut peer, &json!(0)).await?.reply()?["ext"]["ack"].clone();
    publish(&cx, &channel, 0..MANY).await?;
    let deadline = Instant::now() + PATIENCE;
    let lost = loop {
        let lost = connect(&mut peer, &number).await?;
        // What was just accepted may need a moment; each response holds all that was not acknowledged.
        let events: Vec<Message> = lost.events().into_iter().cloned().collect();
        if ends(&events) || Instant::now() > deadline {
            break lost;
        }
    };
    is_a_tail(&lost.events())?;
    ensure!(gap(&lost)?.is_some(), "messages are lost and nobody says so: {}", lost.text());
    let again = connect(&mut peer, &number).await?;
    ensure!(gap(&again)?.is_some(), "the response was lost and with it the gap: {}", again.text());
    let number = again.reply()?["ext"]["ack"].clone();
    let after = connect(&mut peer, &number).await?;
    ensure!(gap(&after)?.is_none() && after.events().is_empty(), "acknowledged and sent again: {}", after.text());
    Ok(())
}

async fn slow_reader(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut peer = cx.peer().await?;
    peer.subscribe(&channel).await?;
    publish(&cx, &channel, 0..MANY).await?;
    in_order(&peer.receive(MANY as usize).await?, 0..MANY)?;
    publish(&cx, &channel, MANY..MANY + 3).await?;
    in_order(&peer.receive(3).await?, MANY..MANY + 3)?;
    peer.nothing_so_far(&mut cx.publisher().await?).await
}

async fn replay_of_what_is_gone(cx: Context) -> Result<()> {
    let channel = channel(&cx, "brief");
    let (mut early, _) = Peer::extended(cx.clone(), cx.transport, json!({"replay": true})).await?;
    early.settle().await?;
    early.subscribe(&channel).await?;
    publish(&cx, &channel, 0..1).await?;
    let first = early.receive_one().await?["ext"]["replay"]["id"].clone();
    publish(&cx, &channel, 1..MANY).await?;
    let (mut peer, _) = Peer::extended(cx.clone(), cx.transport, json!({"replay": true})).await?;
    let mut message = peer.subscribe_message(channel.as_str());
    message["ext"] = json!({"replay": {&channel: first}});
    refused(&peer.ask_one(message).await?, &format!("400::The replayId {{{first}}} you provided was invalid.  "))
}

async fn lazy_waits(cx: Context) -> Result<()> {
    let channel = channel(&cx, "lazy");
    let mut peer = cx.peer().await?;
    peer.subscribe(&channel).await?;
    let mut held = peer.hold().await?;
    publish(&cx, &channel, 0..1).await?;
    ensure!(peer.is_held(&mut held).await?, "a lazy message released the poll at once");
    let turn = peer.finish(held).await?;
    ensure!(turn.events().len() == 1, "the poll ended without the message: {}", turn.text());
    Ok(())
}

async fn lazy_arrives(cx: Context) -> Result<()> {
    let channel = channel(&cx, "lazy");
    let mut peer = cx.peer().await?;
    peer.subscribe(&channel).await?;
    publish(&cx, &channel, 0..3).await?;
    in_order(&peer.receive(3).await?, 0..3)
}

async fn lazy_goes_along(cx: Context) -> Result<()> {
    let (lazy, other) = (channel(&cx, "lazy"), cx.channel("a"));
    let mut peer = cx.peer().await?;
    peer.subscribe(&lazy).await?;
    peer.subscribe(&other).await?;
    let mut publisher = cx.publisher().await?;
    let since = Instant::now();
    publisher.publish(&lazy, 0).await?;
    publisher.publish(&other, 1).await?;
    publisher.publish(&other, 2).await?;
    in_order(&peer.receive(3).await?, 0..3)?;
    ensure!(since.elapsed() < AT_ONCE, "it took {:?}", since.elapsed());
    Ok(())
}

async fn newest(cx: Context) -> Result<()> {
    let channel = channel(&cx, "last");
    publish(&cx, &channel, 0..5).await?;
    let mut peer = cx.peer().await?;
    peer.subscribe(&channel).await?;
    in_order(&peer.receive(1).await?, 4..5)?;
    publish(&cx, &channel, 5..7).await?;
    in_order(&peer.receive(2).await?, 5..7)?;
    // Subscribing again changes nothing.
    peer.subscribe(&channel).await?;
    peer.nothing_so_far(&mut cx.publisher().await?).await
}

async fn newest_of_each(cx: Context) -> Result<()> {
    let mut publisher = cx.publisher().await?;
    for (name, n) in [("a", 0), ("b", 1), ("a", 2), ("c", 3), ("b", 4)] {
        publisher.publish(&format!("{}/{name}", channel(&cx, "last")), n).await?;
    }
    let mut peer = cx.peer().await?;
    peer.subscribe(&format!("{}/*", channel(&cx, "last"))).await?;
    let received = peer.receive(3).await?;
    ensure!(numbers(&received) == [2, 3, 4], "not the newest of each in order: {:?}", numbers(&received));
    peer.nothing_so_far(&mut publisher).await
}

fn keyed(peer: &mut Peer, channel: &str, data: u64, key: Value) -> Value {
    let mut message = peer.publish_message(channel, data);
    message["ext"] = json!({"idempotency": key});
    message
}

fn told(reply: &Message) -> Result<(u64, bool)> {
    let told = &reply["ext"]["idempotency"];
    let both = told["position"].as_u64().zip(told["repeated"].as_bool());
    both.with_context(|| format!("no position and repeated in {}", reply.raw))
}

async fn publish_once(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut subscriber = cx.publisher().await?;
    subscriber.subscribe(&channel).await?;
    let mut peer = cx.peer().await?;
    let (first, other) = (keyed(&mut peer, &channel, 0, json!("k")), keyed(&mut peer, &channel, 1, json!("other")));
    let second = keyed(&mut peer, &channel, 9, json!("k"));
    let first = told(&peer.ask_one(first).await?)?;
    ensure!(!first.1, "the first is told to be a repetition");
    let second = told(&peer.ask_one(second).await?)?;
    ensure!(second == (first.0, true), "{second:?} and not the same place, repeated, after {first:?}");
    ensure!(!told(&peer.ask_one(other).await?)?.1, "another key is told to be a repetition");
    in_order(&subscriber.receive(2).await?, 0..2)?;
    subscriber.nothing_so_far(&mut peer).await
}

async fn publish_once_in_batch(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut subscriber = cx.publisher().await?;
    subscriber.subscribe(&channel).await?;
    let mut peer = cx.peer().await?;
    let batch: Vec<Value> = [0, 9, 9].map(|n| keyed(&mut peer, &channel, n, json!("k"))).into();
    let turn = peer.ask(&batch).await?;
    let all = turn.replies()?.into_iter().map(told).collect::<Result<Vec<_>>>()?;
    let position = all[0].0;
    ensure!(all == [(position, false), (position, true), (position, true)], "{all:?}");
    in_order(&subscriber.receive(1).await?, 0..1)?;
    subscriber.nothing_so_far(&mut peer).await
}

async fn bad_keys(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut peer = cx.peer().await?;
    for key in [json!(""), json!(7), json!(null), json!({}), json!("x".repeat(256))] {
        let message = keyed(&mut peer, &channel, 0, key);
        refused(&peer.ask_one(message).await?, "400:ext.idempotency:")?;
    }
    Ok(())
}

async fn key_stays(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut peer = cx.peer().await?;
    peer.subscribe(&channel).await?;
    let message = keyed(&mut peer, &channel, 0, json!("secret"));
    ensure!(peer.ask_one(message).await?.successful(), "refused");
    let event = peer.receive_one().await?;
    ensure!(event.get("ext").is_none(), "the key travels: {}", event.raw);
    Ok(())
}
