//! One HTTP/1.1 connection whose requests are all alike: a POST of known length, whole in what one read brought, for the
//! mount or the API. That is nearly every request there is, and each costs one read, one write and no buffer while it is
//! held.
//!
//! Run in the connection's task. What is not of that kind is not judged here: the connection goes to hyper with every byte
//! that was read of it ([`super::serving`]), and stays there.

use super::{
    accept::{Noted, answer},
    io::NotedStream,
    serving,
};
use crate::transport::body::Answer;
use axum::Router;
use bytes::Bytes;
use futures_util::FutureExt;
use http_body::Body;
use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    sync::watch::Receiver,
};

mod head;
mod reply;

/// Most bytes taken by one read; what waits behind a held request is bounded by it, too.
const READ: usize = 64 << 10;
/// Bodies up to this length are copied behind their head and leave in the same write.
const COPIED: usize = 16 << 10;

thread_local! {
    /// Where bytes are read to before it is known how many they are. No connection keeps a buffer of its own.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

/// Serves HTTP/1.1 until the connection ends or the server stops.
pub(super) async fn http1<S>(stream: NotedStream<S>, pages: Router, noted: Noted, stopping: Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut stop = serving::stopped(stopping.clone());
    let mut link = Link { stream, unread: Vec::new() };
    loop {
        if link.unread.is_empty() && !link.receive(&mut stop).await {
            return;
        }
        let most = noted.connection.transport().settings().max_message_bytes;
        let Some(request) = head::take(&mut link.unread, most, |path| noted.serves(path)) else {
            let Link { mut stream, unread } = link;
            stream.unread(unread);
            // Rare and large: a connection of the usual kind has no room for it.
            return Box::pin(serving::http1(stream, pages, noted, stopping)).await;
        };
        let Some(answer) = link.watched(answer(&pages, &noted, request)).await else { return };
        let Ok(answer) = answer;
        let last = *stopping.borrow();
        if !link.send(answer, last).await.unwrap_or(false) {
            return;
        }
    }
}

/// The two directions of the connection.
struct Link<S> {
    stream: NotedStream<S>,
    /// Read, and not yet understood.
    unread: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    /// Waits for bytes. False when there will be none: the peer is gone, or the server stops.
    async fn receive(&mut self, stop: &mut (impl Future<Output = ()> + Unpin)) -> bool {
        poll_fn(|cx| match self.poll_read(cx) {
            Poll::Ready(came) => Poll::Ready(came.is_ok_and(|bytes| bytes > 0)),
            Poll::Pending => stop.poll_unpin(cx).map(|()| false),
        })
        .await
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            self.unread.extend_from_slice(buffer.filled());
            Poll::Ready(Ok(buffer.filled().len()))
        })
    }

    /// Waits for an answer, and gives it up when the peer is gone.
    async fn watched<T>(&mut self, answering: impl Future<Output = T>) -> Option<T> {
        let mut answering = pin!(answering);
        poll_fn(|cx| {
            if let Poll::Ready(answer) = answering.as_mut().poll(cx) {
                return Poll::Ready(Some(answer));
            }
            // What comes early waits for its turn, and then its sender's absence goes unnoticed until then.
            while self.unread.is_empty() {
                match ready!(self.poll_read(cx)) {
                    Ok(1..) => {}
                    Ok(0) | Err(_) => return Poll::Ready(None),
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Writes an answer. Returns whether the connection goes on.
    async fn send(&mut self, answer: Answer, last: bool) -> io::Result<bool> {
        let (parts, body) = answer.into_parts();
        let mut body = pin!(body);
        let (mut out, ends) = reply::head(&parts, body.size_hint().exact(), last);
        while let Some(piece) = next(body.as_mut()).await? {
            if piece.len() <= COPIED {
                out.extend_from_slice(&piece);
            }
            self.stream.write_all(&out).await?;
            out.clear();
            if piece.len() > COPIED {
                self.stream.write_all(&piece).await?;
            }
        }
        self.stream.write_all(&out).await?;
        self.stream.flush().await?;
        if ends {
            self.stream.shutdown().await?;
        }
        Ok(!ends)
    }
}

/// The next bytes of a body.
async fn next<B: Body<Data = Bytes, Error = axum::Error>>(mut body: Pin<&mut B>) -> io::Result<Option<Bytes>> {
    loop {
        match poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            None => return Ok(None),
            Some(Err(error)) => return Err(io::Error::other(error)),
            Some(Ok(frame)) => {
                if let Ok(bytes) = frame.into_data() {
                    return Ok(Some(bytes));
                }
            }
        }
    }
}
