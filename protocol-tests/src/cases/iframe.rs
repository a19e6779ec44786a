//! §9, iframe: the endless page. The contract leaves its address to the server; here it is the stream's,
//! `GET <mount>/<clientId>?iframe=<function>`, and each batch is a script that calls `parent.<function>`.
//!
//! Requests of these sessions go by POST. Needs `--have iframe`.

use super::expect::in_order;
use crate::{
    case::{Case, Feature, case},
    context::{Context, PATIENCE},
    peer::Peer,
    transport::{PAGE, Transport},
    wire::{
        http::Connection,
        message::{Message, excerpt},
        request::Request,
        response::{Framing, Head},
    },
};
use anyhow::{Context as _, Result, ensure};
use tokio::time::timeout;

const PAGE_RULE: &str = "§9 iframe: one endless HTML response that calls a function of the parent page per batch.";

pub(super) fn cases() -> Vec<Case> {
    let cases = [
        case("iframe.page", "the answer is a page and is not stored", PAGE_RULE, page),
        case("iframe.calls_parent", "every batch is a call of the parent's function", PAGE_RULE, calls_parent),
        case("iframe.data_stays_in_script", "no data can end the script", PAGE_RULE, data_stays_in_script),
        case(
            "iframe.unknown_session",
            "an unknown clientId gets no page",
            "§9 Unknown session -> 404.",
            unknown_session,
        ),
        case("iframe.bad_function", "a function name that is none is refused", PAGE_RULE, bad_function),
        case(
            "iframe.reopened",
            "a new page continues where the old one broke",
            "§5 A socket closing never ends a session by itself.",
            reopened,
        ),
    ];
    cases.into_iter().map(|case| case.over(PAGE).needs(Feature::Iframe)).collect()
}

const FUNCTION: &str = "bayeux.receive";

/// The page as it grows.
struct Page {
    connection: Connection,
    framing: Framing,
    head: Head,
    unread: String,
}

impl Page {
    async fn open(cx: &Context, client_id: &str) -> Result<Self> {
        let mut connection = cx.connection().await?;
        connection.send(&Request::new("GET", &cx.target(&format!("/{client_id}?iframe={FUNCTION}")))).await?;
        let head = timeout(PATIENCE, connection.head()).await.context("no page")??;
        cx.watch.status(head.status);
        ensure!(head.status == 200, "status {}", head.status);
        Ok(Self { connection, framing: head.framing()?, head, unread: String::new() })
    }

    /// The text of the next script, found as a browser finds it.
    async fn script(&mut self) -> Result<String> {
        loop {
            if let Some((before, rest)) = self.unread.split_once("</script")
                && let Some((_, script)) = before.split_once("<script>")
            {
                let script = script.to_owned();
                self.unread = rest.to_owned();
                return Ok(script);
            }
            let piece = timeout(PATIENCE, self.connection.piece(self.framing)).await.context("the page stopped")??;
            self.unread += &String::from_utf8(piece.context("the page ended")?)?;
        }
    }

    /// So many messages, however they are batched.
    async fn messages(&mut self, count: usize) -> Result<Vec<Message>> {
        let mut messages = Vec::new();
        while messages.len() < count {
            let script = self.script().await?;
            let argument = script.trim().trim_end_matches(';');
            let argument =
                argument.strip_prefix(&format!("parent.{FUNCTION}(")).and_then(|rest| rest.strip_suffix(')'));
            messages.extend(Message::array(argument.with_context(|| format!("no call: {}", excerpt(&script)))?)?);
        }
        Ok(messages)
    }
}

/// A subscribed session, somebody to publish, and the channel between them.
async fn subscribed(cx: &Context) -> Result<(Peer, Peer, String)> {
    let mut peer = cx.peer_over(Transport::LongPolling).await?;
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    Ok((peer, cx.publisher().await?, channel))
}

async fn page(cx: Context) -> Result<()> {
    let (peer, ..) = subscribed(&cx).await?;
    let page = Page::open(&cx, &peer.client_id).await?;
    let seen = page.head.header("content-type").to_ascii_lowercase();
    ensure!(seen.starts_with("text/html"), "Content-Type: {seen}");
    let cache = page.head.header("cache-control");
    ensure!(cache.contains("no-store") || cache.contains("no-cache"), "Cache-Control: {cache}");
    Ok(())
}

async fn calls_parent(cx: Context) -> Result<()> {
    let (peer, mut publisher, channel) = subscribed(&cx).await?;
    let mut page = Page::open(&cx, &peer.client_id).await?;
    for n in 0..3 {
        publisher.publish(&channel, n).await?;
    }
    in_order(&page.messages(3).await?, 0..3)
}

async fn data_stays_in_script(cx: Context) -> Result<()> {
    let (peer, mut publisher, channel) = subscribed(&cx).await?;
    let mut page = Page::open(&cx, &peer.client_id).await?;
    let hostile = "</script><img src=x onerror=alert(1)><!--<script>\u{2028}";
    publisher.publish(&channel, hostile).await?;
    publisher.publish(&channel, "after").await?;
    let messages = page.messages(2).await?;
    ensure!(messages[0]["data"] == *hostile && messages[1]["data"] == "after", "arrived: {messages:?}");
    Ok(())
}

async fn unknown_session(cx: Context) -> Result<()> {
    let response = cx.send(&Request::new("GET", &cx.target(&format!("/nobody?iframe={FUNCTION}")))).await?;
    ensure!(response.status() == 404, "status {}", response.status());
    Ok(())
}

async fn bad_function(cx: Context) -> Result<()> {
    let (peer, ..) = subscribed(&cx).await?;
    for name in ["alert(1)", "%3Cscript%3E", "", "a-b"] {
        let response = cx.send(&Request::new("GET", &cx.target(&format!("/{}?iframe={name}", peer.client_id)))).await?;
        ensure!((400..500).contains(&response.status()), "{name}: status {}", response.status());
        ensure!(!response.head.header("content-type").contains("html"), "{name}: the refusal is a page");
    }
    Ok(())
}

async fn reopened(cx: Context) -> Result<()> {
    let (peer, mut publisher, channel) = subscribed(&cx).await?;
    Page::open(&cx, &peer.client_id).await?.connection.abort();
    for n in 0..3 {
        publisher.publish(&channel, n).await?;
    }
    in_order(&Page::open(&cx, &peer.client_id).await?.messages(3).await?, 0..3)
}
