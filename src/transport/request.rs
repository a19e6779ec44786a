//! What is read from an HTTP request besides its messages: who sends it, and its body within bounds.
//!
//! Called by the endpoint. Refuses before it collects: a body that announces too much is not read.

use super::{connection::Connection, origin::Verdict};
use crate::{
    bayeux::{BadRequest, ConnectionType, ProtocolError},
    broker::{Broker, Caller, Credentials, browser::BrowserId},
};
use axum::BoxError;
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, Version, header, request::Parts};
use http_body::Body;
use http_body_util::BodyExt;
use std::{ops::Deref, sync::Arc, time::Duration};
use tokio::time::Instant;

/// The sender of a request.
pub fn caller(connection: &Connection, parts: &Parts, transport: ConnectionType, verdict: &Verdict) -> Caller {
    let (mount, headers) = (connection.transport(), &parts.headers);
    Caller {
        peer: connection.peer(),
        browser: cookie(headers, mount.settings().cookie_name.as_bytes()),
        transport,
        multiplexed: parts.version >= Version::HTTP_2,
        // A page of any origin can have a script loaded, with the cookies of this one.
        credentials: credentials(
            &mount.exchange().broker,
            headers,
            transport != ConnectionType::CallbackPolling && verdict.trusts_cookies(headers),
        ),
    }
}

/// The headers that the policy wants to see; nothing at all in the usual case that there are none. Without `cookies`,
/// what browsers send by themselves is left out.
pub fn credentials(broker: &Broker, headers: &HeaderMap, cookies: bool) -> Option<Arc<Credentials>> {
    let wanted = broker.credential_headers().iter().filter(|name| cookies || ***name != *header::COOKIE.as_str());
    let found: Vec<_> = wanted.filter_map(|name| Some((Arc::clone(name), value(headers, name)?))).collect();
    (!found.is_empty()).then(|| Arc::new(Credentials(found)))
}

/// The value of a header. HTTP/2 may send a cookie in pieces, each a header of its own.
fn value(headers: &HeaderMap, name: &str) -> Option<String> {
    if name == header::COOKIE {
        let pieces: Vec<&str> = headers.get_all(name).iter().filter_map(|piece| piece.to_str().ok()).collect();
        return (!pieces.is_empty()).then(|| pieces.join("; "));
    }
    headers.get(name)?.to_str().ok().map(ToOwned::to_owned)
}

/// The value of the browser cookie; the first usable one counts.
fn cookie(headers: &HeaderMap, name: &[u8]) -> Option<BrowserId> {
    let value = |pair: &'_ [u8]| BrowserId::new(pair.trim_ascii().strip_prefix(name)?.strip_prefix(b"=")?);
    headers.get_all(header::COOKIE).iter().find_map(|all| all.as_bytes().split(|b| *b == b';').find_map(value))
}

/// Bytes that are read of a body beyond the limit, and thrown away: its sender writes before it listens, and would see a
/// broken connection instead of the refusal.
const DISCARDED: usize = 4 << 20;

async fn discard<B: Body<Data = Bytes> + Unpin>(mut body: B, until: Instant) {
    let reading = async {
        let mut read = 0;
        while let Some(Ok(frame)) = body.frame().await {
            read += frame.data_ref().map_or(0, Bytes::len);
            if read > DISCARDED {
                return;
            }
        }
    };
    // One who takes too long is not told.
    let _ = tokio::time::timeout_at(until, reading).await;
}

/// Collects a body within the size limit and the time allowed.
///
/// # Errors
/// When it is too large, too slow, the peer goes away in the middle, or the server stops meanwhile.
pub async fn body<B>(headers: &HeaderMap, mut body: B, limit: usize, within: Duration) -> Result<Bytes, BadRequest>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    let too_large = || BadRequest(ProtocolError::MessageTooLarge);
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if let Some(length) = announced.filter(|length| *length > limit) {
        // Who asks before it writes has not written yet.
        if length - limit <= DISCARDED && !headers.contains_key(header::EXPECT) {
            discard(body, Instant::now() + within).await;
        }
        return Err(too_large());
    }
    let mut deadline = None;
    let mut first = Bytes::new();
    let mut more: Option<BytesMut> = None;
    loop {
        // Nearly every body came with its head, and then no clock is needed.
        let frame = match body.frame().now_or_never() {
            Some(frame) => frame,
            None => {
                let deadline = *deadline.get_or_insert_with(|| Instant::now() + within);
                let waiting = tokio::time::timeout_at(deadline, body.frame());
                waiting.await.map_err(|_| BadRequest(ProtocolError::Timeout))?
            }
        };
        let Some(frame) = frame else { break };
        let Ok(data) = frame.map_err(incomplete)?.into_data() else { continue };
        let length = more.as_ref().map_or(first.len(), BytesMut::len);
        if length + data.len() > limit {
            discard(body, deadline.unwrap_or_else(|| Instant::now() + within)).await;
            return Err(too_large());
        }
        match &mut more {
            Some(collected) => collected.extend_from_slice(&data),
            // Nearly every body comes in one piece, and that piece is not copied.
            None if first.is_empty() => first = data,
            None => {
                let mut collected = BytesMut::with_capacity(announced.unwrap_or(length + data.len()));
                collected.extend_from_slice(&first);
                collected.extend_from_slice(&data);
                more = Some(collected);
            }
        }
    }
    Ok(more.map_or(first, BytesMut::freeze))
}

/// Why a body is not all there: whoever brings it gave it up, or its sender did.
fn incomplete(error: impl Into<BoxError>) -> BadRequest {
    match error.into().downcast::<ProtocolError>() {
        Ok(known) => BadRequest(*known),
        Err(_) => BadRequest::malformed("body", "incomplete"),
    }
}

/// The JSON texts of a request: nearly always one.
pub enum Texts {
    /// The body is the text.
    One(Bytes),
    /// Fields of a form or a query.
    Many(Vec<Bytes>),
}

impl Deref for Texts {
    type Target = [Bytes];

    fn deref(&self) -> &[Bytes] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }
}

/// The JSON texts of a body: the body itself, or its `message` fields when it is a form.
///
/// # Errors
/// When the content type is none the endpoint reads, or a form holds no message.
pub fn texts(headers: &HeaderMap, body: Bytes) -> Result<Texts, BadRequest> {
    let kind = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let kind = kind.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    let is = |known: &str| kind.eq_ignore_ascii_case(known.as_bytes());
    let json = kind.is_empty() || is("application/json") || is("text/json") || is("text/plain");
    if is("application/x-www-form-urlencoded") || json && body.starts_with(b"message=") {
        return fields(&body);
    }
    if json { Ok(Texts::One(body)) } else { Err(BadRequest(ProtocolError::UnsupportedMediaType)) }
}

/// The `message` fields of a form or a query.
///
/// # Errors
/// When there is none.
pub fn fields(form: &[u8]) -> Result<Texts, BadRequest> {
    let messages: Vec<Bytes> = form_urlencoded::parse(form)
        .filter(|(name, _)| name == "message")
        .map(|(_, value)| Bytes::from(value.into_owned()))
        .collect();
    if messages.is_empty() { Err(BadRequest::malformed("message", "missing")) } else { Ok(Texts::Many(messages)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(kind: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))])
    }

    #[test]
    fn forms_and_json_are_told_apart() {
        let json = Bytes::from_static(b"[{}]");
        for kind in ["application/json;charset=UTF-8", "text/json", "TEXT/plain", ""] {
            assert_eq!(*texts(&typed(kind), json.clone()).unwrap(), *std::slice::from_ref(&json), "{kind}");
        }
        let form = Bytes::from_static(b"x=1&message=%5B%7B%7D%5D&message={}");
        assert_eq!(texts(&typed("application/x-www-form-urlencoded"), form).unwrap()[..], ["[{}]", "{}"]);
        let plain = Bytes::from_static(b"message=%7B%7D");
        assert_eq!(texts(&typed("text/plain"), plain).unwrap()[..], ["{}"]);
        assert_eq!(texts(&typed("application/xml"), json).err().unwrap().0, ProtocolError::UnsupportedMediaType);
    }

    #[test]
    fn the_first_usable_cookie_of_the_name_counts() {
        let headers = HeaderMap::from_iter([
            (header::COOKIE, HeaderValue::from_static("")),
            (header::COOKIE, HeaderValue::from_static("a=1; B=; B=two; B=three")),
        ]);
        assert_eq!(cookie(&headers, b"B").unwrap().as_str(), "two");
        assert_eq!(cookie(&headers, b"C"), None);
    }
}
