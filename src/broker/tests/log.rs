//! What the log promises to sessions: replays, newest messages, lazy channels, gaps, restarts, publishing once.

use super::*;
use crate::{
    broker::metrics::{DropLabel, DropReason},
    engine::Retain,
    extension,
};

const NOW_US: u64 = 1000;

pub(super) fn channel(pattern: &str) -> ChannelSettings {
    ChannelSettings { pattern: pattern.into(), retain: None, retain_last: false, lazy: None, persistent: false }
}

pub(super) fn channels(settings: Vec<ChannelSettings>) -> Channels {
    Channels::new(settings, EngineSettings::default().memory.bounds(), 100)
}

pub(super) fn engine(channels: &Channels) -> Arc<dyn Engine> {
    Arc::new(MemoryEngine::new(channels.retention().clone(), EngineSettings::default().keys(), NOW_US))
}

/// A broker with all extensions on an engine.
pub(super) fn on(engine: &Arc<dyn Engine>, channels: Channels, change: impl FnOnce(&mut BrokerSettings)) -> Broker {
    let mut settings = BrokerSettings { lanes: 2, ..BrokerSettings::default() };
    change(&mut settings);
    let plugins = Plugins { extensions: extension::all(false), channels, ..Plugins::default() };
    Broker::start(settings, vec![POLL], Arc::clone(engine), plugins)
}

fn with(settings: Vec<ChannelSettings>) -> Broker {
    let channels = channels(settings);
    on(&engine(&channels), channels, |_| {})
}

pub(super) async fn open(broker: &Broker, ext: &str) -> Arc<Session> {
    let body = format!(r#"{{"channel":"/meta/handshake","ext":{ext}}}"#);
    let decoded = decode(body.as_bytes(), LIMITS).unwrap();
    broker.handshake(&caller(POLL), &decoded.messages[0]).await.1.unwrap()
}

pub(super) async fn subscribe_from(broker: &Broker, session: &Session, pattern: &str, position: &str) -> Reply {
    let (id, ext) = (session.id, format!(r#"{{"replay":{{"{pattern}":{position}}}}}"#));
    let body = format!(r#"{{"channel":"/meta/subscribe","clientId":"{id}","subscription":"{pattern}","ext":{ext}}}"#);
    let decoded = decode(body.as_bytes(), LIMITS).unwrap();
    broker.subscribe(&caller(POLL), &decoded.messages[0]).await
}

pub(super) async fn publish(broker: &Broker, channel: &str, numbers: std::ops::Range<u32>) -> Seq {
    let mut last = 0;
    for n in numbers {
        last = broker.publish_data(channel, &n.to_string()).await.unwrap();
    }
    last
}

/// Polls until `count` messages have come.
pub(super) async fn collect(broker: &Broker, session: &Session, count: usize) -> Vec<String> {
    let mut got = Vec::new();
    while got.len() < count {
        got.extend(data(&poll(broker, session.id, "").await));
    }
    got
}

pub(super) fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

/// Polls as a client with the ack extension; returns the new messages and the number to acknowledge next.
pub(super) async fn poll_acking(broker: &Broker, session: &Session, ack: Seq) -> (Vec<String>, Seq) {
    // Polls that never wait would keep the lane from running.
    broker.lane(session.lane).caught_up(broker.engine().newest()).await;
    let answered = poll(broker, session.id, &format!(r#","advice":{{"timeout":0}},"ext":{{"ack":{ack}}}"#)).await;
    let (_, number) = answered.reply.ext.iter().find(|(name, _)| *name == "ack").unwrap();
    (data(&answered), number.parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_replay_hands_over_to_live_messages_without_gap_or_overlap() {
    let broker = with(vec![]);
    let second = publish(&broker, "/a", 0..2).await;
    publish(&broker, "/b", 100..101).await;
    publish(&broker, "/a", 2..700).await;
    let session = open(&broker, r#"{"replay":true}"#).await;
    let publishing = tokio::spawn({
        let broker = broker.clone();
        async move {
            for n in 700..900 {
                publish(&broker, "/a", n..n + 1).await;
                tokio::task::yield_now().await;
            }
        }
    });
    assert!(subscribe_from(&broker, &session, "/a", &second.to_string()).await.is_successful());
    publishing.await.unwrap();
    assert_eq!(collect(&broker, &session, 898).await, numbers(2..900));
    publish(&broker, "/a", 900..901).await;
    let last = poll(&broker, session.id, "").await;
    let publication = &last.delivery.publications[0];
    let encoded = String::from_utf8_lossy(publication.draft.encoded());
    assert!(encoded.contains(&format!(r#""ext":{{"replay":{{"id":{}}}}}"#, publication.seq)), "{encoded}");
}

#[tokio::test(start_paused = true)]
async fn replays_are_acknowledged_like_everything_else() {
    let broker = with(vec![]);
    publish(&broker, "/a", 0..600).await;
    let session = open(&broker, r#"{"replay":true,"ack":true}"#).await;
    assert!(subscribe_from(&broker, &session, "/a", "-2").await.is_successful());
    publish(&broker, "/a", 600..610).await;
    let (mut got, mut ack, mut lose) = (Vec::new(), 0, false);
    while got.len() < 610 {
        let (messages, number) = poll_acking(&broker, &session, ack).await;
        lose = !lose;
        // Every other response is lost on its way.
        if !lose {
            got.extend(messages);
            ack = number;
        }
    }
    assert_eq!(got, numbers(0..610));
}

#[tokio::test(start_paused = true)]
async fn a_position_that_is_gone_or_was_never_there_is_refused() {
    let retain = Some(Retain { messages: Some(5), ..Retain::default() });
    let broker = with(vec![ChannelSettings { retain, ..channel("/few") }]);
    let first = publish(&broker, "/few", 0..1).await;
    let last = publish(&broker, "/few", 1..10).await;
    let session = open(&broker, r#"{"replay":true}"#).await;
    for (bad, shown) in [(first.to_string(), first), (last.to_string() + "0", last * 10), ("7".into(), 7)] {
        let reply = subscribe_from(&broker, &session, "/few", &bad).await;
        let error = reply.error.unwrap().to_string();
        assert_eq!(
            error,
            format!(
                "400::The replayId {{{shown}}} you provided was invalid.  Please provide a valid ID, -2 to replay all \
                 events, or -1 to replay only new events."
            )
        );
    }
    assert!(session.lock().subscriptions.is_empty());
    assert!(subscribe_from(&broker, &session, "/few", "\"-2\"").await.is_successful());
    assert_eq!(
        collect(&broker, &session, 5).await,
        numbers(5..10),
        "what is kept, and no gap for what was never asked"
    );
}

#[tokio::test(start_paused = true)]
async fn a_new_subscriber_gets_the_newest_message_once_and_never_after_a_newer_one() {
    let broker = with(vec![ChannelSettings { retain_last: true, ..channel("/state/*") }]);
    publish(&broker, "/state/a", 0..5).await;
    publish(&broker, "/state/b", 10..11).await;
    let session = handshake(&broker).await;
    let (subscribed, _) = tokio::join!(subscribe(&broker, &session, "/state/*"), publish(&broker, "/state/a", 5..6));
    assert!(subscribed.is_successful());
    let mut got = collect(&broker, &session, 2).await;
    got.extend(data(&poll(&broker, session.id, r#","advice":{"timeout":0}"#).await));
    assert!(got == ["10", "5"] || got == ["4", "10", "5"], "{got:?}");
    let late = handshake(&broker).await;
    subscribe(&broker, &late, "/state/a").await;
    assert_eq!(collect(&broker, &late, 1).await, ["5"]);
}

#[tokio::test(start_paused = true)]
async fn lazy_messages_wait_for_company_but_not_for_ever() {
    let second = Duration::from_secs(1);
    let lazy = ChannelSettings { lazy: Some(2 * second), ..channel("/lazy") };
    let sooner = ChannelSettings { lazy: Some(second), ..channel("/sooner") };
    let broker = with(vec![lazy, sooner]);
    let session = handshake(&broker).await;
    subscribe(&broker, &session, "/**").await;
    poll(&broker, session.id, "").await;
    let start = Instant::now();
    publish(&broker, "/lazy", 1..2).await;
    assert_eq!(data(&poll(&broker, session.id, "").await), ["1"]);
    assert_eq!(start.elapsed().as_secs(), 2, "alone it waits");
    let start = Instant::now();
    publish(&broker, "/lazy", 2..3).await;
    publish(&broker, "/sooner", 3..4).await;
    assert_eq!(data(&poll(&broker, session.id, "").await), ["2", "3"]);
    assert_eq!(start.elapsed().as_secs(), 1, "the sooner deadline counts for both");
    publish(&broker, "/lazy", 4..5).await;
    publish(&broker, "/now", 5..6).await;
    let start = Instant::now();
    assert_eq!(data(&poll(&broker, session.id, "").await), ["4", "5"]);
    assert_eq!(start.elapsed(), Duration::ZERO, "company takes it along");
    publish(&broker, "/lazy", 6..7).await;
    let answered = poll(&broker, session.id, r#","advice":{"timeout":500}"#).await;
    assert_eq!(data(&answered), ["6"], "a connect whose time is over takes it along, too");
}

fn small_log() -> (Channels, Arc<dyn Engine>) {
    let retain = Some(Retain { messages: Some(5), ..Retain::default() });
    let channels = channels(vec![ChannelSettings { retain, ..channel("/few/**") }]);
    let engine = engine(&channels);
    (channels, engine)
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_told_until_it_is_acknowledged_and_only_to_those_it_concerns() {
    let (channels, engine) = small_log();
    let broker = on(&engine, channels, |s| s.max_queue = 2);
    let (session, other) = (open(&broker, r#"{"ack":true}"#).await, handshake(&broker).await);
    subscribe(&broker, &session, "/few/x").await;
    subscribe(&broker, &other, "/many").await;
    let first = publish(&broker, "/few/x", 0..1).await;
    for n in 1..20 {
        publish(&broker, "/few/x", n..n + 1).await;
        publish(&broker, "/many", n..n + 1).await;
    }
    broker.lane(session.lane).caught_up(broker.engine().newest()).await;
    broker.lane(other.lane).caught_up(broker.engine().newest()).await;
    let gap = |answered: &Answered| answered.reply.ext.iter().find(|(n, _)| *n == "gap").map(|(_, gap)| gap.clone());
    let answered = poll(&broker, session.id, r#","ext":{"ack":0}"#).await;
    let told = gap(&answered).unwrap();
    assert!(told.starts_with(&format!(r#"{{"first":{first},"last":"#)), "{told}");
    assert_eq!(data(&answered), numbers(15..20));
    let again = poll(&broker, session.id, r#","ext":{"ack":0}"#).await;
    assert_eq!((gap(&again), data(&again)), (Some(told), numbers(15..20)), "the reply was lost: it is told again");
    let label = DropLabel { reason: DropReason::NotRetained };
    let lost: serde_json::Value = serde_json::from_str(&gap(&again).unwrap()).unwrap();
    let count = lost["last"].as_u64().unwrap() + 1 - lost["first"].as_u64().unwrap();
    assert_eq!(broker.metrics().dropped.get_or_create(&label).get(), count, "but counted once");
    let ack = again.delivery.position.unwrap();
    let after = poll(&broker, session.id, &format!(r#","advice":{{"timeout":0}},"ext":{{"ack":{ack}}}"#)).await;
    assert_eq!(gap(&after), None);
    let got = poll(&broker, other.id, "").await;
    assert_eq!(gap(&got), None, "nothing of what it asked for was lost");
}

#[tokio::test(start_paused = true)]
async fn a_gap_can_end_the_session_instead() {
    let (channels, engine) = small_log();
    let broker = on(&engine, channels, |s| {
        s.max_queue = 2;
        s.on_gap = settings::OnGap::Rehandshake;
    });
    let session = handshake(&broker).await;
    subscribe(&broker, &session, "/few/x").await;
    for n in 0..20 {
        publish(&broker, "/few/x", n..n + 1).await;
        broker.lane(session.lane).caught_up(broker.engine().newest()).await;
    }
    let answered = poll(&broker, session.id, "").await;
    assert!(answered.delivery.is_empty());
    assert_eq!(answered.reply.error.unwrap().to_string(), "402::session_unknown");
    assert_eq!(answered.reply.advice.unwrap().reconnect, Reconnect::Handshake);
    assert!(answered.reply.ext.iter().any(|(name, _)| *name == "gap"));
    assert_eq!(broker.sessions().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_still_to_be_fanned_out_is_never_lost_however_little_is_kept() {
    let (channels, engine) = small_log();
    let broker = on(&engine, channels, |_| {});
    let session = handshake(&broker).await;
    subscribe(&broker, &session, "/few/x").await;
    publish(&broker, "/few/x", 0..500).await;
    assert_eq!(collect(&broker, &session, 500).await, numbers(0..500));
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_sessions_go_on_where_the_client_says_it_stands() {
    let channels = channels(vec![]);
    let engine = engine(&channels);
    let before = on(&engine, channels.clone(), |_| {});
    let (acking, plain) = (open(&before, r#"{"ack":true}"#).await, handshake(&before).await);
    for session in [&acking, &plain] {
        subscribe(&before, session, "/a").await;
    }
    publish(&before, "/a", 0..3).await;
    before.lane(acking.lane).caught_up(before.engine().newest()).await;
    let (got, ack) = poll_acking(&before, &acking, 0).await;
    assert_eq!(got, numbers(0..3));
    publish(&before, "/a", 3..6).await;
    before.lane(acking.lane).caught_up(before.engine().newest()).await;
    assert_eq!(poll_acking(&before, &acking, ack).await.0, numbers(3..6), "and this reply is lost with the broker");
    let after = on(&engine, channels, |_| {});
    after.recover().await.unwrap();
    assert_eq!(after.sessions().count(), 2);
    publish(&after, "/a", 6..8).await;
    let (mut got, mut ack) = (Vec::new(), ack);
    while got.len() < 5 {
        let (messages, number) = poll_acking(&after, &acking, ack).await;
        got.extend(messages);
        ack = number;
    }
    assert_eq!(got, numbers(3..8), "exactly once");
    assert_eq!(collect(&after, &plain, 2).await, numbers(6..8), "without acknowledgements from now on");
}

#[tokio::test(start_paused = true)]
async fn a_publish_with_a_key_takes_one_place_however_often_it_is_sent() {
    let broker = with(vec![]);
    let session = handshake(&broker).await;
    subscribe(&broker, &session, "/a").await;
    let mut replies = Vec::new();
    for key in [r#""k""#, r#""k""#, "7"] {
        let body = format!(r#"{{"channel":"/a","data":1,"ext":{{"idempotency":{key}}}}}"#);
        let decoded = decode(body.as_bytes(), LIMITS).unwrap();
        replies.extend(broker.publish(&caller(POLL), &[&decoded.messages[0]]).await);
    }
    let told = |n: usize| replies[n].ext[0].1.clone();
    assert!(told(0).ends_with(r#""repeated":false}"#) && told(1).ends_with(r#""repeated":true}"#));
    assert_eq!(told(0).split(',').next(), told(1).split(',').next(), "the same position");
    assert_eq!(replies[2].error.as_ref().unwrap().code(), 400);
    publish(&broker, "/a", 2..3).await;
    assert_eq!(collect(&broker, &session, 2).await, ["1", "2"]);
}

/// Most of what is published may be for others; what a reader has to get again still comes together.
#[tokio::test(start_paused = true)]
async fn what_is_sent_again_comes_together_however_much_was_published_between() {
    let broker = broker(|_| {});
    let session = handshake(&broker).await;
    subscribe(&broker, &session, "/a").await;
    poll(&broker, session.id, "").await;
    let before = session.lock().handed();
    for n in 0..2000 {
        broker.publish_data(if n % 1000 == 0 { "/a" } else { "/b" }, &n.to_string()).await.unwrap();
    }
    broker.publish_data("/a", "\"last\"").await.unwrap();
    let newest = broker.engine().newest();
    broker.lane(session.lane).caught_up(newest).await;
    for _ in 0..2 {
        session.lock().rewind(before);
        let answered = poll(&broker, session.id, "").await;
        assert_eq!(data(&answered), ["0", "1000", "\"last\""]);
        assert_eq!(answered.delivery.position, Some(newest));
    }
}
