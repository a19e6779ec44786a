//! What is read from an HTTP request besides its messages: who sends it, and its body within bounds.
//!
//! Called by the endpoint. Refuses before it collects: a body that announces too much is not read.

use super::{connection::Connection, settings::TransportSettings};
use crate::{
    bayeux::{BadRequest, ConnectionType, ProtocolError},
    broker::{Broker, Caller, Credentials},
};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Version, header, request::Parts};
use http_body::Body;
use http_body_util::BodyExt;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// Longest browser cookie that is taken for one.
const MAX_COOKIE: usize = 64;

/// The sender of a request.
pub fn caller(
    connection: &Connection,
    parts: &Parts,
    transport: ConnectionType,
    settings: &TransportSettings,
) -> Caller {
    Caller {
        peer: connection.peer(),
        browser: cookie(&parts.headers, &settings.cookie_name).map(Into::into),
        transport,
        multiplexed: parts.version >= Version::HTTP_2,
        credentials: credentials(&connection.transport().exchange().broker, &parts.headers),
    }
}

/// The headers that the policy wants to see; nothing at all in the usual case that there are none.
pub fn credentials(broker: &Broker, headers: &HeaderMap) -> Option<Arc<Credentials>> {
    let found: Vec<_> = broker
        .credential_headers()
        .iter()
        .filter_map(|name| Some((Arc::clone(name), headers.get(&**name)?.to_str().ok()?.to_owned())))
        .collect();
    (!found.is_empty()).then(|| Arc::new(Credentials(found)))
}

/// The value of a cookie; the first one counts.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, value)| *key == name && !value.is_empty() && value.len() <= MAX_COOKIE)
        .map(|(_, value)| value)
}

/// Collects a body within the size limit and the time allowed.
///
/// # Errors
/// When it is too large, too slow, or the peer goes away in the middle.
pub async fn body<B>(headers: &HeaderMap, mut body: B, limit: usize, within: Duration) -> Result<Bytes, BadRequest>
where
    B: Body<Data = Bytes> + Unpin,
{
    let too_large = || BadRequest(ProtocolError::MessageTooLarge);
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let deadline = Instant::now() + within;
    let mut first = Bytes::new();
    let mut more: Option<BytesMut> = None;
    loop {
        let frame = tokio::time::timeout_at(deadline, body.frame())
            .await
            .map_err(|_| BadRequest::malformed("body", "too slow"))?;
        let Some(frame) = frame else { break };
        let Ok(data) = frame.map_err(|_| BadRequest::malformed("body", "incomplete"))?.into_data() else { continue };
        let length = more.as_ref().map_or(first.len(), BytesMut::len);
        if length + data.len() > limit {
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

/// The JSON texts of a body: the body itself, or its `message` fields when it is a form.
///
/// # Errors
/// When the content type is none the endpoint reads, or a form holds no message.
pub fn texts(headers: &HeaderMap, body: Bytes) -> Result<Vec<Bytes>, BadRequest> {
    let kind = headers.get(header::CONTENT_TYPE).map_or("", |v| v.to_str().unwrap_or("?"));
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "application/x-www-form-urlencoded" => fields(&body),
        "" | "application/json" | "text/json" | "text/plain" if body.starts_with(b"message=") => fields(&body),
        "" | "application/json" | "text/json" | "text/plain" => Ok(vec![body]),
        _ => Err(BadRequest(ProtocolError::UnsupportedMediaType)),
    }
}

/// The `message` fields of a form or a query.
///
/// # Errors
/// When there is none.
pub fn fields(form: &[u8]) -> Result<Vec<Bytes>, BadRequest> {
    let messages: Vec<Bytes> = form_urlencoded::parse(form)
        .filter(|(name, _)| name == "message")
        .map(|(_, value)| Bytes::from(value.into_owned()))
        .collect();
    if messages.is_empty() { Err(BadRequest::malformed("message", "missing")) } else { Ok(messages) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn typed(kind: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))])
    }

    #[test]
    fn forms_and_json_are_told_apart() {
        let json = Bytes::from_static(b"[{}]");
        for kind in ["application/json;charset=UTF-8", "text/json", "TEXT/plain", ""] {
            assert_eq!(texts(&typed(kind), json.clone()).unwrap(), std::slice::from_ref(&json), "{kind}");
        }
        let form = Bytes::from_static(b"x=1&message=%5B%7B%7D%5D&message={}");
        assert_eq!(texts(&typed("application/x-www-form-urlencoded"), form).unwrap(), ["[{}]", "{}"]);
        let plain = Bytes::from_static(b"message=%7B%7D");
        assert_eq!(texts(&typed("text/plain"), plain).unwrap(), ["{}"]);
        assert_eq!(texts(&typed("application/xml"), json).unwrap_err().0, ProtocolError::UnsupportedMediaType);
    }

    #[test]
    fn the_first_usable_cookie_of_the_name_counts() {
        let headers = HeaderMap::from_iter([
            (header::COOKIE, HeaderValue::from_static("")),
            (header::COOKIE, HeaderValue::from_static("a=1; B=; B=two; B=three")),
        ]);
        assert_eq!(cookie(&headers, "B"), Some("two"));
        assert_eq!(cookie(&headers, "C"), None);
    }
}
