//! What the tests talk to: the broker, the backend, and a Bayeux client that does what it is told.

use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdin, Command},
    time::{sleep, timeout},
};

/// The longest anything may take here.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
/// Two secrets, as while rotating.
pub(crate) const SECRETS: [&str; 2] =
    ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"];

/// A running `server.py`.
pub(crate) struct Backend {
    pub(crate) url: String,
    child: Child,
    _stdin: ChildStdin,
}

impl Backend {
    pub(crate) async fn start() -> Self {
        Self::start_on(0).await
    }

    pub(crate) async fn start_on(port: u16) -> Self {
        Self::start_with(port, &[]).await
    }

    pub(crate) async fn start_with(port: u16, environment: &[(&str, &Path)]) -> Self {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/backend/server.py");
        let mut command = Command::new("python3");
        command.arg(script).env("SECRETS", SECRETS.join(" ")).env("PORT", port.to_string()).kill_on_drop(true);
        command.envs(environment.iter().copied());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3 is there");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = timeout(DEADLINE, lines.next_line()).await.expect("it starts").unwrap().expect("it says where it is");
        Self { url, _stdin: child.stdin.take().unwrap(), child }
    }

    pub(crate) fn port(&self) -> u16 {
        self.url.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// Ends it at once, whatever it is doing.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    async fn memory(&self) -> Value {
        reqwest::get(format!("{}/log", self.url)).await.unwrap().text().await.unwrap().parse().unwrap()
    }

    /// What was posted to a path, with the body parsed under `body`.
    pub(crate) async fn posted(&self, path: &str) -> Vec<Value> {
        let Value::Array(requests) = self.memory().await["requests"].take() else { panic!("a list") };
        requests
            .into_iter()
            .filter(|request| request["path"] == path)
            .map(|mut request| {
                request["body"] = request["text"].as_str().unwrap().parse().unwrap();
                request
            })
            .collect()
    }

    /// The most calls that were out at the same time.
    pub(crate) async fn most_out(&self) -> u64 {
        self.memory().await["most_out"].as_u64().unwrap()
    }

    /// Waits until what was posted to a path is as wanted.
    pub(crate) async fn until_posted(&self, path: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let find = async {
            loop {
                let posted = self.posted(path).await;
                if wanted(&posted) {
                    return posted;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        match timeout(DEADLINE, find).await {
            Ok(posted) => posted,
            Err(_) => panic!("not as wanted: {:#?}", self.posted(path).await),
        }
    }

    /// Puts the steps that `/script/<name>` answers with.
    pub(crate) async fn script(&self, name: &str, steps: Value) {
        let put = reqwest::Client::new().put(format!("{}/script/{name}", self.url)).body(steps.to_string());
        assert!(put.send().await.unwrap().status().is_success());
    }
}

/// A running broker.
pub(crate) struct Broker {
    pub(crate) url: String,
    child: Child,
}

impl Broker {
    /// Starts it with this configuration; `BACKEND` in it stands for the backend's URL.
    pub(crate) async fn start(backend: &Backend, configuration: &str) -> Self {
        Self::start_with(backend, configuration, &[]).await
    }

    pub(crate) async fn start_with(backend: &Backend, configuration: &str, environment: &[(&str, &Path)]) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("backend-{}-{}.toml", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&file, configuration.replace("BACKEND", &backend.url)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_bayeuxd"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(&file).kill_on_drop(true);
        command.envs(environment.iter().copied());
        let mut child = command.env_remove("RUST_LOG").stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let find = async {
            let mut seen = String::new();
            while let Some(line) = lines.next_line().await.unwrap() {
                if line.contains("  Bayeux ") {
                    return line.split_whitespace().last().unwrap().to_owned();
                }
                seen.push_str(&line);
            }
            panic!("the broker did not start: {seen}")
        };
        let url = timeout(DEADLINE, find).await.expect("the broker starts");
        // What it writes must go somewhere, or it would wait.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { url, child }
    }
}

impl Broker {
    /// Asks it to end.
    pub(crate) async fn terminate(&self) {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().await.unwrap().success());
    }

    /// Waits until it has ended; whether in good order.
    pub(crate) async fn ended(&mut self) -> bool {
        timeout(DEADLINE, self.child.wait()).await.expect("it ends").unwrap().success()
    }

    /// What it counts.
    pub(crate) async fn metrics(&self) -> String {
        let page = self.url.replace("/bayeux", "/metrics");
        reqwest::get(page).await.unwrap().text().await.unwrap()
    }
}

/// A session over long-polling.
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    pub(crate) id: String,
    headers: Vec<(&'static str, String)>,
    /// Received and not asked for yet.
    inbox: Vec<Value>,
}

impl Client {
    pub(crate) async fn connect(broker: &Broker) -> Self {
        Self::connect_with(broker, &[]).await
    }

    /// A session whose requests carry these headers.
    pub(crate) async fn connect_with(broker: &Broker, headers: &[(&'static str, &str)]) -> Self {
        let mut client = Self::new(broker);
        client.headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let reply = client.handshake(json!({})).await;
        assert_eq!(reply["successful"], true, "{reply}");
        client
    }

    /// Somebody without a session yet.
    pub(crate) fn new(broker: &Broker) -> Self {
        Self {
            http: reqwest::Client::new(),
            url: broker.url.clone(),
            id: String::new(),
            headers: Vec::new(),
            inbox: Vec::new(),
        }
    }

    pub(crate) async fn handshake(&mut self, ext: Value) -> Value {
        let message = json!({"channel": "/meta/handshake", "version": "1.0", "ext": ext,
            "supportedConnectionTypes": ["long-polling"]});
        let reply = self.post(json!([message])).await.remove(0);
        self.id = reply["clientId"].as_str().unwrap_or_default().to_owned();
        reply
    }

    async fn post(&self, messages: Value) -> Vec<Value> {
        let mut request = self.http.post(&self.url).header("content-type", "application/json");
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let response = timeout(DEADLINE, request.body(messages.to_string()).send()).await.expect("an answer").unwrap();
        serde_json::from_str(&response.text().await.unwrap()).unwrap()
    }

    /// Sends messages in one request; gives the replies and keeps what else came.
    pub(crate) async fn send(&mut self, mut messages: Vec<Value>) -> Vec<Value> {
        messages.iter_mut().for_each(|message| message["clientId"] = json!(self.id));
        let (received, replies): (Vec<_>, Vec<_>) =
            self.post(json!(messages)).await.into_iter().partition(|m| m.get("data").is_some());
        self.inbox.extend(received);
        replies
    }

    pub(crate) async fn subscribe(&mut self, channel: &str) -> Value {
        self.send(vec![json!({"channel": "/meta/subscribe", "subscription": channel})]).await.remove(0)
    }

    pub(crate) async fn unsubscribe(&mut self, channel: &str) -> Value {
        self.send(vec![json!({"channel": "/meta/unsubscribe", "subscription": channel})]).await.remove(0)
    }

    pub(crate) async fn disconnect(&mut self) {
        self.send(vec![json!({"channel": "/meta/disconnect"})]).await;
    }

    pub(crate) async fn publish(&mut self, channel: &str, data: Value) -> Value {
        self.send(vec![json!({"channel": channel, "data": data, "id": "p"})]).await.remove(0)
    }

    /// The next message that `wanted` names.
    pub(crate) async fn receive(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let find = async {
            loop {
                if let Some(at) = self.inbox.iter().position(&wanted) {
                    return self.inbox.remove(at);
                }
                let connect = json!({"channel": "/meta/connect", "connectionType": "long-polling"});
                self.send(vec![connect]).await;
            }
        };
        timeout(DEADLINE, find).await.expect("the message comes")
    }

    /// Calls a service and waits for the answer.
    pub(crate) async fn call(&mut self, channel: &str, data: Value) -> Value {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let id = format!("c{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let replies = self.send(vec![json!({"channel": channel, "data": data, "id": id})]).await;
        assert_eq!(replies[0], json!({"channel": channel, "id": id, "successful": true}));
        self.receive(|message| message["id"] == json!(id)).await
    }

    /// Whether nothing waits for it.
    pub(crate) async fn has_nothing(&mut self) -> bool {
        let connect = json!({"channel": "/meta/connect", "connectionType": "long-polling", "advice": {"timeout": 0}});
        self.send(vec![connect]).await;
        self.inbox.is_empty()
    }
}
