//! §4, when a connect is answered and what with.
//!
//! A request advice bounds every hold, so that no case waits for the server's own. Held means: silent for
//! `context::HELD`. Polling a second session is a publish: it releases what waits for a message.

use super::expect::{accepted, advises, in_order};
use crate::{
    case::{Case, Feature, Wait, case},
    context::{AT_ONCE, Context},
    peer::Peer,
    transport::{HTTP, POLLING, REQUESTS, SOCKET},
    wire::message::Message,
};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tokio::time::Instant;

const AT_ONCE_RULE: &str = "§4 Answered at once: the first connect after a handshake or a transport switch; advice.timeout:0; messages waiting; a connect batched with other messages. Held otherwise.";
const BOUND: &str = "§4 Request advice.timeout is an upper bound for this request (ms); not a number -> ignored.";
const RELEASED: &str = "§4 Released by a message, the timeout, a newer connect, disconnect, shutdown.";
const ADVICE: &str = "§4 Advice is always the full triple {reconnect, interval, timeout}, interval 0 in the normal case. Over HTTP: in the first connect reply, when the request carried advice, and when it changed; over WebSocket: in every connect reply.";
const NEWER: &str = "§4 A newer connect replaces the held one, which is answered at once: its own id, successful:true, no messages, no advice.";

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("connect.first_at_once", "the first connect is answered at once", AT_ONCE_RULE, first_at_once)
            .over(REQUESTS),
        case("connect.second_held", "the second one is held", AT_ONCE_RULE, second_held).over(REQUESTS),
        case("connect.timeout_zero", "advice.timeout 0 is answered at once", AT_ONCE_RULE, timeout_zero).over(REQUESTS),
        case("connect.messages_waiting", "waiting messages answer it at once", AT_ONCE_RULE, messages_waiting)
            .over(POLLING),
        case("connect.batched", "a connect with other messages is not held", AT_ONCE_RULE, batched).over(REQUESTS),
        case("connect.batched_takes_effect", "and the others take effect", AT_ONCE_RULE, batched_takes_effect)
            .over(REQUESTS),
        case("connect.batched_after", "wherever it stands in the batch", AT_ONCE_RULE, batched_after).over(REQUESTS),
        case("connect.bounded", "a hold ends when the request said", BOUND, bounded).over(REQUESTS),
        case("connect.bound_is_per_request", "the next connect is not bound by it", BOUND, bound_is_per_request)
            .over(REQUESTS),
        case("connect.timeout_string", "a timeout that is a string is ignored", BOUND, |cx| {
            ignored(cx, json!({"timeout": "0"}))
        })
        .over(REQUESTS),
        case("connect.timeout_null", "so is null", BOUND, |cx| ignored(cx, json!({"timeout": null}))).over(REQUESTS),
        case("connect.timeout_object", "so is an object", BOUND, |cx| ignored(cx, json!({"timeout": {"x": 0}})))
            .over(REQUESTS),
        case("connect.huge_timeout", "a timeout beyond all numbers does no harm", BOUND, |cx| {
            ignored(cx, json!({"timeout": 1e300}))
        })
        .over(REQUESTS),
        case("connect.negative_timeout", "a negative one does no harm", BOUND, negative_timeout).over(REQUESTS),
        case(
            "connect.hold_is_95_percent",
            "the server answers before the advertised time",
            "§4 The server holds 95 % of what it advertises.",
            hold_is_95_percent,
        )
        .over(REQUESTS)
        .waits(Wait::Hold),
        case("connect.bound_not_beyond_hold", "a longer wish does not lengthen the hold", BOUND, bound_not_beyond_hold)
            .over(HTTP)
            .waits(Wait::Hold),
        case("connect.released_by_message", "a message releases the held connect", RELEASED, released_by_message)
            .over(POLLING),
        case("connect.released_by_own_message", "one's own message does too", RELEASED, released_by_own_message)
            .over(POLLING)
            .unless(Feature::NoEcho),
        case(
            "connect.not_released_by_push",
            "a pushed message leaves it held",
            "§4 On WebSocket messages are pushed at once; the connect stays held as heartbeat.",
            not_released_by_push,
        )
        .over(SOCKET),
        case("connect.advice_first", "the first reply carries the full advice", ADVICE, advice_first).over(REQUESTS),
        case("connect.advice_interval_zero", "the interval is 0", ADVICE, advice_interval_zero).over(REQUESTS),
        case("connect.advice_when_asked", "a request with advice gets advice", ADVICE, advice_when_asked)
            .over(REQUESTS),
        case("connect.no_advice_unasked", "a later reply without change has none", ADVICE, no_advice_unasked)
            .over(POLLING),
        case("connect.advice_always_over_websocket", "over WebSocket every reply has it", ADVICE, advice_always)
            .over(SOCKET),
        case(
            "connect.advised_timeout_is_the_servers",
            "the advised timeout is the server's, not the request's",
            ADVICE,
            advised_timeout,
        )
        .over(REQUESTS),
        case("connect.newer_replaces", "the older one is answered, the newer one held", NEWER, newer_replaces)
            .over(REQUESTS),
        case("connect.replaced_has_no_messages", "the older answer is bare", NEWER, replaced_is_bare).over(POLLING),
        case(
            "connect.message_goes_to_newer",
            "what comes later goes to the newer one, once",
            NEWER,
            message_goes_to_newer,
        )
        .over(POLLING),
        case("connect.many_newer", "ten connects in a row leave one held", NEWER, many_newer).over(REQUESTS),
        case("connect.own_id", "every reply has the id of its own request", NEWER, own_id).over(REQUESTS),
    ]
}

fn quick(since: Instant, what: &str) -> Result<()> {
    let took = since.elapsed();
    ensure!(took < AT_ONCE, "{what} took {took:?}");
    Ok(())
}

async fn first_at_once(cx: Context) -> Result<()> {
    let mut peer = cx.newborn().await?;
    let since = Instant::now();
    accepted(peer.connect(None).await?.reply()?)?;
    quick(since, "the first connect")
}

async fn second_held(cx: Context) -> Result<()> {
    let mut peer = cx.newborn().await?;
    peer.connect(None).await?;
    let connect = peer.connect_message(None);
    let mut pending = peer.start(&[connect]).await?;
    ensure!(peer.is_held(&mut pending).await?, "the second connect was not held");
    Ok(())
}

async fn timeout_zero(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let since = Instant::now();
    accepted(peer.connect(Some(json!({"timeout": 0}))).await?.reply()?)?;
    quick(since, "a connect with timeout 0")
}

async fn messages_waiting(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    cx.publisher().await?.publish(&channel, 1).await?;
    let since = Instant::now();
    let turn = peer.connect(Some(json!({"timeout": 6000}))).await?;
    ensure!(turn.events().len() == 1, "no message in {}", turn.text());
    quick(since, "a connect with a message waiting")
}

async fn batched(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let batch = [peer.connect_message(None), peer.subscribe_message(cx.channel("a"))];
    let since = Instant::now();
    peer.ask(&batch).await?.replies()?.into_iter().try_for_each(accepted)?;
    quick(since, "a connect with a subscribe")
}

async fn batched_takes_effect(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    let batch = [peer.connect_message(Some(json!({"timeout": 6000}))), peer.subscribe_message(channel.as_str())];
    peer.ask(&batch).await?.replies()?.into_iter().try_for_each(accepted)?;
    cx.publisher().await?.publish(&channel, 1).await?;
    ensure!(peer.receive_one().await?["data"] == 1, "something else arrived");
    Ok(())
}

async fn batched_after(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let batch = [peer.publish_message(&cx.channel("a"), 1), peer.connect_message(None)];
    let since = Instant::now();
    peer.ask(&batch).await?.replies()?.into_iter().try_for_each(accepted)?;
    quick(since, "a publish with a connect")
}

async fn bounded(cx: Context) -> Result<()> {
    const BOUND_MS: u64 = 600;
    let mut peer = cx.peer().await?;
    let since = Instant::now();
    let turn = peer.connect(Some(json!({"timeout": BOUND_MS}))).await?;
    let took = since.elapsed().as_millis() as u64;
    accepted(turn.reply()?)?;
    // The server may answer at 95 % of any time it is given.
    ensure!(took >= BOUND_MS * 9 / 10, "answered after {took} ms instead of {BOUND_MS}");
    ensure!(took < BOUND_MS + AT_ONCE.as_millis() as u64, "held for {took} ms instead of {BOUND_MS}");
    Ok(())
}

async fn bound_is_per_request(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    peer.connect(Some(json!({"timeout": 50}))).await?;
    let connect = peer.connect_message(None);
    let mut pending = peer.start(&[connect]).await?;
    ensure!(peer.is_held(&mut pending).await?, "the next connect was not held");
    Ok(())
}

async fn ignored(cx: Context, advice: Value) -> Result<()> {
    let mut peer = cx.peer().await?;
    let held = peer.hold_with(advice).await?;
    release(&mut peer).await?;
    accepted(peer.finish(held).await?.reply()?)
}

/// Releases a held connect by a newer one that is not held.
async fn release(peer: &mut Peer) -> Result<()> {
    peer.connect(Some(json!({"timeout": 0}))).await.map(drop)
}

async fn negative_timeout(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let connect = peer.connect_message(Some(json!({"timeout": -5, "interval": -5})));
    let mut pending = peer.start(&[connect]).await?;
    if peer.is_held(&mut pending).await? {
        release(&mut peer).await?;
    }
    accepted(peer.finish(pending).await?.reply()?)
}

async fn hold_is_95_percent(cx: Context) -> Result<()> {
    let advertised = cx.server.advertised_timeout;
    let mut peer = cx.peer().await?;
    let since = Instant::now();
    let connect = peer.connect_message(None);
    let pending = peer.start(&[connect]).await?;
    wait_for(&mut peer, pending, advertised + AT_ONCE).await?;
    let share = since.elapsed().as_secs_f64() / advertised.as_secs_f64();
    ensure!((0.93..1.0).contains(&share), "held for {:.1} % of the advertised {advertised:?}", share * 100.0);
    Ok(())
}

async fn bound_not_beyond_hold(cx: Context) -> Result<()> {
    let advertised = cx.server.advertised_timeout;
    let mut peer = cx.peer().await?;
    let since = Instant::now();
    let connect = peer.connect_message(Some(json!({"timeout": advertised.as_millis() as u64 * 10})));
    let pending = peer.start(&[connect]).await?;
    wait_for(&mut peer, pending, advertised + AT_ONCE).await?;
    ensure!(since.elapsed() < advertised, "held for {:?}, advertised {advertised:?}", since.elapsed());
    Ok(())
}

/// Waits for an answer longer than the usual patience.
async fn wait_for(peer: &mut Peer, mut pending: crate::peer::Pending, longest: std::time::Duration) -> Result<()> {
    let deadline = Instant::now() + longest;
    while peer.is_held(&mut pending).await? {
        ensure!(Instant::now() < deadline, "still held after {longest:?}");
    }
    accepted(peer.finish(pending).await?.reply()?)
}

async fn released_by_message(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    let held = peer.hold().await?;
    let since = Instant::now();
    cx.publisher().await?.publish(&channel, 1).await?;
    let turn = peer.finish(held).await?;
    accepted(turn.reply()?)?;
    ensure!(turn.events().len() == 1, "released without the message: {}", turn.text());
    quick(since, "the release")
}

async fn released_by_own_message(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    let held = peer.hold().await?;
    peer.publish(&channel, 1).await?;
    let turn = peer.finish(held).await?;
    ensure!(turn.events().len() == 1, "released without the message: {}", turn.text());
    Ok(())
}

async fn not_released_by_push(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    let mut held = peer.hold().await?;
    cx.publisher().await?.publish(&channel, 1).await?;
    ensure!(peer.receive_one().await?["data"] == 1, "something else arrived");
    ensure!(peer.is_held(&mut held).await?, "the connect was answered");
    Ok(())
}

async fn first_reply(cx: &Context) -> Result<Message> {
    let mut peer = cx.newborn().await?;
    Ok(peer.connect(None).await?.reply()?.clone())
}

async fn advice_first(cx: Context) -> Result<()> {
    advises(&first_reply(&cx).await?, "retry")
}

async fn advice_interval_zero(cx: Context) -> Result<()> {
    let reply = first_reply(&cx).await?;
    ensure!(reply["advice"]["interval"] == 0, "{}", reply.raw);
    Ok(())
}

async fn advice_when_asked(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let turn = peer.connect(Some(json!({"timeout": 0}))).await?;
    advises(turn.reply()?, "retry")
}

async fn no_advice_unasked(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    let mut publisher = cx.publisher().await?;
    // The first connect without advice may still tell of the change back to the usual times.
    for n in 0..2 {
        publisher.publish(&channel, n).await?;
        let turn = peer.connect(None).await?;
        ensure!(turn.events().len() == 1, "no message in {}", turn.text());
        ensure!(n == 0 || turn.reply()?.get("advice").is_none(), "unasked advice: {}", turn.text());
    }
    Ok(())
}

async fn advice_always(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    for _ in 0..3 {
        let batch = [peer.connect_message(None), peer.publish_message(&cx.channel("a"), 1)];
        advises(peer.ask(&batch).await?.nth(0)?, "retry")?;
    }
    Ok(())
}

async fn advised_timeout(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let turn = peer.connect(Some(json!({"timeout": 50}))).await?;
    let advised = turn.reply()?["advice"]["timeout"].as_u64().unwrap_or_default();
    ensure!(u128::from(advised) == cx.server.advertised_timeout.as_millis(), "advised {advised} ms");
    Ok(())
}

async fn newer_replaces(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let older = peer.hold().await?;
    let connect = peer.connect_message(Some(json!({"timeout": 6000})));
    let mut newer = peer.start(&[connect]).await?;
    accepted(peer.finish(older).await?.reply()?)?;
    ensure!(peer.is_held(&mut newer).await?, "the newer connect was not held");
    Ok(())
}

async fn replaced_is_bare(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let older = peer.hold().await?;
    release(&mut peer).await?;
    let turn = peer.finish(older).await?;
    ensure!(turn.messages.len() == 1, "messages beside the reply: {}", turn.text());
    accepted(turn.reply()?)?;
    ensure!(turn.reply()?.get("advice").is_none(), "advice in it: {}", turn.text());
    Ok(())
}

async fn message_goes_to_newer(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    let older = peer.hold().await?;
    let newer = peer.hold().await?;
    let older = peer.finish(older).await?;
    cx.publisher().await?.publish(&channel, 0).await?;
    let newer = peer.finish(newer).await?;
    ensure!(older.events().is_empty(), "the older one got {}", older.text());
    in_order(&newer.events().into_iter().cloned().collect::<Vec<_>>(), 0..1)
}

async fn many_newer(cx: Context) -> Result<()> {
    const CONNECTS: usize = 10;
    let mut peer = cx.peer().await?;
    let mut held = peer.hold().await?;
    for _ in 1..CONNECTS {
        let connect = peer.connect_message(Some(json!({"timeout": 6000})));
        let newer = peer.start(&[connect]).await?;
        let older = std::mem::replace(&mut held, newer);
        accepted(peer.finish(older).await?.reply()?)?;
    }
    ensure!(peer.is_held(&mut held).await?, "the newest one is not held");
    Ok(())
}

async fn own_id(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let older = peer.hold().await?;
    let newer = peer.connect(Some(json!({"timeout": 0}))).await?;
    let older = peer.finish(older).await?;
    // `reply` finds exactly one reply with the id of the request, or fails.
    ensure!(older.reply()?["id"] != newer.reply()?["id"], "one id for both");
    accepted(newer.reply()?)
}
