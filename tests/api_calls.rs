//! The calls of the API beside publish: sessions, channels, history, deliveries, explain, and the document.
//!
//! A real server on a free port. Nothing waits longer than the deadline.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test panics")]

mod support;

use bayeuxd::broker::ChannelSettings;
use serde_json::{Value, json};
use support::Server;

const NOBODY: &str = "00000000000000000000000000000000";

fn names(list: &Value, key: &str) -> Vec<String> {
    list.as_array().unwrap().iter().map(|entry| entry[key].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn sessions_are_listed_page_by_page_and_by_channel() {
    let server = Server::start().await;
    let mut ids = Vec::new();
    for channels in [&["/a"][..], &["/a/**", "/b"], &["/c"]] {
        ids.push(server.subscriber(channels).await.id);
    }
    let (_, of_a) = server.get("sessions?channel=/a/x").await;
    assert_eq!(names(&of_a["sessions"], "session"), [ids[1].clone()]);
    assert_eq!(server.get("sessions?user=ann").await.1, json!({"sessions": []}));
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let (status, page) = server.get(&format!("sessions?limit=2{after}")).await;
        assert_eq!(status, 200, "{page}");
        seen.extend(names(&page["sessions"], "session"));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    ids.sort();
    assert_eq!(seen, ids);
}

#[tokio::test]
async fn a_session_is_shown_and_ended() {
    let server = Server::start().await;
    let mut ann = server.subscriber(&["/a", "/b/*"]).await;
    let (status, shown) = server.get(&format!("sessions/{}", ann.id)).await;
    assert_eq!(status, 200, "{shown}");
    assert_eq!(names(&shown["subscriptions"], "channel"), ["/a", "/b/*"]);
    assert_eq!((&shown["transport"], &shown["queued"]), (&json!("long-polling"), &json!(0)));
    assert!(shown["expires_in"].as_u64().unwrap() > 1000);
    let (status, ended) = server.delete(&format!("sessions/{}", ann.id)).await;
    assert_eq!((status, &ended["session"]), (200, &json!(ann.id)));
    assert_eq!(ann.connect().await[0]["advice"]["reconnect"], "handshake");
    for path in [ann.id.as_str(), NOBODY, "x", "%2F"] {
        let (status, answer) = server.get(&format!("sessions/{path}")).await;
        assert_eq!((status, &answer["error"]["code"]), (404, &json!("session_unknown")), "{path}");
    }
    assert_eq!(server.delete(&format!("sessions/{}", ann.id)).await.0, 404);
}

#[tokio::test]
async fn a_held_connect_is_told_that_its_session_was_ended() {
    let server = Server::start().await;
    let mut ann = server.subscriber(&["/a"]).await;
    let id = ann.id.clone();
    let (told, _) = tokio::join!(ann.connect(), async {
        while server.get(&format!("sessions/{id}")).await.1["connected"] != true {
            tokio::task::yield_now().await;
        }
        server.delete(&format!("sessions/{id}")).await
    });
    assert_eq!(told[0], json!({"channel": "/meta/disconnect", "successful": true}));
    assert_eq!(told[1]["advice"]["reconnect"], "none");
}

#[tokio::test]
async fn subscriptions_are_taken_away() {
    let server = Server::start().await;
    let mut ann = server.subscriber(&["/a", "/b", "/c"]).await;
    let path = format!("sessions/{}/subscriptions", ann.id);
    assert_eq!(server.delete(&format!("{path}?channel=/b")).await.1, json!({"removed": ["/b"]}));
    assert_eq!(server.delete(&format!("{path}?channel=/b")).await.1, json!({"removed": []}));
    server.post("publish", json!({"channels": ["/b", "/a"], "data": 1})).await;
    assert_eq!(ann.next().await["channel"], "/a");
    assert_eq!(server.delete(&path).await.1, json!({"removed": ["/a", "/c"]}));
    let (_, answer) = server.post("publish", json!({"channel": "/a", "data": 1})).await;
    assert_eq!(answer["results"][0]["sessions"], 0);
}

#[tokio::test]
async fn channels_are_listed_with_how_many_hold_them() {
    let server = Server::start().await;
    for channels in [&["/a", "/a/*"][..], &["/a", "/b/c"], &["/a/x/y"]] {
        server.subscriber(channels).await;
    }
    let all = json!([{"channel": "/a", "sessions": 2}, {"channel": "/a/*", "sessions": 1},
                     {"channel": "/a/x/y", "sessions": 1}, {"channel": "/b/c", "sessions": 1}]);
    assert_eq!(server.get("channels").await.1, json!({"channels": all}));
    let (_, first) = server.get("channels?limit=2").await;
    assert_eq!((&first["next"], names(&first["channels"], "channel").len()), (&json!("/a/*"), 2));
    let (_, rest) = server.get("channels?limit=2&after=/a/*").await;
    assert_eq!((names(&rest["channels"], "channel"), rest.get("next")), (vec!["/a/x/y".into(), "/b/c".into()], None));
    let (_, below) = server.get("channels?pattern=/a/**").await;
    assert_eq!(names(&below["channels"], "channel"), ["/a/*", "/a/x/y"]);
    assert_eq!(server.get("channels?pattern=a").await.0, 400);
}

#[tokio::test]
async fn persistent_channels_are_listed_also_while_nobody_holds_them() {
    let server = Server::start_with(|settings| {
        let channel = |pattern: &str, persistent| ChannelSettings {
            pattern: pattern.into(),
            persistent,
            retain: None,
            retain_last: false,
            lazy: None,
        };
        settings.channels = vec![channel("/a", true), channel("/b", true), channel("/c", false)];
    })
    .await;
    server.subscriber(&["/b"]).await;
    let all = json!([{"channel": "/a", "sessions": 0}, {"channel": "/b", "sessions": 1}]);
    assert_eq!(server.get("channels").await.1, json!({"channels": all}));
    assert_eq!(names(&server.get("channels?after=/a").await.1["channels"], "channel"), ["/b"]);
}

#[tokio::test]
async fn subscribers_are_those_whom_a_publication_reaches() {
    let server = Server::start().await;
    let (ann, bob) = (server.subscriber(&["/a/b", "/a/*", "/**"]).await, server.subscriber(&["/a/*"]).await);
    let mut both = [ann.id.clone(), bob.id];
    both.sort();
    for path in ["channels/a/b/subscribers", "channels/a%2Fb/subscribers"] {
        let (_, found) = server.get(path).await;
        assert_eq!((names(&found["subscribers"], "session"), &found["total"]), (both.to_vec(), &json!(2)));
    }
    let (_, page) = server.get("channels/a/b/subscribers?limit=1").await;
    assert_eq!((&page["next"], &page["total"]), (&json!(both[0]), &json!(2)));
    let (_, page) = server.get(&format!("channels/a/b/subscribers?limit=1&after={}", both[0])).await;
    assert_eq!((names(&page["subscribers"], "session"), page.get("next")), (vec![both[1].clone()], None));
    let (_, exactly) = server.get("channels/**/subscribers").await;
    assert_eq!(names(&exactly["subscribers"], "session"), [ann.id]);
}

#[tokio::test]
async fn history_goes_on_where_it_stopped() {
    let server = Server::start().await;
    let ann = server.subscriber(&[]).await;
    for n in 0..5 {
        server.post("publish", json!([{"channel": "/h/a", "data": n}, {"channel": "/h/b", "data": n}])).await;
    }
    server.post(&format!("sessions/{}/deliver", ann.id), json!({"channel": "/h/a", "data": "private"})).await;
    let data =
        |page: &Value| page["publications"].as_array().unwrap().iter().map(|p| p["data"].clone()).collect::<Vec<_>>();
    let (_, first) = server.get("channels/h/a/history?limit=3").await;
    assert_eq!((data(&first), &first["complete"]), (vec![json!(0), json!(1), json!(2)], &json!(false)));
    let (_, rest) = server.get(&format!("channels/h/a/history?since={}", first["next"])).await;
    assert_eq!((data(&rest), &rest["complete"], rest.get("lost")), (vec![json!(3), json!(4)], &json!(true), None));
    let (_, both) = server.get("channels/h/*/history").await;
    assert_eq!(data(&both).len(), 10);
    let (_, none) = server.get(&format!("channels/h/a/history?since={}", rest["next"])).await;
    assert_eq!((data(&none).len(), &none["complete"]), (0, &json!(true)));
    let (_, old) = server.get("channels/h/a/history?since=7").await;
    assert!(old["lost"][0] == 8 && data(&old).len() == 5, "{old}");
    for bad in ["limit=0", "limit=x", "since=-1", "sinse=1", "limit=1&limit=2", "limit=1001"] {
        let (status, answer) = server.get(&format!("channels/h/a/history?{bad}")).await;
        assert_eq!((status, &answer["error"]["code"]), (400, &json!("malformed")), "{bad}");
    }
}

#[tokio::test]
async fn history_finds_the_rare_among_the_many() {
    let server = Server::start_with(|settings| settings.api.max_history_scan = 100).await;
    let many: Vec<Value> = (0..1000).map(|n| json!({"channel": "/x", "data": n})).collect();
    server.post("publish", json!(many)).await;
    server.post("publish", json!({"channel": "/y", "data": 1})).await;
    let mut since = 0;
    for turn in 0.. {
        let (_, page) = server.get(&format!("channels/y/history?since={since}")).await;
        since = page["next"].as_u64().unwrap();
        if page["complete"] == true {
            assert_eq!(page["publications"][0]["data"], 1, "{page}");
            return;
        }
        assert!(turn < 100, "it ends");
    }
}

#[tokio::test]
async fn a_session_gets_what_is_sent_to_it_alone() {
    let server = Server::start().await;
    let (mut ann, mut bob) = (server.subscriber(&["/n"]).await, server.subscriber(&["/n"]).await);
    for channel in ["/n", "/service/push"] {
        let (status, body) =
            server.post(&format!("sessions/{}/deliver", ann.id), json!({"channel": channel, "data": 1})).await;
        assert!(status == 200 && body["position"].as_u64().unwrap() > 0, "{body}");
        assert_eq!(ann.next().await, json!({"channel": channel, "data": 1}));
    }
    server.post("publish", json!({"channel": "/n", "data": 2})).await;
    assert_eq!(bob.next().await["data"], 2);
    for (id, channel, status, code) in [
        (NOBODY, "/n", 404, "session_unknown"),
        ("ann", "/n", 404, "session_unknown"),
        (&ann.id, "/n/*", 400, "channel_invalid"),
        (&ann.id, "/meta/disconnect", 403, "channel_denied"),
    ] {
        let (got, body) = server.post(&format!("sessions/{id}/deliver"), json!({"channel": channel, "data": 1})).await;
        assert_eq!((got, &body["error"]["code"]), (status, &json!(code)), "{id} {channel}");
    }
}

#[tokio::test]
async fn a_user_without_sessions_gets_nothing_and_that_is_said() {
    let server = Server::start().await;
    let answer = server.post("users/ann%40example/deliver", json!({"channel": "/n", "data": 1})).await;
    assert_eq!(answer, (200, json!({"sessions": 0, "positions": []})));
}

#[tokio::test]
async fn an_open_broker_explains_that_it_is_open() {
    let server = Server::start().await;
    let (status, answer) = server.post("explain", json!({"action": "subscribe", "channel": "/a/**"})).await;
    assert_eq!((status, &answer["allowed"], answer.get("rule")), (200, &json!(true), None));
    assert_eq!(server.post("explain", json!({"action": "fly"})).await.0, 400);
}

#[tokio::test]
async fn the_document_describes_every_call_and_every_described_call_is_served() {
    let server = Server::start().await;
    let (status, document) = server.get("openapi.json").await;
    assert_eq!((status, document["openapi"].as_str().map(|v| &v[..3])), (200, Some("3.1")));
    let mut described = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys().filter(|key| *key != "parameters") {
            let path = path.replace("{id}", NOBODY).replace("{sub}", "ann").replace("{channel}", "a");
            let (status, answer) = server.call(&method.to_uppercase(), &path, &[], None).await;
            let code = answer["error"]["code"].as_str().unwrap_or_default();
            assert!(!matches!(code, "not_found" | "method_not_allowed"), "{method} {path}: {status} {answer}");
            described += 1;
        }
    }
    assert_eq!(described, 16, "calls of route::Call");
    let mut operations: Vec<_> = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|item| item.as_object().unwrap().values())
        .map(|operation| operation["operationId"].as_str().unwrap())
        .collect();
    operations.sort_unstable();
    operations.dedup();
    assert_eq!(operations.len(), described);
}
