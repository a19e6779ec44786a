//! §5, several tabs of one browser: so many held polls and no more.
//!
//! Long-polling only; the limit is the default of four. Each case is a browser of its own.

use super::expect::{accepted, advises};
use crate::{
    case::{Case, case},
    context::Context,
    peer::{Peer, Pending},
    transport::{SOCKET, Transport},
};
use anyhow::{Result, ensure};
use serde_json::json;

const TABS: &str = "§5 BAYEUX_BROWSER only counts held polls of one browser over HTTP/1.1 (default limit 4, then advice.multiple-clients with multi_session_interval).";
const LIMIT: usize = 4;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("browser.four_tabs_held", "four tabs are held", TABS, four_tabs_held),
        case("browser.fifth_tab_told", "the fifth is told at once to poll", TABS, fifth_tab_told),
        case("browser.fifth_tab_still_receives", "and still gets its messages", TABS, fifth_tab_still_receives),
        case("browser.slot_freed_by_answer", "an answered poll frees its slot", TABS, slot_freed_by_answer),
        case("browser.slot_freed_by_abort", "so does one that vanished", TABS, slot_freed_by_abort),
        case("browser.slot_freed_by_disconnect", "so does a disconnect", TABS, slot_freed_by_disconnect),
        case(
            "browser.newer_connect_takes_no_slot",
            "a newer connect of a held tab takes no second slot",
            TABS,
            newer_takes_no_slot,
        ),
        case("browser.other_browsers_unaffected", "other browsers are not counted", TABS, other_browsers),
        case("browser.no_cookie_unlimited", "requests without cookie are not counted", TABS, no_cookie_unlimited)
            .unless(crate::case::Feature::RequireCookie),
        case("browser.websockets_not_counted", "WebSockets are not counted", TABS, websockets_not_counted).also(SOCKET),
    ]
}

/// Tabs of one browser, the first connect of each answered.
async fn tabs(cx: &Context, count: usize) -> Result<Vec<Peer>> {
    let cookie = format!("BAYEUX_BROWSER={}", cx.tag());
    let mut tabs = Vec::new();
    for _ in 0..count {
        let mut tab = Peer::handshake(cx.clone(), Transport::LongPolling, Some(cookie.clone())).await?;
        tab.settle().await?;
        tabs.push(tab);
    }
    Ok(tabs)
}

/// As many tabs as may be held, held, and one more.
async fn full_browser(cx: &Context) -> Result<(Vec<(Peer, Pending)>, Peer)> {
    let mut tabs = tabs(cx, LIMIT + 1).await?;
    let surplus = tabs.pop().ok_or_else(|| anyhow::anyhow!("no tabs"))?;
    let mut held = Vec::new();
    for mut tab in tabs {
        let pending = tab.hold().await?;
        held.push((tab, pending));
    }
    Ok((held, surplus))
}

async fn is_told_to_poll(tab: &mut Peer) -> Result<()> {
    let turn = tab.connect(None).await?;
    let reply = turn.reply()?;
    accepted(reply)?;
    advises(reply, "retry")?;
    ensure!(reply["advice"]["multiple-clients"] == true, "no multiple-clients: {}", reply.raw);
    ensure!(reply["advice"]["interval"].as_u64() > Some(0), "no pause: {}", reply.raw);
    Ok(())
}

async fn four_tabs_held(cx: Context) -> Result<()> {
    let (mut held, _surplus) = full_browser(&cx).await?;
    for (tab, pending) in &mut held {
        ensure!(tab.is_held(pending).await?, "a tab is no longer held");
    }
    Ok(())
}

async fn fifth_tab_told(cx: Context) -> Result<()> {
    let (_held, mut surplus) = full_browser(&cx).await?;
    is_told_to_poll(&mut surplus).await
}

async fn fifth_tab_still_receives(cx: Context) -> Result<()> {
    let (_held, mut surplus) = full_browser(&cx).await?;
    let channel = cx.channel("a");
    surplus.subscribe(&channel).await?;
    cx.publisher().await?.publish(&channel, 1).await?;
    ensure!(surplus.receive_one().await?["data"] == 1, "something else arrived");
    Ok(())
}

async fn slot_freed_by_answer(cx: Context) -> Result<()> {
    let (mut held, mut surplus) = full_browser(&cx).await?;
    is_told_to_poll(&mut surplus).await?;
    let channel = cx.channel("a");
    let (tab, pending) = held.swap_remove(0);
    let mut tab = tab;
    tab.subscribe(&channel).await?;
    cx.publisher().await?.publish(&channel, 1).await?;
    tab.finish(pending).await?;
    surplus.hold().await.map(drop)
}

async fn slot_freed_by_abort(cx: Context) -> Result<()> {
    let (mut held, mut surplus) = full_browser(&cx).await?;
    is_told_to_poll(&mut surplus).await?;
    let (_tab, pending) = held.swap_remove(0);
    pending.abort();
    // The server learns of the reset in its own time; it must learn of it.
    let deadline = tokio::time::Instant::now() + crate::context::PATIENCE;
    while surplus.hold().await.is_err() {
        ensure!(tokio::time::Instant::now() < deadline, "the slot of a vanished tab stays taken");
    }
    Ok(())
}

async fn slot_freed_by_disconnect(cx: Context) -> Result<()> {
    let (mut held, mut surplus) = full_browser(&cx).await?;
    let (mut tab, pending) = held.swap_remove(0);
    tab.disconnect().await?;
    tab.finish(pending).await?;
    surplus.hold().await.map(drop)
}

async fn newer_takes_no_slot(cx: Context) -> Result<()> {
    let (mut held, _surplus) = full_browser(&cx).await?;
    let (mut tab, older) = held.swap_remove(0);
    let newer = tab.hold().await?;
    accepted(tab.finish(older).await?.reply()?)?;
    drop(newer);
    Ok(())
}

async fn other_browsers(cx: Context) -> Result<()> {
    let (_held, _surplus) = full_browser(&cx).await?;
    cx.publisher().await?.hold().await.map(drop)
}

async fn no_cookie_unlimited(cx: Context) -> Result<()> {
    let mut held = Vec::new();
    for _ in 0..LIMIT + 2 {
        let mut peer = cx.peer().await?;
        peer.cookie = None;
        let connect = peer.connect_message(Some(json!({"timeout": 6000})));
        let pending = peer.start(&[connect]).await?;
        held.push((peer, pending));
    }
    for (peer, pending) in &mut held {
        ensure!(peer.is_held(pending).await?, "a poll without cookie was not held");
    }
    Ok(())
}

async fn websockets_not_counted(cx: Context) -> Result<()> {
    let (_held, surplus) = full_browser(&cx).await?;
    let mut moved = surplus.moved_to(Transport::WebSocket).await?;
    moved.settle().await?;
    moved.hold().await.map(drop)
}
