//! Planned restarts: whoever does not acknowledge goes on where it stood, too, and gets nothing twice after a crash later.

use crate::{
    DEADLINE, client,
    process::{Folder, Process},
};
use reqwest::Client;
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::time::timeout;

/// A session without the ack extension.
struct Plain {
    http: Client,
    address: SocketAddr,
    id: String,
}

impl Plain {
    async fn new(address: SocketAddr, channel: &str) -> Self {
        let http = Client::new();
        let types = json!(["long-polling"]);
        let handshake = json!([{"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": types}]);
        let reply = client::send(&http, address, &handshake).await.expect("it answers");
        let one = Self { http, address, id: reply[0]["clientId"].as_str().unwrap().to_owned() };
        let subscribe = json!([{"channel": "/meta/subscribe", "clientId": one.id, "subscription": channel}]);
        assert_eq!(client::send(&one.http, address, &subscribe).await.unwrap()[0]["successful"], true);
        one
    }

    /// What one connect brings, waiting no longer than that.
    async fn poll(&self, timeout_ms: u64) -> Vec<Value> {
        let connect = json!([{"channel": "/meta/connect", "clientId": self.id, "connectionType": "long-polling",
            "advice": {"timeout": timeout_ms}}]);
        let mut messages = client::send(&self.http, self.address, &connect).await.expect("it answers");
        let reply = messages.pop().unwrap();
        assert_eq!(reply["successful"], true, "{reply}");
        assert!(reply["ext"]["gap"].is_null(), "{reply}");
        messages.iter().map(|message| message["data"].clone()).collect()
    }

    /// Connects until `count` messages came.
    async fn next(&self, count: usize) -> Vec<Value> {
        let mut all = Vec::new();
        let until = async {
            while all.len() < count {
                all.extend(self.poll(1000).await);
            }
        };
        timeout(DEADLINE, until).await.expect("they come in time");
        all
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_acknowledge_loses_nothing_by_a_planned_restart() {
    let folder = Folder::new();
    let broker = Process::start(&folder).await;
    let address = broker.address;
    let http = Client::new();
    let publish = async |n: u64| client::publish(&http, address, "/news", &[json!(n)]).await.unwrap();
    let (behind, quick, newcomer) =
        (Plain::new(address, "/news").await, Plain::new(address, "/news").await, Plain::new(address, "/news").await);
    behind.poll(0).await;
    assert_eq!(publish(1).await, [true]);
    assert_eq!(behind.next(1).await, [json!(1)]);
    for n in 2..=4 {
        assert_eq!(publish(n).await, [true]);
    }
    assert_eq!(quick.next(4).await, [1, 2, 3, 4].map(Value::from));
    broker.terminate().await;

    let broker = Process::start_at(&folder.0, &address.to_string()).await;
    assert_eq!(publish(5).await, [true]);
    assert_eq!(behind.next(4).await, [2, 3, 4, 5].map(Value::from));
    assert_eq!(quick.next(1).await, [json!(5)]);
    assert_eq!(newcomer.next(5).await, [1, 2, 3, 4, 5].map(Value::from), "who never connected");
    broker.terminate().await;

    // A second stop with nothing published before it: what was written down at the first is over.
    let broker = Process::start_at(&folder.0, &address.to_string()).await;
    for session in [&behind, &quick, &newcomer] {
        assert!(session.poll(0).await.is_empty(), "nothing twice");
    }
    // Where they stood counted once: after a crash it would bring everything again.
    broker.kill().await;
    let broker = Process::start_at(&folder.0, &address.to_string()).await;
    assert_eq!(publish(6).await, [true]);
    for session in [&behind, &quick, &newcomer] {
        assert_eq!(session.next(1).await, [json!(6)]);
    }
    broker.terminate().await;
}
