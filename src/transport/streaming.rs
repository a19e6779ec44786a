//! Endless responses: what EventSource and iframe share. Messages are written as they come; the client's own messages
//! travel by POST beside the stream.
//!
//! A stream ends when the session ends or another transport takes over. What a broken connection did not take goes back
//! to the session's queue.

use super::{
    Transport,
    body::{Answer, AnswerBody, Chunk},
    connection::{Connection, Undelivered},
    response,
};
use crate::{
    bayeux::{BadRequest, ProtocolError, Seq},
    broker::{Caller, Delivery, Event, Place, Session, Stream},
};
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream::unfold;
use http::{HeaderValue, Response, Version, request::Parts};
use std::{convert::Infallible, future::poll_fn, sync::Arc, time::Duration};
use tokio::time::timeout;

/// How a streaming transport writes.
pub trait Format: Send + 'static {
    /// What comes first; `position` is where the client stands, if it may go on from there later.
    fn open(&self, position: Option<Seq>) -> Bytes;
    /// Messages.
    fn messages(&mut self, delivery: &Delivery) -> Bytes;
    /// What keeps the connection alive when there is nothing to say.
    fn heartbeat(&self) -> Bytes;
    /// What comes last; empty for nothing.
    fn close(&self) -> Bytes;
    /// Whether the response has grown as long as it may.
    fn is_full(&self) -> bool;
}

/// Where a stream stands.
enum Stage {
    /// With the position where the client stands.
    Opening(Option<Seq>),
    Running,
    Closed,
}

struct Running<F> {
    stream: Stream,
    format: F,
    stage: Stage,
    heartbeat: Duration,
}

impl Transport {
    /// The session whose id is the last segment of the path, if the caller may speak for it.
    pub(super) async fn streamed_session(&self, caller: &Caller, parts: &Parts) -> Option<Arc<Session>> {
        self.exchange().broker.session_of(caller, parts.uri.path().rsplit('/').next()).await.ok()
    }

    /// The answer to a stream request for a session that does not exist: nothing is made for it.
    pub(super) fn no_such_stream() -> Answer {
        response::refused(BadRequest(ProtocolError::NoSuchStream))
    }

    /// An endless response for a session, from after `resume` if the client names a position.
    pub(super) fn stream_to<F: Format>(
        &self,
        connection: &Connection,
        parts: &Parts,
        session: &Arc<Session>,
        resume: Option<Seq>,
        kind: HeaderValue,
        format: F,
    ) -> Answer {
        // A session that acknowledges is given messages with connect replies; the stream only shows that it is there.
        let (broker, occupies) = (&self.exchange().broker, parts.version < Version::HTTP_2);
        let acknowledges = session.lock().acked().is_some();
        let (stream, position) = if acknowledges {
            (broker.attach_to(session, Place::Heartbeat, occupies), None)
        } else {
            let (stream, position) = broker.attach_again(session, resume, occupies);
            (stream, Some(position))
        };
        let stage = Stage::Opening(position);
        let running = Running { stream, format, stage, heartbeat: self.settings().websocket_ping };
        let connection = connection.clone();
        let chunks = unfold(running, move |mut running| {
            let connection = connection.clone();
            async move {
                let chunk = running.next().await?;
                connection.handed_over(chunk.bytes.len(), chunk.undelivered);
                Some((Ok::<_, Infallible>(chunk.bytes), running))
            }
        });
        let mut response = Response::new(AnswerBody::Stream(Body::from_stream(chunks)));
        response::guard(response.headers_mut(), kind);
        // Proxies that collect answers before passing them on would make a stream useless.
        response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
        response
    }
}

impl<F: Format> Running<F> {
    async fn next(&mut self) -> Option<Chunk> {
        match self.stage {
            Stage::Closed => return None,
            Stage::Opening(position) => {
                self.stage = Stage::Running;
                return Some(Chunk { bytes: self.format.open(position), undelivered: None });
            }
            Stage::Running if self.format.is_full() => return self.finish(),
            Stage::Running => {}
        }
        loop {
            match timeout(self.heartbeat, poll_fn(|cx| self.stream.poll_event(true, cx))).await {
                Err(_) => return Some(Chunk { bytes: self.format.heartbeat(), undelivered: None }),
                Ok(Event::Superseded | Event::Ended(_)) => return self.finish(),
                Ok(Event::Messages) => {
                    let delivery = self.stream.take().await;
                    if !delivery.is_empty() {
                        let bytes = self.format.messages(&delivery);
                        return Some(Chunk { bytes, undelivered: Undelivered::new(self.stream.session(), delivery) });
                    }
                }
            }
        }
    }

    fn finish(&mut self) -> Option<Chunk> {
        self.stage = Stage::Closed;
        let bytes = self.format.close();
        (!bytes.is_empty()).then_some(Chunk { bytes, undelivered: None })
    }
}
