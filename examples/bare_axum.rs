//! The least that axum can do for a publish by the API: the same bytes come in, the same bytes go out, nothing happens.
//!
//! `scripts/bench-api.sh` measures the broker against it. Run with `cargo run --release --example bare_axum -- PORT`.

use axum::{Router, body::Bytes, http::header, response::IntoResponse, routing::post, serve};
use std::{env, io::Result};
use tokio::net::TcpListener;

/// What the broker answers to a publish of one message, with a position as long as real ones are.
const ANSWER: &str = r#"{"results":[{"channel":"/bench/one","position":1764154800000000,"sessions":0}]}"#;

async fn publish(body: Bytes) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    // Looked at, so that it has to be there.
    (headers, if body.is_empty() { "" } else { ANSWER })
}

#[tokio::main]
async fn main() -> Result<()> {
    let port: u16 = env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(0);
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("{}", listener.local_addr()?);
    serve(listener, Router::new().route("/api/v1/publish", post(publish))).await
}
