//! A peer that writes whatever bytes it likes, and the neighbour that must not notice.

use crate::support::{DEADLINE, Server, Subscriber};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::time::Instant;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

/// Writes what it is given.
pub(crate) struct Raw(pub(crate) TcpStream);

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Raw {
    pub(crate) async fn connect(server: &Server) -> Self {
        Self(TcpStream::connect(server.address).await.unwrap())
    }

    /// Sends bytes. A server that has hung up is an answer, too.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = timeout(DEADLINE, self.0.write_all(bytes.as_ref())).await.expect("the server reads or hangs up");
    }

    /// The next answer; `None` when the server hangs up instead.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        timeout(DEADLINE, self.read_answer()).await.expect("an answer or an end in time")
    }

    async fn read_answer(&mut self) -> Option<Answer> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).unwrap();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        self.0.read_exact(&mut body).await.ok()?;
        Some(Answer { status, head, body: String::from_utf8_lossy(&body).into_owned() })
    }

    /// Everything until the server hangs up.
    pub(crate) async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        // A reset is an end, too.
        let _ = timeout(DEADLINE, self.0.read_to_end(&mut rest)).await.expect("the server hangs up in time");
        String::from_utf8_lossy(&rest).into_owned()
    }
}

/// Sends one request on a connection of its own.
pub(crate) async fn request(
    server: &Server,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut head = format!("{method} {target} HTTP/1.1\r\n");
    if !headers.iter().any(|(name, _)| *name == "Host") {
        head += &format!("Host: {}\r\n", server.address);
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if method == "POST" {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    let mut raw = Raw::connect(server).await;
    raw.send(format!("{head}\r\n{body}")).await;
    raw.answer().await.expect("an answer")
}

/// A form's field.
pub(crate) fn message_field(message: &Value) -> String {
    form_urlencoded::Serializer::new(String::new()).append_pair("message", &message.to_string()).finish()
}

/// Somebody else on the same server.
pub(crate) struct Neighbour<'a> {
    server: &'a Server,
    subscriber: Subscriber,
    sent: u64,
}

impl<'a> Neighbour<'a> {
    /// Subscribes to everything, so that it also sees what attackers publish.
    pub(crate) async fn of(server: &'a Server) -> Self {
        Self { server, subscriber: server.subscriber(&["/**"]).await, sent: 0 }
    }

    /// Publishes and receives, and has received nothing else until then.
    pub(crate) async fn notices_nothing(&mut self) {
        self.sent += 1;
        let began = Instant::now();
        let message = json!({"channel": "/neighbour", "data": self.sent});
        assert_eq!(self.server.post("publish", message.clone()).await.0, 200);
        assert_eq!(self.subscriber.next().await, message);
        assert!(began.elapsed() < DEADLINE / 2, "the neighbour waited {:?}", began.elapsed());
    }
}

impl Neighbour<'_> {
    /// Receives something that somebody else was free to publish.
    pub(crate) async fn hears_noise(&mut self) {
        assert_ne!(self.subscriber.next().await["channel"], "/neighbour");
    }
}

/// A WebSocket client.
pub(crate) struct Socket(pub(crate) WebSocketStream<TcpStream>);

impl Socket {
    pub(crate) async fn connect(server: &Server) -> Self {
        let stream = TcpStream::connect(server.address).await.unwrap();
        let url = format!("ws://{}/bayeux", server.address);
        Self(timeout(DEADLINE, client_async(url, stream)).await.expect("in time").unwrap().0)
    }

    pub(crate) async fn send(&mut self, message: &Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    /// The next text, parsed; `None` when the server closes.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            match timeout(DEADLINE, self.0.next()).await.expect("a frame in time") {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).ok(),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// Makes a session.
    pub(crate) async fn handshake(&mut self) -> String {
        self.send(
            &json!([{"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["websocket"]}]),
        )
        .await;
        self.next().await.unwrap()[0]["clientId"].as_str().unwrap().to_owned()
    }
}
