//! An issuer that publishes its keys over HTTP: rotation, redirects, nonsense, and one that takes connections and says
//! nothing.

use super::{
    now_s, plan,
    support::{DEADLINE, Server},
};
use bayeuxd::access::jwt::Algorithm;
use jsonwebtoken::{EncodingKey, Header, encode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{sync::Arc, time::Instant};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// Answers every request with what it is told; an empty text is silence.
async fn issuer(answer: Arc<Mutex<String>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = connection.read(&mut request).await;
            let text = answer.lock().clone();
            let _ = connection.write_all(text.as_bytes()).await;
            if text.is_empty() {
                open.push(connection);
            }
        }
    });
    url
}

fn ok(body: &Value) -> String {
    let body = body.to_string();
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn keys(id: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("../../src/access/jwt/testdata/public.jwk.json")).unwrap();
    let mut key = all["ec"].clone();
    key["kid"] = json!(id);
    json!({ "keys": [key] })
}

fn token(id: &str) -> String {
    let key = EncodingKey::from_ec_pem(include_bytes!("../../src/access/jwt/testdata/ec-private.pem")).unwrap();
    let head = Header { kid: Some(id.into()), ..Header::new(Algorithm::ES256) };
    encode(&head, &json!({"sub": "ann", "exp": now_s() + 600}), &key).unwrap()
}

async fn broker(name: &str, url: &str) -> Server {
    let text = format!(
        "[[jwt]]\njwks_url = \"{url}\"\njwks_pause = \"1s\"\njwks_timeout = \"300ms\"\n[[rule]]\nallow = \"handshake\"\n"
    );
    let plan = plan(name, &text);
    Server::start_with(|settings| settings.access = plan).await
}

async fn handshake(server: &Server, token: &str) -> Value {
    super::bayeux(server, &[], &json!({"channel": "/meta/handshake", "ext": {"token": token}})).await
}

/// Asks until the answer is another one: keys are fetched at most once in a pause.
async fn until(server: &Server, id: &str, successful: bool) {
    let begun = Instant::now();
    while handshake(server, &token(id)).await["successful"] != successful {
        assert!(begun.elapsed() < DEADLINE, "{id}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn keys_are_fetched_and_rotate() {
    let answer = Arc::new(Mutex::new(ok(&keys("one"))));
    let server = broker("rotation.toml", &issuer(Arc::clone(&answer)).await).await;
    assert_eq!(handshake(&server, &token("one")).await["successful"], true);
    let unknown = handshake(&server, &token("two")).await;
    assert_eq!(unknown["error"], "401:the token names a key that its issuer does not publish:not_authenticated");
    *answer.lock() = ok(&keys("two"));
    until(&server, "two", true).await;
    assert_eq!(handshake(&server, &token("one")).await["successful"], false);
    server.stop().await;
}

#[tokio::test]
async fn an_issuer_that_hangs_lies_or_redirects_makes_nobody_wait_long() {
    let answer = Arc::new(Mutex::new(String::new()));
    let server = broker("hanging.toml", &issuer(Arc::clone(&answer)).await).await;
    let elsewhere = issuer(Arc::new(Mutex::new(ok(&keys("one"))))).await;
    let large = format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(300 << 10));
    for text in [
        String::new(),
        format!("HTTP/1.1 302 Found\r\nlocation: {elsewhere}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"),
        "HTTP/1.1 500 Oops\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".into(),
        ok(&json!("no list")),
        ok(&serde_json::from_str(&large).unwrap()),
    ] {
        *answer.lock() = text;
        let begun = Instant::now();
        // Long enough for a pause to pass, so that each is really asked.
        while begun.elapsed().as_millis() < 1200 {
            let refused = handshake(&server, &token("one")).await;
            assert_eq!(refused["error"], "503::policy_unavailable");
            assert_eq!(
                (&refused["advice"]["reconnect"], refused["advice"]["interval"].as_u64() > Some(0)),
                (&json!("handshake"), true)
            );
            assert_eq!(server.call("GET", "/healthz", &[], None).await.0, 200);
        }
    }
    *answer.lock() = ok(&keys("one"));
    until(&server, "one", true).await;
    server.stop().await;
}
