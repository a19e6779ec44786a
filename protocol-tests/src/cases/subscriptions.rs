//! §6, subscribing and unsubscribing: lists, all or nothing, and what repeats do.

use super::expect::{accepted, data, in_order, refused};
use crate::{
    case::{Case, Feature, case},
    context::Context,
    transport::{DELIVERY, REQUESTS},
};
use anyhow::{Result, ensure};
use serde_json::{Value, json};

const LISTS: &str = "§6 subscription: string or array, all or nothing.";
const IDEMPOTENT: &str = "§6 Unsubscribe is idempotent and succeeds for any valid name.";
const LIVE: &str = "§6, §7 A subscription begins when it is acknowledged and ends when its end is.";

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("subscriptions.list", "a list subscribes to each", LISTS, list).over(DELIVERY),
        case("subscriptions.list_with_bad_name", "one bad name refuses all", LISTS, |cx| {
            all_or_nothing(cx, json!("not a channel"))
        })
        .over(REQUESTS),
        case("subscriptions.list_with_meta", "one meta channel refuses all", LISTS, |cx| {
            all_or_nothing(cx, json!("/meta/connect"))
        })
        .over(REQUESTS),
        case("subscriptions.list_with_number", "one number refuses all", LISTS, |cx| all_or_nothing(cx, json!(5)))
            .over(REQUESTS),
        case(
            "subscriptions.empty_list",
            "an empty list gets a verdict",
            "§2 A reply has successful (boolean).",
            empty_list,
        )
        .over(REQUESTS),
        case("subscriptions.list_of_patterns", "lists may hold patterns", LISTS, list_of_patterns).over(DELIVERY),
        case("subscriptions.again", "subscribing again succeeds", LISTS, again).over(REQUESTS),
        case("subscriptions.not_before", "nothing from before the subscription", LIVE, not_before).over(DELIVERY),
        case("subscriptions.unsubscribe_stops", "unsubscribing stops delivery", LIVE, unsubscribe_stops).over(DELIVERY),
        case("subscriptions.resubscribe_resumes", "subscribing anew resumes it", LIVE, resubscribe_resumes)
            .over(DELIVERY),
        case("subscriptions.unsubscribe_list", "a list unsubscribes from each", LISTS, unsubscribe_list).over(DELIVERY),
        case("subscriptions.unsubscribe_twice", "unsubscribing twice succeeds", IDEMPOTENT, unsubscribe_twice)
            .over(REQUESTS),
        case(
            "subscriptions.unsubscribe_never_subscribed",
            "also from what was never subscribed",
            IDEMPOTENT,
            unsubscribe_unknown,
        )
        .over(REQUESTS),
        case("subscriptions.unsubscribe_only_own", "it concerns one session only", LIVE, unsubscribe_only_own)
            .over(DELIVERY),
        case(
            "subscriptions.in_batch_with_publish",
            "a publish behind it in the batch is delivered",
            "§2 Replies in request order; messages take effect in that order.",
            in_batch,
        )
        .over(DELIVERY)
        .unless(Feature::NoEcho),
        case(
            "subscriptions.others_unaffected",
            "a fourth session that did not subscribe gets nothing",
            "§7 Subscribers receive; nobody else does.",
            others_unaffected,
        )
        .over(DELIVERY),
    ]
}

async fn list(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let message = peer.subscribe_message(vec![cx.channel("a"), cx.channel("b")]);
    accepted(&peer.ask_one(message).await?)?;
    let mut publisher = cx.publisher().await?;
    publisher.publish(&cx.channel("b"), 0).await?;
    publisher.publish(&cx.channel("a"), 1).await?;
    in_order(&peer.received_so_far(&mut publisher).await?, 0..2)
}

async fn all_or_nothing(cx: Context, bad: Value) -> Result<()> {
    let mut peer = cx.peer().await?;
    let message = peer.subscribe_message(json!([cx.channel("a"), bad, cx.channel("b")]));
    refused(&peer.ask_one(message).await?, "40")?;
    let mut publisher = cx.publisher().await?;
    publisher.publish(&cx.channel("a"), "must not arrive").await?;
    publisher.publish(&cx.channel("b"), "must not arrive").await?;
    peer.nothing_so_far(&mut publisher).await
}

async fn empty_list(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let message = peer.subscribe_message(json!([]));
    let reply = peer.ask_one(message).await?;
    ensure!(reply["successful"].is_boolean() && reply["subscription"] == json!([]), "{}", reply.raw);
    Ok(())
}

async fn list_of_patterns(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let message = peer.subscribe_message(vec![cx.channel("a/*"), cx.channel("b/**")]);
    accepted(&peer.ask_one(message).await?)?;
    let mut publisher = cx.publisher().await?;
    for (n, name) in ["a/x", "b/x/y"].into_iter().enumerate() {
        publisher.publish(&cx.channel(name), n).await?;
    }
    in_order(&peer.received_so_far(&mut publisher).await?, 0..2)
}

async fn again(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    for _ in 0..3 {
        peer.subscribe(&cx.channel("a")).await?;
    }
    Ok(())
}

async fn not_before(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    let mut publisher = cx.publisher().await?;
    publisher.publish(&channel, 99).await?;
    peer.subscribe(&channel).await?;
    publisher.publish(&channel, 0).await?;
    in_order(&peer.received_so_far(&mut publisher).await?, 0..1)
}

async fn unsubscribe_stops(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    let mut publisher = cx.publisher().await?;
    publisher.publish(&channel, 0).await?;
    in_order(&peer.receive(1).await?, 0..1)?;
    peer.unsubscribe(&channel).await?;
    publisher.publish(&channel, "must not arrive").await?;
    peer.nothing_so_far(&mut publisher).await
}

async fn resubscribe_resumes(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    let mut publisher = cx.publisher().await?;
    peer.subscribe(&channel).await?;
    peer.unsubscribe(&channel).await?;
    publisher.publish(&channel, 99).await?;
    peer.subscribe(&channel).await?;
    publisher.publish(&channel, 0).await?;
    in_order(&peer.received_so_far(&mut publisher).await?, 0..1)
}

async fn unsubscribe_list(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let all = [cx.channel("a"), cx.channel("b"), cx.channel("c")];
    let subscribe = peer.subscribe_message(all.to_vec());
    accepted(&peer.ask_one(subscribe).await?)?;
    let unsubscribe = peer.unsubscribe_message(all[..2].to_vec());
    accepted(&peer.ask_one(unsubscribe).await?)?;
    let mut publisher = cx.publisher().await?;
    for (n, channel) in all.iter().enumerate() {
        publisher.publish(channel, n).await?;
    }
    let received = data(&peer.received_so_far(&mut publisher).await?);
    ensure!(received == [json!(2)], "received {received:?}");
    Ok(())
}

async fn unsubscribe_twice(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    peer.unsubscribe(&channel).await?;
    peer.unsubscribe(&channel).await
}

async fn unsubscribe_unknown(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    peer.unsubscribe(&cx.channel("never")).await?;
    peer.unsubscribe(&cx.channel("never/**")).await
}

async fn unsubscribe_only_own(cx: Context) -> Result<()> {
    let (mut peer, mut other) = (cx.peer().await?, cx.peer().await?);
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    other.subscribe(&channel).await?;
    other.unsubscribe(&channel).await?;
    let mut publisher = cx.publisher().await?;
    publisher.publish(&channel, 0).await?;
    in_order(&peer.received_so_far(&mut publisher).await?, 0..1)?;
    other.nothing_so_far(&mut publisher).await
}

async fn in_batch(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    let batch = [
        peer.publish_message(&channel, 99),
        peer.subscribe_message(channel.as_str()),
        peer.publish_message(&channel, 0),
    ];
    peer.ask(&batch).await?.replies()?.into_iter().try_for_each(accepted)?;
    let mut publisher = cx.publisher().await?;
    in_order(&peer.received_so_far(&mut publisher).await?, 0..1)
}

async fn others_unaffected(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut bystander = cx.peer().await?;
    let mut subscribers = [cx.peer().await?, cx.peer().await?, cx.peer().await?];
    for subscriber in &mut subscribers {
        subscriber.subscribe(&channel).await?;
    }
    let mut publisher = cx.publisher().await?;
    publisher.publish(&channel, 0).await?;
    for subscriber in &mut subscribers {
        in_order(&subscriber.receive(1).await?, 0..1)?;
    }
    bystander.nothing_so_far(&mut publisher).await
}
