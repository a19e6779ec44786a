//! §9, eventsource: the stream, its ids, and resuming it. Requests of these sessions go by POST.

use super::expect::in_order;
use crate::{
    case::{Case, case},
    context::{Context, PATIENCE},
    peer::Peer,
    transport::STREAM,
    wire::{
        message::Message,
        request::Request,
        sse::{EventStream, StreamEvent},
    },
};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;

const STREAM_RULE: &str = "§9 eventsource: GET <mount>/<clientId>, Accept: text/event-stream.";
const UNKNOWN: &str = "§9 Unknown session -> 404.";
const IDS: &str = "§9 id: lines with the log position so that Last-Event-ID resumes.";

pub(super) fn cases() -> Vec<Case> {
    let cases = [
        case("eventsource.type", "the stream says what it is and is not stored", STREAM_RULE, stream_type),
        case("eventsource.arrays", "every event is a JSON array of messages", STREAM_RULE, arrays),
        case(
            "eventsource.no_replies",
            "replies go with their requests, not with the stream",
            "§4 On EventSource messages are pushed; §2 one reply per request.",
            no_replies,
        ),
        case("eventsource.unknown_session", "an unknown clientId is 404", UNKNOWN, |cx| not_found(cx, "nobody")),
        case("eventsource.prototype_name", "so is a name that every object has", UNKNOWN, |cx| {
            not_found(cx, "__proto__")
        }),
        case("eventsource.unknown_stays_unknown", "asking for a stream makes no session", UNKNOWN, makes_no_session),
        case("eventsource.ids", "every event has an id, and ids grow", IDS, ids_grow),
        case("eventsource.resume", "a stream that resumes gets what came meanwhile, once", IDS, resume),
        case("eventsource.resume_older", "and again what it says it has not seen", IDS, resume_older),
        case("eventsource.resume_first", "also what was lost with the very first event", IDS, resume_first),
        case("eventsource.resume_nonsense", "a nonsensical Last-Event-ID loses nothing", IDS, resume_nonsense),
        case(
            "eventsource.not_with_connect",
            "a connect reply carries no messages while the stream is open",
            "§4 On EventSource messages are pushed at once.",
            not_with_connect,
        ),
        case(
            "eventsource.connect_stays_held",
            "a pushed message leaves the connect held",
            "§4 On WebSocket and EventSource they are pushed at once; the connect stays held as heartbeat.",
            connect_stays_held,
        ),
        case("eventsource.reopened", "a new stream continues where the old one broke", IDS, reopened),
        case("eventsource.plain_get", "a GET that asks for no stream gets none", STREAM_RULE, plain_get),
    ];
    cases.into_iter().map(|case| case.over(STREAM)).collect()
}

/// A subscribed session, its stream, and somebody to publish.
async fn streaming(cx: &Context) -> Result<(Peer, EventStream, Peer, String)> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    let stream = peer.take_stream()?;
    Ok((peer, stream, cx.publisher().await?, channel))
}

/// Reads events until so many messages came; keeps the ids.
async fn read(stream: &mut EventStream, count: usize) -> Result<(Vec<Message>, Vec<StreamEvent>)> {
    let (mut messages, mut events) = (Vec::new(), Vec::new());
    while messages.len() < count {
        let event =
            stream.event(PATIENCE).await.with_context(|| format!("after {} of {count} messages", messages.len()))?;
        messages.extend(Message::array(&event.data)?);
        events.push(event);
    }
    Ok((messages, events))
}

async fn stream_type(cx: Context) -> Result<()> {
    let (_peer, stream, ..) = streaming(&cx).await?;
    let seen = stream.head.header("content-type").to_owned();
    ensure!(seen.starts_with("text/event-stream"), "Content-Type: {seen}");
    let cache = stream.head.header("cache-control");
    ensure!(cache.contains("no-store") || cache.contains("no-cache"), "Cache-Control: {cache}");
    Ok(())
}

async fn arrays(cx: Context) -> Result<()> {
    let (_peer, mut stream, mut publisher, channel) = streaming(&cx).await?;
    for n in 0..3 {
        publisher.publish(&channel, n).await?;
    }
    in_order(&read(&mut stream, 3).await?.0, 0..3)
}

async fn no_replies(cx: Context) -> Result<()> {
    let (mut peer, mut stream, mut publisher, channel) = streaming(&cx).await?;
    peer.publish(&cx.channel("b"), 1).await?;
    peer.unsubscribe(&cx.channel("c")).await?;
    publisher.publish(&channel, 0).await?;
    in_order(&read(&mut stream, 1).await?.0, 0..1)
}

fn stream_request(cx: &Context, client_id: &str) -> Request {
    Request::new("GET", &cx.target(&format!("/{client_id}"))).header("Accept", "text/event-stream")
}

async fn not_found(cx: Context, client_id: &str) -> Result<()> {
    let response = cx.send(&stream_request(&cx, client_id)).await?;
    ensure!(response.status() == 404, "status {}", response.status());
    Ok(())
}

async fn makes_no_session(cx: Context) -> Result<()> {
    let client_id = format!("nobody-{}", cx.tag());
    for _ in 0..2 {
        let response = cx.send(&stream_request(&cx, &client_id)).await?;
        ensure!(response.status() == 404, "status {}", response.status());
    }
    let mut stranger = Peer::attach(cx.clone(), cx.transport, &client_id, None).await?;
    let connect = stranger.connect_message(None);
    super::expect::refused(&stranger.ask_one(connect).await?, "402::session_unknown")
}

async fn ids_grow(cx: Context) -> Result<()> {
    let (_peer, mut stream, mut publisher, channel) = streaming(&cx).await?;
    let mut positions = Vec::new();
    for n in 0..4 {
        publisher.publish(&channel, n).await?;
        let (_, events) = read(&mut stream, 1).await?;
        let id = events[0].id.clone().context("an event without id")?;
        positions.push(id.parse::<u64>().with_context(|| format!("the id {id} is no position"))?);
    }
    ensure!(positions.windows(2).all(|pair| pair[0] < pair[1]), "positions {positions:?}");
    Ok(())
}

async fn resume(cx: Context) -> Result<()> {
    let (peer, mut stream, mut publisher, channel) = streaming(&cx).await?;
    publisher.publish(&channel, 0).await?;
    let last = read(&mut stream, 1).await?.1[0].id.clone().context("an event without id")?;
    stream.abort();
    publisher.publish(&channel, 1).await?;
    publisher.publish(&channel, 2).await?;
    let mut stream = peer.open_stream(Some(&last)).await?;
    in_order(&read(&mut stream, 2).await?.0, 1..3)?;
    publisher.publish(&channel, 3).await?;
    in_order(&read(&mut stream, 1).await?.0, 3..4)
}

async fn resume_older(cx: Context) -> Result<()> {
    let (peer, mut stream, mut publisher, channel) = streaming(&cx).await?;
    publisher.publish(&channel, 0).await?;
    let first = read(&mut stream, 1).await?.1[0].id.clone().context("an event without id")?;
    for n in 1..4 {
        publisher.publish(&channel, n).await?;
    }
    read(&mut stream, 3).await?;
    stream.abort();
    let mut stream = peer.open_stream(Some(&first)).await?;
    in_order(&read(&mut stream, 3).await?.0, 1..4)
}

async fn resume_first(cx: Context) -> Result<()> {
    let (peer, mut stream, mut publisher, channel) = streaming(&cx).await?;
    let opened = stream.last_id(PATIENCE).await?;
    publisher.publish(&channel, 0).await?;
    // It was written, and this browser had it only half.
    read(&mut stream, 1).await?;
    stream.abort();
    let mut stream = peer.open_stream(Some(&opened)).await?;
    publisher.publish(&channel, 1).await?;
    in_order(&read(&mut stream, 2).await?.0, 0..2)
}

async fn resume_nonsense(cx: Context) -> Result<()> {
    for nonsense in ["abc", "-5", "99999999999999999999999"] {
        let (mut peer, stream, mut publisher, channel) = streaming(&cx).await?;
        stream.abort();
        publisher.publish(&channel, 0).await?;
        let mut stream = peer.open_stream(Some(nonsense)).await?;
        publisher.publish(&channel, 1).await?;
        in_order(&read(&mut stream, 2).await?.0, 0..2).with_context(|| format!("Last-Event-ID: {nonsense}"))?;
        peer.disconnect().await?;
    }
    Ok(())
}

async fn not_with_connect(cx: Context) -> Result<()> {
    let (mut peer, mut stream, mut publisher, channel) = streaming(&cx).await?;
    publisher.publish(&channel, 0).await?;
    in_order(&read(&mut stream, 1).await?.0, 0..1)?;
    let turn = peer.connect(Some(json!({"timeout": 0}))).await?;
    ensure!(turn.messages.len() == 1, "beside the connect reply: {}", turn.text());
    publisher.publish(&channel, 1).await?;
    in_order(&read(&mut stream, 1).await?.0, 1..2)
}

async fn connect_stays_held(cx: Context) -> Result<()> {
    let (mut peer, mut stream, mut publisher, channel) = streaming(&cx).await?;
    let mut held = peer.hold().await?;
    publisher.publish(&channel, 0).await?;
    in_order(&read(&mut stream, 1).await?.0, 0..1)?;
    ensure!(peer.is_held(&mut held).await?, "the connect was answered");
    Ok(())
}

async fn reopened(cx: Context) -> Result<()> {
    let (peer, stream, mut publisher, channel) = streaming(&cx).await?;
    stream.abort();
    for n in 0..3 {
        publisher.publish(&channel, n).await?;
    }
    let mut stream = peer.open_stream(None).await?;
    in_order(&read(&mut stream, 3).await?.0, 0..3)
}

async fn plain_get(cx: Context) -> Result<()> {
    let peer = cx.peer().await?;
    let request = Request::new("GET", &cx.target(&format!("/{}", peer.client_id))).header("Accept", "application/json");
    let response = cx.send(&request).await?;
    ensure!((400..500).contains(&response.status()), "status {}", response.status());
    Ok(())
}
