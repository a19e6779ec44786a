//! §6, which names are channels and what happens to those that are not.
//!
//! Names are checked twice, where one publishes and where one subscribes; delivery over good names is looked at too.

use super::expect::{accepted, refused};
use crate::{
    case::{Case, Feature, case},
    context::Context,
    transport::{DELIVERY, REQUESTS},
};
use anyhow::{Result, ensure};
use serde_json::json;

const GRAMMAR: &str = "§6 Grammar: A-Z a-z 0-9 - _ ! ~ ( ) $ @ . + # { } * and space; no empty segment, no trailing slash, <= 255 bytes, <= 16 segments. Else 405::channel_invalid (publish) or 403::subscription_invalid (subscribe), HTTP 200.";
const META: &str = "§6 Unknown /meta/x, /meta/subscribe/x too: 403::channel_denied.";
const SERVICE: &str = "§6 /service/** is never broadcast; subscribing to it succeeds and is a no-op.";

pub(super) fn cases() -> Vec<Case> {
    let bad =
        |id, title, name: &'static str| case(id, title, GRAMMAR, move |cx| invalid(cx, name.to_owned())).over(REQUESTS);
    vec![
        case("channels.all_symbols", "every allowed character", GRAMMAR, |cx| valid(cx, "Az09-_!~()$@.+#{}"))
            .over(DELIVERY),
        case("channels.spaces", "blanks inside a name", GRAMMAR, |cx| valid(cx, "a b c")).over(DELIVERY),
        case("channels.star_in_segment", "a star inside a segment is a letter", GRAMMAR, |cx| valid(cx, "a*b/**c/x*y"))
            .over(DELIVERY),
        case("channels.case_matters", "capitals are other letters", GRAMMAR, case_matters).over(DELIVERY),
        bad("channels.no_slash", "a name without slash", "foo"),
        bad("channels.root", "the slash alone", "/"),
        bad("channels.nothing", "the empty name", ""),
        bad("channels.empty_first", "an empty first segment", "//a"),
        bad("channels.empty_middle", "an empty segment inside", "/a//b"),
        bad("channels.trailing_slash", "a slash at the end", "/a/"),
        bad("channels.non_ascii", "letters outside ASCII", "/é"),
        bad("channels.query", "a question mark", "/a?b=c"),
        bad("channels.colon", "a colon", "/a:b"),
        bad("channels.comma", "a comma", "/a,b"),
        bad("channels.percent", "a percent sign", "/a%20b"),
        bad("channels.backslash", "a backslash", "/a\\b"),
        bad("channels.quote", "a quotation mark", "/a\"b"),
        bad("channels.angle_bracket", "an angle bracket", "/<script>"),
        bad("channels.control", "a control character", "/a\tb"),
        bad("channels.nul", "a NUL", "/a\0b"),
        bad("channels.mid_wildcard", "a wildcard inside", "/a/*/b"),
        bad("channels.mid_deep_wildcard", "a deep wildcard inside", "/**/a"),
        case("channels.longest", "a name of 255 bytes", GRAMMAR, longest).over(REQUESTS),
        case("channels.too_long", "a name of 256 bytes", GRAMMAR, |cx| {
            let name = of_length(&cx, 256);
            invalid(cx, name)
        })
        .over(REQUESTS),
        case("channels.far_too_long", "a name of 15 000 bytes", GRAMMAR, |cx| {
            let name = of_length(&cx, 15_000);
            invalid(cx, name)
        }),
        case("channels.deepest", "a name of 16 segments", GRAMMAR, deepest).over(REQUESTS),
        case("channels.too_deep", "a name of 17 segments", GRAMMAR, |cx| {
            let name = of_depth(&cx, 17);
            invalid(cx, name)
        })
        .over(REQUESTS),
        case("channels.unknown_meta", "a meta channel nobody knows", META, |cx| denied(cx, "/meta/nonsense"))
            .over(REQUESTS),
        case("channels.below_meta_subscribe", "something below /meta/subscribe", META, below_subscribe).over(REQUESTS),
        case("channels.meta_prefix_is_meta", "deeper meta channels", META, |cx| denied(cx, "/meta/a/b")).over(REQUESTS),
        case(
            "channels.subscribe_meta",
            "nobody can subscribe to meta channels",
            "§6 /** never matches /meta/**; §2 403.",
            subscribe_meta,
        )
        .over(REQUESTS),
        case("channels.service_publish", "a service publish is acknowledged", SERVICE, service_publish).over(REQUESTS),
        case("channels.service_not_broadcast", "and reaches no subscriber", SERVICE, service_not_broadcast)
            .over(DELIVERY),
        case("channels.service_subscribe", "subscribing to it succeeds", SERVICE, service_subscribe).over(REQUESTS),
        case(
            "channels.reply_spelling",
            "replies and messages keep the sender's spelling",
            "§2 A reply has the channel of its message.",
            reply_spelling,
        )
        .over(DELIVERY)
        .unless(Feature::NoEcho),
    ]
}

async fn valid(cx: Context, name: &str) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel(name);
    peer.subscribe(&channel).await?;
    cx.publisher().await?.publish(&channel, name).await?;
    let message = peer.receive_one().await?;
    ensure!(message.channel() == channel && message["data"] == *name, "arrived: {}", message.raw);
    Ok(())
}

async fn case_matters(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    peer.subscribe(&cx.channel("abc")).await?;
    let mut publisher = cx.publisher().await?;
    publisher.publish(&cx.channel("ABC"), "must not arrive").await?;
    peer.nothing_so_far(&mut publisher).await
}

async fn invalid(cx: Context, name: String) -> Result<()> {
    let mut peer = cx.peer().await?;
    let batch = [
        peer.publish_message(&name, 1),
        peer.subscribe_message(name.as_str()),
        peer.unsubscribe_message(name.as_str()),
        peer.publish_message(&cx.channel("a"), 1),
    ];
    let turn = peer.ask(&batch).await?;
    refused(turn.nth(0)?, "405::channel_invalid")?;
    refused(turn.nth(1)?, "403::subscription_invalid")?;
    refused(turn.nth(2)?, "403::subscription_invalid")?;
    accepted(turn.nth(3)?)
}

fn of_length(cx: &Context, bytes: usize) -> String {
    let mut name = cx.channel("a");
    name.extend(std::iter::repeat_n('x', bytes - name.len()));
    name
}

fn of_depth(cx: &Context, segments: usize) -> String {
    cx.channel(&vec!["x"; segments - 1].join("/"))
}

async fn good(cx: Context, channel: String) -> Result<()> {
    let mut peer = cx.peer().await?;
    peer.subscribe(&channel).await?;
    peer.publish(&channel, 1).await?;
    peer.unsubscribe(&channel).await
}

async fn longest(cx: Context) -> Result<()> {
    let channel = of_length(&cx, 255);
    good(cx, channel).await
}

async fn deepest(cx: Context) -> Result<()> {
    let channel = of_depth(&cx, 16);
    good(cx, channel).await
}

async fn denied(cx: Context, channel: &str) -> Result<()> {
    let mut peer = cx.peer().await?;
    let message = peer.publish_message(channel, 1);
    refused(&peer.ask_one(message).await?, "403::channel_denied")
}

async fn below_subscribe(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    let message = peer.message("/meta/subscribe/x", json!({"subscription": channel}));
    refused(&peer.ask_one(message).await?, "403::channel_denied")?;
    let mut publisher = cx.publisher().await?;
    publisher.publish(&channel, "must not arrive").await?;
    peer.nothing_so_far(&mut publisher).await
}

async fn subscribe_meta(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    for name in ["/meta/connect", "/meta/*", "/meta/**", "/meta/nonsense"] {
        let message = peer.subscribe_message(name);
        refused(&peer.ask_one(message).await?, "403:")?;
    }
    Ok(())
}

async fn service_publish(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    for name in ["/service/init", "/service/statistics/start"] {
        accepted(&peer.publish(name, json!({"a": 1})).await?)?;
    }
    Ok(())
}

async fn service_not_broadcast(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = format!("/service/{}", cx.tag());
    for name in [channel.as_str(), "/service/**"] {
        peer.subscribe(name).await?;
    }
    let mut publisher = cx.publisher().await?;
    publisher.publish(&channel, "must not arrive").await?;
    peer.nothing_so_far(&mut publisher).await
}

async fn service_subscribe(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    for name in ["/service/a", "/service/*", "/service/**"] {
        let (subscribe, unsubscribe) = (peer.subscribe_message(name), peer.unsubscribe_message(name));
        let reply = peer.ask_one(subscribe).await?;
        accepted(&reply)?;
        ensure!(reply["subscription"] == *name, "{}", reply.raw);
        accepted(&peer.ask_one(unsubscribe).await?)?;
    }
    Ok(())
}

async fn reply_spelling(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("Mixed Case.x");
    peer.subscribe(&channel).await?;
    let reply = peer.publish(&channel, 1).await?;
    ensure!(reply.channel() == channel, "the reply says {}", reply.channel());
    let message = peer.receive_one().await?;
    ensure!(message.channel() == channel, "the message says {}", message.channel());
    Ok(())
}
