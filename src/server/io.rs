//! A stream that notes what passes: for the watch, and for the deliveries that wait to be written.
//!
//! Made by the acceptor for each connection and read by `plain` or hyper. Changes no byte.

use super::watch::Progress;
use crate::transport::Connection;
use std::{
    io::{IoSlice, Result},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A noted stream.
pub struct NotedStream<S> {
    stream: S,
    connection: Connection,
    progress: Arc<Progress>,
    /// Bytes that a stream with a buffer of its own took and did not hand on yet.
    unflushed: Option<usize>,
    /// Bytes that were read and given back: they are read again first.
    unread: Vec<u8>,
}

impl<S> NotedStream<S> {
    /// Notes what passes through a stream whose writes go to the kernel.
    pub fn new(stream: S, connection: Connection, progress: Arc<Progress>) -> Self {
        Self { stream, connection, progress, unflushed: None, unread: Vec::new() }
    }

    /// Notes what passes through a stream whose writes are out when they are flushed.
    pub fn flushing(stream: S, connection: Connection, progress: Arc<Progress>) -> Self {
        Self { stream, connection, progress, unflushed: Some(0), unread: Vec::new() }
    }

    /// Gives back what was read last, for another reader.
    pub fn unread(&mut self, bytes: Vec<u8>) {
        self.unread = bytes;
    }

    fn note(&mut self, outcome: Poll<Result<usize>>) -> Poll<Result<usize>> {
        match &outcome {
            Poll::Ready(Ok(bytes)) => {
                match &mut self.unflushed {
                    None => self.connection.wrote(*bytes),
                    Some(unflushed) => {
                        *unflushed += bytes;
                        self.connection.buffered(*bytes);
                    }
                }
                self.progress.wrote();
            }
            Poll::Pending => self.progress.blocked(),
            Poll::Ready(Err(_)) => {}
        }
        outcome
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for NotedStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        if !self.unread.is_empty() {
            let count = self.unread.len().min(buf.remaining());
            buf.put_slice(&self.unread[..count]);
            self.unread.drain(..count);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.progress.read();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for NotedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        if let Some(unflushed @ 1..) = self.unflushed {
            match &outcome {
                Poll::Ready(Ok(())) => {
                    self.connection.wrote(unflushed);
                    self.unflushed = Some(0);
                    self.progress.wrote();
                }
                Poll::Pending => self.progress.blocked(),
                Poll::Ready(Err(_)) => {}
            }
        }
        outcome
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
