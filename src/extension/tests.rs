//! The small extensions together with a broker, in paused time and without any transport.

use super::{settings::Activity, *};
use crate::{
    bayeux::{ClientId, ConnectionType, DecodeLimits, Reconnect, Reply, decode},
    broker::{Answered, Broker, BrokerSettings, Caller, Connect, Plugins},
    engine::{EngineSettings, MemoryEngine},
};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, advance};

const POLL: ConnectionType = ConnectionType::LongPolling;
const SECOND: Duration = Duration::from_secs(1);

fn broker(change: impl FnOnce(&mut ExtensionSettings)) -> Broker {
    let mut settings = ExtensionSettings::default();
    change(&mut settings);
    let engine = Arc::new(MemoryEngine::with(&EngineSettings::default(), 1000));
    let plugins = Plugins { extensions: chosen(&settings, false), ..Plugins::default() };
    let broker = BrokerSettings { lanes: 1, timeout: 2 * SECOND, ..BrokerSettings::default() };
    Broker::start(broker, vec![POLL], engine, plugins)
}

fn caller() -> Caller {
    Caller { peer: None, browser: None, transport: POLL, multiplexed: false, credentials: None }
}

async fn handshake(broker: &Broker) -> ClientId {
    let decoded = decode(br#"{"channel":"/meta/handshake"}"#, LIMITS).unwrap();
    broker.handshake(&caller(), &decoded.messages[0]).await.1.unwrap().id
}

const LIMITS: DecodeLimits = DecodeLimits { messages: 10, depth: 20 };

async fn poll(broker: &Broker, id: ClientId, fields: &str) -> Answered {
    let body = format!(r#"{{"channel":"/meta/connect","clientId":"{id}"{fields}}}"#);
    let decoded = decode(body.as_bytes(), LIMITS).unwrap();
    match broker.connect(&caller(), &decoded.messages[0], false).await {
        Connect::Planned(plan) => broker.hold(plan).await,
        Connect::Refused(reply) => panic!("{reply:?}"),
    }
}

async fn subscribe(broker: &Broker, id: ClientId, channel: &str) {
    let body = format!(r#"{{"channel":"/meta/subscribe","clientId":"{id}","subscription":"{channel}"}}"#);
    let decoded = decode(body.as_bytes(), LIMITS).unwrap();
    assert!(broker.subscribe(&caller(), &decoded.messages[0]).await.is_successful());
}

fn timesync(reply: &Reply) -> Option<serde_json::Value> {
    let (_, told) = reply.ext.iter().find(|(name, _)| *name == "timesync")?;
    Some(serde_json::from_str(told).unwrap())
}

#[tokio::test(start_paused = true)]
async fn the_hold_is_measured_when_the_reply_leaves() {
    let broker = broker(|_| {});
    let id = handshake(&broker).await;
    let asking = r#","ext":{"timesync":{"tc":17,"l":0,"o":0}}"#;
    let first = timesync(&poll(&broker, id, asking).await.reply).unwrap();
    assert_eq!((&first["tc"], &first["p"]), (&17.into(), &0.into()));
    let held = timesync(&poll(&broker, id, asking).await.reply).unwrap();
    assert_eq!(held["p"], 1900, "95 % of two seconds: {held}");
    assert!(poll(&broker, id, "").await.reply.ext.is_empty(), "nobody is told who did not ask");
}

#[tokio::test(start_paused = true)]
async fn switched_off_it_says_nothing() {
    let broker = broker(|s| s.timesync = false);
    let id = handshake(&broker).await;
    let reply = poll(&broker, id, r#","ext":{"timesync":{"tc":17,"l":0,"o":0}},"timestamp":"now""#).await.reply;
    assert!(reply.ext.is_empty() && reply.timestamp.is_none(), "{reply:?}");
}

#[tokio::test(start_paused = true)]
async fn only_who_tells_the_time_is_told_the_time() {
    let broker = broker(|s| s.timestamp = true);
    let id = handshake(&broker).await;
    assert!(poll(&broker, id, r#","timestamp":"Thu, 26 Nov 2026""#).await.reply.timestamp.is_some());
    assert!(poll(&broker, id, "").await.reply.timestamp.is_none());
}

/// Connects for this long, as a client does that has nothing to say. Gives the answer that ended the session.
async fn idle(broker: &Broker, id: ClientId, period: Duration) -> Option<Answered> {
    let until = Instant::now() + period;
    while Instant::now() < until {
        let answered = poll(broker, id, "").await;
        if !answered.reply.is_successful() {
            return Some(answered);
        }
    }
    None
}

#[tokio::test(start_paused = true)]
async fn connects_alone_do_not_keep_a_session_for_ever() {
    let broker = broker(|s| s.max_inactivity = 60 * SECOND);
    let id = handshake(&broker).await;
    assert!(idle(&broker, id, 50 * SECOND).await.is_none());
    subscribe(&broker, id, "/a").await;
    assert!(idle(&broker, id, 50 * SECOND).await.is_none(), "a subscribe counts");
    let last = idle(&broker, id, 30 * SECOND).await.expect("the session ends");
    assert!(last.kicked, "the client is told");
    assert_eq!(last.reply.error.as_ref().unwrap().to_string(), "402::session_unknown");
    assert_eq!(last.reply.advice.unwrap().reconnect, Reconnect::None);
}

#[tokio::test(start_paused = true)]
async fn without_the_setting_connects_are_enough() {
    let broker = broker(|_| {});
    let id = handshake(&broker).await;
    assert!(idle(&broker, id, 600 * SECOND).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn messages_to_a_client_count_only_when_the_settings_say_so() {
    for (counts, survives) in [(Activity::Client, false), (Activity::Both, true)] {
        let broker = broker(|s| {
            s.max_inactivity = 10 * SECOND;
            s.activity = counts;
        });
        let id = handshake(&broker).await;
        poll(&broker, id, "").await;
        subscribe(&broker, id, "/a").await;
        let mut ended = false;
        for _ in 0..4 {
            broker.publish_data("/a", "1").await.unwrap();
            advance(4 * SECOND).await;
            let answered = poll(&broker, id, "").await;
            ended |= !answered.reply.is_successful();
            if ended {
                break;
            }
        }
        assert_eq!(ended, !survives, "{counts:?}");
    }
}
