//! The one HTTP endpoint: decides by method and headers which transport a request means, never by its path.
//!
//! The router calls it for the mount and everything below. Origins are judged first; every answer carries CORS headers.

use super::{
    Transport,
    connection::Connection,
    origin::Verdict,
    polling::{self, Wrapping},
    request, response,
};
use crate::bayeux::{BadRequest, ConnectionType, ProtocolError};
use axum::{body::Body, extract::State};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header, request::Parts};

/// The function callback-polling calls when the request names none.
const DEFAULT_CALLBACK: &str = "jsonpcallback";

/// Serves one request.
pub async fn serve(State(transport): State<Transport>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let verdict = transport.origins().judge(&parts.method, &parts.headers);
    if parts.method == Method::OPTIONS {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        verdict.apply_preflight(response.headers_mut());
        return response;
    }
    if let Some(connection) = parts.extensions.get::<Connection>() {
        connection.next_request();
    }
    let mut response = if verdict == Verdict::Denied {
        response::refused(BadRequest(ProtocolError::OriginDenied))
    } else {
        route(transport, parts, body).await
    };
    verdict.apply(response.headers_mut());
    response
}

async fn route(transport: Transport, mut parts: Parts, body: Body) -> Response<Body> {
    let offers = |kind| transport.exchange().broker.connection_types().contains(&kind);
    if parts.method == Method::POST && (offers(ConnectionType::LongPolling) || offers(ConnectionType::WebSocket)) {
        return long_poll(transport, parts, body).await;
    }
    if parts.method != Method::GET {
        return not_allowed();
    }
    if is_websocket(&parts) && offers(ConnectionType::WebSocket) {
        return transport.upgrade(&mut parts);
    }
    drop(body);
    let query = Query::of(&parts);
    if query.iframe.is_some() && offers(ConnectionType::Iframe) {
        return transport.iframe(&parts, query.iframe.unwrap_or_default());
    }
    if accepts_events(&parts) && offers(ConnectionType::EventSource) {
        return transport.event_source(&parts);
    }
    if offers(ConnectionType::CallbackPolling) {
        return callback_poll(transport, parts, query).await;
    }
    not_allowed()
}

async fn long_poll(transport: Transport, parts: Parts, body: Body) -> Response<Body> {
    let caller = request::caller(&parts, ConnectionType::LongPolling, transport.settings());
    let connection = parts.extensions.get::<Connection>().cloned();
    let texts = match request::body(&parts.headers, body, transport.settings()).await {
        Ok(body) => request::texts(&parts.headers, body),
        Err(bad) => Err(bad),
    };
    // The head is done with; a held poll should not keep it.
    drop(parts);
    match texts {
        Ok(texts) => transport.poll(caller, texts, Wrapping::Json, connection).await,
        Err(bad) => response::refused(bad),
    }
}

async fn callback_poll(transport: Transport, parts: Parts, query: Query) -> Response<Body> {
    let caller = request::caller(&parts, ConnectionType::CallbackPolling, transport.settings());
    let connection = parts.extensions.get::<Connection>().cloned();
    let function = query.jsonp.unwrap_or_else(|| DEFAULT_CALLBACK.to_owned());
    if !polling::is_function_name(&function) {
        return response::refused(BadRequest::malformed("jsonp", "not a function name"));
    }
    let texts = request::fields(parts.uri.query().unwrap_or_default().as_bytes());
    drop(parts);
    match texts {
        Ok(texts) => transport.poll(caller, texts, Wrapping::Script(function), connection).await,
        Err(bad) => response::refused(bad),
    }
}

fn not_allowed() -> Response<Body> {
    let body: Bytes = response::refusal(BadRequest::malformed("method", "POST, GET or OPTIONS"));
    let mut response = response::whole(StatusCode::METHOD_NOT_ALLOWED, response::JSON, body, None, None);
    response.headers_mut().insert(header::ALLOW, http::HeaderValue::from_static("POST, GET, OPTIONS"));
    response
}

/// Other upgrades, like the `h2c` that some HTTP clients offer with every POST, are ignored.
fn is_websocket(parts: &Parts) -> bool {
    let upgrade = parts.headers.get(header::UPGRADE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    upgrade.split(',').any(|protocol| protocol.trim().eq_ignore_ascii_case("websocket"))
}

fn accepts_events(parts: &Parts) -> bool {
    let accept = parts.headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    accept.contains("text/event-stream")
}

/// The parts of a query that mean something; unknown ones, like cache busters, are skipped.
#[derive(Default)]
struct Query {
    jsonp: Option<String>,
    iframe: Option<String>,
}

impl Query {
    fn of(parts: &Parts) -> Self {
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
            match &*name {
                "jsonp" => query.jsonp = Some(value.into_owned()),
                "iframe" => query.iframe = Some(value.into_owned()),
                _ => {}
            }
        }
        query
    }
}
