//! §1, what a request body may be, and what is said about one that it may not be.
//!
//! Plain HTTP only. Every malformed body must be answered with 400 and an explanation, never with 500 or silence.

use super::expect::{body, only_message, request_refused};
use crate::{
    case::{Case, case},
    context::Context,
    wire::{
        request::{Request, percent},
        response::Response,
    },
};
use anyhow::{Result, ensure};

const SHAPES: &str = "§1 Body: a JSON array of messages or one bare object. The answer is always a non-empty array, except [] -> 200 [].";
const TYPES: &str =
    "§1 application/json, text/json, text/plain or no content type: JSON, or message= when the body starts with it.";
const FORM: &str =
    "§1 application/x-www-form-urlencoded: one or more message=, each an object or an array, concatenated.";
const MALFORMED: &str = "§1 Malformed JSON, null, a non-object element, invalid UTF-8: 400 with [{successful:false,error:\"400:<where>:<what>\"}].";

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("bodies.array", "an array of one message", SHAPES, array),
        case("bodies.single_object", "one bare object, answered by an array", SHAPES, single_object),
        case("bodies.empty_array", "an empty array is answered by one", SHAPES, empty_array),
        case("bodies.white_space", "white space around messages is fine", SHAPES, white_space),
        case("bodies.text_json", "text/json is JSON", TYPES, |cx| typed(cx, "text/json")),
        case("bodies.text_plain", "text/plain is JSON", TYPES, |cx| typed(cx, "text/plain;charset=UTF-8")),
        case("bodies.mixed_case_type", "types have no case", TYPES, |cx| typed(cx, "Application/JSON; Charset=utf-8")),
        case("bodies.no_type", "no content type is JSON", TYPES, no_type),
        case("bodies.plain_form", "text/plain may be message=…", TYPES, |cx| form_under(cx, "text/plain")),
        case("bodies.untyped_form", "so may a body without type", TYPES, untyped_form),
        case("bodies.json_form", "so may one that claims to be JSON", TYPES, |cx| form_under(cx, "application/json")),
        case("bodies.other_type", "any other type is 415", "§1 Anything else: 415.", other_type),
        case("bodies.form_object", "a form with one object", FORM, form_object),
        case("bodies.form_array", "a form with an array", FORM, form_array),
        case("bodies.form_many", "several fields are one batch, in order", FORM, form_many),
        case("bodies.form_plus", "a plus in a form is a blank", FORM, form_plus),
        case("bodies.form_without_message", "a form without message= is 400", MALFORMED, form_without_message),
        case("bodies.form_bad_json", "so is one whose message is no JSON", MALFORMED, form_bad_json),
        case("bodies.empty", "an empty body is 400", MALFORMED, |cx| malformed(cx, b"")),
        case("bodies.cut_off", "an array that does not end is 400", MALFORMED, |cx| {
            malformed(cx, b"[{\"channel\":\"/a\"")
        }),
        case("bodies.trailing_garbage", "something after the array is 400", MALFORMED, |cx| malformed(cx, b"[] x")),
        case("bodies.trailing_comma", "a comma too many is 400", MALFORMED, |cx| {
            malformed(cx, b"[{\"channel\":\"/a\"},]")
        }),
        case("bodies.single_quotes", "quotes of the wrong kind are 400", MALFORMED, |cx| {
            malformed(cx, b"[{'channel':'/a'}]")
        }),
        case("bodies.null", "null is 400", MALFORMED, |cx| malformed(cx, b"null")),
        case("bodies.number", "a number is 400", MALFORMED, |cx| malformed(cx, b"42")),
        case("bodies.string", "a string is 400", MALFORMED, |cx| malformed(cx, b"\"x\"")),
        case("bodies.null_element", "null in the array is 400", MALFORMED, |cx| malformed(cx, b"[null]")),
        case("bodies.nested_array", "an array in the array is 400", MALFORMED, |cx| malformed(cx, b"[[]]")),
        case("bodies.number_element", "a number in the array is 400", MALFORMED, |cx| malformed(cx, b"[1]")),
        case("bodies.invalid_utf8", "bytes that are no UTF-8 are 400", MALFORMED, |cx| {
            malformed(cx, b"[{\"channel\":\"/\xff\xfe\"}]")
        }),
        case("bodies.nul_bytes", "NUL bytes are 400", MALFORMED, |cx| malformed(cx, b"\0\0\0\0")),
        case("bodies.control_character", "a raw control character in a string is 400", MALFORMED, |cx| {
            malformed(cx, b"[{\"channel\":\"/a\nb\"}]")
        }),
        case("bodies.refused_whole", "one bad element refuses the whole request", MALFORMED, refused_whole),
        case("bodies.bad_escape_is_no_failure", "a lone surrogate is no failure", "§1 Never 500.", lone_surrogate),
        case(
            "bodies.neighbours",
            "malformed requests leave sessions alone",
            "§1 Nothing a client sends can hurt another client.",
            neighbours,
        ),
    ]
}

const HELLO: &str =
    r#"{"channel":"/meta/handshake","id":"1","version":"1.0","supportedConnectionTypes":["long-polling"]}"#;
const FORM_TYPE: &str = "application/x-www-form-urlencoded";

fn greeted(response: &Response) -> Result<()> {
    let reply = only_message(response)?;
    ensure!(reply.successful() && reply["clientId"].is_string(), "no session: {}", reply.raw);
    Ok(())
}

async fn post_as(cx: &Context, content_type: &str, body: String) -> Result<Response> {
    cx.send(&Request::new("POST", &cx.target("")).header("Content-Type", content_type).body(body)).await
}

async fn array(cx: Context) -> Result<()> {
    greeted(&cx.post(format!("[{HELLO}]")).await?)
}

async fn single_object(cx: Context) -> Result<()> {
    greeted(&cx.post(HELLO).await?)
}

async fn empty_array(cx: Context) -> Result<()> {
    let response = cx.post("[]").await?;
    ensure!(response.status() == 200, "status {}", response.status());
    ensure!(response.text()?.trim() == "[]", "the answer is {}", body(&response));
    Ok(())
}

async fn white_space(cx: Context) -> Result<()> {
    greeted(&cx.post(format!("\r\n\t [ {HELLO} \n]\n")).await?)
}

async fn typed(cx: Context, content_type: &'static str) -> Result<()> {
    greeted(&post_as(&cx, content_type, format!("[{HELLO}]")).await?)
}

async fn no_type(cx: Context) -> Result<()> {
    greeted(&cx.send(&Request::new("POST", &cx.target("")).body(format!("[{HELLO}]"))).await?)
}

async fn form_under(cx: Context, content_type: &'static str) -> Result<()> {
    greeted(&post_as(&cx, content_type, format!("message={}", percent(&format!("[{HELLO}]")))).await?)
}

async fn untyped_form(cx: Context) -> Result<()> {
    let form = format!("message={}", percent(HELLO));
    greeted(&cx.send(&Request::new("POST", &cx.target("")).body(form)).await?)
}

async fn other_type(cx: Context) -> Result<()> {
    for content_type in ["application/xml", "multipart/form-data; boundary=x", "image/png"] {
        let response = post_as(&cx, content_type, format!("[{HELLO}]")).await?;
        ensure!(response.status() == 415, "{content_type}: status {}", response.status());
        ensure!(!response.body.is_empty(), "{content_type}: an empty body");
    }
    Ok(())
}

async fn form_object(cx: Context) -> Result<()> {
    greeted(&post_as(&cx, FORM_TYPE, format!("message={}", percent(HELLO))).await?)
}

async fn form_array(cx: Context) -> Result<()> {
    greeted(&post_as(&cx, FORM_TYPE, format!("x=1&message={}", percent(&format!("[{HELLO}]")))).await?)
}

async fn form_many(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    let texts: Vec<String> = (0..4).map(|n| peer.publish_message(&channel, n).to_string()).collect();
    let form = format!(
        "message={}&message={}&message={}",
        percent(&texts[0]),
        percent(&format!("[{},{}]", texts[1], texts[2])),
        percent(&texts[3])
    );
    let mut request = Request::new("POST", &cx.target("")).header("Content-Type", FORM_TYPE).body(form);
    if let Some(cookie) = &peer.cookie {
        request = request.header("Cookie", cookie);
    }
    let response = cx.send(&request).await?;
    let ids: Vec<String> = response.messages()?.iter().map(|reply| reply["id"].to_string()).collect();
    let sent: Vec<String> = texts
        .iter()
        .map(|text| serde_json::from_str::<serde_json::Value>(text).map(|m| m["id"].to_string()))
        .collect::<Result<_, _>>()?;
    ensure!(ids == sent, "replies to {ids:?} instead of {sent:?}");
    Ok(())
}

async fn form_plus(cx: Context) -> Result<()> {
    let spaced = HELLO.replace(':', ": ");
    greeted(&post_as(&cx, FORM_TYPE, format!("message={}", percent(&spaced).replace("%20", "+"))).await?)
}

async fn form_without_message(cx: Context) -> Result<()> {
    request_refused(&post_as(&cx, FORM_TYPE, "other=1".into()).await?, 400)
}

async fn form_bad_json(cx: Context) -> Result<()> {
    request_refused(&post_as(&cx, FORM_TYPE, "message=%5B%7B".into()).await?, 400)
}

async fn malformed(cx: Context, bytes: &'static [u8]) -> Result<()> {
    request_refused(&cx.post(bytes).await?, 400)
}

async fn refused_whole(cx: Context) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    let publish = peer.publish_message(&channel, "must not arrive");
    request_refused(&cx.send(&peer.request(&format!("[{publish},17]"))).await?, 400)?;
    let mut publisher = cx.publisher().await?;
    peer.nothing_so_far(&mut publisher).await
}

async fn lone_surrogate(cx: Context) -> Result<()> {
    let response = cx.post(r#"[{"channel":"/\ud800","id":"1","data":"\udfff"}]"#).await?;
    ensure!(response.status() < 500 && !response.body.is_empty(), "status {}", response.status());
    Ok(())
}

async fn neighbours(cx: Context) -> Result<()> {
    let mut neighbour = cx.peer().await?;
    let channel = cx.channel("a");
    neighbour.subscribe(&channel).await?;
    let held = neighbour.hold().await?;
    for bytes in [&b"[{"[..], b"null", b"\xff\xff", b"[1,2,3]", b"{}", b"[{}]", b"[{\"channel\":5}]"] {
        let response = cx.post(bytes).await?;
        ensure!(response.status() < 500, "status {} for {}", response.status(), String::from_utf8_lossy(bytes));
    }
    cx.publisher().await?.publish(&channel, "still here").await?;
    let turn = neighbour.finish(held).await?;
    ensure!(turn.events().len() == 1, "the neighbour got {}", turn.text());
    Ok(())
}
