//! §9 and §4, what may come over an open WebSocket, what ends it, and what must not.

use super::{
    expect::{accepted, in_order, refused},
    websocket::{answer, upgrade_request},
};
use crate::{
    case::{Case, Feature, case},
    context::{AT_ONCE, Context, HELD, PATIENCE},
    peer::Peer,
    transport::SOCKET,
    wire::{
        message::Message,
        socket::{Incoming, Socket},
    },
};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{
    self, Bytes,
    protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    },
};

const STAYS: &str = "§9 Bad JSON -> an error reply and the socket stays.";
const BODY: &str = "§1 Body: a JSON array of messages or one bare object.";
const HURTS_NOBODY: &str = "§1 Nothing a client sends can hurt another client.";

pub(super) fn cases() -> Vec<Case> {
    let cases = [
        case("frames.bad_json", "text that is no JSON gets an error reply", STAYS, |cx| bad_text(cx, "[{")),
        case("frames.not_json_at_all", "so does text that never was", STAYS, |cx| bad_text(cx, "hello")),
        case("frames.null", "so does null", STAYS, |cx| bad_text(cx, "null")),
        case("frames.null_element", "so does null in an array", STAYS, |cx| bad_text(cx, "[null]")),
        case("frames.number_element", "so does a number in an array", STAYS, |cx| bad_text(cx, "[7]")),
        case("frames.empty_text", "so does an empty frame", STAYS, |cx| bad_text(cx, "")),
        case(
            "frames.keep_alive",
            "an empty array is a keep-alive of old clients",
            "§1 [] is the old clients' keep-alive; the socket stays.",
            keep_alive,
        ),
        case("frames.binary", "a binary frame closes with 1003", "§9 Binary frame -> close 1003.", binary),
        case("frames.too_big", "a message over the limit closes with 1009", "§9 Too big -> 1009.", too_big),
        case(
            "frames.too_big_session_survives",
            "its session lives on",
            "§5 A socket closing never ends a session by itself.",
            too_big_session_survives,
        ),
        case("frames.bare_object", "a bare object is answered by an array", BODY, bare_object),
        case("frames.fragments", "a message may come in fragments", "§9 websocket.", fragments),
        case("frames.ping_answered", "a ping is answered", "§9 websocket.", ping_answered),
        case(
            "frames.frames_in_order",
            "frames take effect in order",
            "§7 Its place in the order is fixed when it is acknowledged.",
            frames_in_order,
        ),
        case(
            "frames.replies_together",
            "one frame of requests, one answer in order",
            "§2 One response is laid out [..., replies in request order].",
            replies_in_order,
        ),
        case(
            "frames.batch_with_connect_not_delayed",
            "a subscribe beside a connect is answered at once",
            "§4 Answered at once: a connect batched with other messages.",
            batch_not_delayed,
        ),
        case(
            "frames.held_connect_does_not_block",
            "requests are served while a connect is held",
            "§4 The connect stays held as heartbeat.",
            held_does_not_block,
        ),
        case(
            "frames.large_delivery",
            "a single message over 60 KiB is still delivered",
            "§4 Waiting ones together in one frame (<= 60 KiB); a single message is never split or dropped.",
            large_delivery,
        )
        .unless(Feature::SmallLimits),
        case("frames.unmasked", "an unmasked frame ends its own socket only", HURTS_NOBODY, |cx| {
            breaks(cx, b"\x81\x02[]")
        }),
        case("frames.reserved_bits", "so do reserved bits", HURTS_NOBODY, |cx| {
            breaks(cx, b"\xf1\x82\x01\x02\x03\x04Z_")
        }),
        case("frames.huge_length", "so does a frame that claims to be huge", HURTS_NOBODY, |cx| {
            breaks(cx, b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x01\x02\x03\x04")
        }),
        case("frames.invalid_utf8", "so does text that is no UTF-8", HURTS_NOBODY, |cx| {
            breaks(cx, b"\x81\x82\x00\x00\x00\x00\xff\xfe")
        }),
    ];
    cases.into_iter().map(|case| case.over(SOCKET)).collect()
}

fn socket(peer: &mut Peer) -> Result<&mut Socket> {
    peer.socket.as_mut().context("no socket")
}

async fn bad_text(cx: Context, text: &str) -> Result<()> {
    let mut peer = cx.peer().await?;
    socket(&mut peer)?.send(text).await?;
    let frame = socket(&mut peer)?.frame(PATIENCE).await?;
    ensure!(frame.len() == 1, "{} messages instead of one refusal", frame.len());
    refused(&frame[0], "400:")?;
    peer.subscribe(&cx.channel("a")).await
}

async fn keep_alive(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    for _ in 0..3 {
        socket(&mut peer)?.send("[]").await?;
    }
    peer.subscribe(&cx.channel("a")).await?;
    let replies = socket(&mut peer)?.journal.iter().filter(|message| message.error() != "").count();
    ensure!(replies == 0, "{replies} errors for keep-alives");
    Ok(())
}

async fn binary(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    socket(&mut peer)?.send_frame(tungstenite::Message::binary(b"[]".to_vec())).await?;
    let code = socket(&mut peer)?.close_code(PATIENCE).await?;
    ensure!(code == Some(1003), "close code {code:?}");
    Ok(())
}

/// A text larger than the server takes.
fn oversized(cx: &Context, peer: &mut Peer) -> String {
    let limit =
        if cx.has(Feature::SmallLimits) { super::limits::SMALL_MESSAGE_BYTES } else { super::limits::MESSAGE_BYTES };
    json!([peer.publish_message(&cx.channel("a"), "x".repeat(limit + 1))]).to_string()
}

async fn too_big(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let text = oversized(&cx, &mut peer);
    // The server may hang up before it has read all.
    socket(&mut peer)?.send(&text).await.ok();
    let code = socket(&mut peer)?.close_code(PATIENCE).await?;
    ensure!(code == Some(1009), "close code {code:?}");
    Ok(())
}

async fn too_big_session_survives(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let text = oversized(&cx, &mut peer);
    socket(&mut peer)?.send(&text).await.ok();
    socket(&mut peer)?.close_code(PATIENCE).await?;
    let mut again = peer.moved_to(cx.transport).await?;
    accepted(again.connect(Some(json!({"timeout": 0}))).await?.reply()?)
}

async fn bare_object(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let publish = peer.publish_message(&cx.channel("a"), 1);
    socket(&mut peer)?.send(&publish.to_string()).await?;
    let frame = socket(&mut peer)?.frame(PATIENCE).await?;
    ensure!(frame.len() == 1 && frame[0]["id"] == publish["id"], "the answer is {frame:?}");
    accepted(&frame[0])
}

async fn fragments(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let publish = peer.publish_message(&cx.channel("a"), "größer");
    let text = json!([publish]).to_string();
    let pieces: Vec<Bytes> = text.as_bytes().chunks(11).map(Bytes::copy_from_slice).collect();
    let last = pieces.len() - 1;
    for (n, piece) in pieces.into_iter().enumerate() {
        let kind = if n == 0 { Data::Text } else { Data::Continue };
        let frame = Frame::message(piece, OpCode::Data(kind), n == last);
        socket(&mut peer)?.send_frame(tungstenite::Message::Frame(frame)).await?;
    }
    let wanted = |message: &Message| message.is_reply() && message["id"] == publish["id"];
    let at = socket(&mut peer)?.until(0, PATIENCE, wanted).await?;
    accepted(&socket(&mut peer)?.journal[at])
}

async fn ping_answered(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let socket = socket(&mut peer)?;
    socket.send_frame(tungstenite::Message::Ping(Bytes::from_static(b"x"))).await?;
    let deadline = Instant::now() + PATIENCE;
    while !matches!(socket.next(deadline).await.context("no pong")?, Incoming::Pong) {}
    Ok(())
}

async fn frames_in_order(cx: Context) -> Result<()> {
    const FRAMES: u64 = 20;
    let channel = cx.channel("a");
    let mut subscriber = cx.publisher().await?;
    subscriber.subscribe(&channel).await?;
    let mut peer = cx.peer().await?;
    let mut pending = Vec::new();
    for n in 0..FRAMES {
        let message = peer.publish_message(&channel, n);
        pending.push(peer.start(&[message]).await?);
    }
    for one in pending {
        accepted(peer.finish(one).await?.reply()?)?;
    }
    in_order(&subscriber.received_so_far(&mut peer).await?, 0..FRAMES)
}

async fn replies_in_order(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let batch: Vec<Value> = (0..5).map(|n| peer.publish_message(&cx.channel("a"), n)).collect();
    let turn = peer.ask(&batch).await?;
    let ids: Vec<&Value> = turn.messages.iter().filter(|m| m.is_reply()).map(|m| &m["id"]).collect();
    ensure!(ids == batch.iter().map(|m| &m["id"]).collect::<Vec<_>>(), "replies out of order: {ids:?}");
    Ok(())
}

async fn batch_not_delayed(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let batch = [peer.connect_message(None), peer.subscribe_message(cx.channel("a"))];
    let since = Instant::now();
    peer.ask(&batch).await?.replies()?.into_iter().try_for_each(accepted)?;
    ensure!(since.elapsed() < AT_ONCE, "the replies took {:?}", since.elapsed());
    Ok(())
}

async fn held_does_not_block(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let mut held = peer.hold().await?;
    let since = Instant::now();
    peer.subscribe(&cx.channel("a")).await?;
    peer.unsubscribe(&cx.channel("a")).await?;
    ensure!(since.elapsed() < AT_ONCE, "the replies took {:?}", since.elapsed());
    ensure!(peer.is_held(&mut held).await?, "the connect was answered");
    Ok(())
}

async fn large_delivery(cx: Context) -> Result<()> {
    const BYTES: usize = 200 * 1024;
    let channel = cx.channel("a");
    let mut peer = cx.peer().await?;
    peer.subscribe(&channel).await?;
    let mut publisher = cx.publisher().await?;
    publisher.publish(&channel, "x".repeat(BYTES)).await?;
    publisher.publish(&channel, 1).await?;
    let received = peer.receive(2).await?;
    ensure!(received[0]["data"].as_str().is_some_and(|data| data.len() == BYTES), "the large one is broken");
    ensure!(received[1]["data"] == 1, "the order is broken");
    Ok(())
}

/// Sends bytes that break the WebSocket protocol and looks whether that socket ends and its neighbours do not.
async fn breaks(cx: Context, bytes: &'static [u8]) -> Result<()> {
    let mut neighbour = cx.peer().await?;
    let mut held = neighbour.hold().await?;
    let (mut connection, head) = answer(&cx, &upgrade_request(&cx)).await?;
    ensure!(head.status == 101, "status {}", head.status);
    connection.write(bytes).await?;
    connection.closed(PATIENCE).await?;
    ensure!(neighbour.is_held(&mut held).await?, "the neighbour's connect was answered within {HELD:?}");
    neighbour.subscribe(&cx.channel("a")).await
}
