//! The one HTTP endpoint: decides by method and headers which transport a request means, never by its path.
//!
//! The router calls it for the mount and everything below. Origins are judged first; every answer carries CORS headers.

use super::{
    Transport,
    body::{Answer, AnswerBody},
    connection::Connection,
    origin::Verdict,
    polling::{self, Poll, Wrapping},
    request, response,
};
use crate::bayeux::{BadRequest, ConnectionType, ProtocolError};
use axum::{BoxError, body::Body, extract::State};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header, request::Parts};
use http_body::Body as HttpBody;
use std::future::Future;

/// The function callback-polling calls when the request names none.
const DEFAULT_CALLBACK: &str = "jsonpcallback";

/// Serves one request: takes it in, holds it if it is to be held, and gives the answer its CORS headers.
///
/// The two phases are apart because most requests are held most of their time: what taking in needs is boxed and gone by
/// then, so that a held poll costs little memory.
pub fn serve<B>(connection: Connection, request: Request<B>) -> impl Future<Output = Answer> + Send
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
    B::Error: Send,
{
    let accepting = Box::pin(accept(connection.clone(), request));
    async move {
        let (verdict, accepted) = accepting.await;
        let mut response = match accepted {
            Accepted::Answer(response) => *response,
            Accepted::Poll(poll) => connection.transport().finish(poll, &connection).await,
        };
        verdict.apply(response.headers_mut());
        let (parts, mut body) = response.into_parts();
        if let AnswerBody::Whole(body) = &mut body {
            body.leave_with(&parts.headers);
        }
        Response::from_parts(parts, body)
    }
}

/// The same as a handler of a router.
pub async fn handle(State(transport): State<Transport>, request: Request<Body>) -> Response<Body> {
    serve(Connection::new(transport, None), request).await.map(Body::new)
}

/// What taking a request in led to.
pub enum Accepted {
    /// It is answered.
    Answer(Box<Answer>),
    /// It is a poll that may be held.
    Poll(Box<Poll>),
}

impl From<Answer> for Accepted {
    fn from(response: Answer) -> Self {
        Self::Answer(Box::new(response))
    }
}

async fn accept<B>(connection: Connection, request: Request<B>) -> (Verdict, Accepted)
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + Unpin,
{
    let transport = connection.transport();
    let (mut parts, body) = request.into_parts();
    let verdict = transport.origins().judge(&parts.headers);
    if parts.method == Method::OPTIONS {
        let mut response = Response::new(AnswerBody::Stream(Body::empty()));
        *response.status_mut() = StatusCode::NO_CONTENT;
        verdict.apply_preflight(response.headers_mut());
        return (Verdict::Own, response.into());
    }
    connection.next_request();
    if verdict == Verdict::Denied {
        return (verdict, response::refused(BadRequest(ProtocolError::OriginDenied)).into());
    }
    let accepted = route(&connection, &mut parts, body, &verdict).await;
    (verdict, accepted)
}

async fn route<B>(connection: &Connection, parts: &mut Parts, body: B, verdict: &Verdict) -> Accepted
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + Unpin,
{
    let transport = connection.transport();
    let offers = |kind| transport.exchange().broker.connection_types().contains(&kind);
    if parts.method == Method::POST && (offers(ConnectionType::LongPolling) || offers(ConnectionType::WebSocket)) {
        return long_poll(connection, parts, body, verdict).await;
    }
    if parts.method != Method::GET {
        return not_allowed().into();
    }
    if is_websocket(parts) && offers(ConnectionType::WebSocket) {
        return transport.clone().upgrade(connection, parts, verdict).into();
    }
    let query = Query::of(parts);
    if query.iframe.is_some() && offers(ConnectionType::Iframe) {
        let caller = request::caller(connection, parts, ConnectionType::Iframe, verdict);
        return transport.iframe(connection, &caller, parts, query.iframe.unwrap_or_default()).await.into();
    }
    if accepts_events(parts) && offers(ConnectionType::EventSource) {
        let caller = request::caller(connection, parts, ConnectionType::EventSource, verdict);
        return transport.event_source(connection, &caller, parts).await.into();
    }
    if offers(ConnectionType::CallbackPolling) {
        return callback_poll(connection, parts, query, verdict).await;
    }
    not_allowed().into()
}

async fn long_poll<B>(connection: &Connection, parts: &Parts, body: B, verdict: &Verdict) -> Accepted
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + Unpin,
{
    let transport = connection.transport();
    let caller = request::caller(connection, parts, ConnectionType::LongPolling, verdict);
    let settings = transport.settings();
    let body = request::body(&parts.headers, body, settings.max_message_bytes, settings.body_read_timeout);
    let texts = match body.await {
        Ok(body) => request::texts(&parts.headers, body),
        Err(bad) => Err(bad),
    };
    match texts {
        Ok(texts) => transport.poll(caller, texts, Wrapping::Json).await,
        Err(bad) => response::refused(bad).into(),
    }
}

async fn callback_poll(connection: &Connection, parts: &Parts, query: Query, verdict: &Verdict) -> Accepted {
    let transport = connection.transport();
    if !transport.origins().admits_script(verdict) {
        return response::refused(BadRequest(ProtocolError::OriginDenied)).into();
    }
    let caller = request::caller(connection, parts, ConnectionType::CallbackPolling, verdict);
    let function = query.jsonp.unwrap_or_else(|| DEFAULT_CALLBACK.to_owned());
    if !polling::is_function_name(&function) {
        return response::refused(BadRequest::malformed("jsonp", "not a function name")).into();
    }
    match request::fields(parts.uri.query().unwrap_or_default().as_bytes()) {
        Ok(texts) => transport.poll(caller, texts, Wrapping::Script(function)).await,
        Err(bad) => response::refused(bad).into(),
    }
}

fn not_allowed() -> Answer {
    let body: Bytes = response::refusal(BadRequest::malformed("method", "POST, GET or OPTIONS"));
    let mut response = response::whole(StatusCode::METHOD_NOT_ALLOWED, response::JSON, body, None);
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
