//! Too much of what is allowed: handshakes, questions for sessions that are gone.

use crate::{
    raw::{Neighbour, request},
    support::{DEADLINE, Server},
};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::time::Instant;

fn hello() -> Value {
    json!({"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"]})
}

async fn ask(server: &Server, message: &Value) -> Value {
    let json = [("Content-Type", "application/json")];
    let answer = request(server, "POST", "/bayeux", &json, &message.to_string()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_str::<Value>(&answer.body).unwrap()[0].take()
}

#[tokio::test]
async fn handshakes_are_rated_by_address_and_told_when_to_come_back() {
    let server = Server::start_with(|s| {
        s.transport.limit_loopback = true;
        s.transport.handshakes_per_second = 1;
        s.transport.handshake_burst = 20;
    })
    .await;
    let mut neighbour = Neighbour::of(&server).await;
    let hello = hello();
    let replies = join_all((0..200).map(|_| ask(&server, &hello))).await;
    let (made, refused): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply["successful"] == true);
    // A slow machine gives tokens back meanwhile.
    assert!((1..100).contains(&made.len()) && refused.len() > 100, "{} made", made.len());
    for reply in refused {
        assert_eq!(reply["error"], "429::rate_limited");
        assert_eq!(reply["advice"]["reconnect"], "handshake");
        assert!(reply["advice"]["interval"].as_u64().unwrap() >= 100, "{reply}");
    }
    neighbour.notices_nothing().await;
    let metrics = server.get_text("/metrics").await;
    assert!(metrics.contains("bayeuxd_rate_limited_total{by=\"Address\",what=\"Handshake\"}"), "{metrics}");
}

#[tokio::test]
async fn sessions_are_bounded() {
    let server = Server::start_with(|s| s.broker.max_sessions = 5).await;
    let mut neighbour = Neighbour::of(&server).await;
    let hello = hello();
    let replies = join_all((0..20).map(|_| ask(&server, &hello))).await;
    assert!(replies.iter().filter(|reply| reply["successful"] == true).count() <= 5);
    let refused = replies.iter().find(|reply| reply["successful"] == false).unwrap();
    assert_eq!(refused["error"], "503::too_many_sessions");
    assert!(refused["advice"]["interval"].as_u64().unwrap() > 0, "{refused}");
    neighbour.notices_nothing().await;
}

#[tokio::test]
async fn a_storm_of_questions_for_a_session_that_is_gone_waits() {
    let server = Server::start().await;
    let mut neighbour = Neighbour::of(&server).await;
    let connect = json!({"channel": "/meta/connect", "clientId": "0".repeat(32), "connectionType": "long-polling"});
    let began = Instant::now();
    let storm = join_all((0..100).map(|_| async {
        let reply = ask(&server, &connect).await;
        assert_eq!(reply["error"], "402::session_unknown");
        began.elapsed()
    }));
    let (mut answered, ()) = tokio::join!(storm, neighbour.notices_nothing());
    answered.sort();
    assert!(answered[0] < DEADLINE / 4, "the first is answered at once");
    assert!(answered[1] >= server_delay(), "the second waits: {answered:?}");
    neighbour.notices_nothing().await;
}

fn server_delay() -> std::time::Duration {
    bayeuxd::broker::BrokerSettings::default().unknown_session_delay
}
