//! What pages that may call the API are told before they do. Which pages those are is the transports' rule, with a list
//! of the API's own.
//!
//! Called by the dispatch. Without a list only pages of the broker's own address get here.

use super::answer;
use crate::transport::{body::Answer, origin::Verdict};
use http::{HeaderValue, StatusCode, header};

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, DELETE");
const HEADERS: HeaderValue = HeaderValue::from_static("Authorization, Content-Type, X-API-Key");

/// The answer to a page that asks whether it may.
pub fn preflight(verdict: &Verdict) -> Answer {
    let mut answer = answer::bytes(StatusCode::NO_CONTENT, "");
    let headers = answer.headers_mut();
    verdict.apply_preflight(headers);
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
    headers.remove(header::CONTENT_TYPE);
    answer
}
