//! §8, the replay extension: subscribing from a position, and the hand-over from what is kept to what is live.
//!
//! Positions are learnt from messages (`ext.replay.id`), never computed.

use super::expect::{in_order, refused};
use crate::{
    case::{Case, case},
    context::{Context, PATIENCE},
    peer::Peer,
    transport::{DELIVERY, REQUESTS},
    wire::message::Message,
};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

const ASKED: &str = "§8 replay: ext.replay:true at handshake -> ext.replay:true.";
const LIVE: &str = "§8 replay: -1 live only.";
const ALL: &str = "§8 replay: -2 everything retained.";
const AFTER: &str = "§8 replay: N after N (integer or numeric string).";
const CARRIED: &str = "§8 replay: Delivered messages carry it for sessions that negotiated it (ext.replay.id).";
const INVALID: &str = "§8 replay: An id no longer retained: 400::The replayId {N} you provided was invalid.  Please provide a valid ID, ... (the two blanks and the braces are read by clients).";
const HANDOVER: &str =
    "§8 replay: subscribe from a position hands over to live messages without a gap, a double or another order.";

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("replay.granted", "who asks is granted it", ASKED, granted).over(REQUESTS),
        case("replay.position_on_messages", "messages carry a growing integer", CARRIED, position).over(DELIVERY),
        case("replay.position_for_nobody_else", "who did not ask sees none", CARRIED, nobody_else).over(DELIVERY),
        case("replay.live", "-1 brings nothing old", LIVE, |cx| begins(cx, json!(-1), 2)).over(DELIVERY),
        case("replay.live_as_text", "\"-1\" neither", LIVE, |cx| begins(cx, json!("-1"), 2)).over(REQUESTS),
        case("replay.live_as_null", "nor null", LIVE, |cx| begins(cx, json!(null), 2)).over(REQUESTS),
        case("replay.all", "-2 brings all that is kept", ALL, |cx| begins(cx, json!(-2), 0)).over(DELIVERY),
        case("replay.all_as_text", "\"-2\" too", ALL, |cx| begins(cx, json!("-2"), 0)).over(REQUESTS),
        case("replay.after_a_position", "N brings what follows N", AFTER, |cx| after(cx, |id| id.clone()))
            .over(DELIVERY),
        case("replay.after_a_text", "N may be a text", AFTER, |cx| after(cx, |id| json!(id.to_string())))
            .over(REQUESTS),
        case("replay.entries_of_others", "entries for other channels mean nothing", AFTER, entries_of_others)
            .over(REQUESTS),
        case("replay.pattern", "a pattern is replayed like a channel", ALL, pattern).over(REQUESTS),
        case("replay.invalid", "ids that cannot be", INVALID, invalid).over(REQUESTS),
        case("replay.handover", "a replay while messages arrive", HANDOVER, handover).over(DELIVERY),
        case("replay.with_ack", "a replay whose responses are lost", HANDOVER, with_ack).over(DELIVERY),
    ]
}

const TEXT: &str =
    "you provided was invalid.  Please provide a valid ID, -2 to replay all events, or -1 to replay only new events.";

async fn replaying(cx: &Context) -> Result<Peer> {
    let (mut peer, reply) = Peer::extended(cx.clone(), cx.transport, json!({"replay": true})).await?;
    ensure!(reply["ext"]["replay"] == true, "replay was not granted: {}", reply.raw);
    peer.settle().await?;
    Ok(peer)
}

async fn subscribe_from(peer: &mut Peer, channel: &str, from: Value) -> Result<Message> {
    let mut message = peer.subscribe_message(channel);
    message["ext"] = json!({"replay": {channel: from}});
    peer.ask_one(message).await
}

async fn succeed_from(peer: &mut Peer, channel: &str, from: Value) -> Result<()> {
    let reply = subscribe_from(peer, channel, from).await?;
    ensure!(reply.successful(), "refused: {}", reply.raw);
    Ok(())
}

fn id(message: &Message) -> Result<u64> {
    message["ext"]["replay"]["id"].as_u64().with_context(|| format!("no ext.replay.id in {}", message.raw))
}

async fn granted(cx: Context) -> Result<()> {
    let (_, reply) = Peer::extended(cx.clone(), cx.transport, json!({"replay": true})).await?;
    ensure!(reply["ext"] == json!({"replay": true}), "not granted: {}", reply.raw);
    Ok(())
}

async fn position(cx: Context) -> Result<()> {
    let mut peer = replaying(&cx).await?;
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    let mut publisher = cx.publisher().await?;
    for n in 0..3 {
        publisher.publish(&channel, n).await?;
    }
    let received = peer.receive(3).await?;
    let ids = received.iter().map(id).collect::<Result<Vec<u64>>>()?;
    ensure!(ids.is_sorted_by(|a, b| a < b) && ids[2] < 1 << 53, "not growing positions: {ids:?}");
    Ok(())
}

async fn nobody_else(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    cx.publisher().await?.publish(&channel, 1).await?;
    let message = peer.receive_one().await?;
    ensure!(message.get("ext").is_none(), "an ext that was not negotiated: {}", message.raw);
    Ok(())
}

/// Two messages, a subscribe, one more message: those from `first` on arrive.
async fn begins(cx: Context, from: Value, first: u64) -> Result<()> {
    let channel = cx.channel("a");
    let mut publisher = cx.publisher().await?;
    for n in 0..2 {
        publisher.publish(&channel, n).await?;
    }
    let mut peer = replaying(&cx).await?;
    succeed_from(&mut peer, &channel, from).await?;
    publisher.publish(&channel, 2).await?;
    in_order(&peer.receive(3 - first as usize).await?, first..3)?;
    peer.nothing_so_far(&mut publisher).await
}

async fn after(cx: Context, write: impl Fn(&Value) -> Value) -> Result<()> {
    let channel = cx.channel("a");
    let mut earlier = replaying(&cx).await?;
    earlier.subscribe(&channel).await?;
    let mut publisher = cx.publisher().await?;
    for n in 0..5 {
        publisher.publish(&channel, n).await?;
    }
    let received = earlier.receive(5).await?;
    let mut peer = replaying(&cx).await?;
    succeed_from(&mut peer, &channel, write(&json!(id(&received[1])?))).await?;
    publisher.publish(&channel, 5).await?;
    in_order(&peer.receive(4).await?, 2..6)?;
    peer.nothing_so_far(&mut publisher).await
}

async fn entries_of_others(cx: Context) -> Result<()> {
    let (channel, other) = (cx.channel("a"), cx.channel("b"));
    let mut publisher = cx.publisher().await?;
    publisher.publish(&channel, 7).await?;
    publisher.publish(&other, 8).await?;
    let mut peer = replaying(&cx).await?;
    let mut message = peer.subscribe_message(channel.as_str());
    message["ext"] = json!({"replay": {other: -2, "/not/there": "rubbish"}});
    ensure!(peer.ask_one(message).await?.successful(), "refused for an entry of another channel");
    peer.nothing_so_far(&mut publisher).await
}

async fn pattern(cx: Context) -> Result<()> {
    let mut publisher = cx.publisher().await?;
    for n in 0..4 {
        publisher.publish(&cx.channel(["a", "b"][n as usize % 2]), n).await?;
    }
    let mut peer = replaying(&cx).await?;
    succeed_from(&mut peer, &cx.channel("*"), json!(-2)).await?;
    in_order(&peer.receive(4).await?, 0..4)
}

async fn invalid(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut publisher = cx.publisher().await?;
    let mut peer = replaying(&cx).await?;
    for (from, shown) in [
        (json!(9_007_199_254_740_991_u64), "9007199254740991"),
        (json!(1), "1"),
        (json!(-3), "-3"),
        (json!("soon"), "soon"),
        (json!(1.5), "1.5"),
    ] {
        let reply = subscribe_from(&mut peer, &channel, from).await?;
        refused(&reply, "400::The replayId")?;
        let wanted = format!("400::The replayId {{{shown}}} {TEXT}");
        ensure!(reply.error() == wanted, "\"{}\" is not \"{wanted}\"", reply.error());
        ensure!(reply["subscription"] == channel.as_str(), "subscription is not echoed: {}", reply.raw);
    }
    publisher.publish(&channel, 1).await?;
    peer.nothing_so_far(&mut publisher).await.context("refused and subscribed all the same")
}

async fn handover(cx: Context) -> Result<()> {
    const MESSAGES: u64 = 45;
    let channel = cx.channel("a");
    let mut publisher = cx.publisher().await?;
    let mut peer = replaying(&cx).await?;
    let name = channel.clone();
    let (some, are_out) = tokio::sync::oneshot::channel();
    let publishing = tokio::spawn(async move {
        let mut some = Some(some);
        for n in 0..MESSAGES {
            publisher.publish(&name, n).await?;
            if n == MESSAGES / 3 {
                some.take().map(|some| some.send(()));
            }
        }
        anyhow::Ok(publisher)
    });
    are_out.await.context("the publisher was refused")?;
    succeed_from(&mut peer, &channel, json!(-2)).await?;
    let mut publisher = tokio::time::timeout(PATIENCE, publishing).await.context("the publisher is slow")???;
    in_order(&peer.receive(MESSAGES as usize).await?, 0..MESSAGES)?;
    peer.nothing_so_far(&mut publisher).await
}

async fn with_ack(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut publisher = cx.publisher().await?;
    for n in 0..5 {
        publisher.publish(&channel, n).await?;
    }
    let (mut peer, _) = Peer::extended(cx.clone(), cx.transport, json!({"ack": true, "replay": true})).await?;
    succeed_from(&mut peer, &channel, json!(-2)).await?;
    publisher.publish(&channel, 5).await?;
    let mut number = json!(0);
    let mut received: Vec<Message> = Vec::new();
    for round in 0..20 {
        let mut message = peer.connect_message(Some(json!({"timeout": 0})));
        message["ext"] = json!({"ack": number});
        let turn = peer.ask(&[message]).await?;
        // Every other response is lost.
        if round % 2 == 1 {
            received.extend(turn.events().into_iter().cloned());
            number = turn.reply()?["ext"]["ack"].clone();
        }
    }
    in_order(&received, 0..6)
}
