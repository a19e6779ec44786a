//! Response bodies that know whether they were taken: one whole, or a stream of chunks.
//!
//! Made by the transports, polled by hyper. A body that is dropped before it was taken puts its delivery back.

use super::connection::{Connection, Undelivered};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

/// A body in one piece, with the delivery that leaves in it.
pub struct ReplyBody {
    bytes: Option<Bytes>,
    undelivered: Option<Undelivered>,
    connection: Option<Connection>,
}

impl ReplyBody {
    /// A body of these bytes.
    pub fn new(bytes: Bytes, undelivered: Option<Undelivered>, connection: Option<Connection>) -> Self {
        Self { bytes: Some(bytes), undelivered, connection }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let Some(bytes) = this.bytes.take() else { return Poll::Ready(None) };
        let undelivered = this.undelivered.take();
        if let Some(connection) = &this.connection {
            connection.handed_over_whole(bytes.len(), undelivered);
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
        if let Some(undelivered) = self.undelivered.take() {
            undelivered.restore();
        }
    }
}

/// A piece of an endless response and the delivery that leaves in it.
pub struct Chunk {
    /// What is written.
    pub bytes: Bytes,
    /// What comes back if it is not.
    pub undelivered: Option<Undelivered>,
}
