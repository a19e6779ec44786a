//! §1, §2, §6, the bounds: what lies at them is served, what lies beyond is refused with a clear error, and nobody else
//! notices. `--have small-limits` moves the bounds to the small ones of the README.

use super::expect::{accepted, in_order, refused, request_refused};
use crate::{
    case::{Case, Feature, case},
    context::Context,
    peer::Peer,
    transport::{DELIVERY, POLLING, REQUESTS, Transport},
    wire::message::{Message, excerpt},
};
use anyhow::{Result, ensure};
use serde_json::{Value, json};

/// Default `transport.max_message_bytes`.
pub(super) const MESSAGE_BYTES: usize = 1 << 20;
/// The same under `--have small-limits`.
pub(super) const SMALL_MESSAGE_BYTES: usize = 64 << 10;
const BATCH: usize = 1000;
const SMALL_BATCH: usize = 50;
const SMALL_SUBSCRIPTIONS: usize = 10;
const JSON_DEPTH: usize = 64;

const SIZE: &str = "§1 Over the size limit: 413, same shape. Never an empty body, never 500.";
const BATCHES: &str = "§2 413::too_many_messages.";
const SUBSCRIPTIONS: &str = "§2 413::too_many_subscriptions.";
const DEPTH: &str = "§1 Malformed input is 400, never 500; bounds on everything.";
const QUEUE: &str =
    "§4 Nothing is lost silently: a session that falls behind is served from the log or told that it is gone.";

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("limits.body_at_limit", "a body just within the limit is served", SIZE, body_at_limit),
        case("limits.body_over_limit", "a body over it is 413", SIZE, body_over_limit),
        case("limits.body_far_over_limit", "also far over it", SIZE, body_far_over),
        case("limits.chunked_over_limit", "also when its length was not told", SIZE, chunked_over_limit),
        case("limits.session_survives_413", "the session lives on", SIZE, session_survives),
        case("limits.batch_at_limit", "a batch of exactly so many messages is served", BATCHES, batch_at_limit),
        case("limits.batch_over_limit", "one more is refused", BATCHES, batch_over_limit).over(REQUESTS_BY_BODY),
        case("limits.depth_at_limit", "data nested almost as deep as allowed is served", DEPTH, depth_at_limit)
            .over(REQUESTS),
        case("limits.depth_over_limit", "data nested deeper is refused", DEPTH, depth_over_limit)
            .over(REQUESTS_BY_BODY),
        case("limits.depth_bomb", "a hundred thousand brackets harm nobody", DEPTH, depth_bomb).over(REQUESTS_BY_BODY),
        case("limits.subscriptions", "the eleventh subscription is refused, ten work", SUBSCRIPTIONS, subscriptions)
            .over(REQUESTS)
            .needs(Feature::SmallLimits),
        case("limits.subscriptions_freed", "an unsubscribe makes room", SUBSCRIPTIONS, subscriptions_freed)
            .over(REQUESTS)
            .needs(Feature::SmallLimits),
        case(
            "limits.subscriptions_list",
            "a list that goes over it is refused whole",
            SUBSCRIPTIONS,
            subscriptions_list,
        )
        .over(REQUESTS)
        .needs(Feature::SmallLimits),
        case(
            "limits.many_subscriptions",
            "a hundred subscriptions are nothing special",
            SUBSCRIPTIONS,
            many_subscriptions,
        )
        .over(REQUESTS)
        .unless(Feature::SmallLimits),
        case("limits.queue", "a session that does not poll loses nothing silently", QUEUE, queue).over(POLLING),
        case("limits.queue_neighbours", "and slows nobody else down", QUEUE, queue_neighbours).over(DELIVERY),
        case("limits.long_id", "an id of 10 KB comes back or is refused", "§2 id echoed verbatim.", long_id)
            .over(REQUESTS),
    ]
}

/// Where a request is a body or a frame and not a URL.
const REQUESTS_BY_BODY: &[Transport] = &[Transport::LongPolling, Transport::WebSocket];

fn message_bytes(cx: &Context) -> usize {
    if cx.has(Feature::SmallLimits) { SMALL_MESSAGE_BYTES } else { MESSAGE_BYTES }
}

fn batch_size(cx: &Context) -> usize {
    if cx.has(Feature::SmallLimits) { SMALL_BATCH } else { BATCH }
}

/// A publish of exactly so many bytes as an array of one.
fn body_of(cx: &Context, peer: &mut Peer, bytes: usize) -> String {
    let empty = json!([peer.publish_message(&cx.channel("a"), "")]).to_string();
    empty.replace("\"data\":\"\"", &format!("\"data\":\"{}\"", "x".repeat(bytes.saturating_sub(empty.len()))))
}

async fn body_at_limit(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let body = body_of(&cx, &mut peer, message_bytes(&cx) - 64);
    let response = cx.send(&peer.request(&body)).await?;
    accepted(&super::expect::only_message(&response)?)
}

async fn body_over_limit(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let body = body_of(&cx, &mut peer, message_bytes(&cx) + 1);
    request_refused(&cx.send(&peer.request(&body)).await?, 413)
}

async fn body_far_over(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let body = body_of(&cx, &mut peer, message_bytes(&cx) * 4);
    let mut connection = cx.connection().await?;
    // The server may answer and hang up before it has read all.
    connection.send(&peer.request(&body)).await.ok();
    request_refused(&connection.response(crate::context::PATIENCE).await?, 413)
}

async fn chunked_over_limit(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let body = body_of(&cx, &mut peer, message_bytes(&cx) + 1);
    let mut request = peer.request("");
    request.body = None;
    let mut bytes = request.header("Transfer-Encoding", "chunked").bytes(&cx.server.url.authority());
    bytes.extend(format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).into_bytes());
    let mut connection = cx.connection().await?;
    connection.write(&bytes).await.ok();
    request_refused(&connection.response(crate::context::PATIENCE).await?, 413)
}

async fn session_survives(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let body = body_of(&cx, &mut peer, message_bytes(&cx) + 1);
    cx.send(&peer.request(&body)).await?;
    accepted(peer.connect(Some(json!({"timeout": 0}))).await?.reply()?)
}

fn batch_of(cx: &Context, peer: &mut Peer, count: usize) -> Vec<Value> {
    (0..count).map(|n| peer.publish_message(&cx.channel("a"), n)).collect()
}

async fn batch_at_limit(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let batch = batch_of(&cx, &mut peer, batch_size(&cx));
    peer.ask(&batch).await?.replies()?.into_iter().try_for_each(accepted)
}

/// What the server says to this text, sent as a body or a frame: everything in the answer.
async fn said_to(cx: &Context, peer: &mut Peer, text: &str) -> Result<Vec<Message>> {
    let Some(socket) = &mut peer.socket else { return cx.send(&peer.request(text)).await?.messages() };
    socket.send(text).await?;
    socket.frame(crate::context::PATIENCE).await
}

async fn batch_over_limit(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let batch = batch_of(&cx, &mut peer, batch_size(&cx) + 1);
    let said = said_to(&cx, &mut peer, &Value::from(batch).to_string()).await?;
    let refusal = said.iter().find(|message| !message.successful());
    refused(refusal.ok_or_else(|| anyhow::anyhow!("all {} accepted", said.len()))?, "413::too_many_messages")?;
    accepted(peer.connect(Some(json!({"timeout": 0}))).await?.reply()?)
}

/// Data nested so deep, below the array and the object of the message.
fn nested(depth: usize) -> String {
    format!("{}1{}", "[".repeat(depth), "]".repeat(depth))
}

async fn depth_at_limit(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    peer.publish_bytes(&cx.channel("a"), &nested(JSON_DEPTH - 4)).await
}

async fn too_deep(cx: &Context, depth: usize) -> Result<()> {
    let mut peer = cx.peer().await?;
    let body = format!(
        r#"[{{"channel":"{}","clientId":"{}","id":"1","data":{}}}]"#,
        cx.channel("a"),
        peer.client_id,
        nested(depth)
    );
    let said = said_to(cx, &mut peer, &body).await?;
    ensure!(said.len() == 1, "{} messages", said.len());
    refused(&said[0], "400:")?;
    accepted(peer.connect(Some(json!({"timeout": 0}))).await?.reply()?)
}

async fn depth_over_limit(cx: Context) -> Result<()> {
    too_deep(&cx, JSON_DEPTH + 2).await
}

async fn depth_bomb(cx: Context) -> Result<()> {
    // Within the small body limit, so that depth is what is refused.
    too_deep(&cx, 30_000).await
}

async fn with_ten_subscriptions(cx: &Context) -> Result<Peer> {
    let mut peer = cx.peer().await?;
    for n in 0..SMALL_SUBSCRIPTIONS {
        peer.subscribe(&cx.channel(&n.to_string())).await?;
    }
    Ok(peer)
}

async fn subscriptions(cx: Context) -> Result<()> {
    let mut peer = with_ten_subscriptions(&cx).await?;
    let eleventh = peer.subscribe_message(cx.channel("eleventh"));
    refused(&peer.ask_one(eleventh).await?, "413::too_many_subscriptions")?;
    let again = peer.subscribe_message(cx.channel("0"));
    accepted(&peer.ask_one(again).await?)?;
    cx.publisher().await?.publish(&cx.channel("9"), 0).await?;
    in_order(&Peer::receive(&mut peer, 1).await?, 0..1)
}

async fn subscriptions_freed(cx: Context) -> Result<()> {
    let mut peer = with_ten_subscriptions(&cx).await?;
    peer.unsubscribe(&cx.channel("0")).await?;
    peer.subscribe(&cx.channel("eleventh")).await
}

async fn subscriptions_list(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let list: Vec<String> = (0..=SMALL_SUBSCRIPTIONS).map(|n| cx.channel(&n.to_string())).collect();
    let message = peer.subscribe_message(list);
    refused(&peer.ask_one(message).await?, "413::too_many_subscriptions")?;
    let mut publisher = cx.publisher().await?;
    publisher.publish(&cx.channel("0"), "must not arrive").await?;
    peer.nothing_so_far(&mut publisher).await
}

async fn many_subscriptions(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let list: Vec<String> = (0..100).map(|n| cx.channel(&n.to_string())).collect();
    for piece in list.chunks(25) {
        let message = peer.subscribe_message(piece.to_vec());
        accepted(&peer.ask_one(message).await?)?;
    }
    let mut publisher = cx.publisher().await?;
    publisher.publish(&cx.channel("0"), 0).await?;
    publisher.publish(&cx.channel("99"), 1).await?;
    in_order(&peer.receive(2).await?, 0..2)
}

/// More than a small queue holds, fewer than a default one.
const MANY: u64 = 120;

async fn publish_many(cx: &Context, channel: &str) -> Result<Peer> {
    let mut publisher = cx.publisher().await?;
    for start in (0..MANY).step_by(40) {
        let batch: Vec<Value> = (start..start + 40).map(|n| publisher.publish_message(channel, n)).collect();
        publisher.ask(&batch).await?.replies()?.into_iter().try_for_each(accepted)?;
    }
    Ok(publisher)
}

async fn queue(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    publish_many(&cx, &channel).await?;
    let first = peer.connect(Some(json!({"timeout": 1000}))).await?;
    if !first.reply()?.successful() {
        return refused(first.reply()?, "402::session_unknown");
    }
    in_order(&peer.receive(MANY as usize).await?, 0..MANY)
}

async fn queue_neighbours(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut sleeper = cx.peer_over(Transport::LongPolling).await?;
    sleeper.subscribe(&channel).await?;
    let mut peer = cx.peer().await?;
    peer.subscribe(&channel).await?;
    let mut publisher = cx.publisher().await?;
    for n in 0..MANY {
        publisher.publish(&channel, n).await?;
        in_order(&peer.receive(1).await?, n..n + 1)?;
    }
    Ok(())
}

async fn long_id(cx: Context) -> Result<()> {
    const BYTES: usize = 10_000;
    let mut peer = cx.peer().await?;
    let mut message = peer.publish_message(&cx.channel("a"), 1);
    message["id"] = json!("x".repeat(BYTES));
    let said = said_to(&cx, &mut peer, &json!([message]).to_string()).await?;
    ensure!(said.len() == 1, "{} messages", said.len());
    let echoed = said[0].successful() && said[0]["id"] == message["id"];
    ensure!(echoed || said[0].error().starts_with('4'), "neither echoed nor refused: {}", excerpt(&said[0].raw));
    Ok(())
}
