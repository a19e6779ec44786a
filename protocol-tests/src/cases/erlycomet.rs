//! The defects of ErlyComet, the server that bayeuxd succeeds, each as a case that it would fail.
//!
//! The letters are those of the list in the project's notes on its peers; the sentences are the contract's.

use super::expect::{accepted, in_order, refused};
use crate::{
    case::{Case, case},
    context::{AT_ONCE, Context},
    peer::Peer,
    transport::{POLLING, REQUESTS},
};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tokio::time::Instant;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case(
            "erlycomet.a_events_between_polls",
            "an event while no poll is held is kept",
            "§4 Messages waiting answer a connect at once; nothing is lost.",
            events_between_polls,
        )
        .over(POLLING),
        case(
            "erlycomet.a_several_events_in_one_poll",
            "one poll takes several events",
            "§2 One response: [queued messages in order..., replies].",
            several_events,
        )
        .over(POLLING),
        case(
            "erlycomet.b_unknown_id_stays_unknown",
            "asking twice does not make an id known",
            "§4 Unknown session: 402::session_unknown on every meta reply.",
            unknown_stays_unknown,
        )
        .over(REQUESTS),
        case(
            "erlycomet.c_disconnected_id_is_gone",
            "a channel whose subscriber left still works",
            "§5 A disconnect ends the session and its subscriptions.",
            disconnected_is_gone,
        )
        .over(REQUESTS),
        case(
            "erlycomet.d_publish_to_nobody",
            "a publish to nobody succeeds",
            "§7 successful:true means: in the log.",
            publish_to_nobody,
        )
        .over(REQUESTS),
        case(
            "erlycomet.e_refusals_have_a_text",
            "every refusal says why",
            "§2 Errors are code:args:text.",
            refusals_have_a_text,
        )
        .over(REQUESTS),
        case(
            "erlycomet.f_first_of_two_connects_answered",
            "the older of two connects is answered",
            "§4 A newer connect replaces the held one, which is answered at once.",
            first_is_answered,
        )
        .over(REQUESTS),
        case(
            "erlycomet.g_batched_connect",
            "a connect in a batch does not corrupt the answer",
            "§4 Answered at once: a connect batched with other messages; §1 the answer is an array.",
            batched_connect,
        )
        .over(REQUESTS),
        case(
            "erlycomet.h_many_channels_one_copy",
            "one pattern over many channels delivers each message once",
            "§6 A message reaches a session once.",
            many_channels,
        )
        .over(POLLING),
    ]
}

async fn subscribed(cx: &Context) -> Result<(Peer, Peer, String)> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    Ok((peer, cx.publisher().await?, channel))
}

async fn events_between_polls(cx: Context) -> Result<()> {
    let (mut peer, mut publisher, channel) = subscribed(&cx).await?;
    for n in 0..3 {
        publisher.publish(&channel, n).await?;
        in_order(&peer.receive(1).await?, n..n + 1)?;
    }
    Ok(())
}

async fn several_events(cx: Context) -> Result<()> {
    let (mut peer, mut publisher, channel) = subscribed(&cx).await?;
    for n in 0..3 {
        publisher.publish(&channel, n).await?;
    }
    let turn = peer.connect(Some(json!({"timeout": 2000}))).await?;
    in_order(&turn.events().into_iter().cloned().collect::<Vec<_>>(), 0..3)
}

async fn unknown_stays_unknown(cx: Context) -> Result<()> {
    let mut stranger = Peer::attach(cx.clone(), cx.transport, &format!("nobody-{}", cx.tag()), None).await?;
    for _ in 0..2 {
        let connect = stranger.connect_message(Some(json!({"timeout": 0})));
        refused(&stranger.ask_one(connect).await?, "402::session_unknown")?;
    }
    Ok(())
}

async fn disconnected_is_gone(cx: Context) -> Result<()> {
    let (mut peer, mut publisher, channel) = subscribed(&cx).await?;
    let mut other = cx.peer().await?;
    other.subscribe(&channel).await?;
    peer.disconnect().await?;
    accepted(&publisher.publish(&channel, 0).await?)?;
    in_order(&other.receive(1).await?, 0..1)
}

async fn publish_to_nobody(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    accepted(&peer.publish(&cx.channel("nobody"), 1).await?)
}

async fn refusals_have_a_text(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let mut foreign = peer.publish_message(&cx.channel("a"), 1);
    foreign["clientId"] = json!("nobody");
    let batch: Vec<Value> = vec![
        foreign,
        peer.message(&cx.channel("a"), json!({})),
        peer.publish_message("/bad//name", 1),
        peer.message("/meta/subscribe", json!({})),
        peer.message("/meta/nonsense", json!({})),
    ];
    for reply in peer.ask(&batch).await?.replies()? {
        refused(reply, "4")?;
    }
    Ok(())
}

async fn first_is_answered(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let first = peer.hold().await?;
    let since = Instant::now();
    let second = peer.hold().await?;
    accepted(peer.finish(first).await?.reply()?)?;
    ensure!(since.elapsed() < AT_ONCE, "answered after {:?}", since.elapsed());
    drop(second);
    Ok(())
}

async fn batched_connect(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    let batch =
        [peer.subscribe_message(channel.as_str()), peer.connect_message(None), peer.publish_message(&channel, 1)];
    peer.ask(&batch).await?.replies()?.into_iter().try_for_each(accepted)
}

async fn many_channels(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let mut publisher = cx.publisher().await?;
    // Channels that exist before the pattern, as many as that server would have multiplied the message by.
    for n in 0..5 {
        let channel = cx.channel(&format!("room/{n}"));
        publisher.subscribe(&channel).await?;
    }
    peer.subscribe(&cx.channel("room/*")).await?;
    for n in 0..5 {
        publisher.publish(&cx.channel(&format!("room/{n}")), n).await?;
    }
    in_order(&peer.received_so_far(&mut publisher).await?, 0..5)
}
