//! The pages that the binary brings along: the playground at `/`.
//!
//! Merged into the router by `server::run`. Nothing here talks to the broker; the page does, like any other client.

use axum::{
    Router,
    http::{HeaderName, HeaderValue, header},
    response::{Html, IntoResponse},
    routing::get,
};

/// The playground, with a place for the mount's path.
const PLAYGROUND: &str = include_str!("playground/index.html");
/// The page is one file: its script and style stand in it, and it talks to its own host only.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; \
                      connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
static HEADERS: [(HeaderName, HeaderValue); 2] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
];

/// The routes of the pages, for a mount at `path`.
pub fn router(path: &str) -> Router {
    let page = PLAYGROUND.replace("{{path}}", path);
    Router::new().route("/", get(move || async move { (HEADERS.clone(), Html(page.clone())).into_response() }))
}
