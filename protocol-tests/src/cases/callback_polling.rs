//! §9, callback-polling (JSONP): how the call looks and which names it may have.
//!
//! What it shares with other transports is looked at where the behaviour is; here is only what is its own.

use super::expect::body;
use crate::{
    case::{Case, case},
    context::Context,
    transport::JSONP,
    wire::{
        message::Message,
        request::{Request, percent},
        response::{Framing, Response},
    },
};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;

const CALL: &str = "§9 callback-polling: GET, jsonp, answer starts /**/, text/javascript, U+2028/9 escaped.";
const NAME: &str = "§9 The jsonp name must match ^[A-Za-z_$][\\w$.]{0,63}$.";
const HEADERS: &str =
    "§1 Every answer: Cache-Control: no-store, X-Content-Type-Options: nosniff, exact Content-Length.";

pub(super) fn cases() -> Vec<Case> {
    let name = |id, title, name: &'static str, good| case(id, title, NAME, move |cx| named(cx, name, good));
    let cases = [
        case("callback_polling.shape", "the answer is a call behind a comment", CALL, shape),
        case("callback_polling.type", "its type is text/javascript", CALL, content_type),
        case("callback_polling.headers", "not stored, not sniffed, its length told", HEADERS, headers),
        case("callback_polling.separators", "U+2028 and U+2029 are escaped", CALL, separators),
        name("callback_polling.plain_name", "a plain name", "jsonpcallback", true),
        name("callback_polling.dotted_name", "a dotted name", "a.b_c.$d1", true),
        name("callback_polling.longest_name", "a name of 64 characters", LONGEST, true),
        name("callback_polling.too_long_name", "a name of 65 characters", TOO_LONG, false),
        name("callback_polling.call_as_name", "a name that is a call", "alert(1)", false),
        name("callback_polling.digit_first", "a name that starts with a digit", "1abc", false),
        name("callback_polling.markup_name", "a name that is markup", "<script>", false),
        name("callback_polling.hyphen_name", "a name with a hyphen", "a-b", false),
        name("callback_polling.empty_name", "an empty name", "", false),
        name("callback_polling.line_end_name", "a name with a line end", "cb\n", false),
        name("callback_polling.non_ascii_name", "a name outside ASCII", "rückruf", false),
        case("callback_polling.any_order", "parameters in any order, unknown ones ignored", CALL, any_order),
        case(
            "callback_polling.below_mount",
            "below the mount too",
            "§1 Any sub-path is the same endpoint.",
            below_mount,
        ),
        case(
            "callback_polling.single_object",
            "message may be a bare object",
            "§1 Body: an array or one bare object.",
            single_object,
        ),
        case("callback_polling.plus_is_blank", "a plus in the query is a blank", CALL, plus_is_blank),
        case(
            "callback_polling.message_missing",
            "without message it is 400",
            "§1 Malformed: 400, never an empty body.",
            message_missing,
        ),
        case("callback_polling.bad_json", "bad JSON is 400", "§1 Malformed: 400, never an empty body.", bad_json),
        case(
            "callback_polling.post_is_no_call",
            "a POST is answered by JSON",
            "§9 callback-polling (GET).",
            post_is_no_call,
        ),
    ];
    cases.into_iter().map(|case| case.over(JSONP)).collect()
}

const LONGEST: &str = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl";
const TOO_LONG: &str = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklm";
const HELLO: &str =
    r#"[{"channel":"/meta/handshake","id":"1","version":"1.0","supportedConnectionTypes":["callback-polling"]}]"#;

async fn get(cx: &Context, rest: &str) -> Result<Response> {
    cx.send(&Request::new("GET", &cx.target(rest)).header("Referer", &cx.own_page())).await
}

fn greeted(response: &Response) -> Result<()> {
    ensure!(response.status() == 200, "status {}: {}", response.status(), body(response));
    let messages = response.messages()?;
    ensure!(messages.len() == 1 && messages[0].successful(), "the answer is {}", body(response));
    Ok(())
}

async fn shape(cx: Context) -> Result<()> {
    let response = get(&cx, &format!("?jsonp=call.me&message={}", percent(HELLO))).await?;
    let text = response.text()?.trim_end();
    let inner = text.strip_prefix("/**/call.me(").context("it does not start with /**/call.me(")?;
    let inner = inner.trim_end_matches(';').strip_suffix(')').context("the call does not end")?;
    ensure!(Message::array(inner)?.len() == 1, "the argument is {inner}");
    Ok(())
}

async fn content_type(cx: Context) -> Result<()> {
    let response = get(&cx, &format!("?jsonp=cb&message={}", percent(HELLO))).await?;
    let seen = response.head.header("content-type").to_ascii_lowercase();
    ensure!(seen.starts_with("text/javascript"), "Content-Type: {seen}");
    Ok(())
}

async fn headers(cx: Context) -> Result<()> {
    let response = get(&cx, &format!("?jsonp=cb&message={}", percent(HELLO))).await?;
    ensure!(response.head.lists("cache-control", "no-store"), "no no-store");
    ensure!(response.head.header("x-content-type-options") == "nosniff", "no nosniff");
    ensure!(matches!(response.framing, Framing::Length(_)), "framed as {:?}", response.framing);
    Ok(())
}

async fn separators(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    cx.publisher().await?.publish_bytes(&channel, "\"a\u{2028}b\u{2029}c\"").await?;
    let connect = peer.connect_message(Some(json!({"timeout": 2000})));
    let response = cx.send(&peer.request(&json!([connect]).to_string())).await?;
    let text = response.text()?;
    ensure!(!text.contains(['\u{2028}', '\u{2029}']), "a line separator in the script");
    let told = response.messages()?.iter().any(|message| message["data"] == "a\u{2028}b\u{2029}c");
    ensure!(told, "the message is not the same: {}", body(&response));
    Ok(())
}

async fn named(cx: Context, name: &str, good: bool) -> Result<()> {
    let response = get(&cx, &format!("?jsonp={}&message={}", percent(name), percent(HELLO))).await?;
    if good {
        greeted(&response)?;
        ensure!(response.text()?.starts_with(&format!("/**/{name}(")), "the answer is {}", body(&response));
        return Ok(());
    }
    ensure!(response.status() == 400, "status {}: {}", response.status(), body(&response));
    ensure!(!response.head.header("content-type").contains("javascript"), "the refusal is a script");
    Ok(())
}

async fn any_order(cx: Context) -> Result<()> {
    greeted(&get(&cx, &format!("?_=123&message={}&foo=bar&jsonp=cb&baz", percent(HELLO))).await?)
}

async fn below_mount(cx: Context) -> Result<()> {
    greeted(&get(&cx, &format!("/handshake?jsonp=cb&message={}", percent(HELLO))).await?)
}

async fn single_object(cx: Context) -> Result<()> {
    greeted(&get(&cx, &format!("?jsonp=cb&message={}", percent(HELLO.trim_matches(['[', ']'])))).await?)
}

async fn plus_is_blank(cx: Context) -> Result<()> {
    let spaced = percent(&HELLO.replace(':', ": ")).replace("%20", "+");
    greeted(&get(&cx, &format!("?jsonp=cb&message={spaced}")).await?)
}

async fn message_missing(cx: Context) -> Result<()> {
    let response = get(&cx, "?jsonp=cb").await?;
    ensure!(response.status() == 400 && !response.body.is_empty(), "status {}: {}", response.status(), body(&response));
    Ok(())
}

async fn bad_json(cx: Context) -> Result<()> {
    for message in ["%5B%7B", "null", "%5B1%5D", "%FF"] {
        let response = get(&cx, &format!("?jsonp=cb&message={message}")).await?;
        ensure!(response.status() == 400 && !response.body.is_empty(), "{message}: status {}", response.status());
    }
    Ok(())
}

async fn post_is_no_call(cx: Context) -> Result<()> {
    let response = cx.send(&Request::json(&cx.target("?jsonp=cb"), HELLO)).await?;
    ensure!(response.status() == 200, "status {}", response.status());
    ensure!(response.text()?.starts_with('['), "the answer is {}", body(&response));
    Ok(())
}
