//! §9, pages of other origins: preflights, and the headers of real answers, good and bad.
//!
//! Without `--have origins` the server is an open one on loopback; with it, one that lists `http://allowed.example`.

use crate::{
    case::{Case, Feature, case},
    context::Context,
    wire::{
        request::{Request, percent},
        response::Response,
    },
};
use anyhow::{Result, ensure};

const CORS: &str = "§9 CORS: allow-list of origins (default: same origin; any on an open loopback server), credentials only for listed origins, Vary: Origin, preflight on every sub-path, CORS headers on error answers too.";
const LISTED: &str = "http://allowed.example";
const OTHER: &str = "http://other.example";
const HELLO: &str =
    r#"[{"channel":"/meta/handshake","id":"1","version":"1.0","supportedConnectionTypes":["long-polling"]}]"#;

pub(super) fn cases() -> Vec<Case> {
    let open = |case: Case| case.unless(Feature::Origins);
    let listing = |case: Case| case.needs(Feature::Origins);
    vec![
        open(case("cors.open_preflight", "an open server answers any preflight", CORS, |cx| preflight(cx, "", OTHER))),
        open(case("cors.open_preflight_below", "on every sub-path", CORS, open_below)),
        open(case("cors.open_answer", "an open server's answers may be read by anyone", CORS, |cx| {
            readable(cx, OTHER)
        })),
        open(case("cors.open_credentials_by_name", "credentials never stand beside a star", CORS, |cx| {
            credentials_by_name(cx, OTHER)
        })),
        open(case("cors.open_refusals", "refused requests may be read too", CORS, |cx| refusals_readable(cx, OTHER))),
        case("cors.no_origin_no_headers", "a request without Origin gets no such headers", CORS, no_origin),
        case("cors.vary", "answers vary by origin", CORS, vary),
        listing(case("cors.listed_preflight", "a listed origin passes", CORS, |cx| preflight(cx, "", LISTED))),
        listing(case("cors.listed_preflight_below", "on every sub-path", CORS, |cx| {
            preflight(cx, "/meta/connect", LISTED)
        })),
        listing(case("cors.listed_credentials", "with credentials and its own name", CORS, listed_credentials)),
        listing(case("cors.listed_refusals", "refused requests too", CORS, |cx| refusals_readable(cx, LISTED))),
        listing(case("cors.unlisted_preflight", "an unlisted origin does not pass", CORS, unlisted_preflight)),
        listing(case("cors.unlisted_answer", "nor can it read answers", CORS, |cx| unreadable(cx, OTHER))),
        listing(case("cors.lookalike", "nor one that only looks like it", CORS, |cx| {
            unreadable(cx, "http://allowed.example.evil.example")
        })),
        listing(case("cors.other_scheme", "nor the same host by another scheme", CORS, |cx| {
            unreadable(cx, "https://allowed.example")
        })),
        listing(case("cors.null_origin", "nor the origin null", CORS, |cx| unreadable(cx, "null"))),
    ]
}

async fn hello_from(cx: &Context, origin: &str) -> Result<Response> {
    cx.send(&Request::json(&cx.target(""), HELLO).header("Origin", origin)).await
}

async fn options(cx: &Context, rest: &str, origin: &str) -> Result<Response> {
    let request = Request::new("OPTIONS", &cx.target(rest)).header("Origin", origin);
    let request = request.header("Access-Control-Request-Method", "POST");
    cx.send(&request.header("Access-Control-Request-Headers", "content-type")).await
}

fn allow_origin(response: &Response) -> &str {
    response.head.header("access-control-allow-origin")
}

fn names(response: &Response, origin: &str) -> Result<()> {
    let allowed = allow_origin(response);
    ensure!(allowed == origin || allowed == "*", "status {}, Allow-Origin: {allowed}", response.status());
    Ok(())
}

async fn preflight(cx: Context, rest: &str, origin: &str) -> Result<()> {
    let response = options(&cx, rest, origin).await?;
    ensure!((200..300).contains(&response.status()), "status {}", response.status());
    names(&response, origin)?;
    for method in ["POST", "GET"] {
        let allowed = response.head.lists("access-control-allow-methods", method);
        ensure!(allowed, "Allow-Methods: {}", response.head.header("access-control-allow-methods"));
    }
    let headers = response.head.header("access-control-allow-headers");
    let allowed = headers == "*" || response.head.lists("access-control-allow-headers", "content-type");
    ensure!(allowed, "Allow-Headers: {headers}");
    Ok(())
}

async fn open_below(cx: Context) -> Result<()> {
    for rest in ["/", "/handshake", "/connect", "/a/b/c"] {
        preflight(cx.clone(), rest, OTHER).await?;
    }
    Ok(())
}

async fn readable(cx: Context, origin: &str) -> Result<()> {
    let response = hello_from(&cx, origin).await?;
    ensure!(response.status() == 200, "status {}", response.status());
    names(&response, origin)
}

async fn credentials_by_name(cx: Context, origin: &str) -> Result<()> {
    for response in [hello_from(&cx, origin).await?, options(&cx, "", origin).await?] {
        let credentials = response.head.header("access-control-allow-credentials") == "true";
        ensure!(
            !credentials || allow_origin(&response) == origin,
            "credentials, but Allow-Origin: {}",
            allow_origin(&response)
        );
    }
    Ok(())
}

/// Requests that are refused, each in its own way.
fn bad_requests(cx: &Context) -> [Request; 4] {
    [
        Request::json(&cx.target(""), "[{"),
        Request::new("POST", &cx.target("")).header("Content-Type", "application/xml").body("<a/>"),
        Request::new("GET", &cx.target(&format!("?jsonp=1&message={}", percent("[]")))),
        Request::new("PUT", &cx.target("")).body("x"),
    ]
}

async fn refusals_readable(cx: Context, origin: &str) -> Result<()> {
    for request in bad_requests(&cx) {
        let response = cx.send(&request.header("Origin", origin)).await?;
        ensure!((400..500).contains(&response.status()), "status {}", response.status());
        names(&response, origin)?;
    }
    Ok(())
}

async fn no_origin(cx: Context) -> Result<()> {
    let response = cx.post(HELLO).await?;
    ensure!(allow_origin(&response).is_empty(), "Allow-Origin: {}", allow_origin(&response));
    Ok(())
}

async fn vary(cx: Context) -> Result<()> {
    let origin = if cx.has(Feature::Origins) { LISTED } else { OTHER };
    let response = hello_from(&cx, origin).await?;
    // An answer that is the same for all origins says so with a star and need not vary.
    let same_for_all = allow_origin(&response) == "*";
    ensure!(same_for_all || response.head.lists("vary", "origin"), "Vary: {}", response.head.header("vary"));
    Ok(())
}

async fn listed_credentials(cx: Context) -> Result<()> {
    for response in [hello_from(&cx, LISTED).await?, options(&cx, "/handshake", LISTED).await?] {
        ensure!(allow_origin(&response) == LISTED, "Allow-Origin: {}", allow_origin(&response));
        ensure!(response.head.header("access-control-allow-credentials") == "true", "no credentials");
        ensure!(response.head.lists("vary", "origin"), "Vary: {}", response.head.header("vary"));
    }
    Ok(())
}

async fn unlisted_preflight(cx: Context) -> Result<()> {
    let response = options(&cx, "", OTHER).await?;
    ensure!(allow_origin(&response).is_empty(), "Allow-Origin: {}", allow_origin(&response));
    Ok(())
}

async fn unreadable(cx: Context, origin: &str) -> Result<()> {
    let response = hello_from(&cx, origin).await?;
    ensure!(allow_origin(&response).is_empty(), "{origin}: Allow-Origin: {}", allow_origin(&response));
    let credentials = response.head.header("access-control-allow-credentials");
    ensure!(credentials.is_empty(), "{origin}: Allow-Credentials: {credentials}");
    Ok(())
}
