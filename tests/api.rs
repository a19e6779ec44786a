//! The API as a backend uses it: a real server on a free port, real requests, and a Bayeux client where one is needed.
//!
//! Nothing waits longer than the deadline; every server ends with its test.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test panics")]

mod support;

use serde_json::{Value, json};
use support::Server;

#[tokio::test]
async fn one_message_is_published_and_its_place_is_told() {
    let server = Server::start().await;
    let mut ann = server.subscriber(&["/a/**"]).await;
    let (status, body) = server.post("publish", json!({"channel": "/a/b", "data": {"n": 1}})).await;
    assert_eq!(status, 200, "{body}");
    let result = &body["results"][0];
    assert_eq!((&result["channel"], &result["sessions"]), (&json!("/a/b"), &json!(1)));
    assert!(result["position"].as_u64().unwrap() > 0 && result.get("item").is_none() && result.get("error").is_none());
    assert_eq!(ann.next().await, json!({"channel": "/a/b", "data": {"n": 1}}));
}

#[tokio::test]
async fn data_arrives_byte_for_byte() {
    let server = Server::start().await;
    let mut ann = server.subscriber(&["/a"]).await;
    let data = r#"{"b":1.10,"a":12345678901234567890,"b":"\u00e9\/"}"#;
    let body = format!(r#"{{ "data": {data} , "channel": "\/a" }}"#);
    assert_eq!(server.post_text("publish", body).await.0, 200);
    assert_eq!(ann.next_text().await, format!(r#"{{"channel":"/a","data":{data}}}"#));
    assert_eq!(server.post("publish", json!({"channel": "/a", "data": null})).await.0, 200);
    assert_eq!(ann.next().await, json!({"channel": "/a", "data": null}));
}

#[tokio::test]
async fn many_messages_keep_their_order_and_fail_one_by_one() {
    let server = Server::start().await;
    let mut ann = server.subscriber(&["/**"]).await;
    let (status, body) = server
        .post(
            "publish",
            json!([
                {"channels": ["/a", "/b"], "data": 1},
                {"channel": "/a/*", "data": 2},
                {"channel": "/meta/x", "data": 3},
                {"channel": "/service/x", "data": 4},
                {"channel": "/c", "data": 5},
            ]),
        )
        .await;
    assert_eq!(status, 200);
    let results = body["results"].as_array().unwrap();
    let of = |key: &str| results.iter().map(|r| r[key].clone()).collect::<Vec<Value>>();
    assert_eq!(of("item"), [0, 0, 1, 2, 3, 4]);
    assert_eq!(of("channel"), ["/a", "/b", "/a/*", "/meta/x", "/service/x", "/c"]);
    let codes: Vec<_> = results.iter().map(|r| r["error"]["code"].as_str().unwrap_or("-")).collect();
    assert_eq!(codes, ["-", "-", "channel_invalid", "channel_denied", "channel_denied", "-"]);
    let positions: Vec<u64> = results.iter().filter_map(|r| r["position"].as_u64()).collect();
    assert!(positions.is_sorted() && positions.len() == 3, "{positions:?}");
    for data in [1, 1, 5] {
        assert_eq!(ann.next().await["data"], data);
    }
}

#[tokio::test]
async fn when_nothing_is_accepted_the_status_says_so() {
    let server = Server::start().await;
    let (status, body) = server.post("publish", json!({"channel": "/a/**", "data": 1})).await;
    assert_eq!((status, &body["error"]["code"]), (400, &json!("channel_invalid")));
    let (status, body) = server.post("publish", json!([{"channel": "/meta/x", "data": 1}])).await;
    assert_eq!((status, &body["results"][0]["error"]["code"]), (403, &json!("channel_denied")));
}

#[tokio::test]
async fn an_excluded_session_does_not_get_the_message() {
    let server = Server::start().await;
    let (mut ann, mut bob) = (server.subscriber(&["/a", "/**"]).await, server.subscriber(&["/a"]).await);
    let (_, body) = server.post("publish", json!({"channel": "/a", "data": 1, "exclude": ann.id})).await;
    assert_eq!(body["results"][0]["sessions"], 1);
    let (_, body) = server.post("publish", json!({"channel": "/a", "data": 2})).await;
    assert_eq!(body["results"][0]["sessions"], 2);
    assert_eq!(ann.next().await["data"], 2);
    assert_eq!(bob.next().await["data"], 1);
}

#[tokio::test]
async fn every_refusal_has_the_same_shape() {
    let server = Server::start_with(|settings| {
        settings.api.max_items = 2;
        settings.api.max_body_bytes = 200;
    })
    .await;
    let deep = format!("{{\"channel\":\"/a\",\"data\":{}1{}}}", "[".repeat(70), "]".repeat(70));
    let large = format!("{{\"channel\":\"/a\",\"data\":\"{}\"}}", "x".repeat(200));
    let three = r#"[{"channel":"/a","data":1},{"channels":["/b","/c"],"data":1}]"#;
    let cases = [
        ("{", 400, "malformed"),
        ("", 400, "malformed"),
        ("[]", 400, "malformed"),
        ("7", 400, "malformed"),
        (r#"{"channel":"/a"}"#, 400, "malformed"),
        (r#"{"data":1}"#, 400, "malformed"),
        (r#"{"channel":"/a","channels":["/b"],"data":1}"#, 400, "malformed"),
        (r#"{"channels":[],"data":1}"#, 400, "malformed"),
        (r#"{"channel":7,"data":1}"#, 400, "malformed"),
        (r#"{"channel":"/a","data":1,"chanel":1}"#, 400, "malformed"),
        (r#"{"channel":"/a","data":1,"exclude":"x"}"#, 400, "malformed"),
        (r#"{"channel":"/a","data":1,"idempotency_key":""}"#, 400, "malformed"),
        (r#"{"channel":"/a","data":1} x"#, 400, "malformed"),
        (&deep, 400, "malformed"),
        (&large, 413, "body_too_large"),
        (three, 413, "too_many_items"),
        (r#"[{"channel":"/a","data":1},{"channel":"/a","data":1},{"channel":"/a","data":1}]"#, 413, "too_many_items"),
    ];
    for (body, status, code) in cases {
        let (got, answer) = server.post_text("publish", body.to_owned()).await;
        assert_eq!((got, answer["error"]["code"].as_str()), (status, Some(code)), "{body}: {answer}");
        assert!(answer["error"]["message"].is_string() && answer["error"]["retryable"] == false, "{answer}");
    }
    for (method, path, status, code) in [
        ("GET", "/api/v1/publish", 405, "method_not_allowed"),
        ("GET", "/api/v1/nothing", 404, "not_found"),
        ("GET", "/api", 404, "not_found"),
        ("PATCH", "/metrics", 405, "method_not_allowed"),
    ] {
        let (got, answer) = server.call(method, path, &[], None).await;
        assert_eq!((got, answer["error"]["code"].as_str()), (status, Some(code)), "{method} {path}");
    }
}

#[tokio::test]
async fn browsers_cannot_be_made_to_drive_it() {
    let server = Server::start().await;
    let body = r#"{"channel":"/a","data":1}"#;
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""] {
        let (status, answer) = server.call("POST", "/api/v1/publish", &[("content-type", kind)], Some(body)).await;
        assert_eq!((status, &answer["error"]["code"]), (415, &json!("unsupported_media_type")), "{kind}");
    }
    let json = ("content-type", "application/json; charset=utf-8");
    for (header, value, status) in
        [("origin", "https://evil.example", 403), ("origin", "null", 403), ("origin", &server.origin(), 200)]
    {
        let (got, _) = server.call("POST", "/api/v1/publish", &[json, (header, value)], Some(body)).await;
        assert_eq!(got, status, "{value}");
    }
    let (status, answer) = server.call("GET", "/metrics", &[("sec-fetch-site", "cross-site")], None).await;
    assert_eq!((status, &answer["error"]["code"]), (403, &json!("origin_denied")));
    let (status, _) = server.call("OPTIONS", "/api/v1/publish", &[("origin", "https://evil.example")], None).await;
    assert_eq!(status, 405);
}

#[tokio::test]
async fn health_and_metrics_are_told() {
    let server = Server::start().await;
    server.post("publish", json!({"channel": "/a", "data": 1})).await;
    assert_eq!(server.call("GET", "/healthz", &[], None).await, (200, json!({"status": "ok"})));
    assert_eq!(server.call("GET", "/readyz", &[], None).await, (200, json!({"status": "ok"})));
    let page = server.get_text("/metrics").await;
    assert!(page.contains("\nbayeuxd_publications_total 1\n"), "{page}");
    assert!(page.ends_with("# EOF\n"));
}
