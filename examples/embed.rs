//! bayeuxd inside another axum program: its routes beside yours, publishing from Rust without a socket.
//!
//! Run it with `cargo run --example embed`, open <http://127.0.0.1:8081/>, and see a counter arrive in the page.

use axum::{Router, response::Html, routing::get, serve};
use bayeuxd::{
    broker::{Broker, BrokerSettings, Plugins},
    engine::{EngineSettings, MemoryEngine},
    extension,
    transport::{self, OriginPolicy, Transport, TransportSettings},
};
use std::{error::Error, sync::Arc, time::Duration};

/// A page that speaks just enough Bayeux over a WebSocket to show what arrives.
const PAGE: &str = r#"<!DOCTYPE html><title>embed</title><h1>Counter: <output>…</output></h1><script>
const socket = new WebSocket(location.origin.replace("http", "ws") + "/bayeux");
const send = (message) => socket.send(JSON.stringify([message]));
let clientId;
socket.onopen = () => send({ channel: "/meta/handshake", version: "1.0", supportedConnectionTypes: ["websocket"] });
socket.onmessage = ({ data }) => JSON.parse(data).forEach((message) => {
  if (message.channel === "/meta/handshake") {
    clientId = message.clientId;
    send({ channel: "/meta/subscribe", clientId, subscription: "/counter" });
  }
  if (message.channel === "/counter") document.querySelector("output").textContent = message.data;
  if (message.channel === "/meta/subscribe" || message.channel === "/meta/connect")
    send({ channel: "/meta/connect", clientId, connectionType: "websocket" });
});
</script>"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let settings = TransportSettings::default();
    let engine = Arc::new(MemoryEngine::with(&EngineSettings::default(), 1));
    let plugins = Plugins { extensions: extension::all(false), ..Plugins::default() };
    let broker = Broker::start(BrokerSettings::default(), transport::offered(&settings), engine, plugins);
    let transport = Transport::new(broker.clone(), settings, OriginPolicy::Listed(Vec::new()));
    let app = Router::new().route("/", get(|| async { Html(PAGE) })).merge(transport.router());

    tokio::spawn(async move {
        for count in 0u64.. {
            if let Err(error) = broker.publish_data("/counter", &count.to_string()).await {
                eprintln!("not published: {error}");
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8081").await?;
    println!("http://{}/", listener.local_addr()?);
    Ok(serve(listener, app).await?)
}
