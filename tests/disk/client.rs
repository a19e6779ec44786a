//! A subscriber that acknowledges and a publisher without a session, over HTTP, that outlive the broker they talk to.

use crate::DEADLINE;
use reqwest::Client;
use serde_json::{Value, json};
use std::{net::SocketAddr, time::Duration};

/// How long they wait before they knock again at a broker that is gone: there is nobody to wait for.
const AGAIN: Duration = Duration::from_millis(20);

/// Sends messages; `None` when the broker did not answer in full.
pub(crate) async fn send(http: &Client, address: SocketAddr, messages: &Value) -> Option<Vec<Value>> {
    let request = http.post(format!("http://{address}/bayeux")).header("content-type", "application/json");
    let answer = request.body(messages.to_string()).timeout(DEADLINE).send().await.ok()?;
    let text = answer.text().await.ok()?;
    Some(serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}")))
}

/// Publishes `data` to a channel, all in one request; which of them were acknowledged. `None` when nobody answered.
pub(crate) async fn publish(http: &Client, address: SocketAddr, channel: &str, data: &[Value]) -> Option<Vec<bool>> {
    let messages: Vec<Value> = data.iter().map(|data| json!({"channel": channel, "data": data})).collect();
    let replies = send(http, address, &json!(messages)).await?;
    assert_eq!(replies.len(), data.len());
    Some(replies.iter().map(|reply| reply["successful"] == true).collect())
}

/// A session with the ack extension, on long-polling.
pub(crate) struct Subscriber {
    http: Client,
    address: SocketAddr,
    pub(crate) id: String,
    ack: u64,
    /// `data` of what it received, in order.
    pub(crate) received: Vec<Value>,
    /// Of its last connect.
    pub(crate) gap: Option<Value>,
}

impl Subscriber {
    /// Shakes hands and subscribes: the only time it does.
    pub(crate) async fn new(address: SocketAddr, channel: &str) -> Self {
        let http = Client::new();
        let handshake = json!([{"channel": "/meta/handshake", "version": "1.0", "ext": {"ack": true},
            "supportedConnectionTypes": ["long-polling"]}]);
        let reply = send(&http, address, &handshake).await.expect("it answers");
        let id = reply[0]["clientId"].as_str().unwrap().to_owned();
        let subscribe = json!([{"channel": "/meta/subscribe", "clientId": id, "subscription": channel}]);
        let reply = send(&http, address, &subscribe).await.expect("it answers");
        assert_eq!(reply[0]["successful"], true);
        Self { http, address, id, ack: 0, received: Vec::new(), gap: None }
    }

    /// Connects once. Whether anybody answered.
    pub(crate) async fn connect(&mut self) -> bool {
        let connect = json!([{"channel": "/meta/connect", "clientId": self.id, "connectionType": "long-polling",
            "ext": {"ack": self.ack}}]);
        let Some(messages) = send(&self.http, self.address, &connect).await else { return false };
        for message in messages {
            if message["channel"] == "/meta/connect" {
                // During shutdown the reply says so; what came with it counts all the same.
                assert_ne!(message["error"], "402::session_unknown", "{message}");
                self.ack = message["ext"]["ack"].as_u64().unwrap_or(self.ack);
                self.gap = Some(message["ext"]["gap"].clone()).filter(|gap| !gap.is_null());
            } else {
                self.received.push(message["data"].clone());
            }
        }
        true
    }

    /// Connects until it received `last`, whatever happens to the broker meanwhile.
    pub(crate) async fn until(&mut self, last: &Value) {
        while self.received.last() != Some(last) {
            if !self.connect().await {
                tokio::time::sleep(AGAIN).await;
            }
            assert_eq!(self.gap, None);
        }
    }
}

/// What a publisher did.
#[derive(Debug, Default)]
pub(crate) struct Published {
    pub(crate) acknowledged: Vec<u64>,
    pub(crate) sent: u64,
}

/// Publishes growing numbers, `batch` in a request, until `stop`; each number once, whether it was acknowledged or not.
pub(crate) async fn publish_until(
    address: SocketAddr,
    publisher: u64,
    batch: u64,
    stop: tokio::sync::watch::Receiver<bool>,
) -> Published {
    let http = Client::new();
    let channel = format!("/load/{publisher}");
    let mut published = Published::default();
    while !*stop.borrow() {
        let numbers: Vec<u64> = (published.sent..published.sent + batch).collect();
        let data: Vec<Value> = numbers.iter().map(|n| json!([publisher, n])).collect();
        published.sent += batch;
        match publish(&http, address, &channel, &data).await {
            Some(done) => {
                published.acknowledged.extend(numbers.iter().zip(done).filter(|(_, ok)| *ok).map(|(n, _)| *n))
            }
            None => tokio::time::sleep(AGAIN).await,
        }
    }
    published
}
