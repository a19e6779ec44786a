//! §6, which messages a pattern matches, and that a message comes once however many patterns do.

use super::expect::{data, in_order, refused};
use crate::{
    case::{Case, case},
    context::Context,
    transport::{DELIVERY, REQUESTS},
};
use anyhow::{Result, ensure};
use serde_json::Value;

const MATCHES: &str = "§6 Wildcards only as the last segment: /a/* one level, /a/** one or more; /a/** does not match /a; /** never matches /meta/** or /service/**.";
const ONCE: &str = "§6 A message reaches a session once, however many of its subscriptions match.";
const NO_PUBLISH: &str = "§6 Publishing to a wildcard: 405::channel_invalid.";

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("wildcards.one_level", "/a/* matches /a/b and nothing else", MATCHES, |cx| {
            matching(cx, "a/*", &["a/b", "a/c"])
        })
        .over(DELIVERY),
        case("wildcards.all_levels", "/a/** matches everything below /a", MATCHES, |cx| {
            matching(cx, "a/**", &["a/b", "a/b/c", "a/b/c/d", "a/c"])
        })
        .over(DELIVERY),
        case("wildcards.deeper_one_level", "/a/b/* matches one level below", MATCHES, |cx| {
            matching(cx, "a/b/*", &["a/b/c"])
        })
        .over(DELIVERY),
        case("wildcards.exact", "a name without wildcard matches itself", MATCHES, |cx| matching(cx, "a/b", &["a/b"]))
            .over(DELIVERY),
        case("wildcards.everything", "/** matches every broadcast channel", MATCHES, everything).over(DELIVERY),
        case("wildcards.top_level", "/* matches names of one segment", MATCHES, top_level).over(DELIVERY),
        case("wildcards.not_service", "/** does not match service channels", MATCHES, not_service).over(DELIVERY),
        case("wildcards.overlap_once", "four patterns that match deliver once", ONCE, overlap_once).over(DELIVERY),
        case("wildcards.subscribed_twice_once", "the same channel twice delivers once", ONCE, subscribed_twice)
            .over(DELIVERY),
        case("wildcards.list_with_repeats_once", "also when repeated in one list", ONCE, list_with_repeats)
            .over(DELIVERY),
        case("wildcards.publish_one_level", "nobody publishes to /a/*", NO_PUBLISH, |cx| no_publish(cx, "a/*"))
            .over(REQUESTS),
        case("wildcards.publish_all_levels", "nobody publishes to /a/**", NO_PUBLISH, |cx| no_publish(cx, "a/**"))
            .over(REQUESTS),
        case(
            "wildcards.unsubscribe_pattern",
            "leaving the pattern keeps the name",
            "§6 Subscriptions are independent; a message reaches a session while one of them matches.",
            unsubscribe_pattern,
        )
        .over(DELIVERY),
        case(
            "wildcards.unsubscribe_name",
            "leaving the name keeps the pattern",
            "§6 Subscriptions are independent; a message reaches a session while one of them matches.",
            unsubscribe_name,
        )
        .over(DELIVERY),
        case(
            "wildcards.channel_is_the_published",
            "the message names the channel, not the pattern",
            "§7 Subscribers receive channel.",
            names_the_channel,
        )
        .over(DELIVERY),
    ]
}

/// Publishes to a small tree of channels and expects exactly those that the pattern matches.
async fn matching(cx: Context, pattern: &str, wanted: &[&str]) -> Result<()> {
    let mut peer = cx.peer().await?;
    peer.subscribe(&cx.channel(pattern)).await?;
    let mut publisher = cx.publisher().await?;
    for name in ["a", "a/b", "a/b/c", "a/b/c/d", "a/c", "ab", "b/a", "b"] {
        publisher.publish(&cx.channel(name), name).await?;
    }
    let received = data(&peer.received_so_far(&mut publisher).await?);
    ensure!(received == wanted.iter().map(|name| Value::from(*name)).collect::<Vec<_>>(), "received {received:?}");
    Ok(())
}

async fn everything(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    peer.subscribe("/**").await?;
    let mut publisher = cx.publisher().await?;
    let top = format!("/{}", cx.tag());
    let channels = [top.clone(), cx.channel("a"), cx.channel("a/b/c")];
    for channel in &channels {
        publisher.publish(channel, cx.tag()).await?;
    }
    let received = peer.received_so_far(&mut publisher).await?;
    // Other cases publish too; only what this case said counts.
    let ours: Vec<&str> = received.iter().filter(|m| m["data"] == *cx.tag()).map(|m| m.channel()).collect();
    ensure!(ours == channels, "received on {ours:?}");
    Ok(())
}

async fn top_level(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    peer.subscribe("/*").await?;
    let mut publisher = cx.publisher().await?;
    let top = format!("/{}", cx.tag());
    publisher.publish(&top, cx.tag()).await?;
    publisher.publish(&cx.channel("a"), cx.tag()).await?;
    let received = peer.received_so_far(&mut publisher).await?;
    let ours: Vec<&str> = received.iter().filter(|m| m["data"] == *cx.tag()).map(|m| m.channel()).collect();
    ensure!(ours == [top], "received on {ours:?}");
    Ok(())
}

async fn not_service(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    peer.subscribe("/**").await?;
    let mut publisher = cx.publisher().await?;
    let channel = format!("/service/{}", cx.tag());
    publisher.publish(&channel, "must not arrive").await?;
    let received = peer.received_so_far(&mut publisher).await?;
    let leaked = received.iter().find(|m| m.channel().starts_with("/service/") || m.channel().starts_with("/meta/"));
    ensure!(leaked.is_none(), "received {leaked:?}");
    Ok(())
}

async fn overlap_once(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    for pattern in ["a/b", "a/*", "a/**", "**"] {
        peer.subscribe(&cx.channel(pattern)).await?;
    }
    let mut publisher = cx.publisher().await?;
    for n in 0..3 {
        publisher.publish(&cx.channel("a/b"), n).await?;
    }
    let received = peer.received_so_far(&mut publisher).await?;
    let ours: Vec<_> = received.into_iter().filter(|m| m.channel() == cx.channel("a/b")).collect();
    in_order(&ours, 0..3)
}

async fn subscribed_twice(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    peer.subscribe(&channel).await?;
    let mut publisher = cx.publisher().await?;
    publisher.publish(&channel, 0).await?;
    in_order(&peer.received_so_far(&mut publisher).await?, 0..1)
}

async fn list_with_repeats(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    let list = vec![channel.clone(), cx.channel("b"), channel.clone()];
    let message = peer.subscribe_message(list);
    super::expect::accepted(&peer.ask_one(message).await?)?;
    let mut publisher = cx.publisher().await?;
    publisher.publish(&channel, 0).await?;
    in_order(&peer.received_so_far(&mut publisher).await?, 0..1)
}

async fn no_publish(cx: Context, pattern: &str) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel(pattern);
    peer.subscribe(&channel).await?;
    let message = peer.publish_message(&channel, "must not arrive");
    refused(&peer.ask_one(message).await?, "405::channel_invalid")?;
    let mut publisher = cx.publisher().await?;
    peer.nothing_so_far(&mut publisher).await
}

async fn unsubscribe_pattern(cx: Context) -> Result<()> {
    leaving(cx, "a/**", "a/b", "a/c").await
}

async fn unsubscribe_name(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    peer.subscribe(&cx.channel("a/**")).await?;
    peer.subscribe(&cx.channel("a/b")).await?;
    peer.unsubscribe(&cx.channel("a/b")).await?;
    let mut publisher = cx.publisher().await?;
    publisher.publish(&cx.channel("a/b"), 0).await?;
    in_order(&peer.received_so_far(&mut publisher).await?, 0..1)
}

/// Subscribes to both, leaves one, and expects the other alone to count.
async fn leaving(cx: Context, left: &str, kept: &str, lost: &str) -> Result<()> {
    let mut peer = cx.peer().await?;
    peer.subscribe(&cx.channel(kept)).await?;
    peer.subscribe(&cx.channel(left)).await?;
    peer.unsubscribe(&cx.channel(left)).await?;
    let mut publisher = cx.publisher().await?;
    publisher.publish(&cx.channel(lost), 99).await?;
    publisher.publish(&cx.channel(kept), 0).await?;
    in_order(&peer.received_so_far(&mut publisher).await?, 0..1)
}

async fn names_the_channel(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    peer.subscribe(&cx.channel("**")).await?;
    cx.publisher().await?.publish(&cx.channel("a/b"), 1).await?;
    let message = peer.receive_one().await?;
    ensure!(message.channel() == cx.channel("a/b"), "the message names {}", message.channel());
    Ok(())
}
