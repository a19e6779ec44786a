//! What a running case has in its hands: the address of the server, a transport, names nobody else uses, and raw HTTP.
//!
//! Handed to every case by the runner. Never shared between cases: each has its own channel prefix, and where the
//! machine allows it its own source address, so that nothing one case does can be held against another.

use crate::{
    case::Feature,
    peer::Peer,
    transport::Transport,
    wire::{
        grammar::Watch,
        http::Connection,
        request::Request,
        response::Response,
        socket::{Socket, Upgrade},
        url::Url,
    },
};
use anyhow::Result;
use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};
use uuid::Uuid;

/// "At once" on the wire: far below any hold, far above a slow machine's pause.
pub const AT_ONCE: Duration = Duration::from_secs(2);
/// How long any ordinary answer may take, the delayed refusals of §4 included.
pub const PATIENCE: Duration = Duration::from_secs(8);
/// How long a connect must stay unanswered to count as held.
pub const HELD: Duration = Duration::from_millis(300);

/// What the runner was told about the server, the same for all cases.
#[derive(Clone, Debug)]
pub struct Server {
    /// Where it is.
    pub url: Url,
    /// Its `broker.max_interval`.
    pub max_interval: Duration,
    /// Settings it was started with that some cases need or cannot bear.
    pub have: HashSet<Feature>,
    /// The hold it advertises, learnt by asking.
    pub advertised_timeout: Duration,
}

/// The context of one case.
#[derive(Clone, Debug)]
pub struct Context {
    /// The transport this run of the case is about.
    pub transport: Transport,
    /// The server under test.
    pub server: Arc<Server>,
    /// What every answer is held against.
    pub watch: Watch,
    tag: String,
    source: Option<IpAddr>,
}

impl Context {
    /// A context nobody has used yet.
    pub fn new(server: Arc<Server>, transport: Transport) -> Self {
        let unique = Uuid::new_v4();
        let [a, b, c, ..] = *unique.as_bytes();
        let local = matches!(server.url.host.as_str(), "127.0.0.1" | "localhost");
        let source = local.then(|| IpAddr::V4(Ipv4Addr::new(127, a | 1, b, c | 1)));
        let tag = format!("t{}", &unique.simple().to_string()[..12]);
        Self { transport, server, watch: Watch::default(), tag, source }
    }

    /// A channel of this case: `/<unique>/<name>`.
    pub fn channel(&self, name: &str) -> String {
        format!("/{}/{name}", self.tag)
    }

    /// A word no other case uses.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// Whether the server was started with this.
    pub fn has(&self, feature: Feature) -> bool {
        self.server.have.contains(&feature)
    }

    /// The mount with something appended.
    pub fn target(&self, rest: &str) -> String {
        format!("{}{rest}", self.server.url.path)
    }

    /// The address of a page of the server's own, as a browser tells it.
    pub fn own_page(&self) -> String {
        format!("http://{}/", self.server.url.authority())
    }

    /// A handshaken session over the transport of this run, its first connect answered, so that it can receive.
    pub async fn peer(&self) -> Result<Peer> {
        self.peer_over(self.transport).await
    }

    /// The same over another transport.
    pub async fn peer_over(&self, transport: Transport) -> Result<Peer> {
        let mut peer = self.newborn_over(transport).await?;
        peer.settle().await?;
        Ok(peer)
    }

    /// A handshaken session that has not sent its first connect.
    pub async fn newborn(&self) -> Result<Peer> {
        self.newborn_over(self.transport).await
    }

    /// The same over another transport.
    pub async fn newborn_over(&self, transport: Transport) -> Result<Peer> {
        Peer::handshake(self.clone(), transport, None).await
    }

    /// A session over long-polling, to publish with: what is looked at then hangs on the receiver's transport alone.
    pub async fn publisher(&self) -> Result<Peer> {
        self.peer_over(Transport::LongPolling).await
    }

    /// A fresh connection.
    pub async fn connection(&self) -> Result<Connection> {
        Connection::open(&self.server.url, self.source, &self.watch).await
    }

    /// A fresh WebSocket on the mount.
    pub async fn socket(&self) -> Result<Socket> {
        self.socket_with(&Upgrade::default()).await
    }

    /// A fresh WebSocket made with these headers.
    pub async fn socket_with(&self, upgrade: &Upgrade) -> Result<Socket> {
        Socket::open(&self.server.url, self.source, upgrade, &self.watch).await
    }

    /// Sends one request over a fresh connection and reads the answer.
    pub async fn send(&self, request: &Request) -> Result<Response> {
        let mut connection = self.connection().await?;
        connection.send(request).await?;
        connection.response(PATIENCE).await
    }

    /// POSTs bytes as JSON to the mount.
    pub async fn post(&self, body: impl Into<Vec<u8>>) -> Result<Response> {
        self.send(&Request::json(&self.target(""), body)).await
    }
}
