//! JSON that is large, deep, or made to be slow; names that mean something in other languages.

use crate::{
    raw::{Neighbour, request},
    support::Server,
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Reading a megabyte takes milliseconds; what takes longer than this is more than linear.
const SLOW: Duration = Duration::from_secs(5);

const JSON: [(&str, &str); 1] = [("Content-Type", "application/json")];

fn refused(status: u16) -> bool {
    (400..500).contains(&status)
}

#[tokio::test]
async fn bodies_made_to_be_slow_are_refused_fast() {
    let server = Server::start().await;
    let mut neighbour = Neighbour::of(&server).await;
    let many = |one: &str, times: usize| format!("[{}]", vec![one; times].join(","));
    for (name, body) in [
        ("many empty messages", many("{}", 300_000)),
        ("many numbers", many("1", 400_000)),
        ("many arrays", many("[]", 300_000)),
        ("open brackets", "[".repeat(1_000_000)),
        ("open objects", "{\"a\":".repeat(190_000)),
        ("open objects in a list", format!("[{}", "{\"data\":".repeat(120_000))),
        ("one key again and again", format!("[{{{}}}]", vec!["\"channel\":1"; 80_000].join(","))),
        ("a string without end", format!("[{{\"channel\":\"{}", "\\\\".repeat(400_000))),
        ("surrogates", format!("[{{\"channel\":\"{}\"}}]", "\\ud800".repeat(150_000))),
        ("a long number", format!("[{}]", "9".repeat(900_000))),
        ("blanks", " ".repeat(1_000_000)),
    ] {
        for path in ["/bayeux", "/api/v1/publish"] {
            let began = Instant::now();
            let answer = request(&server, "POST", path, &JSON, &body).await;
            // A message that is no message is answered for itself.
            let refused = refused(answer.status) || answer.body.starts_with("[{\"successful\":false");
            assert!(refused, "{name}, {path}: {} {:.200}", answer.status, answer.body);
            assert!(began.elapsed() < SLOW, "{name}, {path}: {:?}", began.elapsed());
        }
        neighbour.notices_nothing().await;
    }
}

#[tokio::test]
async fn subscriptions_are_bounded_and_refused_whole() {
    let server = Server::start_with(|s| {
        s.rates.session.subscribes_per_second = 0;
    })
    .await;
    let mut neighbour = Neighbour::of(&server).await;
    let mallory = server.subscriber(&[]).await;
    let names: Vec<String> = (0..70_000).map(|n| format!("/m/{n}")).collect();
    let ask = |list: Value| json!({"channel": "/meta/subscribe", "clientId": mallory.id, "subscription": list});
    let began = Instant::now();
    let answer = mallory.send(ask(json!(names))).await;
    assert_eq!(answer[0]["error"], "413::too_many_subscriptions");
    assert!(began.elapsed() < SLOW, "{:?}", began.elapsed());
    // The same name again and again is one subscription.
    assert_eq!(mallory.send(ask(json!(vec!["/m/same"; 70_000]))).await[0]["successful"], true);
    let (_, session) = server.get(&format!("sessions/{}", mallory.id)).await;
    assert_eq!(session["subscriptions"].as_array().unwrap().len(), 1, "{session}");
    neighbour.notices_nothing().await;
}

#[tokio::test]
async fn names_of_other_languages_are_only_names() {
    let server = Server::start().await;
    let mut neighbour = Neighbour::of(&server).await;
    for name in ["__proto__", "constructor", "toString", "hasOwnProperty"] {
        for verb in ["connect", "subscribe", "unsubscribe", "disconnect"] {
            let message = json!([{"channel": format!("/meta/{verb}"), "clientId": name, "connectionType": "long-polling",
                "subscription": "/**", "ext": {name: {"isAdmin": true}}, name: {"isAdmin": true}}]);
            let answer = request(&server, "POST", "/bayeux", &JSON, &message.to_string()).await;
            assert!(answer.body.contains("402::session_unknown"), "{name}, {verb}: {answer:?}");
        }
        let mut ann = server.subscriber(&[&format!("/{name}/x")]).await;
        let message = json!({"channel": format!("/{name}/x"), "clientId": ann.id, "data": {name: 1}, name: 2});
        assert_eq!(ann.send(message).await[0]["successful"], true);
        assert_eq!(ann.next().await, json!({"channel": format!("/{name}/x"), "data": {name: 1}}));
        neighbour.hears_noise().await;
        let stream = [("Accept", "text/event-stream")];
        assert_eq!(request(&server, "GET", &format!("/bayeux/{name}"), &stream, "").await.status, 404);
    }
    neighbour.notices_nothing().await;
}

#[tokio::test]
async fn nothing_of_a_publisher_travels_but_its_data() {
    let server = Server::start().await;
    let mut ann = server.subscriber(&["/a"]).await;
    let mallory = server.subscriber(&[]).await;
    let message = json!({"channel": "/a", "clientId": mallory.id, "id": "7", "data": {"n": 1}, "successful": false,
        "error": "402::session_unknown", "advice": {"reconnect": "none"}, "ext": {"token": "secret", "ack": 9},
        "subscription": "/a", "timestamp": "x", "version": "1.0"});
    assert_eq!(mallory.send(message).await[0]["successful"], true);
    assert_eq!(ann.next_text().await, r#"{"channel":"/a","data":{"n":1}}"#);
    // Neither does it by a second member of the same name, nor over the API.
    let twice = r#"{"channel":"/a","data":2,"advice":{"reconnect":"none"},"advice":{"reconnect":"none"}}"#;
    request(&server, "POST", "/bayeux", &JSON, twice).await;
    assert_eq!(server.post("publish", json!({"channel": "/a", "data": 3, "advice": 1})).await.0, 400);
    assert_eq!(server.post("publish", json!({"channel": "/a", "data": 4})).await.0, 200);
    let mut last = ann.next_text().await;
    if last.contains(":2") {
        assert_eq!(last, r#"{"channel":"/a","data":2}"#);
        last = ann.next_text().await;
    }
    assert_eq!(last, r#"{"channel":"/a","data":4}"#);
}
