//! One WebSocket to the server. Keeps everything it heard, in order, frame by frame.
//!
//! Called by `peer` and the websocket cases. Never reconnects, and never sends a frame that nobody asked for, apart
//! from the pongs that the protocol owes.

use super::{
    grammar::Watch,
    http::Connection,
    message::{Message, excerpt},
    url::Url,
};
use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use std::{net::IpAddr, time::Duration};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, client::IntoClientRequest, http},
};

/// What the socket is made with.
#[derive(Clone, Debug, Default)]
pub struct Upgrade {
    /// Appended to the mount.
    pub sub_path: String,
    /// Extra header lines of the upgrade request.
    pub headers: Vec<(String, String)>,
}

/// Something the server did.
#[derive(Debug)]
pub enum Incoming {
    /// A text frame, as long as it was, and the messages in it.
    Frame(usize, Vec<Message>),
    /// A ping.
    Ping,
    /// A pong.
    Pong,
    /// The end, with the close code if one was given.
    Closed(Option<u16>),
}

/// An open WebSocket.
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<TcpStream>,
    watch: Watch,
    /// All messages heard so far, in order.
    pub journal: Vec<Message>,
    /// The length of each text frame heard so far and how many messages were in it.
    pub frames: Vec<(usize, usize)>,
}

impl Socket {
    /// Upgrades a new connection.
    pub async fn open(url: &Url, source: Option<IpAddr>, upgrade: &Upgrade, watch: &Watch) -> Result<Self> {
        let stream = Connection::stream(url, source).await?;
        stream.set_nodelay(true)?;
        let mut request = format!("ws://{}{}{}", url.authority(), url.path, upgrade.sub_path).into_client_request()?;
        for (name, value) in &upgrade.headers {
            request.headers_mut().insert(http::HeaderName::try_from(name.as_str())?, value.parse()?);
        }
        let (stream, _response) = client_async(request, stream).await.context("the upgrade was refused")?;
        Ok(Self { stream, watch: watch.clone(), journal: Vec::new(), frames: Vec::new() })
    }

    /// Sends a text frame.
    pub async fn send(&mut self, text: &str) -> Result<()> {
        self.send_frame(tungstenite::Message::text(text)).await
    }

    /// Sends any frame.
    pub async fn send_frame(&mut self, frame: tungstenite::Message) -> Result<()> {
        self.stream.send(frame).await.context("the server closed the socket")
    }

    /// Waits for the next thing the server does.
    pub async fn next(&mut self, deadline: Instant) -> Result<Incoming> {
        let frame =
            match timeout_at(deadline, self.stream.next()).await.context("nothing more on the socket in time")? {
                Some(Ok(frame)) => frame,
                Some(Err(_)) | None => return Ok(Incoming::Closed(None)),
            };
        Ok(match frame {
            tungstenite::Message::Text(text) => self.heard(text.as_str())?,
            tungstenite::Message::Ping(_) => Incoming::Ping,
            tungstenite::Message::Pong(_) => Incoming::Pong,
            tungstenite::Message::Close(close) => Incoming::Closed(close.map(|close| close.code.into())),
            other => bail!("the server sent a frame that is not text: {}", excerpt(&other.to_string())),
        })
    }

    /// Waits for the next text frame.
    pub async fn frame(&mut self, within: Duration) -> Result<Vec<Message>> {
        let deadline = Instant::now() + within;
        loop {
            match self.next(deadline).await? {
                Incoming::Frame(_, messages) => return Ok(messages),
                Incoming::Closed(code) => bail!("the server closed the socket ({code:?})"),
                Incoming::Ping | Incoming::Pong => {}
            }
        }
    }

    /// Waits for the server to close the socket and gives the close code.
    pub async fn close_code(&mut self, within: Duration) -> Result<Option<u16>> {
        let deadline = Instant::now() + within;
        loop {
            if let Incoming::Closed(code) = self.next(deadline).await.context("the server did not close the socket")? {
                return Ok(code);
            }
        }
    }

    /// Waits until a message in the journal, from position `from`, satisfies `wanted`; gives its position.
    pub async fn until(&mut self, from: usize, within: Duration, wanted: impl Fn(&Message) -> bool) -> Result<usize> {
        let deadline = Instant::now() + within;
        let mut looked_at = from;
        loop {
            while let Some(message) = self.journal.get(looked_at) {
                if wanted(message) {
                    return Ok(looked_at);
                }
                looked_at += 1;
            }
            if let Incoming::Closed(code) = self.next(deadline).await? {
                bail!("the server closed the socket ({code:?})");
            }
        }
    }

    /// Ends the connection with a reset, without a close frame.
    pub fn abort(self) {
        // Without it the drop below is an ordinary end, which is the next best thing.
        self.stream.get_ref().set_zero_linger().ok();
    }

    fn heard(&mut self, text: &str) -> Result<Incoming> {
        let messages = Message::array(text).context("in a text frame")?;
        messages.iter().for_each(|message| self.watch.message(message));
        self.frames.push((text.len(), messages.len()));
        self.journal.extend(messages.iter().cloned());
        Ok(Incoming::Frame(text.len(), messages))
    }
}
