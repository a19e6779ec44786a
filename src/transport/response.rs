//! The HTTP answers of the endpoint: always JSON (or a script around it), never cached, never empty.
//!
//! Called by the polling transports and the endpoint. Nothing here decides what an answer says.

use super::{
    body::{Answer, AnswerBody, ReplyBody},
    connection::{Connection, Undelivered},
    exchange::Frame,
    settings::TransportSettings,
};
use crate::{
    bayeux::{BadRequest, Reply},
    broker::browser::BrowserId,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use uuid::Uuid;

/// The type of Bayeux answers.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json;charset=UTF-8");
/// The type of callback-polling answers.
pub const SCRIPT: HeaderValue = HeaderValue::from_static("text/javascript;charset=UTF-8");

/// Headers of an answer to a page of another origin, without those that hyper adds.
const USUAL_HEADERS: usize = 6;

/// A whole answer.
pub fn whole(
    status: StatusCode,
    kind: HeaderValue,
    bytes: Bytes,
    undelivered: Option<(Undelivered, Connection)>,
) -> Answer {
    let mut response = Response::new(AnswerBody::Whole(ReplyBody::new(bytes, undelivered)));
    *response.headers_mut() = HeaderMap::with_capacity(USUAL_HEADERS);
    *response.status_mut() = status;
    guard(response.headers_mut(), kind);
    response
}

/// The headers that every answer carries.
pub fn guard(headers: &mut HeaderMap, kind: HeaderValue) {
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// The answer to a request that was refused as a whole; its status is the error's code.
pub fn refused(bad: BadRequest) -> Answer {
    let status = StatusCode::from_u16(bad.0.code()).unwrap_or(StatusCode::BAD_REQUEST);
    whole(status, JSON, refusal(bad), None)
}

/// The body of such an answer.
pub fn refusal(bad: BadRequest) -> Bytes {
    let mut frame = Frame::with_capacity(128);
    frame.reply(&Reply::refuse_all(bad.0));
    frame.finish()
}

/// A new browser id, for a browser that has none.
pub fn new_browser() -> Option<BrowserId> {
    BrowserId::new(Uuid::new_v4().simple().encode_lower(&mut Uuid::encode_buffer()).as_bytes())
}

/// The header that makes a browser keep its id.
pub fn browser_cookie(browser: BrowserId, settings: &TransportSettings) -> Option<HeaderValue> {
    let same_site = match settings.cookie_same_site.as_str() {
        "" => String::new(),
        value => format!("; SameSite={value}"),
    };
    let secure = if settings.cookie_secure { "; Secure" } else { "" };
    let cookie = format!("{}={}; Path=/; HttpOnly{same_site}{secure}", settings.cookie_name, browser.as_str());
    HeaderValue::from_str(&cookie).ok()
}
