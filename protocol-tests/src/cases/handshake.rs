//! §3, how a session begins, and §5 as far as the browser cookie goes.
//!
//! Cases that send raw requests use POST; the others run over every transport that carries requests.

use super::expect::{accepted, advises, body, refused};
use crate::{
    case::{Case, Feature, case},
    context::Context,
    peer::Peer,
    transport::{POLLING, REQUESTS, SOCKET},
    wire::response::Response,
};
use anyhow::{Result, ensure};
use serde_json::{Value, json};

const LENIENT: &str = "§3 version and supportedConnectionTypes may be missing.";
const NO_COMMON: &str =
    "§3 Types present but none enabled here: 301:<theirs>:no common connection type, our list, reconnect:none.";
const REPLY: &str = "§3 Reply: version 1.0, minimumVersion 1.0, clientId (>=122 random bits), supportedConnectionTypes (those enabled).";
const ALONE: &str =
    "§3 Together with other messages in one request: the whole request is refused with 400 and nothing takes effect.";
const AGAIN: &str = "§3 A second handshake makes a new session; the old one lives on until it expires.";
const COOKIE: &str = "§5 BAYEUX_BROWSER is set at handshake when absent.";

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("handshake.succeeds", "a decent handshake gives a session", REPLY, succeeds).over(REQUESTS),
        case("handshake.without_version", "no version is fine", LENIENT, |cx| without(cx, &["version"])).over(REQUESTS),
        case("handshake.without_types", "no connection types is fine", LENIENT, |cx| {
            without(cx, &["supportedConnectionTypes"])
        })
        .over(REQUESTS),
        case("handshake.bare", "neither of the two is fine", LENIENT, |cx| {
            without(cx, &["version", "supportedConnectionTypes"])
        })
        .over(REQUESTS),
        case(
            "handshake.old_minimum_version",
            "minimumVersion 1.0beta is fine",
            "Golden rule: every living client works unmodified (four of them send 1.0beta).",
            old_minimum_version,
        )
        .over(REQUESTS),
        case("handshake.no_common_type", "nothing in common is refused for good", NO_COMMON, no_common_type)
            .over(REQUESTS),
        case("handshake.no_common_type_lists_ours", "the refusal says what there is", NO_COMMON, no_common_lists_ours)
            .over(REQUESTS),
        case("handshake.one_common_type", "one type in common is enough", NO_COMMON, one_common_type).over(REQUESTS),
        case("handshake.reply_has_version", "the reply names the versions", REPLY, reply_has_version).over(REQUESTS),
        case("handshake.reply_lists_types", "the reply lists what is enabled", REPLY, reply_lists_types).over(REQUESTS),
        case("handshake.iframe_listed", "iframe is listed when it is on", REPLY, |cx| iframe_is(cx, true))
            .needs(Feature::Iframe),
        case(
            "handshake.iframe_not_listed",
            "iframe is not listed when it is off",
            "§9 iframe: off by default.",
            |cx| iframe_is(cx, false),
        )
        .unless(Feature::Iframe),
        case("handshake.ids_unguessable", "a hundred ids have nothing in common", REPLY, ids_unguessable),
        case(
            "handshake.id_is_uuid",
            "the id is a random UUID",
            "§3 clientId (>=122 random bits, uuid v4).",
            id_is_uuid,
        )
        .over(REQUESTS),
        case(
            "handshake.no_advice_over_http",
            "no advice over HTTP",
            "§3, §4 Over HTTP advice comes with the first connect reply, not with the handshake.",
            no_advice_over_http,
        )
        .over(POLLING),
        case(
            "handshake.advice_over_websocket",
            "the full advice over WebSocket",
            "§3 Over WebSocket also advice.",
            advice_over_websocket,
        )
        .over(SOCKET),
        case("handshake.refused_before_others", "a handshake before a publish refuses both", ALONE, |cx| {
            beside(cx, true)
        }),
        case("handshake.refused_after_others", "a handshake after a publish refuses both", ALONE, |cx| {
            beside(cx, false)
        }),
        case("handshake.two_at_once", "two handshakes in one request are refused", ALONE, two_at_once),
        case("handshake.refused_in_frame", "the same over WebSocket, and the socket stays", ALONE, refused_in_frame)
            .over(SOCKET),
        case("handshake.again", "a second handshake is another session", AGAIN, again).over(REQUESTS),
        case("handshake.again_with_client_id", "also when it names the old one", AGAIN, again_with_client_id)
            .over(REQUESTS),
        case("handshake.old_session_lives_on", "the old session still works", AGAIN, old_session_lives_on)
            .over(REQUESTS),
        case("handshake.cookie_set", "a browser without cookie gets one", COOKIE, cookie_set),
        case(
            "handshake.cookie_is_http_only",
            "scripts cannot read it",
            "§5 BAYEUX_BROWSER is set at handshake; it is HttpOnly and for the whole path.",
            cookie_is_http_only,
        ),
        case("handshake.cookie_kept", "a browser with one keeps it", COOKIE, cookie_kept),
    ]
}

async fn succeeds(cx: Context) -> Result<()> {
    let peer = cx.newborn().await?;
    ensure!(!peer.client_id.is_empty(), "an empty clientId");
    Ok(())
}

async fn without(cx: Context, fields: &[&str]) -> Result<()> {
    let mut peer = Peer::attach(cx.clone(), cx.transport, "", None).await?;
    let mut hello = peer.handshake_message();
    for field in fields {
        hello.as_object_mut().map(|hello| hello.remove(*field));
    }
    accepted(&peer.ask_one(hello).await?)
}

async fn old_minimum_version(cx: Context) -> Result<()> {
    let mut peer = cx.newborn().await?;
    let mut hello = peer.handshake_message();
    hello["minimumVersion"] = json!("1.0beta");
    accepted(&peer.ask_one(hello).await?)
}

async fn no_common_type(cx: Context) -> Result<()> {
    let mut peer = Peer::attach(cx.clone(), cx.transport, "", None).await?;
    let mut hello = peer.handshake_message();
    hello["supportedConnectionTypes"] = json!(["flash", "carrier-pigeon"]);
    let reply = peer.ask_one(hello).await?;
    refused(&reply, "301:")?;
    ensure!(reply.error().ends_with(":no common connection type"), "error {}", reply.error());
    ensure!(reply["advice"]["reconnect"] == "none", "no advice to give up: {}", reply.raw);
    ensure!(reply.get("clientId").is_none(), "a clientId beside a refusal: {}", reply.raw);
    Ok(())
}

async fn no_common_lists_ours(cx: Context) -> Result<()> {
    let mut peer = Peer::attach(cx.clone(), cx.transport, "", None).await?;
    let mut hello = peer.handshake_message();
    hello["supportedConnectionTypes"] = json!(["flash"]);
    let reply = peer.ask_one(hello).await?;
    refused(&reply, "301:flash:")?;
    let ours = reply["supportedConnectionTypes"].as_array().cloned().unwrap_or_default();
    ensure!(ours.contains(&json!("long-polling")), "our list is {}", reply["supportedConnectionTypes"]);
    Ok(())
}

async fn one_common_type(cx: Context) -> Result<()> {
    let mut peer = cx.newborn().await?;
    let mut hello = peer.handshake_message();
    hello["supportedConnectionTypes"] = json!(["flash", "long-polling"]);
    accepted(&peer.ask_one(hello).await?)
}

async fn reply_has_version(cx: Context) -> Result<()> {
    let mut peer = cx.newborn().await?;
    let hello = peer.handshake_message();
    let reply = peer.ask_one(hello).await?;
    ensure!(reply["version"] == "1.0" && reply["minimumVersion"] == "1.0", "{}", reply.raw);
    Ok(())
}

async fn listed(cx: &Context) -> Result<Vec<Value>> {
    let mut peer = cx.newborn().await?;
    let hello = peer.handshake_message();
    let reply = peer.ask_one(hello).await?;
    Ok(reply["supportedConnectionTypes"].as_array().cloned().unwrap_or_default())
}

async fn reply_lists_types(cx: Context) -> Result<()> {
    let listed = listed(&cx).await?;
    for name in ["long-polling", "callback-polling", "websocket", "eventsource"] {
        ensure!(listed.contains(&json!(name)), "{name} is not in {listed:?}");
    }
    Ok(())
}

async fn iframe_is(cx: Context, wanted: bool) -> Result<()> {
    let listed = listed(&cx).await?;
    ensure!(listed.contains(&json!("iframe")) == wanted, "listed are {listed:?}");
    Ok(())
}

async fn ids_unguessable(cx: Context) -> Result<()> {
    const IDS: usize = 100;
    // A random id of 122 bits has at least so many characters, and two of them almost never share so many at the start.
    const SHORTEST: usize = 20;
    const LONGEST_COMMON: usize = 8;
    let mut ids = Vec::new();
    for _ in 0..IDS {
        ids.push(cx.newborn().await?.client_id);
    }
    ids.sort();
    for pair in ids.windows(2) {
        let common = pair[0].bytes().zip(pair[1].bytes()).take_while(|(a, b)| a == b).count();
        ensure!(common <= LONGEST_COMMON, "two ids begin with the same {common} characters: {} {}", pair[0], pair[1]);
    }
    ensure!(ids.iter().all(|id| id.len() >= SHORTEST), "short ids such as {}", ids[0]);
    Ok(())
}

async fn id_is_uuid(cx: Context) -> Result<()> {
    let peer = cx.newborn().await?;
    let id = uuid::Uuid::parse_str(&peer.client_id).map_err(|_| anyhow::anyhow!("{} is no UUID", peer.client_id))?;
    ensure!(id.get_version_num() == 4, "{id} is of version {}", id.get_version_num());
    Ok(())
}

async fn no_advice_over_http(cx: Context) -> Result<()> {
    let mut peer = cx.newborn().await?;
    let hello = peer.handshake_message();
    let reply = peer.ask_one(hello).await?;
    ensure!(reply.get("advice").is_none(), "advice in the handshake: {}", reply.raw);
    Ok(())
}

async fn advice_over_websocket(cx: Context) -> Result<()> {
    let mut peer = cx.newborn().await?;
    let hello = peer.handshake_message();
    let reply = peer.ask_one(hello).await?;
    advises(&reply, "retry")?;
    ensure!(reply["advice"]["interval"] == 0, "interval {}", reply["advice"]["interval"]);
    Ok(())
}

async fn beside(cx: Context, handshake_first: bool) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    let mut batch = vec![peer.handshake_message(), peer.publish_message(&channel, "must not arrive")];
    if !handshake_first {
        batch.reverse();
    }
    each_refused(&cx.send(&peer.request(&Value::from(batch).to_string())).await?)?;
    let mut publisher = cx.publisher().await?;
    peer.nothing_so_far(&mut publisher).await
}

async fn two_at_once(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let batch = json!([peer.handshake_message(), peer.handshake_message()]);
    each_refused(&cx.send(&peer.request(&batch.to_string())).await?)
}

/// The request is refused with 400, and so is each of its two messages: clients wait for replies by their ids.
fn each_refused(response: &Response) -> Result<()> {
    ensure!(response.status() == 400, "status {}: {}", response.status(), body(response));
    let messages = response.messages()?;
    ensure!(messages.len() == 2, "{} refusals instead of two: {}", messages.len(), body(response));
    messages.iter().try_for_each(|reply| refused(reply, "400:"))
}

async fn refused_in_frame(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    let batch = json!([peer.handshake_message(), peer.publish_message(&channel, "must not arrive")]);
    let socket = peer.socket.as_mut().ok_or_else(|| anyhow::anyhow!("no socket"))?;
    socket.send(&batch.to_string()).await?;
    let frame = socket.frame(crate::context::PATIENCE).await?;
    ensure!(frame.len() == 2, "{} messages instead of a refusal for each", frame.len());
    frame.iter().try_for_each(|reply| refused(reply, "400:"))?;
    let mut publisher = cx.publisher().await?;
    peer.nothing_so_far(&mut publisher).await
}

async fn again(cx: Context) -> Result<()> {
    let mut peer = cx.newborn().await?;
    let hello = peer.handshake_message();
    let reply = peer.ask_one(hello).await?;
    accepted(&reply)?;
    ensure!(reply["clientId"] != *peer.client_id, "the same clientId again");
    Ok(())
}

async fn again_with_client_id(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let mut hello = peer.handshake_message();
    hello["clientId"] = json!(peer.client_id);
    let reply = peer.ask_one(hello).await?;
    accepted(&reply)?;
    ensure!(reply["clientId"] != *peer.client_id, "the same clientId again");
    Ok(())
}

async fn old_session_lives_on(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let hello = peer.handshake_message();
    accepted(&peer.ask_one(hello).await?)?;
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    accepted(peer.connect(Some(json!({"timeout": 0}))).await?.reply()?)
}

/// The `Set-Cookie` of a handshake that sends this cookie.
async fn set_cookie(cx: &Context, cookie: Option<&str>) -> Result<String> {
    let mut peer = Peer::attach(cx.clone(), cx.transport, "", cookie.map(str::to_owned)).await?;
    let hello = peer.handshake_message();
    let response = cx.send(&peer.request(&json!([hello]).to_string())).await?;
    accepted(&super::expect::only_message(&response)?)?;
    Ok(response.head.header("set-cookie").to_owned())
}

async fn cookie_set(cx: Context) -> Result<()> {
    let cookie = set_cookie(&cx, None).await?;
    ensure!(cookie.starts_with("BAYEUX_BROWSER="), "Set-Cookie: {cookie}");
    Ok(())
}

async fn cookie_is_http_only(cx: Context) -> Result<()> {
    let cookie = set_cookie(&cx, None).await?.to_ascii_lowercase();
    let attributes: Vec<&str> = cookie.split(';').map(str::trim).collect();
    ensure!(attributes.contains(&"httponly") && attributes.contains(&"path=/"), "Set-Cookie: {cookie}");
    Ok(())
}

async fn cookie_kept(cx: Context) -> Result<()> {
    let cookie = set_cookie(&cx, Some("theme=dark; BAYEUX_BROWSER=0123456789abcdef")).await?;
    ensure!(cookie.is_empty(), "set again: {cookie}");
    Ok(())
}
