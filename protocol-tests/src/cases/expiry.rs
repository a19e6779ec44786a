//! §5, how long a session lives when its client falls silent.
//!
//! These cases wait in multiples of the server's `max_interval`; with the default of 60 s they need `--have slow`.

use super::expect::{accepted, refused};
use crate::{
    case::{Case, Wait, case},
    context::Context,
    peer::Peer,
    runner::SWEEP,
    transport::{HTTP, REQUESTS, SOCKET},
};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tokio::time::sleep;

const EXPIRY: &str = "§5 Expiry: interval + max_interval after the last connect was answered; any other message pushes it to at least now + max_interval.";
const DEADLINE: &str = "§5 Every session has a deadline from birth, on every transport.";

pub(super) fn cases() -> Vec<Case> {
    let waiting = |times| move |case: Case| case.waits(Wait::MaxInterval(times));
    let once = waiting(1.0);
    vec![
        once(
            case("expiry.silent_session", "a session that stays silent is forgotten", EXPIRY, silent_session)
                .over(REQUESTS),
        ),
        once(case("expiry.not_earlier", "but not before its time", EXPIRY, not_earlier).over(REQUESTS)),
        waiting(2.5)(
            case("expiry.publishing_keeps_alive", "publishing alone keeps it", EXPIRY, publishing_keeps_alive)
                .over(REQUESTS),
        ),
        once(
            case("expiry.never_connected", "one that never connected is forgotten too", DEADLINE, never_connected)
                .over(REQUESTS),
        ),
        once(
            case(
                "expiry.vanished_before_connect",
                "also when its socket broke after a subscribe",
                DEADLINE,
                vanished_before_connect,
            )
            .over(SOCKET),
        ),
        once(case("expiry.open_socket", "an open socket does not keep it", DEADLINE, open_socket).over(SOCKET)),
        once(
            case(
                "expiry.held_connect_counts_from_its_answer",
                "a held connect does not count as silence",
                EXPIRY,
                held_connect,
            )
            .over(HTTP),
        ),
        once(
            case(
                "expiry.announced_pause",
                "the pause the client announced is added",
                "§5 Expiry: interval + max_interval; cometd.md §1.6: the request may override the interval.",
                announced_pause,
            )
            .over(HTTP),
        ),
        once(
            case("expiry.subscriptions_gone", "a new session inherits nothing", EXPIRY, subscriptions_gone).over(HTTP),
        ),
    ]
}

/// Lets `times` × max_interval pass: the passing of time is the behaviour under test.
async fn silence(cx: &Context, times: f32) {
    sleep(cx.server.max_interval.mul_f32(times)).await;
}

async fn past_expiry(cx: &Context) {
    sleep(cx.server.max_interval + SWEEP / 2).await;
}

/// Whether the server still knows a session, asked in a way that shows it and changes nothing else.
async fn ask(peer: &mut Peer) -> Result<crate::wire::message::Message> {
    let connect = peer.connect_message(Some(json!({"timeout": 0})));
    peer.ask_one(connect).await
}

async fn silent_session(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    past_expiry(&cx).await;
    refused(&ask(&mut peer).await?, "402::session_unknown")
}

async fn not_earlier(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    silence(&cx, 0.8).await;
    accepted(&ask(&mut peer).await?)
}

async fn publishing_keeps_alive(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    for n in 0..3 {
        silence(&cx, 0.7).await;
        peer.publish(&cx.channel("a"), n).await?;
    }
    accepted(&ask(&mut peer).await?)
}

async fn never_connected(cx: Context) -> Result<()> {
    let mut peer = cx.newborn().await?;
    past_expiry(&cx).await;
    refused(&ask(&mut peer).await?, "402::session_unknown")
}

async fn vanished_before_connect(cx: Context) -> Result<()> {
    let mut peer = cx.newborn().await?;
    peer.subscribe(&cx.channel("a")).await?;
    if let Some(socket) = peer.socket.take() {
        socket.abort();
    }
    past_expiry(&cx).await;
    let mut peer = peer.moved_to(cx.transport).await?;
    refused(&ask(&mut peer).await?, "402::session_unknown")
}

async fn open_socket(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    past_expiry(&cx).await;
    let subscribe = peer.subscribe_message(cx.channel("a"));
    refused(&peer.ask_one(subscribe).await?, "402::session_unknown")
}

async fn held_connect(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let connect =
        peer.connect_message(Some(json!({"timeout": cx.server.max_interval.mul_f32(0.5).as_millis() as u64})));
    let pending = peer.start(&[connect]).await?;
    accepted(peer.finish(pending).await?.reply()?)?;
    silence(&cx, 0.7).await;
    accepted(&ask(&mut peer).await?)
}

async fn announced_pause(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let pause = cx.server.max_interval.as_millis() as u64;
    accepted(peer.connect(Some(json!({"timeout": 0, "interval": pause}))).await?.reply()?)?;
    past_expiry(&cx).await;
    accepted(&ask(&mut peer).await?)
}

async fn subscriptions_gone(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut peer = cx.peer().await?;
    peer.subscribe(&channel).await?;
    past_expiry(&cx).await;
    let mut publisher = cx.publisher().await?;
    accepted(&publisher.publish(&channel, "must not arrive").await?)?;
    let mut heir = cx.peer().await?;
    let received: Vec<Value> = super::expect::data(&heir.received_so_far(&mut publisher).await?);
    ensure!(received.is_empty(), "a new session received {received:?}");
    Ok(())
}
