//! §2, §4, §7, the way of messages to their subscribers: all of them, once, in one order.
//!
//! Nothing here is about speed; bursts are as large as a default queue bears.

use super::expect::{accepted, in_order, numbers};
use crate::{
    case::{Case, Feature, case},
    context::{Context, PATIENCE},
    peer::Peer,
    transport::{DELIVERY, HTTP, POLLING, PUSHING, SOCKET, Transport},
};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const ORDER: &str =
    "§7 A publish that was acknowledged has its place in the order; all subscribers see the same order.";
const COMPLETE: &str =
    "§4 Nothing is lost and nothing comes twice: what was not written goes back to the head of the queue.";
const POLLED: &str = "§4 On long-polling and callback-polling, messages leave only with connect replies.";
const PUSHED: &str =
    "§4 On WebSocket and EventSource they are pushed at once, waiting ones together in one frame (<= 60 KiB).";

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("delivery.order_of_one_publisher", "fifty publishes arrive in order", ORDER, one_publisher).over(DELIVERY),
        case("delivery.order_of_a_batch", "so does a batch of a hundred", ORDER, batch_order)
            .over(DELIVERY)
            .unless(Feature::SmallLimits),
        case("delivery.burst", "three hundred back to back: no loss, no double, in order", COMPLETE, burst)
            .over(DELIVERY)
            .unless(Feature::SmallLimits),
        case("delivery.same_order_for_all", "eight publishers, three subscribers, one order", ORDER, same_order)
            .over(DELIVERY),
        case("delivery.same_order_across_transports", "the same over different transports", ORDER, same_order_across)
            .also(DELIVERY),
        case("delivery.two_channels_one_order", "messages of two channels keep their order", ORDER, two_channels)
            .over(DELIVERY),
        case("delivery.while_not_connected", "what comes between two polls waits", COMPLETE, while_not_connected)
            .over(POLLING),
        case(
            "delivery.once_over_many_polls",
            "no message comes again with a later poll",
            COMPLETE,
            once_over_many_polls,
        )
        .over(POLLING),
        case("delivery.not_with_publish_reply", "a publish reply carries no messages", POLLED, |cx| {
            not_with(cx, Verb::Publish)
        })
        .over(POLLING),
        case("delivery.not_with_subscribe_reply", "nor does a subscribe reply", POLLED, |cx| {
            not_with(cx, Verb::Subscribe)
        })
        .over(POLLING),
        case("delivery.not_with_unsubscribe_reply", "nor does an unsubscribe reply", POLLED, |cx| {
            not_with(cx, Verb::Unsubscribe)
        })
        .over(POLLING),
        case("delivery.not_with_disconnect_reply", "nor does a disconnect reply", POLLED, |cx| {
            not_with(cx, Verb::Disconnect)
        })
        .over(POLLING),
        case(
            "delivery.all_with_one_connect",
            "a connect takes all that waits",
            "§2 One response: [queued messages in order..., replies].",
            all_with_one_connect,
        )
        .over(POLLING),
        case("delivery.pushed_without_connect", "a push needs no held connect", PUSHED, pushed_without_connect)
            .over(PUSHING),
        case("delivery.pushed_before_first_connect", "not even a first one", PUSHED, pushed_before_first_connect)
            .over(SOCKET),
        case("delivery.waiting_in_one_frame", "what waited comes in one frame", PUSHED, waiting_in_one_frame)
            .also(SOCKET)
            .over(HTTP),
        case("delivery.frames_bounded", "a frame of several messages stays within 60 KiB", PUSHED, frames_bounded)
            .also(SOCKET)
            .over(HTTP)
            .unless(Feature::SmallLimits),
        case(
            "delivery.one_per_frame",
            "a peer that sent a bare object gets one message a frame",
            "§4 A WebSocket peer that ever sent a bare object gets one message per frame.",
            one_per_frame,
        )
        .also(SOCKET)
        .over(HTTP),
        case("delivery.each_its_own_copy", "two sessions of one client each get theirs", COMPLETE, own_copies)
            .over(DELIVERY),
    ]
}

async fn subscriber(cx: &Context, channel: &str) -> Result<Peer> {
    let mut peer = cx.peer().await?;
    peer.subscribe(channel).await?;
    Ok(peer)
}

async fn one_publisher(cx: Context) -> Result<()> {
    const MESSAGES: u64 = 50;
    let channel = cx.channel("a");
    let mut peer = subscriber(&cx, &channel).await?;
    let mut publisher = cx.publisher().await?;
    for n in 0..MESSAGES {
        publisher.publish(&channel, n).await?;
    }
    in_order(&peer.received_so_far(&mut publisher).await?, 0..MESSAGES)
}

async fn publish_batch(publisher: &mut Peer, channel: &str, numbers: std::ops::Range<u64>) -> Result<()> {
    let batch: Vec<Value> = numbers.map(|n| publisher.publish_message(channel, n)).collect();
    publisher.ask(&batch).await?.replies()?.into_iter().try_for_each(accepted)
}

async fn batch_order(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut peer = subscriber(&cx, &channel).await?;
    let mut publisher = cx.publisher().await?;
    publish_batch(&mut publisher, &channel, 0..100).await?;
    in_order(&peer.received_so_far(&mut publisher).await?, 0..100)
}

async fn burst(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut peer = subscriber(&cx, &channel).await?;
    let mut publisher = cx.peer_over(Transport::LongPolling).await?;
    for start in (0..300).step_by(50) {
        publish_batch(&mut publisher, &channel, start..start + 50).await?;
    }
    in_order(&peer.received_so_far(&mut publisher).await?, 0..300)
}

/// Eight sessions publish 25 numbers each, all at once.
async fn eight_publishers(cx: &Context, channel: &str) -> Result<u64> {
    const PUBLISHERS: u64 = 8;
    const EACH: u64 = 25;
    let mut running = JoinSet::new();
    for publisher in 0..PUBLISHERS {
        let (cx, channel) = (cx.clone(), channel.to_owned());
        running.spawn(async move {
            let mut peer = cx.publisher().await?;
            for n in 0..EACH {
                peer.publish(&channel, publisher * EACH + n).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = running.join_next().await {
        done??;
    }
    Ok(PUBLISHERS * EACH)
}

async fn one_order(cx: &Context, mut subscribers: Vec<Peer>, channel: &str) -> Result<()> {
    let count = eight_publishers(cx, channel).await?;
    let mut publisher = cx.publisher().await?;
    let mut orders = Vec::new();
    for subscriber in &mut subscribers {
        orders.push(numbers(&subscriber.received_so_far(&mut publisher).await?));
    }
    let mut sorted = orders[0].clone();
    sorted.sort_unstable();
    ensure!(sorted == (0..count).collect::<Vec<_>>(), "{} of {count} arrived, or some twice", orders[0].len());
    let differing = orders.iter().find(|order| **order != orders[0]);
    ensure!(differing.is_none(), "one saw {:?}, another {differing:?}", orders[0]);
    Ok(())
}

async fn same_order(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut subscribers = Vec::new();
    for _ in 0..3 {
        subscribers.push(subscriber(&cx, &channel).await?);
    }
    one_order(&cx, subscribers, &channel).await
}

async fn same_order_across(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut subscribers = Vec::new();
    for transport in DELIVERY {
        let mut peer = cx.peer_over(*transport).await?;
        peer.subscribe(&channel).await?;
        subscribers.push(peer);
    }
    one_order(&cx, subscribers, &channel).await
}

async fn two_channels(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channels = [cx.channel("a"), cx.channel("b/c")];
    for channel in &channels {
        peer.subscribe(channel).await?;
    }
    let mut publisher = cx.publisher().await?;
    for n in 0..20 {
        publisher.publish(&channels[n % 2], n).await?;
    }
    in_order(&peer.received_so_far(&mut publisher).await?, 0..20)
}

async fn while_not_connected(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut peer = subscriber(&cx, &channel).await?;
    let mut publisher = cx.publisher().await?;
    for round in 0..3 {
        publisher.publish(&channel, round * 2).await?;
        publisher.publish(&channel, round * 2 + 1).await?;
        in_order(&peer.receive(2).await?, round * 2..round * 2 + 2)?;
    }
    Ok(())
}

async fn once_over_many_polls(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut peer = subscriber(&cx, &channel).await?;
    let mut publisher = cx.publisher().await?;
    publisher.publish(&channel, 0).await?;
    in_order(&peer.receive(1).await?, 0..1)?;
    for _ in 0..3 {
        let turn = peer.connect(Some(json!({"timeout": 0}))).await?;
        ensure!(turn.events().is_empty(), "it came again: {}", turn.text());
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Verb {
    Publish,
    Subscribe,
    Unsubscribe,
    Disconnect,
}

async fn not_with(cx: Context, verb: Verb) -> Result<()> {
    let channel = cx.channel("a");
    let mut peer = subscriber(&cx, &channel).await?;
    cx.publisher().await?.publish(&channel, 0).await?;
    let message = match verb {
        Verb::Publish => peer.publish_message(&cx.channel("b"), 1),
        Verb::Subscribe => peer.subscribe_message(cx.channel("b")),
        Verb::Unsubscribe => peer.unsubscribe_message(cx.channel("b")),
        Verb::Disconnect => peer.message("/meta/disconnect", json!({})),
    };
    let turn = peer.ask(&[message]).await?;
    accepted(turn.reply()?)?;
    ensure!(turn.messages.len() == 1, "beside the reply: {}", turn.text());
    Ok(())
}

async fn all_with_one_connect(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut peer = subscriber(&cx, &channel).await?;
    let mut publisher = cx.publisher().await?;
    publish_batch(&mut publisher, &channel, 0..10).await?;
    let turn = peer.connect(Some(json!({"timeout": 3000}))).await?;
    in_order(&turn.events().into_iter().cloned().collect::<Vec<_>>(), 0..10)
}

async fn pushed_without_connect(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut peer = subscriber(&cx, &channel).await?;
    let mut publisher = cx.publisher().await?;
    for n in 0..5 {
        publisher.publish(&channel, n).await?;
        in_order(&peer.receive(1).await?, n..n + 1)?;
    }
    Ok(())
}

async fn pushed_before_first_connect(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut peer = cx.newborn().await?;
    peer.subscribe(&channel).await?;
    cx.publisher().await?.publish(&channel, 0).await?;
    in_order(&peer.receive(1).await?, 0..1)
}

/// A session with so many messages waiting, each of this many bytes, and the WebSocket that will get them.
async fn waiting(cx: &Context, count: u64, bytes: usize) -> Result<Peer> {
    let channel = cx.channel("a");
    let mut peer = subscriber(cx, &channel).await?;
    let mut publisher = cx.publisher().await?;
    let padding = "x".repeat(bytes);
    for n in 0..count {
        publisher.publish(&channel, json!({"n": n, "padding": padding})).await?;
    }
    peer = peer.moved_to(Transport::WebSocket).await?;
    Ok(peer)
}

fn frames_with_events(peer: &Peer) -> Result<Vec<(usize, usize)>> {
    Ok(peer.socket.as_ref().context("no socket")?.frames.clone())
}

async fn waiting_in_one_frame(cx: Context) -> Result<()> {
    const MESSAGES: u64 = 20;
    // A publish is acknowledged when the log has it; the last few may reach the queue while the first are being sent.
    const MOST_FRAMES: usize = 4;
    let mut peer = waiting(&cx, MESSAGES, 10).await?;
    peer.settle().await?;
    peer.receive(MESSAGES as usize).await?;
    let frames = frames_with_events(&peer)?;
    ensure!(frames.len() <= MOST_FRAMES, "{} frames (bytes, messages): {frames:?}", frames.len());
    Ok(())
}

async fn frames_bounded(cx: Context) -> Result<()> {
    const FRAME_BYTES: usize = 60 * 1024;
    let mut peer = waiting(&cx, 100, 2000).await?;
    peer.settle().await?;
    peer.receive(100).await?;
    let frames = frames_with_events(&peer)?;
    let large = frames.iter().find(|(bytes, messages)| *messages > 1 && *bytes > FRAME_BYTES);
    ensure!(large.is_none(), "a frame of {large:?} (bytes, messages)");
    ensure!(frames.iter().any(|(_, messages)| *messages > 1), "no two messages share a frame");
    Ok(())
}

async fn one_per_frame(cx: Context) -> Result<()> {
    let mut peer = waiting(&cx, 5, 10).await?;
    let connect = peer.connect_message(Some(json!({"timeout": 0})));
    let socket = peer.socket.as_mut().context("no socket")?;
    socket.send(&connect.to_string()).await?;
    let (mut events, mut replies) = (0, 0);
    while events < 5 || replies < 1 {
        let frame = socket.frame(PATIENCE).await?;
        ensure!(frame.len() == 1, "{} messages in a frame", frame.len());
        events += usize::from(frame[0].is_event());
        replies += usize::from(frame[0].is_reply());
    }
    Ok(())
}

async fn own_copies(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let (mut one, mut two) = (subscriber(&cx, &channel).await?, subscriber(&cx, &channel).await?);
    let mut publisher = cx.publisher().await?;
    publisher.publish(&channel, 0).await?;
    publisher.publish(&channel, 1).await?;
    in_order(&one.receive(2).await?, 0..2)?;
    in_order(&two.receive(2).await?, 0..2)
}
