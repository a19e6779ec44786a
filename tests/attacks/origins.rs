//! What pages of other sites make a browser send: forms, scripts, sockets. The browser adds the visitor's cookies to all of
//! them, and asks nobody before.

use crate::{
    raw::{Neighbour, Raw, message_field, request},
    support::Server,
};
use serde_json::{Value, json};

const LISTED: &str = "https://app.example";
const FORM: &str = "application/x-www-form-urlencoded";

async fn listing() -> Server {
    Server::start_with(|s| s.transport.allowed_origins = vec![LISTED.into()]).await
}

fn publication() -> Value {
    json!({"channel": "/stolen", "data": 1})
}

fn hello() -> Value {
    json!({"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["callback-polling"]})
}

/// How browsers, new and old, tell which site a request comes from.
const FOREIGN: [(&str, &str); 5] = [
    ("Origin", "https://evil.example"),
    ("Origin", "null"),
    ("Referer", "https://evil.example/page"),
    ("Sec-Fetch-Site", "cross-site"),
    ("Sec-Fetch-Site", "same-site"),
];

#[tokio::test]
async fn a_form_of_another_site_publishes_nothing() {
    let server = listing().await;
    let mut neighbour = Neighbour::of(&server).await;
    let json = json!([publication()]).to_string();
    for from in FOREIGN {
        for (kind, body) in [(FORM, message_field(&publication())), ("text/plain", json.clone())] {
            let answer = request(&server, "POST", "/bayeux", &[from, ("Content-Type", kind)], &body).await;
            assert_eq!(answer.status, 403, "{from:?} {kind}: {answer:?}");
            assert!(answer.body.contains("403::origin_denied"), "{answer:?}");
        }
    }
    neighbour.notices_nothing().await;
    // The same form on a page that is let in, and by a program, does publish.
    let form = message_field(&json!({"channel": "/neighbour", "data": 0}));
    for from in [("Origin", LISTED), ("User-Agent", "curl")] {
        let answer = request(&server, "POST", "/bayeux", &[from, ("Content-Type", FORM)], &form).await;
        assert!(answer.status == 200 && answer.body.contains("\"successful\":true"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_script_of_another_site_neither_publishes_nor_gets_a_session() {
    let server = listing().await;
    let mut neighbour = Neighbour::of(&server).await;
    let unknown = [("User-Agent", "a browser that says nothing"), ("Sec-Fetch-Site", "none")];
    for from in FOREIGN.into_iter().chain(unknown) {
        for message in [publication(), hello()] {
            let target = format!("/bayeux?jsonp=steal&{}", message_field(&message));
            let answer = request(&server, "GET", &target, &[from], "").await;
            assert_eq!(answer.status, 403, "{from:?}: {answer:?}");
            assert!(!answer.body.contains("clientId") && !answer.body.contains("steal("), "{answer:?}");
        }
    }
    neighbour.notices_nothing().await;
    let own = format!("http://{}/page", server.address);
    for from in [("Referer", own.as_str()), ("Referer", "https://app.example/"), ("Sec-Fetch-Site", "same-origin")] {
        let target = format!("/bayeux?jsonp=cb&{}", message_field(&hello()));
        let answer = request(&server, "GET", &target, &[from], "").await;
        assert!(answer.status == 200 && answer.body.starts_with("/**/cb("), "{from:?}: {answer:?}");
    }
}

#[tokio::test]
async fn a_page_of_another_site_opens_no_socket() {
    let server = listing().await;
    let mut neighbour = Neighbour::of(&server).await;
    let upgrade = |origin: &str| {
        format!(
            "GET /bayeux HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: \
             13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: BAYEUX_BROWSER=x\r\n{origin}\r\n",
            server.address
        )
    };
    let own = format!("Origin: http://{}\r\n", server.address);
    for (origin, status) in [
        ("Origin: https://evil.example\r\n", 403),
        ("Origin: https://app.example.evil.example\r\n", 403),
        ("Origin: null\r\n", 403),
        ("Origin: https://app.example\r\n", 101),
        (own.as_str(), 101),
        ("", 101),
    ] {
        let mut raw = Raw::connect(&server).await;
        raw.send(upgrade(origin)).await;
        assert_eq!(raw.answer().await.unwrap().status, status, "{origin}");
    }
    neighbour.notices_nothing().await;
}

#[tokio::test]
async fn an_open_server_behind_a_proxy_is_not_open_to_all_pages() {
    let server = Server::start().await;
    let mut neighbour = Neighbour::of(&server).await;
    let publish = |host: &'static str, origin: &'static str| {
        let server = &server;
        async move {
            let headers = [("Host", host), ("Origin", origin), ("Content-Type", FORM)];
            let body = message_field(&json!({"channel": "/neighbour", "data": "by a page"}));
            request(server, "POST", "/bayeux", &headers, &body).await.status
        }
    };
    assert_eq!(publish("push.example", "https://evil.example").await, 403);
    let script = format!("/bayeux?jsonp=cb&{}", message_field(&publication()));
    assert_eq!(request(&server, "GET", &script, &[("Host", "push.example")], "").await.status, 403);
    neighbour.notices_nothing().await;
    assert_eq!(publish("push.example", "https://push.example").await, 200);
    assert_eq!(publish("localhost", "https://evil.example").await, 200, "for the person at this machine");
}

#[tokio::test]
async fn a_page_of_another_site_cannot_call_the_api() {
    let server = Server::start().await;
    let mut neighbour = Neighbour::of(&server).await;
    let body = publication().to_string();
    let call = |headers: &'static [(&str, &str)]| request(&server, "POST", "/api/v1/publish", headers, &body);
    for simple in ["text/plain", FORM, "multipart/form-data; boundary=x", ""] {
        let headers: &[(&str, &str)] = &[("Content-Type", simple)];
        let answer = request(&server, "POST", "/api/v1/publish", headers, &body).await;
        assert_eq!(answer.status, 415, "{simple}: {answer:?}");
    }
    assert_eq!(call(&[("Content-Type", "application/json"), ("Origin", "https://evil.example")]).await.status, 403);
    let headers = [("Origin", "https://evil.example"), ("Access-Control-Request-Method", "POST")];
    let preflight = request(&server, "OPTIONS", "/api/v1/publish", &headers, "").await;
    assert!(!preflight.head.to_ascii_lowercase().contains("access-control-allow-origin"), "{preflight:?}");
    neighbour.notices_nothing().await;
}

#[tokio::test]
async fn a_callback_is_a_name_and_never_the_start_of_a_file() {
    let server = Server::start().await;
    let mut neighbour = Neighbour::of(&server).await;
    let rosetta =
        "CWSMIKI0hCD0Up0IZUnnnnnnnnnnnnnnnnnnnUU5nnnnnn3Snn7iiudIbEAtwwwEtwGpDDGGDDDGtttDtDGDDGptDtwG0GDtDDwwDwDG";
    for (name, status) in [(rosetta, 400), ("alert(1)//", 400), ("<script>", 400), ("CWSMIKI0", 200)] {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("jsonp", name).finish();
        let target = format!("/bayeux?{query}&{}", message_field(&hello()));
        let answer = request(&server, "GET", &target, &[], "").await;
        assert_eq!(answer.status, status, "{name}: {answer:?}");
        let head = answer.head.to_ascii_lowercase();
        assert!(head.contains("x-content-type-options: nosniff"), "{head}");
        if status == 200 {
            assert!(answer.body.starts_with("/**/") && head.contains("content-disposition: attachment"), "{answer:?}");
        }
    }
    neighbour.notices_nothing().await;
}
