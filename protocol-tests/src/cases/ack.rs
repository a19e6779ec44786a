//! §8, the ack extension: what the client does not acknowledge is sent again, in order, over every transport.
//!
//! A response counts as lost here when the client goes on with the number it had before. Publishers use long-polling.

use super::expect::{in_order, numbers};
use crate::{
    case::{Case, Feature, case},
    context::{AT_ONCE, Context, PATIENCE},
    peer::{Peer, Turn},
    transport::{DELIVERY, HTTP, REQUESTS, SOCKET, Transport},
};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::time::Instant;

use Transport::{LongPolling, WebSocket};

const ASKED: &str = "§8 ack: ext.ack:true at handshake -> ext.ack:true.";
const NUMBER: &str = "§8 ack: The number is the log position of the newest message the session was handed.";
const AGAIN: &str = "§8 ack: On ext.ack:N everything > N that was sent is sent again, at once, in order.";
const IGNORED: &str = "§8 ack: N beyond what was sent, negative, or not a number: ignored, nothing lost.";
const WITH_CONNECT: &str = "§8 ack: For ack sessions WebSocket delivery happens with connect replies too.";
const ANY: &str = "§5 Any transport may continue any session.";
const REPLACED: &str = "§4 A newer connect replaces the held one, which is answered at once: no messages.";

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("ack.granted", "who asks with true is granted it", ASKED, granted).over(REQUESTS),
        case("ack.not_granted", "whoever says something else is not", ASKED, not_granted).over(REQUESTS),
        case("ack.number_of_the_newest", "the number is a position and grows", NUMBER, number_grows).over(DELIVERY),
        case("ack.acknowledged_is_gone", "what was acknowledged does not come again", AGAIN, acknowledged)
            .over(DELIVERY),
        case("ack.response_lost", "a lost response comes again, with what came since", AGAIN, response_lost)
            .over(DELIVERY),
        case("ack.without_a_number", "a connect without a number acknowledges nothing", AGAIN, without_number)
            .over(DELIVERY),
        case("ack.reset_while_written", "a poll reset in the middle of its answer", AGAIN, reset_while_written)
            .over(HTTP)
            .unless(Feature::SmallLimits),
        case("ack.socket_reset", "a socket reset while messages are on their way", AGAIN, socket_reset)
            .over(SOCKET)
            .unless(Feature::SmallLimits),
        case("ack.two_connects", "of two connects in flight only the newer gets messages", REPLACED, two_connects)
            .over(HTTP),
        case("ack.late_reply_overtaken", "a reply that comes late takes nothing away", AGAIN, late_reply)
            .over(DELIVERY),
        case("ack.moved_to_websocket", "what was not acknowledged moves to a socket", ANY, |cx| moved(cx, WebSocket))
            .also(SOCKET),
        case("ack.moved_from_websocket", "and back to polls", ANY, |cx| moved(cx, LongPolling)).over(SOCKET),
        case("ack.strange_numbers", "strange numbers lose nothing", IGNORED, strange_numbers).over(DELIVERY),
        case("ack.only_with_connects", "nothing is pushed between connects", WITH_CONNECT, only_with_connects)
            .over(SOCKET),
        case(
            "ack.number_beside_its_messages",
            "messages and their number in one frame: a client has both or neither",
            "§2 One response is laid out [queued messages in order..., replies], the connect reply last.",
            one_frame,
        )
        .over(SOCKET),
        case("ack.nobody_else", "who did not ask sees no number", "§2 No ext that was not negotiated.", nobody_else)
            .over(DELIVERY),
    ]
}

/// A session that acknowledges, and the number it has.
struct Acknowledger {
    peer: Peer,
    number: Value,
}

impl Acknowledger {
    /// Subscribed to `channel`, its first connect answered.
    async fn new(cx: &Context, channel: &str) -> Result<Self> {
        let (mut peer, reply) = Peer::extended(cx.clone(), cx.transport, json!({"ack": true})).await?;
        ensure!(reply["ext"]["ack"] == true, "ack was not granted: {}", reply.raw);
        peer.subscribe(channel).await?;
        let mut one = Self { peer, number: json!(0) };
        one.next().await?;
        Ok(one)
    }

    fn message(&mut self, number: Value, timeout_ms: u64) -> Value {
        let mut message = self.peer.connect_message(Some(json!({"timeout": timeout_ms})));
        message["ext"] = json!({"ack": number});
        message
    }

    /// Connects with a number. Gives what came; the number stays as it was.
    async fn connect(&mut self, number: Value, timeout_ms: u64) -> Result<Turn> {
        let message = self.message(number, timeout_ms);
        self.peer.ask(&[message]).await
    }

    /// Connects as a client does that received everything.
    async fn next(&mut self) -> Result<Turn> {
        let turn = self.connect(self.number.clone(), 0).await?;
        self.number = number(&turn)?;
        Ok(turn)
    }

    /// Connects with the same number until so many messages come at once: what was just accepted may need a moment. Each
    /// response holds all that was not acknowledged, in order.
    async fn all(&mut self, wanted: std::ops::Range<u64>) -> Result<Turn> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let turn = self.again().await?;
            let came = turn.events().len() as u64;
            if came >= wanted.end - wanted.start || Instant::now() > deadline {
                carries(&turn, wanted)?;
                return Ok(turn);
            }
            carries(&turn, wanted.start..wanted.start + came)?;
        }
    }

    /// Connects as a client does whose last response was lost.
    async fn again(&mut self) -> Result<Turn> {
        self.connect(self.number.clone(), 3000).await
    }
}

fn number(turn: &Turn) -> Result<Value> {
    let number = &turn.reply()?["ext"]["ack"];
    ensure!(number.is_u64(), "ext.ack of a connect reply is no number: {}", turn.text());
    Ok(number.clone())
}

fn carries(turn: &Turn, wanted: std::ops::Range<u64>) -> Result<()> {
    let events: Vec<_> = turn.events().into_iter().cloned().collect();
    in_order(&events, wanted).with_context(|| turn.text())
}

async fn publish(publisher: &mut Peer, channel: &str, numbers: std::ops::Range<u64>) -> Result<()> {
    for n in numbers {
        publisher.publish(channel, n).await?;
    }
    Ok(())
}

async fn granted(cx: Context) -> Result<()> {
    let (_, reply) = Peer::extended(cx.clone(), cx.transport, json!({"ack": true})).await?;
    ensure!(reply["ext"] == json!({"ack": true}), "not granted: {}", reply.raw);
    Ok(())
}

async fn not_granted(cx: Context) -> Result<()> {
    for other in [json!(false), json!("true"), json!(1), json!({}), json!(null)] {
        let (_, reply) = Peer::extended(cx.clone(), cx.transport, json!({"ack": other})).await?;
        ensure!(reply.get("ext").is_none(), "{other} was granted: {}", reply.raw);
    }
    Ok(())
}

async fn number_grows(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut one = Acknowledger::new(&cx, &channel).await?;
    let mut publisher = cx.publisher().await?;
    let mut last = one.number.as_u64().unwrap_or_default();
    for n in 0..3 {
        publisher.publish(&channel, n).await?;
        let turn = one.all(n..n + 1).await?;
        one.number = number(&turn)?;
        let now = one.number.as_u64().unwrap_or_default();
        ensure!(last < now && now < 1 << 53, "after {last} came {now}");
        last = now;
    }
    let quiet = one.next().await?;
    ensure!(number(&quiet)? == last, "the number changed without a message: {}", quiet.text());
    Ok(())
}

async fn acknowledged(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut one = Acknowledger::new(&cx, &channel).await?;
    let mut publisher = cx.publisher().await?;
    publish(&mut publisher, &channel, 0..3).await?;
    let turn = one.all(0..3).await?;
    one.number = number(&turn)?;
    let quiet = one.next().await?;
    carries(&quiet, 0..0)?;
    publish(&mut publisher, &channel, 3..4).await?;
    one.all(3..4).await.map(drop)
}

async fn response_lost(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut one = Acknowledger::new(&cx, &channel).await?;
    let mut publisher = cx.publisher().await?;
    for end in 1..5 {
        publish(&mut publisher, &channel, end - 1..end).await?;
        let since = Instant::now();
        one.all(0..end).await?;
        ensure!(since.elapsed() < AT_ONCE, "it came only after {:?}", since.elapsed());
    }
    let last = one.again().await?;
    carries(&last, 0..4)?;
    one.number = number(&last)?;
    carries(&one.next().await?, 0..0)
}

async fn without_number(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut one = Acknowledger::new(&cx, &channel).await?;
    publish(&mut cx.publisher().await?, &channel, 0..2).await?;
    one.all(0..2).await?;
    let message = one.peer.connect_message(Some(json!({"timeout": 3000})));
    carries(&one.peer.ask(&[message]).await?, 0..2)
}

/// Large enough that no kernel takes the whole answer at once.
const PART: usize = 100 * 1024;
const PARTS: u64 = 8;

async fn publish_large(cx: &Context, channel: &str) -> Result<()> {
    let mut publisher = cx.publisher().await?;
    for n in 0..PARTS {
        publisher.publish(channel, json!({"n": n, "filling": "x".repeat(PART)})).await?;
    }
    Ok(())
}

/// Everything that comes until so many messages came, acknowledged on the way.
async fn receive_large(one: &mut Acknowledger) -> Result<()> {
    let mut seen = Vec::new();
    for _ in 0..PARTS {
        let turn = one.next().await?;
        seen.extend(turn.events().iter().map(|event| event["data"]["n"].clone()));
        if seen.len() as u64 >= PARTS {
            break;
        }
    }
    let wanted: Vec<Value> = (0..PARTS).map(Value::from).collect();
    ensure!(seen == wanted, "not every message once, in order: {seen:?}");
    Ok(())
}

async fn reset_while_written(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut one = Acknowledger::new(&cx, &channel).await?;
    publish_large(&cx, &channel).await?;
    for bytes in [0, 1000, PART] {
        let message = one.message(one.number.clone(), 3000);
        let mut connection = cx.connection().await?;
        connection.send(&one.peer.request(&json!([message]).to_string())).await?;
        connection.take(bytes.max(1), AT_ONCE * 2).await?;
        connection.abort();
    }
    receive_large(&mut one).await
}

async fn socket_reset(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut one = Acknowledger::new(&cx, &channel).await?;
    for _ in 0..2 {
        let message = one.message(one.number.clone(), 3000);
        let held = one.peer.start(&[message]).await?;
        drop(held);
        one.peer.socket.take().context("no socket")?.abort();
        one.peer = one.peer.moved_to(WebSocket).await?;
    }
    publish_large(&cx, &channel).await?;
    let message = one.message(one.number.clone(), 3000);
    one.peer.start(&[message]).await?;
    let socket = one.peer.socket.as_mut().context("no socket")?;
    socket.frame(AT_ONCE * 2).await.context("the first of many")?;
    one.peer.socket.take().context("no socket")?.abort();
    one.peer = one.peer.moved_to(WebSocket).await?;
    receive_large(&mut one).await
}

async fn two_connects(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut one = Acknowledger::new(&cx, &channel).await?;
    let (first, second) = (one.message(one.number.clone(), 6000), one.message(one.number.clone(), 6000));
    let mut older = one.peer.start(&[first]).await?;
    ensure!(one.peer.is_held(&mut older).await?, "the first connect was not held");
    let newer = one.peer.start(&[second]).await?;
    let replaced = one.peer.finish(older).await?;
    carries(&replaced, 0..0)?;
    ensure!(number(&replaced)? == one.number, "it acknowledges what it does not carry: {}", replaced.text());
    publish(&mut cx.publisher().await?, &channel, 0..2).await?;
    let seen: Vec<_> = one.peer.finish(newer).await?.events().into_iter().cloned().collect();
    in_order(&seen, 0..numbers(&seen).len() as u64)?;
    // The second message may have come a moment too late for it.
    one.all(0..2).await.map(drop)
}

async fn late_reply(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut one = Acknowledger::new(&cx, &channel).await?;
    let mut publisher = cx.publisher().await?;
    publish(&mut publisher, &channel, 0..1).await?;
    let late = one.all(0..1).await?;
    publish(&mut publisher, &channel, 1..2).await?;
    one.all(0..2).await?;
    // The newer answer is lost and the older one arrives after all: the client has 0 and nothing more.
    one.number = number(&late)?;
    let rest = one.all(1..2).await?;
    // And the other way round: an older number after a newer one takes nothing back.
    one.number = number(&rest)?;
    carries(&one.next().await?, 0..0)?;
    one.number = number(&late)?;
    publish(&mut publisher, &channel, 2..3).await?;
    one.all(2..3).await.map(drop)
}

async fn moved(cx: Context, transport: Transport) -> Result<()> {
    let channel = cx.channel("a");
    let mut one = Acknowledger::new(&cx, &channel).await?;
    let mut publisher = cx.publisher().await?;
    publish(&mut publisher, &channel, 0..3).await?;
    one.all(0..3).await?;
    publish(&mut publisher, &channel, 3..4).await?;
    one.peer = one.peer.moved_to(transport).await?;
    let turn = one.all(0..4).await?;
    one.number = number(&turn)?;
    carries(&one.next().await?, 0..0)
}

async fn strange_numbers(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut one = Acknowledger::new(&cx, &channel).await?;
    publish(&mut cx.publisher().await?, &channel, 0..3).await?;
    one.all(0..3).await?;
    let beyond = one.number.as_u64().unwrap_or_default() + (1 << 50);
    for strange in [
        json!(beyond),
        json!(u64::MAX),
        json!(1e300),
        json!(-1),
        json!(1.5),
        json!("7"),
        json!(true),
        json!(null),
        json!([1]),
        json!({"batch": 1}),
    ] {
        let turn = one.connect(strange.clone(), 3000).await?;
        carries(&turn, 0..3).with_context(|| format!("after the number {strange}"))?;
    }
    one.next().await.map(drop)
}

async fn only_with_connects(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut one = Acknowledger::new(&cx, &channel).await?;
    publish(&mut cx.publisher().await?, &channel, 0..2).await?;
    for _ in 0..3 {
        let message = one.peer.subscribe_message(cx.channel("other"));
        let turn = one.peer.ask(&[message]).await?;
        carries(&turn, 0..0)?;
    }
    one.all(0..2).await.map(drop)
}

async fn one_frame(cx: Context) -> Result<()> {
    let channel = cx.channel("a");
    let mut one = Acknowledger::new(&cx, &channel).await?;
    let mut publisher = cx.publisher().await?;
    for waiting in [false, true] {
        let message = one.message(one.number.clone(), 3000);
        if waiting {
            publish(&mut publisher, &channel, 0..1).await?;
        }
        let held = one.peer.start(&[message]).await?;
        if !waiting {
            publish(&mut publisher, &channel, 0..1).await?;
        }
        let turn = one.peer.finish(held).await?;
        carries(&turn, 0..1)?;
        one.number = number(&turn)?;
        let socket = one.peer.socket.as_ref().context("no socket")?;
        let (_, messages) = socket.frames.last().copied().context("no frame")?;
        ensure!(messages == 2, "the last frame holds {messages} messages: {}", turn.text());
    }
    Ok(())
}

async fn nobody_else(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let mut message = peer.connect_message(Some(json!({"timeout": 0})));
    message["ext"] = json!({"ack": 0});
    let reply = peer.ask_one(message).await?;
    ensure!(reply.get("ext").is_none(), "an ext that was not negotiated: {}", reply.raw);
    Ok(())
}
