//! Serving one connection by hyper: HTTP/1.1 whose requests are not of the usual kind, or TLS with what the peer chose in
//! it.
//!
//! Each runs in the connection's task. The usual kind of request is served by `plain`.

use super::{
    accept::{MAX_BUFFER, Noted, answer},
    ending::{Ending, Leaving},
    io::NotedStream,
    plain,
    tls::{self, Tls},
    watch::Progress,
};
use crate::transport::TransportSettings;
use axum::Router;
use futures_util::FutureExt;
use http::{HeaderValue, Request, Response, header};
use hyper::{
    body::Incoming,
    rt::Executor,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::Poll,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch::Receiver,
};
use tokio_util::task::TaskTracker;

/// Serves HTTP/1.1 until the connection ends or the server stops.
pub(super) async fn http1<S>(stream: NotedStream<S>, pages: Router, noted: Noted, stopping: Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let ending = Ending::new(stopping.clone(), noted.grace);
    let (requests, progress) = (Arc::clone(&ending), Arc::clone(&noted.progress));
    let service = service_fn(move |request| served(&pages, &noted, &requests, request));
    let serving = http1::Builder::new()
        .half_close(false)
        // Answers are small: one buffer and a plain write cost less than a list of them.
        .writev(false)
        .max_buf_size(MAX_BUFFER)
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(serving);
    // A connection that breaks is the peer's affair; what it did not take is put back by whoever holds the guard.
    if !until_stopping(serving.as_mut(), stopping).await {
        serving.as_mut().graceful_shutdown();
        ending.see_off(serving, &progress).await;
    }
}

/// Answers one request, and tells how far it is.
fn served(
    pages: &Router,
    noted: &Noted,
    requests: &Arc<Ending>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<Leaving>, Infallible>> + Send + use<> {
    let under_way = requests.begin();
    let answering = answer(pages, noted, request.map(|body| requests.arriving(body)));
    answering.map(|answer| answer.map(|answer| answer.map(|body| Leaving::new(body, under_way))))
}

/// Shakes hands, then serves what the peer chose.
pub(super) async fn tls(
    stream: TcpStream,
    tls: &Tls,
    pages: Router,
    noted: Noted,
    stopping: Receiver<bool>,
    tasks: TaskTracker,
) {
    let stream = tokio::select! {
        // Whoever has not even shaken hands has asked nothing.
        () = stopped(stopping.clone()) => return,
        shaken = tls.accept(stream) => match shaken {
            Ok(stream) => stream,
            Err(error) => return tracing::debug!(%error, "no TLS with a peer"),
        },
    };
    if tls::is_http2(&stream) {
        let noted = noted.multiplexed();
        let stream = NotedStream::flushing(stream, noted.connection.clone(), Arc::clone(&noted.progress));
        http2(stream, pages, noted, stopping, tasks).await;
    } else {
        let stream = NotedStream::flushing(stream, noted.connection.clone(), Arc::clone(&noted.progress));
        plain::http1(stream, pages, noted, stopping).await;
    }
}

async fn http2<S>(stream: NotedStream<S>, pages: Router, noted: Noted, stopping: Receiver<bool>, tasks: TaskTracker)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    noted.progress.multiplex();
    let settings: &TransportSettings = noted.connection.transport().settings();
    let mut builder = http2::Builder::new(Tracked(tasks));
    builder.max_concurrent_streams(settings.max_streams).max_header_list_size(MAX_BUFFER as u32);
    let ending = Ending::new(stopping.clone(), noted.grace);
    let (requests, progress, connection) = (Arc::clone(&ending), Arc::clone(&noted.progress), noted.connection.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        name_host(&mut request);
        // Also when the peer gives the request up.
        let running = Running::new(&noted.progress);
        served(&pages, &noted, &requests, request).inspect(move |_| drop(running))
    });
    let serving = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    if !until_stopping(serving.as_mut(), stopping).await {
        serving.as_mut().graceful_shutdown();
        ending.see_off_streams(serving, &progress, &connection).await;
    }
}

/// HTTP/2 names the host in the address; whoever judges origins looks at the header.
fn name_host<B>(request: &mut Request<B>) {
    let host = request.uri().authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
    if let Some(host) = host {
        request.headers_mut().entry(header::HOST).or_insert(host);
    }
}

/// One of several requests at once.
struct Running(Arc<Progress>);

impl Running {
    fn new(progress: &Arc<Progress>) -> Self {
        progress.began();
        Self(Arc::clone(progress))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.ended();
    }
}

/// Runs the requests of a connection as tasks that whoever stops the server waits for.
#[derive(Clone)]
struct Tracked(TaskTracker);

impl<F> Executor<F> for Tracked
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

/// Runs the task's work until it is done (true) or the server stops (false).
async fn until_stopping(mut serving: Pin<&mut impl Future>, stopping: Receiver<bool>) -> bool {
    let mut stop = stopped(stopping);
    poll_fn(|cx| {
        if serving.as_mut().poll(cx).is_ready() {
            return Poll::Ready(true);
        }
        stop.poll_unpin(cx).map(|()| false)
    })
    .await
}

/// Completes when the server stops. The wish to hear of it is registered once: a task's waker stays the same, and
/// registering at every turn costs more than the rest of it.
pub(super) fn stopped(mut stopping: Receiver<bool>) -> impl Future<Output = ()> + Send + Unpin {
    let seen = stopping.clone();
    let mut stop = Box::pin(async move {
        // An error is a broker that is gone.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    });
    let mut registered = false;
    poll_fn(move |cx| {
        if registered && !seen.has_changed().unwrap_or(true) {
            return Poll::Pending;
        }
        registered = true;
        stop.as_mut().poll(cx)
    })
}
