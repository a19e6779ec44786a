//! Credentials do not appear in logs, at the finest level either.

use crate::support::DEADLINE;
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use std::process::Stdio;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    net::TcpStream,
    process::Command,
    time::timeout,
};
use tokio_tungstenite::{
    client_async,
    tungstenite::{Message, client::IntoClientRequest},
};

const SECRET: &str = "eyJhbGciOiJIUzI1NiJ9.hush-hush";

#[tokio::test]
async fn credentials_are_never_logged() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_bayeuxd"))
        .args(["serve", "--listen", "127.0.0.1:0", "--set", "backend.forward_headers=[\"authorization\",\"cookie\"]"])
        .env("RUST_LOG", "trace")
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let (mut log, mut url) = (String::new(), None);
    while url.is_none() {
        let line = log.len();
        assert!(timeout(DEADLINE, stderr.read_line(&mut log)).await.expect("it starts").unwrap() > 0, "{log}");
        url = log[line..].trim().strip_prefix("Bayeux ").map(|rest| rest.trim().to_owned());
    }
    let url = url.unwrap();
    let hello = json!([{"channel": "/meta/handshake", "version": "1.0", "ext": {"token": SECRET},
        "supportedConnectionTypes": ["websocket", "long-polling"]}]);
    let publish =
        json!([{"channel": "/a", "data": 1, "ext": {"token": SECRET, "authentication": {"password": SECRET}}}]);
    let bearer = format!("Bearer {SECRET}");
    for message in [&hello, &publish, &json!("not a message")] {
        for path in ["/bayeux", "/api/v1/publish"] {
            let address = url.replace("/bayeux", path);
            let request = reqwest::Client::new().post(address).header("content-type", "application/json");
            let request = request.header("authorization", &bearer).header("cookie", format!("token={SECRET}"));
            request.body(message.to_string()).send().await.unwrap();
        }
    }
    let mut request = url.replace("http", "ws").into_client_request().unwrap();
    request.headers_mut().insert("authorization", bearer.parse().unwrap());
    let address = request.uri().authority().unwrap().to_string();
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut socket, _) = client_async(request, stream).await.unwrap();
    for message in [&hello, &publish] {
        socket.send(Message::text(message.to_string())).await.unwrap();
        timeout(DEADLINE, socket.next()).await.expect("a reply").unwrap().unwrap();
    }
    drop(socket);
    child.start_kill().unwrap();
    timeout(DEADLINE, stderr.read_to_string(&mut log)).await.expect("it ends").unwrap();
    assert!(log.contains("DEBUG") || log.contains("TRACE"), "it does log: {log}");
    let told: Vec<&str> = log.lines().filter(|line| line.contains("hush-hush")).collect();
    assert!(told.is_empty(), "{told:#?}");
}
