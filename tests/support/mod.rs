//! A server in this process, and a small Bayeux client: what the API's tests share.

#![allow(dead_code, reason = "each test file uses its own part")]

use bayeuxd::server::{self, Settings};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use std::{collections::VecDeque, net::SocketAddr, time::Duration};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle, time::timeout};

/// The longest anything may take here.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) http: Client,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<std::io::Result<()>>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts with settings that `change` made from the defaults.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::default();
        settings.broker.timeout = Duration::from_secs(5);
        change(&mut settings);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(server::run(settings, listener, async move {
            let _ = stopped.await;
        }));
        Self { address, http: Client::new(), stop: Some(stop), running }
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops it and waits until it has ended.
    pub(crate) async fn stop(mut self) {
        let _ = self.stop.take().unwrap().send(());
        timeout(DEADLINE, self.running).await.expect("it stops in time").unwrap().unwrap();
    }

    /// Sends one request and reads its JSON answer.
    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> (u16, Value) {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.http.request(method, format!("{}{path}", self.origin())).timeout(DEADLINE);
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body.to_owned());
        }
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// A call below `/api/v1/` with a JSON body.
    pub(crate) async fn post(&self, call: &str, body: Value) -> (u16, Value) {
        self.post_text(call, body.to_string()).await
    }

    pub(crate) async fn post_text(&self, call: &str, body: String) -> (u16, Value) {
        let json = [("content-type", "application/json")];
        self.call("POST", &format!("/api/v1/{call}"), &json, Some(&body)).await
    }

    pub(crate) async fn get(&self, call: &str) -> (u16, Value) {
        self.call("GET", &format!("/api/v1/{call}"), &[], None).await
    }

    pub(crate) async fn delete(&self, call: &str) -> (u16, Value) {
        self.call("DELETE", &format!("/api/v1/{call}"), &[], None).await
    }

    pub(crate) async fn get_text(&self, path: &str) -> String {
        match self.call("GET", path, &[], None).await {
            (200, Value::String(text)) => text,
            other => panic!("{path}: {other:?}"),
        }
    }

    /// A client that subscribed and connected once.
    pub(crate) async fn subscriber(&self, channels: &[&str]) -> Subscriber {
        let mut client = Subscriber {
            url: format!("{}/bayeux", self.origin()),
            http: self.http.clone(),
            id: String::new(),
            waiting: VecDeque::new(),
        };
        let handshake =
            json!({"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"]});
        client.id = client.send(handshake).await[0]["clientId"].as_str().unwrap().to_owned();
        let id = client.id.clone();
        if !channels.is_empty() {
            let answer =
                client.send(json!({"channel": "/meta/subscribe", "clientId": id, "subscription": channels})).await;
            assert_eq!(answer[0]["successful"], true, "{answer}");
        }
        client.connect().await;
        client
    }
}

/// A long-polling client.
pub(crate) struct Subscriber {
    pub(crate) id: String,
    url: String,
    http: Client,
    waiting: VecDeque<String>,
}

impl Subscriber {
    async fn send_text(&self, message: Value) -> String {
        let request = self.http.post(&self.url).header("content-type", "application/json").body(message.to_string());
        request.timeout(DEADLINE).send().await.unwrap().text().await.unwrap()
    }

    pub(crate) async fn send(&self, message: Value) -> Value {
        serde_json::from_str(&self.send_text(message).await).unwrap()
    }

    /// Connects once; returns the meta messages of the answer.
    pub(crate) async fn connect(&mut self) -> Vec<Value> {
        let text = self
            .send_text(json!({"channel": "/meta/connect", "clientId": self.id, "connectionType": "long-polling"}))
            .await;
        let all: Vec<&serde_json::value::RawValue> = serde_json::from_str(&text).unwrap();
        let mut meta = Vec::new();
        for raw in all {
            let message: Value = serde_json::from_str(raw.get()).unwrap();
            if message["channel"].as_str().unwrap().starts_with("/meta/") {
                meta.push(message);
            } else {
                self.waiting.push_back(raw.get().to_owned());
            }
        }
        meta
    }

    /// The next message, as its bytes came.
    pub(crate) async fn next_text(&mut self) -> String {
        let next = async {
            while self.waiting.is_empty() {
                self.connect().await;
            }
        };
        timeout(DEADLINE, next).await.expect("a message in time");
        self.waiting.pop_front().unwrap()
    }

    pub(crate) async fn next(&mut self) -> Value {
        serde_json::from_str(&self.next_text().await).unwrap()
    }
}
