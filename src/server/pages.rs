//! The pages that are served beside the mount: the playground, and the files of a folder of the user's.
//!
//! Served by the acceptor. Nothing here talks to the broker; the pages do, like any other client.

use axum::{
    Router,
    http::{HeaderValue, header},
    response::Html,
    routing::get,
};
use tower_http::{services::ServeDir, set_header::SetResponseHeaderLayer};

/// Where the playground is, whatever else is served.
pub const PLAYGROUND: &str = "/playground";
/// The playground, with a place for the mount's path.
const PAGE: &str = include_str!("playground/index.html");
/// The page is one file: its script and style stand in it, and it talks to its own host only.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; \
     connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
/// A file may change at any time, so a browser asks whether it did.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

/// The routes of the pages, for a mount at `path`. The files of `folder`, unless that is empty, begin at `/`, where
/// otherwise the playground is.
pub fn router(path: &str, folder: &str) -> Router {
    let page = PAGE.replace("{{path}}", path);
    let playground = get(move || async move { Html(page.clone()) });
    let mut own = Router::new().route(PLAYGROUND, playground.clone());
    if folder.is_empty() {
        own = own.route("/", playground);
    }
    own = own.layer(SetResponseHeaderLayer::overriding(header::CONTENT_SECURITY_POLICY, POLICY));
    if !folder.is_empty() {
        let files = Router::new().fallback_service(ServeDir::new(folder));
        own = own.merge(files.layer(SetResponseHeaderLayer::overriding(header::CACHE_CONTROL, ASK_AGAIN)));
    }
    own.layer(SetResponseHeaderLayer::overriding(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")))
}
