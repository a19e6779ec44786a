//! Accepts connections and serves HTTP/1.1 on each in a task of its own.
//!
//! Run by `server::run`. Tuned for many connections that mostly wait: small buffers, no timer per connection.

use super::{
    io::NotedStream,
    watch::{Progress, Watch},
};
use crate::{
    api::{Api, route},
    transport::{
        Connection, Transport, TransportSettings,
        body::{Answer, AnswerBody},
        endpoint,
    },
};
use axum::{Router, body::Body};
use futures_util::{FutureExt, future::Either};
use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    io::ErrorKind,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch::Receiver,
};
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// Most bytes of a request's head, and of what is read at once.
const MAX_BUFFER: usize = 64 << 10;
/// How long accepting pauses when the process has no file descriptors left.
const OUT_OF_FILES_PAUSE: Duration = Duration::from_millis(100);

/// What is served.
#[derive(Clone)]
pub struct Site {
    /// The mount of the broker.
    pub transport: Transport,
    /// The backends' side, if there is one.
    pub api: Option<Api>,
    /// Everything else.
    pub pages: Router,
}

/// What is known of the connection a request came on.
#[derive(Clone)]
struct Noted {
    connection: Connection,
    progress: Arc<Progress>,
    api: Option<Api>,
}

/// Accepts for one listener.
pub struct Acceptor {
    listener: TcpListener,
    site: Site,
    watch: Arc<Watch>,
    stopping: Receiver<bool>,
    tasks: TaskTracker,
}

impl Acceptor {
    /// An acceptor that serves `site`, spawns into `tasks`, and lets connections end when `stopping` becomes true.
    pub fn new(
        listener: TcpListener,
        site: Site,
        settings: &TransportSettings,
        stopping: Receiver<bool>,
        tasks: TaskTracker,
    ) -> Self {
        Self { listener, site, watch: Arc::new(Watch::new(settings)), stopping, tasks }
    }

    /// Accepts until it is dropped.
    pub async fn run(self) {
        let watch = Arc::clone(&self.watch);
        tokio::select! {
            () = self.accept() => {}
            () = watch.run() => {}
        }
    }

    async fn accept(&self) {
        let mut number = 0;
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    number += 1;
                    self.serve(number, stream, peer);
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections");
                    tokio::time::sleep(OUT_OF_FILES_PAUSE).await;
                }
            }
        }
    }

    fn serve(&self, number: u64, stream: TcpStream, peer: SocketAddr) {
        // Without it small answers wait for the peer's acknowledgement; a socket that refuses it works all the same.
        let _ = stream.set_nodelay(true);
        let progress = Arc::new(Progress::new(self.watch.ticks.clone()));
        let connection = Connection::new(self.site.transport.clone(), Some(peer.ip().to_canonical()));
        let io = TokioIo::new(NotedStream::new(stream, connection.clone(), Arc::clone(&progress)));
        let (pages, watch) = (self.site.pages.clone(), Arc::clone(&self.watch));
        let stopping = self.stopping.clone();
        let api = self.site.api.clone();
        let noted = Noted { connection: connection.clone(), progress: Arc::clone(&progress), api };
        let task = self.tasks.spawn(async move {
            let closed = Closed { connection, watch, number };
            let service = service_fn(move |request| answer(&pages, &noted, request));
            let serving = http1::Builder::new()
                .half_close(false)
                // Answers are small: one buffer and a plain write cost less than a list of them.
                .writev(false)
                .max_buf_size(MAX_BUFFER)
                .header_read_timeout(None)
                .serve_connection(io, service)
                .with_upgrades();
            tokio::pin!(serving);
            // A connection that breaks is the peer's affair; what it did not take is put back by `Closed`.
            if !until_stopping(serving.as_mut(), stopping).await {
                serving.as_mut().graceful_shutdown();
                let _ = serving.await;
            }
            drop(closed);
        });
        self.watch.add(number, progress, task.abort_handle());
    }
}

/// An answer on its way that costs an idle connection no room.
type Boxed = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

/// Answers one request. The mount is served without the router: its requests are nearly all there are, and each would
/// pay for boxes and a path match.
fn answer(
    pages: &Router,
    noted: &Noted,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Answer, Infallible>> + Send + use<> {
    let progress = Arc::clone(&noted.progress);
    progress.busy();
    let path = request.uri().path();
    let api = noted.api.as_ref().filter(|_| route::is_api(path) || route::is_health(path));
    let answering = if noted.connection.transport().owns(path) {
        Either::Left(endpoint::serve(noted.connection.clone(), request).map(Ok))
    } else if let Some(api) = api {
        let (api, peer) = (api.clone(), noted.connection.peer());
        let serving: Boxed = Box::pin(async move { Ok(api.serve(peer, request).await) });
        Either::Right(serving)
    } else {
        let page = pages.clone().oneshot(request.map(Body::new));
        let serving: Boxed = Box::pin(page.map(|page| page.map(|page| page.map(AnswerBody::Stream))));
        Either::Right(serving)
    };
    answering.inspect(move |_| progress.idle())
}

/// Runs the task's work until it is done (true) or the server stops (false). The wish to hear of the stop is registered
/// once: a task's waker stays the same, and registering at every turn costs more than the rest of it.
async fn until_stopping(mut serving: Pin<&mut impl Future>, stopping: Receiver<bool>) -> bool {
    let seen = stopping.clone();
    let mut stop = pin!(stop(stopping));
    let mut registered = false;
    poll_fn(|cx| {
        if serving.as_mut().poll(cx).is_ready() {
            return Poll::Ready(true);
        }
        if registered && !seen.has_changed().unwrap_or(true) {
            return Poll::Pending;
        }
        registered = true;
        stop.as_mut().poll(cx).map(|()| false)
    })
    .await
}

async fn stop(mut stopping: Receiver<bool>) {
    // An error is a broker that is gone.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// Errors of `accept` that concern only the connection that was coming in.
fn is_of_one_connection(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted)
}

/// Runs when a connection ends, in whatever way.
struct Closed {
    connection: Connection,
    watch: Arc<Watch>,
    number: u64,
}

impl Drop for Closed {
    fn drop(&mut self) {
        self.watch.remove(self.number);
        self.connection.closed();
    }
}
