//! TLS: HTTP/1.1, HTTP/2 and WebSocket inside it, and certificates that change while clients are connected.
//!
//! Certificates are made for each test. The broker runs as a process of its own where a signal is needed.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test panics")]

mod support;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt, stream};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::{
    body::Frame,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    net::SocketAddr,
    path::PathBuf,
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};
use support::{DEADLINE, Server};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStderr, Command},
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring::default_provider,
        pki_types::{CertificateDer, ServerName},
    },
};
use tokio_tungstenite::{client_async, tungstenite::Message};

/// A certificate in a folder of its own, which goes with it.
struct Certificate {
    folder: PathBuf,
    der: CertificateDer<'static>,
}

impl Certificate {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("bayeuxd-tls-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut certificate = Self { folder, der: CertificateDer::from(Vec::new()) };
        certificate.renew();
        certificate
    }

    /// Puts another certificate in its place.
    fn renew(&mut self) {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(self.file("cert.pem"), cert.pem()).unwrap();
        std::fs::write(self.file("key.pem"), signing_key.serialize_pem()).unwrap();
        self.der = cert.der().clone();
    }

    fn file(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    /// Connects, trusting only this certificate.
    async fn connect(&self, to: SocketAddr, protocol: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let stream = TcpStream::connect(to).await?;
        let name = ServerName::try_from("localhost").unwrap();
        timeout(DEADLINE, TlsConnector::from(Arc::new(config)).connect(name, stream)).await.expect("in time")
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn server(certificate: &Certificate) -> Server {
    Server::start_with(|settings| {
        settings.server.tls.cert = certificate.file("cert.pem");
        settings.server.tls.key = certificate.file("key.pem");
    })
    .await
}

fn post(path: &str, body: &Value) -> http::Request<Full<Bytes>> {
    let request = http::Request::post(format!("https://localhost{path}")).header("content-type", "application/json");
    request.body(Full::from(body.to_string())).unwrap()
}

struct Http2(http2::SendRequest<Full<Bytes>>);

impl Http2 {
    async fn connect(certificate: &Certificate, to: SocketAddr) -> Self {
        let stream = certificate.connect(to, b"h2").await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    async fn send(&self, path: &str, body: Value) -> (u16, Value) {
        let mut sender = self.0.clone();
        let exchange = async {
            let answer = sender.send_request(post(path, &body)).await.unwrap();
            let status = answer.status().as_u16();
            (status, serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap())
        };
        timeout(DEADLINE, exchange).await.expect("an answer in time")
    }
}

#[tokio::test]
async fn many_requests_share_one_http2_connection() {
    let certificate = Certificate::new("h2");
    let server = server(&certificate).await;
    let http = Http2::connect(&certificate, server.address).await;
    let mut ids = Vec::new();
    for _ in 0..6 {
        let hello =
            json!({"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"]});
        let id = http.send("/bayeux", hello).await.1[0]["clientId"].as_str().unwrap().to_owned();
        let subscribe = json!({"channel": "/meta/subscribe", "clientId": id, "subscription": "/a"});
        assert_eq!(http.send("/bayeux", subscribe).await.1[0]["successful"], true);
        let connect = json!({"channel": "/meta/connect", "clientId": id, "connectionType": "long-polling"});
        assert_eq!(http.send("/bayeux", connect.clone()).await.0, 200);
        ids.push(connect);
    }
    let held = futures_util::future::join_all(ids.into_iter().map(|connect| http.send("/bayeux", connect)));
    let publish = async {
        // Until all six are held.
        loop {
            let sessions = http
                .0
                .clone()
                .send_request(http::Request::get("https://localhost/api/v1/sessions").body(Full::default()).unwrap());
            let page = sessions.await.unwrap().into_body().collect().await.unwrap().to_bytes();
            let page: Value = serde_json::from_slice(&page).unwrap();
            if page["sessions"].as_array().unwrap().iter().filter(|s| s["connected"] == true).count() == 6 {
                break;
            }
            tokio::task::yield_now().await;
        }
        http.send("/api/v1/publish", json!({"channel": "/a", "data": 7})).await
    };
    let (answers, published) = tokio::join!(held, publish);
    assert_eq!(published.1["results"][0]["sessions"], 6);
    for (status, answer) in answers {
        assert_eq!((status, &answer[0]["data"]), (200, &json!(7)), "{answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn http2_names_its_host_where_origins_are_judged() {
    let certificate = Certificate::new("origin");
    let server = server(&certificate).await;
    let http = Http2::connect(&certificate, server.address).await;
    for (origin, status) in [("https://localhost", 200), ("https://evil.example", 403)] {
        let mut request = post("/api/v1/publish", &json!({"channel": "/a", "data": 1}));
        request.headers_mut().insert("origin", origin.parse().unwrap());
        assert_eq!(http.0.clone().send_request(request).await.unwrap().status(), status, "{origin}");
    }
}

#[tokio::test]
async fn http1_and_web_socket_work_inside_tls() {
    let certificate = Certificate::new("h1");
    let server = server(&certificate).await;
    let stream = certificate.connect(server.address, b"http/1.1").await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let answer = sender.send_request(post("/api/v1/publish", &json!({"channel": "/a", "data": 1}))).await.unwrap();
    assert_eq!(answer.status(), 200);

    let stream = certificate.connect(server.address, b"http/1.1").await.unwrap();
    let (mut socket, _) = client_async("wss://localhost/bayeux", stream).await.unwrap();
    let mut exchange = async |message: Value| {
        socket.send(Message::text(json!([message]).to_string())).await.unwrap();
        let frame = timeout(DEADLINE, socket.next()).await.unwrap().unwrap().unwrap();
        serde_json::from_str::<Value>(frame.to_text().unwrap()).unwrap()
    };
    let hello = json!({"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["websocket"]});
    let id = exchange(hello).await[0]["clientId"].clone();
    let subscribed = exchange(json!({"channel": "/meta/subscribe", "clientId": id, "subscription": "/a"})).await;
    assert_eq!(subscribed[0]["successful"], true);
    server.stop().await;
}

#[tokio::test]
async fn plain_http_on_a_tls_port_is_refused_without_harm() {
    let certificate = Certificate::new("plain");
    let server = server(&certificate).await;
    let answer = server.http.get(format!("http://{}/healthz", server.address)).timeout(DEADLINE).send().await;
    assert!(answer.is_err());
    assert!(certificate.connect(server.address, b"h2").await.is_ok());
}

/// A broker in a process of its own.
struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    address: SocketAddr,
}

impl Process {
    async fn start(certificate: &Certificate) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bayeuxd"));
        command.args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--set",
            &format!("server.tls.cert={}", certificate.file("cert.pem")),
        ]);
        command.args(["--set", &format!("server.tls.key={}", certificate.file("key.pem"))]).env_remove("RUST_LOG");
        command.stdin(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut process = Self { child, lines, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let line = process.line_with("Bayeux       https://").await;
        process.address = line.split("https://").nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
        process
    }

    async fn line_with(&mut self, what: &str) -> String {
        let find = async {
            loop {
                let line = self.lines.next_line().await.unwrap().unwrap_or_else(|| panic!("no line with {what}"));
                if line.contains(what) {
                    return line;
                }
            }
        };
        timeout(DEADLINE, find).await.unwrap_or_else(|_| panic!("no line with {what} in time"))
    }

    async fn hang_up(&self) {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-s", "HUP", &pid]).status().await.unwrap().success());
    }
}

#[tokio::test]
async fn a_new_certificate_is_taken_and_a_bad_one_is_not() {
    let mut certificate = Certificate::new("reload");
    let mut process = Process::start(&certificate).await;
    let early = Http2::connect(&certificate, process.address).await;
    let publish = json!({"channel": "/a", "data": 1});

    let old = certificate.der.clone();
    certificate.renew();
    process.hang_up().await;
    process.line_with("the certificate was read again").await;
    let later = Http2::connect(&certificate, process.address).await;
    assert_eq!(later.send("/api/v1/publish", publish.clone()).await.0, 200);
    assert_eq!(early.send("/api/v1/publish", publish.clone()).await.0, 200, "what was open stays open");
    let with_old = Certificate { folder: PathBuf::from("/nonexistent"), der: old };
    assert!(with_old.connect(process.address, b"h2").await.is_err());

    for broken in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        std::fs::write(certificate.file("cert.pem"), broken).unwrap();
        process.hang_up().await;
        process.line_with("the certificate is not replaced").await;
        let still = Http2::connect(&certificate, process.address).await;
        assert_eq!(still.send("/api/v1/publish", publish.clone()).await.0, 200);
    }
}

#[tokio::test]
async fn a_file_that_is_not_there_stops_the_start() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bayeuxd"));
    command.args([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--set",
        "server.tls.cert=/nonexistent/c",
        "--set",
        "server.tls.key=/nonexistent/k",
    ]);
    let output = timeout(DEADLINE, command.kill_on_drop(true).output()).await.unwrap().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nonexistent/c"));
}

#[tokio::test]
async fn a_peer_that_never_shakes_hands_is_let_go() {
    let certificate = Certificate::new("silent");
    let server = Server::start_with(|settings| {
        settings.server.tls.cert = certificate.file("cert.pem");
        settings.server.tls.key = certificate.file("key.pem");
        settings.transport.header_read_timeout = Duration::from_millis(100);
    })
    .await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let mut byte = [0];
    let closed = async {
        stream.readable().await.unwrap();
        stream.try_read(&mut byte).map_or(true, |n| n == 0)
    };
    assert!(timeout(DEADLINE, closed).await.expect("it is closed in time"));
}

#[tokio::test]
async fn a_server_that_stops_does_not_wait_for_peers_that_asked_nothing() {
    let certificate = Certificate::new("stop");
    let server = server(&certificate).await;
    let http = Http2::connect(&certificate, server.address).await;
    let hello = json!({"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"]});
    let id = http.send("/bayeux", hello).await.1[0]["clientId"].as_str().unwrap().to_owned();
    let connect = json!({"channel": "/meta/connect", "clientId": id, "connectionType": "long-polling"});
    assert_eq!(http.send("/bayeux", connect.clone()).await.0, 200);

    let no_handshake = TcpStream::connect(server.address).await.unwrap();
    let nothing_said = certificate.connect(server.address, b"h2").await.unwrap();
    // It says hello and then hears nothing: the server's goodbye is not agreed to.
    let mut deaf = certificate.connect(server.address, b"h2").await.unwrap();
    let mut settings = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    settings.extend_from_slice(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
    deaf.write_all(&settings).await.unwrap();
    let mut half_head = certificate.connect(server.address, b"http/1.1").await.unwrap();
    half_head.write_all(b"POST /bayeux HTTP/1.1\r\nHo").await.unwrap();
    for stream in [&mut deaf, &mut half_head] {
        stream.flush().await.unwrap();
    }
    let stream = certificate.connect(server.address, b"h2").await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let never: StreamBody<stream::Pending<Result<Frame<Bytes>, Infallible>>> = StreamBody::new(stream::pending());
    let half_body = tokio::spawn(async move {
        let request = http::Request::post("https://localhost/bayeux").body(never).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        (answer.status().as_u16(), answer.into_body().collect().await.unwrap().to_bytes())
    });

    let held = http.send("/bayeux", connect);
    let stop = async {
        let attached = async {
            let (call, mine) = (format!("/api/v1/sessions/{id}"), &http);
            loop {
                let request = http::Request::get(format!("https://localhost{call}")).body(Full::default()).unwrap();
                let answer = mine.0.clone().send_request(request).await.unwrap().into_body().collect().await.unwrap();
                if serde_json::from_slice::<Value>(&answer.to_bytes()).unwrap()["connected"] == true {
                    break;
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(DEADLINE, attached).await.expect("held");
        let began = Instant::now();
        server.stop().await;
        began.elapsed()
    };
    let ((status, answer), took) = tokio::join!(held, stop);
    assert_eq!((status, &answer[0]["successful"]), (200, &json!(true)), "{answer}");
    let (status, said) = timeout(DEADLINE, half_body).await.unwrap().unwrap();
    assert!(status == 503 && String::from_utf8_lossy(&said).contains("shutting_down"), "{status} {said:?}");
    assert!(took < Duration::from_secs(4), "stopped after {took:?}");
    drop((no_handshake, nothing_said, deaf, half_head));
}

#[tokio::test]
async fn the_command_line_speaks_tls_to_whom_it_trusts() {
    let (certificate, foreign) = (Certificate::new("cli"), Certificate::new("cli-foreign"));
    let server = server(&certificate).await;
    let url = format!("https://localhost:{}/bayeux", server.address.port());
    let publish = async |trusted: String| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bayeuxd"));
        command.args(["publish", "--url", &url, "/a", "1"]).env("SSL_CERT_FILE", trusted).kill_on_drop(true);
        timeout(DEADLINE, command.output()).await.expect("it ends in time").unwrap()
    };
    let done = publish(certificate.file("cert.pem")).await;
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let refused = publish(foreign.file("cert.pem")).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("certificate"), "the reason is named");
    server.stop().await;
}
