//! Response bodies that know whether they were taken: one whole, or a stream of chunks.
//!
//! Made by the transports, polled by hyper. A whole body that is dropped before it was taken puts its delivery back.

use super::connection::{Connection, Undelivered, head_len};
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

/// A body in one piece, with the delivery that leaves in it.
pub struct ReplyBody {
    bytes: Option<Bytes>,
    undelivered: Option<(Undelivered, Connection)>,
    /// Bytes of the head that is written with it.
    head: usize,
}

impl ReplyBody {
    /// A body of these bytes.
    pub fn new(bytes: Bytes, undelivered: Option<(Undelivered, Connection)>) -> Self {
        Self { bytes: Some(bytes), undelivered, head: 0 }
    }

    /// Learns with which headers it leaves, if it matters when it is out.
    pub(super) fn leave_with(&mut self, headers: &HeaderMap) {
        if let (Some(bytes), Some(_)) = (&self.bytes, &self.undelivered) {
            self.head = head_len(headers, bytes.len());
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let Some(bytes) = this.bytes.take() else { return Poll::Ready(None) };
        if let Some((undelivered, connection)) = this.undelivered.take() {
            connection.handed_over(this.head + bytes.len(), Some(undelivered));
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |b| b.len() as u64))
    }
}

impl Drop for ReplyBody {
    fn drop(&mut self) {
        if let Some((undelivered, connection)) = self.undelivered.take() {
            undelivered.restore(&connection.transport().exchange().broker);
        }
    }
}

/// The body of any answer.
pub enum AnswerBody {
    /// In one piece: nearly every answer.
    Whole(ReplyBody),
    /// In as many as there are.
    Stream(axum::body::Body),
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::Stream(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Stream(body) => body.size_hint(),
        }
    }
}

/// An HTTP answer.
pub type Answer = http::Response<AnswerBody>;

/// A piece of an endless response and the delivery that leaves in it.
pub struct Chunk {
    /// What is written.
    pub bytes: Bytes,
    /// What comes back if it is not.
    pub undelivered: Option<Undelivered>,
}
