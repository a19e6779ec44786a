//! The broker as a whole, with paused time and without any transport: what the verbs promise together.

mod faults;
mod goodbye;
mod log;
mod revoked;

use super::*;
use crate::{
    bayeux::{DecodeLimits, Reconnect, decode},
    broker::session::Event,
    engine::{EngineSettings, MemoryEngine, settings::MemorySettings},
};
use std::sync::atomic::Ordering;

const LIMITS: DecodeLimits = DecodeLimits { messages: 100, depth: 20 };

fn broker(change: impl FnOnce(&mut BrokerSettings)) -> Broker {
    let mut settings = BrokerSettings { lanes: 2, ..BrokerSettings::default() };
    change(&mut settings);
    let engine = Arc::new(MemoryEngine::with(&EngineSettings::default(), 1000));
    Broker::start(settings, vec![ConnectionType::WebSocket, ConnectionType::LongPolling], engine, Plugins::default())
}

fn caller(transport: ConnectionType) -> Caller {
    Caller { peer: None, browser: None, transport, multiplexed: false, credentials: None }
}

const POLL: ConnectionType = ConnectionType::LongPolling;

async fn handshake(broker: &Broker) -> Arc<Session> {
    let body = br#"{"channel":"/meta/handshake"}"#;
    let decoded = decode(body, LIMITS).unwrap();
    broker.handshake(&caller(POLL), &decoded.messages[0]).await.1.unwrap()
}

async fn subscribe(broker: &Broker, session: &Session, pattern: &str) -> Reply {
    let body = format!(r#"{{"channel":"/meta/subscribe","clientId":"{}","subscription":"{pattern}"}}"#, session.id);
    let decoded = decode(body.as_bytes(), LIMITS).unwrap();
    broker.subscribe(&caller(POLL), &decoded.messages[0]).await
}

async fn connect_with(broker: &Broker, id: ClientId, fields: &str) -> Connect {
    let body = format!(r#"{{"channel":"/meta/connect","clientId":"{id}"{fields}}}"#);
    let decoded = decode(body.as_bytes(), LIMITS).unwrap();
    broker.connect(&caller(POLL), &decoded.messages[0], false).await
}

async fn poll(broker: &Broker, id: ClientId, fields: &str) -> Answered {
    match connect_with(broker, id, fields).await {
        Connect::Planned(plan) => broker.hold(plan).await,
        Connect::Refused(reply) => panic!("{reply:?}"),
    }
}

fn data(answered: &Answered) -> Vec<String> {
    answered.delivery.publications.iter().map(|p| p.draft.data().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn the_first_connect_is_immediate_and_the_next_is_held_for_95_percent() {
    let broker = broker(|_| {});
    let session = handshake(&broker).await;
    let start = Instant::now();
    let first = poll(&broker, session.id, "").await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(first.reply.advice, Some(broker.advice()));
    let second = poll(&broker, session.id, "").await;
    assert_eq!(start.elapsed().as_millis(), 28_500);
    assert_eq!(second.reply.advice, None, "nothing has changed since the first");
    poll(&broker, session.id, r#","advice":{"timeout":500}"#).await;
    assert_eq!(start.elapsed().as_millis(), 29_000);
}

#[tokio::test(start_paused = true)]
async fn a_message_ends_the_hold_and_a_newer_connect_replaces_it() {
    let broker = broker(|_| {});
    let session = handshake(&broker).await;
    subscribe(&broker, &session, "/a/*").await;
    poll(&broker, session.id, "").await;
    let held = {
        let (broker, id) = (broker.clone(), session.id);
        tokio::spawn(async move { poll(&broker, id, r#","id":"old""#).await })
    };
    tokio::task::yield_now().await;
    let Connect::Planned(newer) = connect_with(&broker, session.id, "").await else { panic!() };
    let old = held.await.unwrap();
    assert!(old.reply.is_successful() && old.reply.advice.is_none() && old.delivery.is_empty());
    broker.publish_data("/a/b", "1").await.unwrap();
    broker.publish_data("/a/b/c", "2").await.unwrap();
    assert_eq!(data(&broker.hold(newer).await), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn silence_ends_a_session_and_speech_prolongs_it() {
    let broker = broker(|s| s.max_interval = Duration::from_secs(10));
    let silent = handshake(&broker).await;
    let talking = handshake(&broker).await;
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_secs(8)).await;
        subscribe(&broker, &talking, "/x").await;
    }
    assert_eq!(silent.lock().ended, Some(End::Expired));
    assert_eq!(talking.lock().ended, None);
    assert_eq!(broker.sessions().count(), 1);
    let Connect::Refused(reply) = connect_with(&broker, silent.id, "").await else { panic!() };
    assert_eq!(reply.error.unwrap().to_string(), "402::session_unknown");
    assert_eq!(reply.advice.unwrap().reconnect, Reconnect::Handshake);
}

/// The broker holds connects for longer than it waits for the next one: only a client that is there may be silent so long.
#[tokio::test(start_paused = true)]
async fn who_vanishes_while_a_connect_is_held_is_silent_from_then_on() {
    let broker = broker(|s| s.max_interval = Duration::from_secs(10));
    let (vanishing, waiting, streaming) =
        (handshake(&broker).await, handshake(&broker).await, handshake(&broker).await);
    for session in [&vanishing, &waiting, &streaming] {
        poll(&broker, session.id, "").await;
    }
    let held = [&vanishing, &waiting].map(|session| {
        let (broker, id) = (broker.clone(), session.id);
        tokio::spawn(async move { poll(&broker, id, "").await })
    });
    let stream = broker.attach(&streaming);
    streaming.lock().deadline = Instant::now() + Duration::from_secs(40);
    tokio::time::sleep(Duration::from_secs(15)).await;
    held[0].abort();
    drop(stream);
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(broker.sessions().count(), 3, "there is still time to come back");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(vanishing.lock().ended, Some(End::Expired));
    assert_eq!(streaming.lock().ended, Some(End::Expired));
    assert_eq!(waiting.lock().ended, None);
}

#[tokio::test(start_paused = true)]
async fn overlapping_subscriptions_deliver_once_and_only_from_their_beginning() {
    let broker = broker(|_| {});
    let session = handshake(&broker).await;
    broker.publish_data("/a/b", "0").await.unwrap();
    for pattern in ["/a/b", "/a/*", "/a/**", "/**"] {
        assert!(subscribe(&broker, &session, pattern).await.is_successful());
    }
    broker.publish_data("/a/b", "1").await.unwrap();
    broker.publish_data("/service/x", "2").await.unwrap();
    broker.publish_data("/a/b", "3").await.unwrap();
    tokio::task::yield_now().await;
    let mut all = data(&poll(&broker, session.id, "").await);
    if all.len() < 2 {
        all.extend(data(&poll(&broker, session.id, "").await));
    }
    assert_eq!(all, ["1", "3"]);
}

#[tokio::test(start_paused = true)]
async fn a_reader_far_behind_gets_everything_from_the_log_in_order() {
    let broker = broker(|s| s.max_queue = 10);
    let session = handshake(&broker).await;
    subscribe(&broker, &session, "/a").await;
    for n in 0..3000 {
        broker.publish_data(if n % 3 == 0 { "/b" } else { "/a" }, &n.to_string()).await.unwrap();
    }
    let expected: Vec<String> = (0..3000).filter(|n| n % 3 != 0).map(|n| n.to_string()).collect();
    broker.lane(session.lane).caught_up(broker.engine().newest()).await;
    assert_eq!(session.lock().queued(), (0, 0), "the queue was given up");
    let mut got = Vec::new();
    while got.len() < expected.len() {
        got.extend(data(&poll(&broker, session.id, "").await));
    }
    assert_eq!(got, expected);
    broker.publish_data("/a", "\"live\"").await.unwrap();
    assert_eq!(data(&poll(&broker, session.id, "").await), ["\"live\""]);
}

#[tokio::test(start_paused = true)]
async fn what_the_log_dropped_is_a_gap_and_counted() {
    let mut settings = BrokerSettings { lanes: 1, max_queue: 2, ..BrokerSettings::default() };
    settings.sweep_period = Duration::from_secs(1000);
    let memory = MemorySettings { max_messages: 5, ..MemorySettings::default() };
    let kept = EngineSettings { memory, ..EngineSettings::default() };
    let broker = Broker::start(settings, vec![POLL], Arc::new(MemoryEngine::with(&kept, 1000)), Plugins::default());
    let session = handshake(&broker).await;
    subscribe(&broker, &session, "/a").await;
    for n in 0..20 {
        broker.publish_data("/a", &n.to_string()).await.unwrap();
        tokio::task::yield_now().await;
    }
    broker.lane(0).caught_up(broker.engine().newest()).await;
    let answered = poll(&broker, session.id, "").await;
    assert_eq!(data(&answered), ["15", "16", "17", "18", "19"]);
    assert_eq!(answered.delivery.gap, Some((1000, 1014)));
    let label = metrics::DropLabel { reason: metrics::DropReason::NotRetained };
    assert_eq!(broker.metrics().dropped.get_or_create(&label).get(), 15);
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_panics_costs_its_sessions_a_reconnect_and_no_message() {
    let broker = broker(|_| {});
    let session = handshake(&broker).await;
    let other = loop {
        let other = handshake(&broker).await;
        if other.lane != session.lane {
            break other;
        }
    };
    for s in [&session, &other] {
        subscribe(&broker, s, "/a").await;
        poll(&broker, s.id, "").await;
    }
    let stream = broker.attach(&session);
    broker.lane(session.lane).fault.store(true, Ordering::Relaxed);
    broker.publish_data("/a", "1").await.unwrap();
    let event = std::future::poll_fn(|cx| stream.poll_event(true, cx)).await;
    assert_eq!(event, Event::Ended(End::LaneLost), "whoever is attached hears of it");
    broker.publish_data("/a", "2").await.unwrap();
    let mut got = data(&poll(&broker, session.id, "").await);
    while got.len() < 2 {
        got.extend(data(&poll(&broker, session.id, "").await));
    }
    assert_eq!(got, ["1", "2"]);
    assert_eq!(broker.metrics().lane_restarts.get(), 1);
    let mut got = data(&poll(&broker, other.id, "").await);
    while got.len() < 2 {
        got.extend(data(&poll(&broker, other.id, "").await));
    }
    assert_eq!(got, ["1", "2"], "the other lane noticed nothing");
}

#[tokio::test(start_paused = true)]
async fn stopping_answers_what_is_held_and_refuses_what_is_new() {
    let broker = broker(|_| {});
    let session = handshake(&broker).await;
    poll(&broker, session.id, "").await;
    let held = {
        let (broker, id) = (broker.clone(), session.id);
        tokio::spawn(async move { poll(&broker, id, "").await })
    };
    tokio::task::yield_now().await;
    let start = Instant::now();
    broker.stop();
    assert!(held.await.unwrap().reply.is_successful());
    assert_eq!(start.elapsed(), Duration::ZERO);
    let body = br#"{"channel":"/meta/handshake"}"#;
    let decoded = decode(body, LIMITS).unwrap();
    let (reply, _) = broker.handshake(&caller(POLL), &decoded.messages[0]).await;
    assert_eq!(reply.error, Some(ProtocolError::ShuttingDown));
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_session_leaves_with_the_last_answer() {
    let channels =
        log::channels(vec![ChannelSettings { lazy: Some(Duration::from_secs(60)), ..log::channel("/lazy") }]);
    let broker = log::on(&log::engine(&channels), channels, |_| {});
    let session = handshake(&broker).await;
    for pattern in ["/a", "/lazy"] {
        subscribe(&broker, &session, pattern).await;
    }
    poll(&broker, session.id, "").await;
    for (channel, data) in [("/lazy", "1"), ("/a", "2"), ("/lazy", "3")] {
        broker.publish_data(channel, data).await.unwrap();
    }
    broker.lane(session.lane).caught_up(broker.engine().newest()).await;
    let (stream, lazy) = (handshake(&broker).await, handshake(&broker).await);
    for one in [&stream, &lazy] {
        subscribe(&broker, one, "/lazy").await;
        poll(&broker, one.id, "").await;
    }
    let attached = broker.attach(&stream);
    let held = {
        let (broker, id) = (broker.clone(), lazy.id);
        tokio::spawn(async move { poll(&broker, id, "").await })
    };
    broker.publish_data("/lazy", "4").await.unwrap();
    broker.lane(stream.lane).caught_up(broker.engine().newest()).await;
    broker.lane(lazy.lane).caught_up(broker.engine().newest()).await;
    broker.stop();
    assert_eq!(data(&poll(&broker, session.id, "").await), ["1", "2", "3", "4"], "who comes just now");
    assert_eq!(data(&held.await.unwrap()), ["4"], "whose poll is held");
    assert_eq!(std::future::poll_fn(|cx| attached.poll_event(true, cx)).await, Event::Messages);
    assert_eq!(attached.take().await.publications.len(), 1);
    assert_eq!(std::future::poll_fn(|cx| attached.poll_event(true, cx)).await, Event::Ended(End::ShuttingDown));
    assert!(poll(&broker, session.id, "").await.delivery.is_empty(), "and nothing twice");
}
