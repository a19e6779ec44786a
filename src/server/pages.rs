//! The pages that the binary brings along: the playground at `/`.
//!
//! Served by the acceptor beside the mount. Nothing here talks to the broker; the page does, like any other client.

use axum::{
    Router,
    http::{HeaderValue, header},
    response::Html,
    routing::get,
};
use tower_http::set_header::SetResponseHeaderLayer;

/// The playground, with a place for the mount's path.
const PLAYGROUND: &str = include_str!("playground/index.html");
/// The page is one file: its script and style stand in it, and it talks to its own host only.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; \
     connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// The routes of the pages, for a mount at `path`.
pub fn router(path: &str) -> Router {
    let page = PLAYGROUND.replace("{{path}}", path);
    Router::new()
        .route("/", get(move || async move { Html(page.clone()) }))
        .layer(SetResponseHeaderLayer::overriding(header::CONTENT_SECURITY_POLICY, POLICY))
        .layer(SetResponseHeaderLayer::overriding(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")))
}
