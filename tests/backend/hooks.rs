//! Hooks: the backend allows, denies and rewrites, and what happens when it cannot be asked.

use super::places::{Backend, Broker, Client};
use serde_json::{Value, json};
use std::time::Instant;

const HOOKS: &str = r#"
[backend]
timeout = "500ms"
breaker_failures = 0
forward_headers = ["x-tenant"]
[[hook]]
on = ["handshake"]
url = "BACKEND/script/handshake"
[[hook]]
on = ["subscribe", "publish"]
channel = "/chat/**"
url = "BACKEND/script/chat"
[[hook]]
on = ["publish"]
channel = "/service/guarded/*"
url = "BACKEND/script/service"
[[hook]]
on = ["publish", "subscribe"]
channel = "/lenient/*"
url = "BACKEND/script/lenient"
fail = "open"
[[service]]
channel = "/service/guarded/*"
url = "BACKEND/echo"
"#;

fn answers(body: &Value) -> Value {
    json!([{"body": body}])
}

async fn places() -> (Backend, Broker) {
    let backend = Backend::start().await;
    for name in ["handshake", "chat", "service", "lenient"] {
        backend.script(name, answers(&json!({"allow": true}))).await;
    }
    let broker = Broker::start(&backend, HOOKS).await;
    (backend, broker)
}

#[tokio::test]
async fn what_the_backend_allows_takes_effect_and_it_is_told_what_it_needs() {
    let (backend, broker) = places().await;
    let mut ann = Client::new(&broker);
    assert_eq!(ann.handshake(json!({"card": "gold"})).await["successful"], true);
    assert_eq!(ann.subscribe("/chat/room").await["successful"], true);
    assert_eq!(ann.subscribe("/other").await["successful"], true);
    assert_eq!(ann.publish("/chat/room", json!({"n": 1})).await["successful"], true);
    assert_eq!(ann.receive(|m| m["channel"] == "/chat/room").await["data"], json!({"n": 1}));

    let handshake = &backend.posted("/script/handshake").await[0]["body"];
    assert_eq!(handshake["type"], "authorise.handshake");
    assert_eq!(handshake["data"], json!({"session": null, "user": null, "ext": {"card": "gold"}}));
    let chat = backend.posted("/script/chat").await;
    assert_eq!(chat.len(), 2, "a question each, and none about other channels: {chat:?}");
    assert_eq!(chat[0]["body"]["type"], "authorise.subscribe");
    assert_eq!(chat[0]["body"]["data"], json!({"session": ann.id, "user": null, "channel": "/chat/room"}));
    assert_eq!(chat[1]["body"]["type"], "authorise.publish");
    assert_eq!(
        chat[1]["body"]["data"],
        json!({"session": ann.id, "user": null, "channel": "/chat/room", "data": {"n": 1}})
    );
}

#[tokio::test]
async fn what_the_backend_denies_does_not_happen() {
    let (backend, broker) = places().await;
    let mut ann = Client::connect_with(&broker, &[("x-tenant", "blue")]).await;
    backend.script("chat", answers(&json!({"allow": false, "reason": "members only"}))).await;
    backend.script("handshake", answers(&json!({"allow": false, "reason": "not \"now\": later"}))).await;
    let refused = ann.subscribe("/chat/room").await;
    assert_eq!(refused["error"], "403:members only:subscribe_denied");
    assert_eq!(ann.publish("/chat/room", json!(1)).await["error"], "403:members only:publish_denied");
    assert_eq!(ann.subscribe("/lenient/a").await["successful"], true);
    let mut bob = Client::new(&broker);
    let reply = bob.handshake(json!({})).await;
    assert_eq!(reply["error"], "403:not _now__ later:handshake_denied");
    assert_eq!(reply["advice"]["reconnect"], "none");
    backend.script("handshake", answers(&json!({"allow": false, "reason": "full", "interval": 7000}))).await;
    let reply = bob.handshake(json!({})).await;
    assert_eq!(reply["error"], "403:full:handshake_denied");
    assert_eq!((&reply["advice"]["reconnect"], &reply["advice"]["interval"]), (&json!("handshake"), &json!(7000)));
    let question = &backend.posted("/script/chat").await[0]["body"]["data"];
    assert_eq!(question["headers"], json!({"x-tenant": "blue"}));
}

#[tokio::test]
async fn a_subscription_that_would_cover_a_guarded_channel_is_asked_about_once() {
    let (backend, broker) = places().await;
    let mut ann = Client::connect(&broker).await;
    backend.script("chat", answers(&json!({"allow": false, "reason": "no"}))).await;
    for pattern in ["/**", "/chat/**", "/chat/*", "/chat/a/**"] {
        assert_eq!(ann.subscribe(pattern).await["error"], "403:no:subscribe_denied", "{pattern}");
    }
    assert_eq!(ann.subscribe("/chatter/**").await["successful"], true);
    let asked: Vec<_> =
        backend.posted("/script/chat").await.iter().map(|q| q["body"]["data"]["channel"].clone()).collect();
    assert_eq!(asked, ["/**", "/chat/**", "/chat/*", "/chat/a/**"]);
}

#[tokio::test]
async fn the_backend_may_rewrite_what_is_published_also_for_a_service() {
    let (backend, broker) = places().await;
    let mut ann = Client::connect(&broker).await;
    ann.subscribe("/chat/room").await;
    backend.script("chat", answers(&json!({"allow": true, "data": {"text": "***", "by": "ann"}}))).await;
    assert_eq!(ann.publish("/chat/room", json!({"text": "damn"})).await["successful"], true);
    let received = ann.receive(|m| m["channel"] == "/chat/room").await;
    assert_eq!(received["data"], json!({"text": "***", "by": "ann"}));
    backend.script("chat", answers(&json!({"allow": true, "data": null}))).await;
    ann.publish("/chat/room", json!({"text": "damn"})).await;
    assert_eq!(ann.receive(|m| m["channel"] == "/chat/room").await["data"], Value::Null);
    backend.script("service", answers(&json!({"allow": true, "data": "rewritten"}))).await;
    assert_eq!(ann.call("/service/guarded/x", json!("sent")).await["data"], json!({"echo": "rewritten"}));
    backend.script("service", answers(&json!({"allow": false}))).await;
    assert_eq!(ann.publish("/service/guarded/x", json!(1)).await["error"], "403::publish_denied");
}

#[tokio::test]
async fn without_an_answer_that_makes_sense_it_fails_closed_or_open_as_configured() {
    let (backend, broker) = places().await;
    let mut ann = Client::connect(&broker).await;
    for step in [
        json!({"status": 500}),
        json!({"status": 302}),
        json!({"status": 404}),
        json!({"body": "allow"}),
        json!({"body": {"allow": "true"}}),
        json!({"delay": 2, "body": {"allow": true}}),
    ] {
        backend.script("chat", json!([step])).await;
        backend.script("lenient", json!([step])).await;
        assert_eq!(ann.subscribe("/chat/room").await["error"], "503::policy_unavailable", "{step}");
        assert_eq!(ann.publish("/chat/room", json!(1)).await["error"], "503::policy_unavailable", "{step}");
        assert_eq!(ann.publish("/lenient/a", json!(1)).await["successful"], true, "{step}");
    }
    backend.script("lenient", json!([{"status": 403}])).await;
    assert_eq!(ann.publish("/lenient/a", json!(1)).await["error"], "403::publish_denied", "a no in HTTP's words");
}

#[tokio::test]
async fn a_hook_that_hangs_holds_up_those_it_is_asked_about_and_nobody_else() {
    let (backend, broker) = places().await;
    let (mut ann, mut bob) = (Client::connect(&broker).await, Client::connect(&broker).await);
    backend.script("chat", json!([{"delay": 60}])).await;
    let waiting = tokio::spawn(async move { (ann.publish("/chat/room", json!(1)).await, Instant::now()) });
    backend.until_posted("/script/chat", |posted| !posted.is_empty()).await;
    assert_eq!(bob.publish("/other", json!(1)).await["successful"], true);
    assert_eq!(bob.publish("/lenient/a", json!(1)).await["successful"], true);
    let served = Instant::now();
    let (reply, answered) = waiting.await.unwrap();
    assert_eq!(reply["error"], "503::policy_unavailable");
    assert!(served < answered, "others were served while it hung");
}
