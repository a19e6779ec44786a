//! §5, how a session ends when its client says so.

use super::expect::{accepted, refused};
use crate::{
    case::{Case, case},
    context::{AT_ONCE, Context, PATIENCE},
    transport::{DELIVERY, POLLING, REQUESTS, SOCKET},
    wire::message::Message,
};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

const ENDED: &str = "§5 Client disconnect: the held connect is answered first (successful:true, reconnect:none), then the disconnect reply; a WebSocket is closed 1000 a second later if the client has not.";
const GONE: &str = "§4 Unknown session: 402::session_unknown; §5 a disconnect ends the session.";

const IN_ORDER: &str = "§2 Replies in request order, the connect reply last; §5 the connect of a session that says goodbye is answered successful:true, reconnect:none.";

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("disconnect.succeeds", "a disconnect is accepted", ENDED, succeeds).over(REQUESTS),
        case(
            "disconnect.releases_connect",
            "the held connect is answered with reconnect none",
            ENDED,
            releases_connect,
        )
        .over(REQUESTS),
        case(
            "disconnect.connect_answered_first",
            "the held connect is answered before the disconnect",
            ENDED,
            connect_answered_first,
        )
        .over(SOCKET),
        case("disconnect.closes_socket", "the socket is closed normally a second later", ENDED, closes_socket)
            .over(SOCKET),
        case("disconnect.socket_may_be_closed_first", "a client may close it itself", ENDED, socket_closed_by_client)
            .over(SOCKET),
        case("disconnect.connect_refused", "a connect afterwards is refused", GONE, connect_refused).over(REQUESTS),
        case("disconnect.twice", "so is another disconnect", GONE, twice).over(REQUESTS),
        case("disconnect.rest_of_batch", "so is what follows in the batch", GONE, rest_of_batch).over(REQUESTS),
        case("disconnect.after_publish_in_batch", "what stands before it counts", GONE, after_publish_in_batch)
            .over(REQUESTS),
        case(
            "disconnect.connect_before_in_batch",
            "a connect that stands before it in the batch is answered with reconnect none",
            IN_ORDER,
            connect_before_in_batch,
        )
        .over(REQUESTS),
        case(
            "disconnect.connect_before_carries_messages",
            "and with the messages that wait",
            IN_ORDER,
            connect_before_carries_messages,
        )
        .over(POLLING),
        case(
            "disconnect.connect_after_in_batch",
            "a connect that stands after it is refused",
            GONE,
            connect_after_in_batch,
        )
        .over(REQUESTS),
        case("disconnect.ends_delivery", "nothing is delivered any more", GONE, ends_delivery).over(DELIVERY),
        case(
            "disconnect.prompt",
            "it takes no time",
            "§5 The held connect is answered first; clients wait for both.",
            prompt,
        )
        .over(POLLING),
        case(
            "disconnect.handshake_afterwards",
            "a handshake afterwards gives a fresh session",
            "§3 A handshake makes a new session.",
            handshake_afterwards,
        )
        .over(REQUESTS),
    ]
}

async fn succeeds(cx: Context) -> Result<()> {
    accepted(&cx.peer().await?.disconnect().await?)
}

async fn releases_connect(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let held = peer.hold().await?;
    peer.disconnect().await?;
    let turn = peer.finish(held).await?;
    accepted(turn.reply()?)?;
    ensure!(turn.reply()?["advice"]["reconnect"] == "none", "advice in {}", turn.text());
    Ok(())
}

async fn connect_answered_first(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let held = peer.hold().await?;
    let from = peer.socket.as_ref().context("no socket")?.journal.len();
    peer.disconnect().await?;
    peer.finish(held).await?;
    let journal = &peer.socket.as_ref().context("no socket")?.journal[from..];
    let order: Vec<&str> = journal.iter().map(Message::channel).collect();
    ensure!(order == ["/meta/connect", "/meta/disconnect"], "order {order:?}");
    Ok(())
}

async fn closes_socket(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    peer.disconnect().await?;
    let since = Instant::now();
    let code = peer.socket.as_mut().context("no socket")?.close_code(PATIENCE).await?;
    ensure!(code == Some(1000), "close code {code:?}");
    let took = since.elapsed();
    ensure!(took > Duration::from_millis(500), "closed after {took:?}, before the client could");
    ensure!(took < Duration::from_secs(4), "closed only after {took:?}");
    Ok(())
}

async fn socket_closed_by_client(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    peer.disconnect().await?;
    let mut socket = peer.socket.take().context("no socket")?;
    socket.send_frame(tokio_tungstenite::tungstenite::Message::Close(None)).await?;
    socket.close_code(AT_ONCE).await.map(drop)
}

async fn connect_refused(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    peer.disconnect().await?;
    refused(peer.connect(Some(json!({"timeout": 0}))).await?.reply()?, "402::session_unknown")
}

async fn twice(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    peer.disconnect().await?;
    let again = peer.message("/meta/disconnect", json!({}));
    refused(&peer.ask_one(again).await?, "402::session_unknown")
}

async fn rest_of_batch(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let batch = [peer.message("/meta/disconnect", json!({})), peer.subscribe_message(cx.channel("a"))];
    let turn = peer.ask(&batch).await?;
    accepted(turn.nth(0)?)?;
    refused(turn.nth(1)?, "402::session_unknown")
}

async fn after_publish_in_batch(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut subscriber = cx.publisher().await?;
    subscriber.subscribe(&channel).await?;
    let mut peer = cx.peer().await?;
    let batch = [
        peer.publish_message(&channel, "before"),
        peer.message("/meta/disconnect", json!({})),
        peer.publish_message(&channel, "after"),
    ];
    let turn = peer.ask(&batch).await?;
    accepted(turn.nth(0)?)?;
    accepted(turn.nth(1)?)?;
    refused(turn.nth(2)?, "402::session_unknown")?;
    let mut publisher = cx.publisher().await?;
    let received = super::expect::data(&subscriber.received_so_far(&mut publisher).await?);
    ensure!(received == [Value::from("before")], "delivered: {received:?}");
    Ok(())
}

async fn connect_before_in_batch(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let batch = [peer.connect_message(None), peer.message("/meta/disconnect", json!({}))];
    let turn = peer.ask(&batch).await?;
    let order: Vec<&str> = turn.messages.iter().map(Message::channel).collect();
    ensure!(order == ["/meta/disconnect", "/meta/connect"], "laid out as {order:?}");
    let replies = turn.replies()?;
    replies.iter().copied().try_for_each(accepted)?;
    let advice = &replies[0]["advice"];
    ensure!(
        advice["reconnect"] == "none" && advice["interval"].is_u64() && advice["timeout"].is_u64(),
        "{}",
        turn.text()
    );
    refused(peer.connect(Some(json!({"timeout": 0}))).await?.reply()?, "402::session_unknown")
}

async fn connect_before_carries_messages(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut peer = cx.peer().await?;
    peer.subscribe(&channel).await?;
    accepted(&cx.publisher().await?.publish(&channel, "waits").await?)?;
    // What was published before an unsubscribe has arrived in the queue when that is answered.
    peer.unsubscribe(&channel).await?;
    let batch = [peer.connect_message(None), peer.message("/meta/disconnect", json!({}))];
    let turn = peer.ask(&batch).await?;
    turn.replies()?.into_iter().try_for_each(accepted)?;
    let received: Vec<&Value> = turn.events().into_iter().map(|event| &event["data"]).collect();
    ensure!(received == [&Value::from("waits")], "delivered: {}", turn.text());
    Ok(())
}

async fn connect_after_in_batch(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let batch = [peer.message("/meta/disconnect", json!({})), peer.connect_message(None)];
    let turn = peer.ask(&batch).await?;
    accepted(turn.nth(0)?)?;
    refused(turn.nth(1)?, "402::session_unknown")
}

async fn ends_delivery(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut peer = cx.peer().await?;
    peer.subscribe(&channel).await?;
    peer.disconnect().await?;
    accepted(&cx.publisher().await?.publish(&channel, "must not arrive").await?)?;
    let mut heir = cx.peer().await?;
    let mut publisher = cx.publisher().await?;
    heir.nothing_so_far(&mut publisher).await
}

async fn prompt(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let held = peer.hold().await?;
    let since = Instant::now();
    peer.disconnect().await?;
    peer.finish(held).await?;
    ensure!(since.elapsed() < AT_ONCE, "both answers took {:?}", since.elapsed());
    Ok(())
}

async fn handshake_afterwards(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    peer.disconnect().await?;
    let hello = peer.handshake_message();
    let reply = peer.ask_one(hello).await?;
    accepted(&reply)?;
    ensure!(reply["clientId"] != *peer.client_id, "the same clientId again");
    peer.client_id = reply["clientId"].as_str().unwrap_or_default().to_owned();
    accepted(peer.connect(Some(json!({"timeout": 0}))).await?.reply()?)
}
