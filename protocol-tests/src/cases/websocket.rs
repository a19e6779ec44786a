//! §9, how a WebSocket comes about: paths, subprotocols, extensions and origins. Frames are the business of `frames`.

use super::expect::accepted;
use crate::{
    case::{Case, Feature, Wait, case},
    context::{Context, PATIENCE},
    transport::SOCKET,
    wire::{
        http::Connection,
        request::Request,
        response::Head,
        socket::{Incoming, Upgrade},
    },
};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

const UPGRADE: &str = "§1 WebSocket upgrades on the mount and its sub-paths.";
const PROTOCOL: &str = "§9 First offered subprotocol echoed.";
const ORIGIN: &str = "§9 websocket (Origin checked): listed origins, or the server's own.";
/// The server promises a ping every 25 s.
const PING_WITHIN: Duration = Duration::from_secs(27);

pub(super) fn cases() -> Vec<Case> {
    let over_socket = |case: Case| case.over(SOCKET);
    let mut cases = vec![
        case("websocket.upgrade", "the mount upgrades", UPGRADE, |cx| upgrades_at(cx, "")),
        case("websocket.upgrade_trailing_slash", "so does the mount with a slash", UPGRADE, |cx| upgrades_at(cx, "/")),
        case("websocket.upgrade_below", "so does anything below", UPGRADE, |cx| upgrades_at(cx, "/38.0/meta")),
        case("websocket.first_subprotocol", "the first subprotocol is chosen", PROTOCOL, first_subprotocol),
        case("websocket.no_subprotocol", "none offered, none chosen", PROTOCOL, no_subprotocol),
        case(
            "websocket.deflate_offered",
            "an offer of permessage-deflate does no harm",
            "§9 permessage-deflate optional.",
            deflate_offered,
        ),
        case("websocket.old_version", "another protocol version is refused, not failed", "§1 Never 500.", old_version),
        case("websocket.without_key", "an upgrade without key is refused, not failed", "§1 Never 500.", without_key),
        case("websocket.no_origin", "a client without Origin is welcome", ORIGIN, no_origin),
        case("websocket.same_origin", "a page of the server itself is welcome", ORIGIN, same_origin)
            .unless(Feature::Origins),
        case("websocket.listed_origin", "a listed origin is welcome", ORIGIN, |cx| {
            from_origin(cx, "http://allowed.example", true)
        })
        .needs(Feature::Origins),
        case("websocket.unlisted_origin", "an unlisted origin is refused", ORIGIN, |cx| {
            from_origin(cx, "http://evil.example", false)
        })
        .needs(Feature::Origins),
        case("websocket.lookalike_origin", "so is one that only looks like it", ORIGIN, |cx| {
            from_origin(cx, "http://allowed.example.evil.example", false)
        })
        .needs(Feature::Origins),
        case("websocket.null_origin", "so is the origin of a sandboxed page", ORIGIN, |cx| {
            from_origin(cx, "null", false)
        })
        .needs(Feature::Origins),
        case("websocket.server_pings", "the server pings", "§9 Ping every 25 s.", server_pings)
            .waits(Wait::Fixed(PING_WITHIN)),
    ];
    cases = cases.into_iter().map(over_socket).collect();
    cases
}

async fn upgrades_at(cx: Context, sub_path: &str) -> Result<()> {
    let mut socket = cx.socket_with(&Upgrade { sub_path: sub_path.into(), headers: Vec::new() }).await?;
    let hello =
        json!([{"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["websocket"], "id": "1"}]);
    socket.send(&hello.to_string()).await?;
    accepted(socket.frame(PATIENCE).await?.first().context("an empty frame")?)
}

/// A decent upgrade request, to be made indecent.
pub(super) fn upgrade_request(cx: &Context) -> Request {
    Request::new("GET", &cx.target(""))
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
}

/// Sends an upgrade request by hand and gives the head of the answer.
pub(super) async fn answer(cx: &Context, request: &Request) -> Result<(Connection, Head)> {
    let mut connection = cx.connection().await?;
    connection.send(request).await?;
    let head = tokio::time::timeout(PATIENCE, connection.head()).await.context("no answer to the upgrade")??;
    cx.watch.status(head.status);
    Ok((connection, head))
}

async fn first_subprotocol(cx: Context) -> Result<()> {
    let (_connection, head) =
        answer(&cx, &upgrade_request(&cx).header("Sec-WebSocket-Protocol", "bayeux, other")).await?;
    let chosen = head.header("sec-websocket-protocol");
    ensure!(head.status == 101 && chosen == "bayeux", "status {}, chosen \"{chosen}\"", head.status);
    Ok(())
}

async fn no_subprotocol(cx: Context) -> Result<()> {
    let (_connection, head) = answer(&cx, &upgrade_request(&cx)).await?;
    ensure!(head.status == 101, "status {}", head.status);
    let accept = head.header("sec-websocket-accept");
    ensure!(accept == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "Sec-WebSocket-Accept: {accept}");
    ensure!(head.header("sec-websocket-protocol").is_empty(), "a subprotocol out of nowhere");
    Ok(())
}

async fn deflate_offered(cx: Context) -> Result<()> {
    let offer = "permessage-deflate; client_max_window_bits, x-unheard-of";
    let (_connection, head) = answer(&cx, &upgrade_request(&cx).header("Sec-WebSocket-Extensions", offer)).await?;
    let chosen = head.header("sec-websocket-extensions");
    ensure!(head.status == 101, "status {}", head.status);
    ensure!(chosen.is_empty() || chosen.starts_with("permessage-deflate"), "Sec-WebSocket-Extensions: {chosen}");
    Ok(())
}

async fn refused_not_failed(cx: &Context, leave_out: &str, instead: Option<&str>) -> Result<()> {
    let mut request = upgrade_request(cx);
    request.headers.retain(|(name, _)| name != leave_out);
    if let Some(value) = instead {
        request = request.header(leave_out, value);
    }
    let (_connection, head) = answer(cx, &request).await?;
    ensure!((400..500).contains(&head.status), "status {}", head.status);
    Ok(())
}

async fn old_version(cx: Context) -> Result<()> {
    refused_not_failed(&cx, "Sec-WebSocket-Version", Some("7")).await
}

async fn without_key(cx: Context) -> Result<()> {
    refused_not_failed(&cx, "Sec-WebSocket-Key", None).await
}

async fn no_origin(cx: Context) -> Result<()> {
    let (_connection, head) = answer(&cx, &upgrade_request(&cx)).await?;
    ensure!(head.status == 101, "status {}", head.status);
    Ok(())
}

async fn same_origin(cx: Context) -> Result<()> {
    let origin = format!("http://{}", cx.server.url.authority());
    from_origin(cx, &origin, true).await
}

async fn from_origin(cx: Context, origin: &str, welcome: bool) -> Result<()> {
    let (_connection, head) = answer(&cx, &upgrade_request(&cx).header("Origin", origin)).await?;
    if welcome {
        ensure!(head.status == 101, "{origin}: status {}", head.status);
    } else {
        ensure!((400..500).contains(&head.status), "{origin}: status {}", head.status);
    }
    Ok(())
}

async fn server_pings(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let socket = peer.socket.as_mut().context("no socket")?;
    let deadline = Instant::now() + PING_WITHIN;
    loop {
        match socket.next(deadline).await.context("no ping")? {
            Incoming::Ping => return Ok(()),
            Incoming::Closed(code) => anyhow::bail!("the server closed the socket ({code:?})"),
            Incoming::Frame(..) | Incoming::Pong => {}
        }
    }
}
