//! §5, one session over several transports, and sockets that come and go under it.
//!
//! "Moved" means: the same clientId and cookie on a connection of another kind, nothing said in between.

use super::expect::{accepted, advises, in_order, refused};
use crate::{
    case::{Case, Feature, case},
    context::{AT_ONCE, Context},
    peer::Peer,
    transport::{HTTP, JSONP, POLLING, REQUESTS, SOCKET, STREAM, Transport},
};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tokio::time::Instant;

use Transport::{CallbackPolling, EventSource, LongPolling, WebSocket};

const ANY: &str = "§5 Any transport may continue any session (HTTP -> WebSocket -> HTTP) under the same credentials.";
const SOCKET_CLOSED: &str = "§5 A socket closing never ends a session by itself.";
const FIRST: &str = "§4 Answered at once: the first connect after a transport switch.";
const NOTHING_LOST: &str =
    "§4 A write to a connection that is gone loses nothing: what was not written goes back to the head of the queue.";
const CREDENTIAL: &str =
    "§5 The clientId is the credential; the cookie is never required unless require_cookie = true.";

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("switching.to_websocket", "subscribe by POST, receive by WebSocket", ANY, |cx| {
            receives_after(cx, WebSocket)
        })
        .also(SOCKET),
        case("switching.to_callback_polling", "… by JSONP", ANY, |cx| receives_after(cx, CallbackPolling)).also(JSONP),
        case("switching.to_eventsource", "… by an event stream", ANY, |cx| receives_after(cx, EventSource))
            .also(STREAM),
        case("switching.from_websocket", "subscribe by WebSocket, receive by POST", ANY, |cx| {
            receives_after(cx, LongPolling)
        })
        .over(SOCKET),
        case("switching.from_eventsource", "subscribe beside a stream, receive by WebSocket", ANY, |cx| {
            receives_after(cx, WebSocket)
        })
        .also(SOCKET)
        .over(STREAM),
        case("switching.there_and_back", "POST, WebSocket, POST: every message once, in order", ANY, there_and_back)
            .also(REQUESTS),
        case(
            "switching.waiting_messages_move",
            "what waited on HTTP is pushed on the socket",
            ANY,
            waiting_messages_move,
        )
        .also(SOCKET),
        case(
            "switching.handshake_only",
            "the socket may come right after the handshake",
            "§5 Any transport may continue any session (Faye always handshakes over HTTP).",
            handshake_only,
        )
        .also(SOCKET),
        case(
            "switching.first_connect_at_once",
            "the first connect after a switch is answered at once",
            FIRST,
            first_connect_at_once,
        )
        .also(SOCKET),
        case("switching.first_connect_back_at_once", "also on the way back", FIRST, first_connect_at_once).over(SOCKET),
        case(
            "switching.held_poll_released",
            "a poll held on the old transport is not forgotten",
            "§4 A newer connect replaces the held one, which is answered at once.",
            held_poll_released,
        )
        .also(SOCKET)
        .over(POLLING),
        case("switching.socket_closed", "closing the socket leaves the session", SOCKET_CLOSED, socket_closed)
            .over(SOCKET),
        case("switching.new_socket", "another socket continues the session", SOCKET_CLOSED, new_socket).over(SOCKET),
        case(
            "switching.new_socket_takes_over",
            "and takes over delivery while the old one is open",
            SOCKET_CLOSED,
            new_socket_takes_over,
        )
        .over(SOCKET),
        case("switching.stream_closed", "closing the stream leaves the session", SOCKET_CLOSED, stream_closed)
            .over(STREAM),
        case(
            "switching.aborted_poll",
            "a message for a poll that vanished waits for the next",
            NOTHING_LOST,
            aborted_poll,
        )
        .over(POLLING),
        case("switching.aborted_polls_in_a_row", "vanished polls in a row lose nothing", NOTHING_LOST, aborted_polls)
            .over(HTTP),
        case(
            "switching.aborted_socket",
            "messages for a socket that vanished wait for the next",
            NOTHING_LOST,
            aborted_socket,
        )
        .over(SOCKET),
        case("switching.no_cookie_needed", "the clientId alone suffices", CREDENTIAL, |cx| with_cookie(cx, None))
            .over(REQUESTS)
            .unless(Feature::RequireCookie),
        case("switching.other_cookie", "another cookie does not matter", CREDENTIAL, |cx| {
            with_cookie(cx, Some("BAYEUX_BROWSER=somebody-else"))
        })
        .over(REQUESTS)
        .unless(Feature::RequireCookie),
        case(
            "switching.cookie_required",
            "with require_cookie it does",
            "§5 It is never required unless require_cookie = true.",
            cookie_required,
        )
        .over(REQUESTS)
        .needs(Feature::RequireCookie),
    ]
}

async fn receives_after(cx: Context, transport: Transport) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    let mut moved = peer.moved_to(transport).await?;
    moved.settle().await?;
    let mut publisher = cx.publisher().await?;
    for n in 0..3 {
        publisher.publish(&channel, n).await?;
    }
    in_order(&moved.receive(3).await?, 0..3)?;
    moved.nothing_so_far(&mut publisher).await
}

async fn there_and_back(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    let mut publisher = cx.publisher().await?;
    let mut received = Vec::new();
    for (round, transport) in [WebSocket, LongPolling, WebSocket, CallbackPolling].into_iter().enumerate() {
        peer = peer.moved_to(transport).await?;
        peer.settle().await?;
        for n in 0..2 {
            publisher.publish(&channel, round * 2 + n).await?;
        }
        received.extend(peer.receive(2).await?);
    }
    in_order(&received, 0..8)
}

async fn waiting_messages_move(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    let mut publisher = cx.publisher().await?;
    for n in 0..5 {
        publisher.publish(&channel, n).await?;
    }
    let mut moved = peer.moved_to(WebSocket).await?;
    moved.settle().await?;
    in_order(&moved.receive(5).await?, 0..5)
}

async fn handshake_only(cx: Context) -> Result<()> {
    let peer = cx.newborn().await?;
    let mut moved = peer.moved_to(WebSocket).await?;
    accepted(moved.connect(None).await?.reply()?)?;
    let channel = cx.channel("a");
    moved.subscribe(&channel).await?;
    cx.publisher().await?.publish(&channel, 1).await?;
    ensure!(moved.receive_one().await?["data"] == 1, "something else arrived");
    Ok(())
}

async fn first_connect_at_once(cx: Context) -> Result<()> {
    let peer = cx.peer().await?;
    let other = if cx.transport == WebSocket { LongPolling } else { WebSocket };
    let mut moved = peer.moved_to(other).await?;
    let since = Instant::now();
    let turn = moved.connect(None).await?;
    ensure!(since.elapsed() < AT_ONCE, "the first connect there took {:?}", since.elapsed());
    advises(turn.reply()?, "retry")
}

async fn held_poll_released(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let held = peer.hold().await?;
    let mut moved = peer.moved_to(WebSocket).await?;
    let since = Instant::now();
    moved.settle().await?;
    accepted(peer.finish(held).await?.reply()?)?;
    ensure!(since.elapsed() < AT_ONCE, "the old poll was answered after {:?}", since.elapsed());
    Ok(())
}

async fn socket_closed(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    peer.socket.take().context("no socket")?.abort();
    let mut moved = peer.moved_to(LongPolling).await?;
    accepted(moved.connect(None).await?.reply()?)
}

async fn new_socket(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    drop(peer.socket.take());
    let mut moved = peer.moved_to(WebSocket).await?;
    moved.settle().await?;
    cx.publisher().await?.publish(&channel, 1).await?;
    ensure!(moved.receive_one().await?["data"] == 1, "something else arrived");
    Ok(())
}

async fn new_socket_takes_over(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    let mut moved = peer.moved_to(WebSocket).await?;
    moved.settle().await?;
    let mut publisher = cx.publisher().await?;
    for n in 0..3 {
        publisher.publish(&channel, n).await?;
    }
    in_order(&moved.receive(3).await?, 0..3)?;
    moved.nothing_so_far(&mut publisher).await
}

async fn stream_closed(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    peer.take_stream()?.abort();
    cx.publisher().await?.publish(&channel, 1).await?;
    let mut moved = peer.moved_to(LongPolling).await?;
    ensure!(moved.receive_one().await?["data"] == 1, "something else arrived");
    Ok(())
}

async fn aborted_poll(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    peer.hold().await?.abort();
    let mut publisher = cx.publisher().await?;
    publisher.publish(&channel, 0).await?;
    in_order(&peer.receive(1).await?, 0..1)?;
    peer.nothing_so_far(&mut publisher).await
}

async fn aborted_polls(cx: Context) -> Result<()> {
    const POLLS: u64 = 5;
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    let mut publisher = cx.publisher().await?;
    for n in 0..POLLS {
        // Only a poll that is surely held: one that is answered at once may be answered before it vanishes.
        peer.hold().await?.abort();
        publisher.publish(&channel, n * 2).await?;
        publisher.publish(&channel, n * 2 + 1).await?;
        in_order(&peer.receive(2).await?, n * 2..n * 2 + 2)?;
    }
    Ok(())
}

async fn aborted_socket(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    let held = peer.hold().await?;
    drop(held);
    peer.socket.take().context("no socket")?.abort();
    // A round trip of somebody else gives the reset the time it needs to reach the server.
    let mut publisher = cx.publisher().await?;
    for n in 0..3 {
        publisher.publish(&channel, n).await?;
    }
    let mut moved = peer.moved_to(WebSocket).await?;
    moved.settle().await?;
    in_order(&moved.receive(3).await?, 0..3)
}

async fn with_cookie(cx: Context, cookie: Option<&str>) -> Result<()> {
    let peer = cx.peer().await?;
    let mut other = Peer::attach(cx.clone(), cx.transport, &peer.client_id, cookie.map(str::to_owned)).await?;
    other.subscribe(&cx.channel("a")).await?;
    accepted(other.connect(Some(json!({"timeout": 0}))).await?.reply()?)
}

async fn cookie_required(cx: Context) -> Result<()> {
    let peer = cx.peer_over(LongPolling).await?;
    for cookie in [None, Some("BAYEUX_BROWSER=somebody-else".to_owned())] {
        let mut other = Peer::attach(cx.clone(), cx.transport, &peer.client_id, cookie).await?;
        let connect = other.connect_message(Some(json!({"timeout": 0})));
        refused(&other.ask_one(connect).await?, "402::session_unknown")?;
    }
    Ok(())
}
