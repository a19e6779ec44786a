//! Accepts connections, serves each in a task of its own, and knows who answers which request.
//!
//! Run by `server::run`. Tuned for many connections that mostly wait: small buffers, no timer per connection.

use super::{
    ServerSettings,
    io::NotedStream,
    plain, serving,
    tls::Tls,
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
use bytes::Bytes;
use futures_util::{FutureExt, future::Either};
use http::Request;
use http_body::Body as HttpBody;
use prometheus_client::metrics::gauge::Gauge;
use std::{convert::Infallible, future::Future, io::ErrorKind, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch::Receiver,
};
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// Most bytes of a request's head, and of what is read at once.
pub(super) const MAX_BUFFER: usize = 64 << 10;
/// How long accepting pauses when the process has no file descriptors left.
const OUT_OF_FILES_PAUSE: Duration = Duration::from_millis(100);

/// What is served.
#[derive(Clone)]
pub struct Site {
    /// The mount of the broker.
    pub transport: Transport,
    /// The backends' side.
    pub api: Api,
    /// Everything else.
    pub pages: Router,
    /// For whom the listener is.
    pub part: Part,
}

/// For whom a listener is. How the broker is, is told on all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Clients and backends.
    All,
    /// Clients only: the backends have a listener of their own, or none.
    Clients,
    /// Backends only.
    Backends,
}

/// What is known of the connection a request came on.
#[derive(Clone)]
pub(super) struct Noted {
    pub(super) connection: Connection,
    pub(super) progress: Arc<Progress>,
    /// How long a stop waits for what peers do not finish.
    pub(super) grace: Duration,
    api: Api,
    part: Part,
}

impl Noted {
    /// The same for a connection that carries many requests at once.
    pub(super) fn multiplexed(self) -> Self {
        Self { connection: self.connection.multiplexed(), ..self }
    }

    /// Whether a path is the mount's or the API's, and is served on this listener.
    pub(super) fn serves(&self, path: &str) -> bool {
        self.is_mount(path) || self.is_api(path)
    }

    fn is_mount(&self, path: &str) -> bool {
        self.part != Part::Backends && self.connection.transport().owns(path)
    }

    fn is_api(&self, path: &str) -> bool {
        self.part == Part::Backends || route::is_health(path) || (self.part == Part::All && route::is_api(path))
    }
}

/// Accepts for one listener.
pub struct Acceptor {
    listener: TcpListener,
    site: Site,
    watch: Arc<Watch>,
    stopping: Receiver<bool>,
    tasks: TaskTracker,
    tls: Option<Arc<Tls>>,
    open: Gauge,
    grace: Duration,
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
        let watch = Arc::new(Watch::new(settings));
        let grace = ServerSettings::default().request_grace;
        Self { listener, site, watch, stopping, tasks, tls: None, open: Gauge::default(), grace }
    }

    /// Waits so long, when it stops, for requests that are not all there.
    #[must_use]
    pub fn with_grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    /// Speaks TLS.
    #[must_use]
    pub fn with_tls(self, tls: Option<Arc<Tls>>) -> Self {
        Self { tls, ..self }
    }

    /// Counts the connections that are open.
    #[must_use]
    pub fn counting(self, open: Gauge) -> Self {
        Self { open, ..self }
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
        let (pages, stopping) = (self.site.pages.clone(), self.stopping.clone());
        let noted = Noted {
            connection: connection.clone(),
            progress: Arc::clone(&progress),
            grace: self.grace,
            api: self.site.api.clone(),
            part: self.site.part,
        };
        self.open.inc();
        let closed = Closed { connection, watch: Arc::clone(&self.watch), number, open: self.open.clone() };
        let task = match &self.tls {
            None => self.tasks.spawn(async move {
                let closed = closed;
                let stream = NotedStream::new(stream, noted.connection.clone(), Arc::clone(&noted.progress));
                plain::http1(stream, pages, noted, stopping).await;
                drop(closed);
            }),
            Some(tls) => {
                let (tls, tasks) = (Arc::clone(tls), self.tasks.clone());
                self.tasks.spawn(async move {
                    let closed = closed;
                    serving::tls(stream, &tls, pages, noted, stopping, tasks).await;
                    drop(closed);
                })
            }
        };
        self.watch.add(number, progress, task.abort_handle());
    }
}

/// An answer on its way that costs an idle connection no room.
type Boxed = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

/// Answers one request. The mount is served without the router: its requests are nearly all there are, and each would
/// pay for boxes and a path match.
pub(super) fn answer<B>(
    pages: &Router,
    noted: &Noted,
    request: Request<B>,
) -> impl Future<Output = Result<Answer, Infallible>> + Send + use<B>
where
    B: HttpBody<Data = Bytes, Error: Into<axum::BoxError> + Send> + Send + Unpin + 'static,
{
    let progress = Arc::clone(&noted.progress);
    progress.busy();
    let path = request.uri().path();
    let answering = if noted.is_mount(path) {
        Either::Left(endpoint::serve(noted.connection.clone(), request).map(Ok))
    } else if noted.is_api(path) {
        let (api, peer) = (noted.api.clone(), noted.connection.peer());
        let serving: Boxed = Box::pin(async move { Ok(api.serve(peer, request).await) });
        Either::Right(serving)
    } else {
        let page = pages.clone().oneshot(request.map(Body::new));
        let serving: Boxed = Box::pin(page.map(|page| page.map(|page| page.map(AnswerBody::Stream))));
        Either::Right(serving)
    };
    answering.inspect(move |_| progress.idle())
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
    open: Gauge,
}

impl Drop for Closed {
    fn drop(&mut self) {
        self.open.dec();
        self.watch.remove(self.number);
        self.connection.closed();
    }
}
