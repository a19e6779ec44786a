//! §1, the HTTP around the messages: where requests may go, what may surround them, what surrounds the answers.
//!
//! Plain HTTP only, mostly raw. Bodies are the business of `bodies`, fields that of `fields`.

use super::expect::{body, only_message};
use crate::{
    case::{Case, case},
    context::{Context, PATIENCE},
    wire::{
        request::Request,
        response::{Framing, Response},
    },
};
use anyhow::{Result, ensure};

const MOUNT: &str = "§1 Any sub-path is the same endpoint (clients append them).";
const SURROUNDINGS: &str =
    "§1 Upgrade: h2c and other non-WebSocket upgrades are ignored; Expect, chunked bodies, an empty Cookie are fine.";
const EVERY_ANSWER: &str =
    "§1 Every answer: application/json;charset=UTF-8, Cache-Control: no-store, nosniff, exact Content-Length.";

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("framing.mount", "the mount itself answers", "§1 One mount, /bayeux by default.", |cx| at(cx, "")),
        case("framing.trailing_slash", "a slash after the mount is the same", MOUNT, |cx| at(cx, "/")),
        case("framing.verb_suffix", "so is the name of a verb", MOUNT, |cx| at(cx, "/handshake")),
        case("framing.meta_suffix", "so is a meta channel", MOUNT, |cx| at(cx, "/meta/connect")),
        case("framing.version_suffix", "so is a version with a dot", MOUNT, |cx| at(cx, "/38.0")),
        case("framing.deep_suffix", "so is anything deeper", MOUNT, |cx| at(cx, "/a/b/c/d")),
        case("framing.query", "a query does not matter", MOUNT, |cx| at(cx, "/?x=1&y")),
        case("framing.h2c_upgrade", "an offer of h2c is ignored", SURROUNDINGS, h2c_upgrade),
        case("framing.unknown_upgrade", "an offer of anything else too", SURROUNDINGS, unknown_upgrade),
        case("framing.expect_continue", "Expect: 100-continue is served", SURROUNDINGS, expect_continue),
        case("framing.chunked", "a chunked body is read", SURROUNDINGS, chunked),
        case("framing.empty_cookie", "an empty Cookie header is fine", SURROUNDINGS, empty_cookie),
        case("framing.body_in_pieces", "a body may come in pieces", SURROUNDINGS, body_in_pieces),
        case("framing.keep_alive", "one connection serves many requests", EVERY_ANSWER, keep_alive),
        case("framing.content_type", "answers are JSON in UTF-8", EVERY_ANSWER, content_type),
        case("framing.no_store", "answers are not stored", EVERY_ANSWER, no_store),
        case("framing.nosniff", "answers are not sniffed", EVERY_ANSWER, nosniff),
        case("framing.content_length", "answers say how long they are", EVERY_ANSWER, content_length),
        case("framing.refusal_headers", "refused requests get the same headers", EVERY_ANSWER, refusal_headers),
        case(
            "framing.protocol_error_is_200",
            "a Bayeux error is HTTP 200",
            "§1 Protocol errors are HTTP 200.",
            error_is_200,
        ),
        case("framing.other_methods", "other methods are refused, not failed", "§1 Never 500.", other_methods),
        case(
            "framing.garbage",
            "bytes that are no HTTP harm nobody",
            "§1 Never 500; nothing a client sends can hurt another.",
            garbage,
        ),
        case(
            "framing.endless_header",
            "a header of 200 KB harms nobody",
            "§1 Never 500; nothing a client sends can hurt another.",
            endless_header,
        ),
    ]
}

const HELLO: &str =
    r#"[{"channel":"/meta/handshake","id":"1","version":"1.0","supportedConnectionTypes":["long-polling"]}]"#;

fn hello(cx: &Context) -> Request {
    Request::json(&cx.target(""), HELLO)
}

fn greeted(response: &Response) -> Result<()> {
    let reply = only_message(response)?;
    ensure!(reply.successful() && reply["clientId"].is_string(), "no session: {}", reply.raw);
    Ok(())
}

async fn at(cx: Context, rest: &'static str) -> Result<()> {
    greeted(&cx.send(&Request::json(&cx.target(rest), HELLO)).await?)
}

async fn h2c_upgrade(cx: Context) -> Result<()> {
    let request = hello(&cx).header("Connection", "Upgrade, HTTP2-Settings").header("Upgrade", "h2c");
    greeted(&cx.send(&request.header("HTTP2-Settings", "AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAAAAYABgAA")).await?)
}

async fn unknown_upgrade(cx: Context) -> Result<()> {
    greeted(&cx.send(&hello(&cx).header("Connection", "Upgrade").header("Upgrade", "TLS/1.0")).await?)
}

async fn expect_continue(cx: Context) -> Result<()> {
    let mut connection = cx.connection().await?;
    let request = hello(&cx).header("Expect", "100-continue");
    connection.write(request.head(&cx.server.url.authority()).as_bytes()).await?;
    let interim = tokio::time::timeout(PATIENCE, connection.head()).await??;
    ensure!(interim.status == 100, "status {} before the body was sent", interim.status);
    connection.write(HELLO.as_bytes()).await?;
    greeted(&connection.response(PATIENCE).await?)
}

async fn chunked(cx: Context) -> Result<()> {
    let request = Request::new("POST", &cx.target("")).header("Content-Type", "application/json");
    let mut bytes = request.header("Transfer-Encoding", "chunked").bytes(&cx.server.url.authority());
    for piece in HELLO.as_bytes().chunks(7) {
        bytes.extend(format!("{:x}\r\n", piece.len()).bytes());
        bytes.extend_from_slice(piece);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\n\r\n");
    let mut connection = cx.connection().await?;
    connection.write(&bytes).await?;
    greeted(&connection.response(PATIENCE).await?)
}

async fn empty_cookie(cx: Context) -> Result<()> {
    greeted(&cx.send(&hello(&cx).header("Cookie", "")).await?)
}

async fn body_in_pieces(cx: Context) -> Result<()> {
    let bytes = hello(&cx).bytes(&cx.server.url.authority());
    let mut connection = cx.connection().await?;
    for piece in bytes.chunks(40) {
        connection.write(piece).await?;
        tokio::task::yield_now().await;
    }
    greeted(&connection.response(PATIENCE).await?)
}

async fn keep_alive(cx: Context) -> Result<()> {
    let mut connection = cx.connection().await?;
    for _ in 0..5 {
        connection.send(&hello(&cx)).await?;
        greeted(&connection.response(PATIENCE).await?)?;
    }
    Ok(())
}

fn says_json(response: &Response) -> Result<()> {
    let seen = response.head.header("content-type");
    let plain = seen.replace(' ', "").to_ascii_lowercase();
    ensure!(plain == "application/json;charset=utf-8", "Content-Type: {seen}");
    Ok(())
}

fn says_no_store(response: &Response) -> Result<()> {
    let seen = response.head.header("cache-control");
    ensure!(response.head.lists("cache-control", "no-store"), "Cache-Control: {seen}");
    Ok(())
}

fn says_nosniff(response: &Response) -> Result<()> {
    let seen = response.head.header("x-content-type-options");
    ensure!(seen == "nosniff", "X-Content-Type-Options: {seen}");
    Ok(())
}

fn says_its_length(response: &Response) -> Result<()> {
    ensure!(matches!(response.framing, Framing::Length(_)), "the body is framed as {:?}", response.framing);
    ensure!(!response.body.is_empty(), "the body is empty");
    Ok(())
}

async fn content_type(cx: Context) -> Result<()> {
    says_json(&cx.send(&hello(&cx)).await?)
}

async fn no_store(cx: Context) -> Result<()> {
    says_no_store(&cx.send(&hello(&cx)).await?)
}

async fn nosniff(cx: Context) -> Result<()> {
    says_nosniff(&cx.send(&hello(&cx)).await?)
}

async fn content_length(cx: Context) -> Result<()> {
    says_its_length(&cx.send(&hello(&cx)).await?)
}

async fn refusal_headers(cx: Context) -> Result<()> {
    let response = cx.post("[{]").await?;
    ensure!(response.status() == 400, "status {}: {}", response.status(), body(&response));
    says_json(&response)?;
    says_no_store(&response)?;
    says_nosniff(&response)?;
    says_its_length(&response)
}

async fn error_is_200(cx: Context) -> Result<()> {
    let response = cx.post(r#"[{"channel":"/meta/nonsense","id":"1"}]"#).await?;
    let reply = only_message(&response)?;
    ensure!(!reply.successful() && !reply.error().is_empty(), "no refusal: {}", reply.raw);
    Ok(())
}

async fn other_methods(cx: Context) -> Result<()> {
    for method in ["GET", "PUT", "PATCH", "DELETE", "PROPFIND"] {
        let response = cx.send(&Request::new(method, &cx.target("")).body(HELLO)).await?;
        ensure!((400..500).contains(&response.status()), "{method}: status {}", response.status());
    }
    greeted(&cx.send(&hello(&cx)).await?)
}

/// Sends bytes, lets the server do with them what it likes, and looks whether a neighbour is still served.
async fn leaves_neighbours_alone(cx: &Context, bytes: &[u8]) -> Result<()> {
    let mut neighbour = cx.peer().await?;
    let held = neighbour.hold().await?;
    let mut connection = cx.connection().await?;
    // The server may close while we still write; that is its right.
    connection.write(bytes).await.ok();
    if let Ok(response) = connection.response(PATIENCE).await {
        ensure!(response.status() >= 400, "status {} for nonsense", response.status());
    }
    neighbour.subscribe(&cx.channel("a")).await?;
    cx.publisher().await?.publish(&cx.channel("a"), "still here").await?;
    let turn = neighbour.finish(held).await?;
    ensure!(turn.events().len() == 1, "the neighbour got {}", turn.text());
    Ok(())
}

async fn garbage(cx: Context) -> Result<()> {
    for bytes in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..], b"HELLO\r\n\r\n", b"\0\0\0\0\r\n\r\n"] {
        leaves_neighbours_alone(&cx, bytes).await?;
    }
    Ok(())
}

async fn endless_header(cx: Context) -> Result<()> {
    const HEADER_BYTES: usize = 200 * 1024;
    let request = hello(&cx).header("X-Long", &"x".repeat(HEADER_BYTES));
    leaves_neighbours_alone(&cx, &request.bytes(&cx.server.url.authority())).await
}
