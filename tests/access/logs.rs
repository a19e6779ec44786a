//! Nothing that opens a door is ever logged, at whatever level: the real program, every place a secret can stand in, over
//! HTTP and WebSocket, good ones and bad ones.

use super::{ADMIN, KEY, SECRET, configuration, file, program::bayeuxd, support::DEADLINE, token};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{
    client_async,
    tungstenite::{Message, client::IntoClientRequest},
};

#[tokio::test]
async fn no_secret_is_logged_at_any_level() {
    let config = file("logs.toml", &configuration());
    let mut command = bayeuxd(&["serve", "--listen", "127.0.0.1:0", "--config", config.to_str().unwrap()]);
    let mut child = command.env("RUST_LOG", "trace").spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut log = String::new();
    let address = loop {
        let line = timeout(DEADLINE, lines.next_line()).await.unwrap().unwrap().expect("it says where it listens");
        log.push_str(&line);
        if let Some(url) = line.trim().strip_prefix("Bayeux ") {
            break url.trim().trim_start_matches("http://").split('/').next().unwrap().to_owned();
        }
    };
    // A pipe that nobody reads would stop the program.
    let reading = tokio::spawn(async move {
        let mut rest = String::new();
        lines.into_inner().read_to_string(&mut rest).await.map(|_| rest)
    });
    let (ann, forged) = (token("ann"), format!("{}x", token("bob")));
    let wrong = "bayeuxd_a-key-that-nobody-knows-0000000000000000";
    let http = reqwest::Client::new();
    let origin = format!("http://{address}");
    for (name, value) in [
        ("x-api-key", KEY.to_owned()),
        ("x-api-key", wrong.to_owned()),
        ("authorization", format!("Bearer {ADMIN}")),
        ("authorization", format!("Bearer {ann}")),
        ("authorization", format!("Bearer {forged}")),
        ("cookie", format!("session={ann}")),
        ("cookie", format!("session={forged}")),
    ] {
        let handshake = json!({"channel": "/meta/handshake", "ext": {}}).to_string();
        for (path, body) in
            [("/bayeux", handshake), ("/api/v1/publish", json!({"channel": "/orders/7", "data": 1}).to_string())]
        {
            let request = http.post(format!("{origin}{path}")).header("content-type", "application/json");
            request.header(name, &value).body(body).timeout(DEADLINE).send().await.unwrap();
        }
    }
    for token in [ann.as_str(), &forged, KEY, wrong] {
        let message = json!({"channel": "/meta/handshake", "ext": {"token": token}}).to_string();
        let request = http.post(format!("{origin}/bayeux")).header("content-type", "application/json");
        request.body(message).timeout(DEADLINE).send().await.unwrap();
    }
    let explain = json!({"action": "publish", "channel": "/x", "token": ann}).to_string();
    let request = http.post(format!("{origin}/api/v1/explain")).header("content-type", "application/json");
    request.header("x-api-key", ADMIN).body(explain).timeout(DEADLINE).send().await.unwrap();

    let mut upgrade = format!("ws://{address}/bayeux").into_client_request().unwrap();
    upgrade.headers_mut().insert("authorization", format!("Bearer {ann}").parse().unwrap());
    let stream = TcpStream::connect(&address).await.unwrap();
    let (mut socket, _) = client_async(upgrade, stream).await.unwrap();
    let handshake = json!([{"channel": "/meta/handshake", "ext": {"token": ann}}]).to_string();
    socket.send(Message::text(handshake)).await.unwrap();
    let reply = timeout(DEADLINE, socket.next()).await.unwrap().unwrap().unwrap().into_text().unwrap();
    let reply: serde_json::Value = serde_json::from_str(&reply).unwrap();
    let refresh = json!({"channel": "/service/refresh", "clientId": reply[0]["clientId"], "data": {"token": ann}});
    socket.send(Message::text(refresh.to_string())).await.unwrap();
    let reply = timeout(DEADLINE, socket.next()).await.unwrap().unwrap().unwrap().into_text().unwrap();
    assert!(reply.contains("/service/refresh"), "{reply}");
    drop(socket);

    child.start_kill().unwrap();
    log.push_str(&timeout(DEADLINE, reading).await.unwrap().unwrap().unwrap());
    assert!(log.contains("DEBUG"), "more than usual is logged");
    for secret in [KEY, ADMIN, SECRET, wrong, &ann, &forged, ann.rsplit('.').next().unwrap()] {
        let line = log.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{line:?}");
    }
}
