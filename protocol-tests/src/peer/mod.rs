//! One session as a decent client would drive it, over any transport: handshake, connect, subscribe, publish.
//!
//! Called by nearly every case. Never reconnects or re-handshakes by itself, never retries: a refusal is what the case
//! came to see. Cookies that the server sets are sent back, as a browser does.

mod receive;
mod turn;
mod verbs;

pub use turn::Turn;

use crate::{
    context::{Context, HELD, PATIENCE},
    transport::Transport,
    wire::{
        http::Connection,
        message::Message,
        request::{Request, percent},
        socket::{Socket, Upgrade},
        sse::EventStream,
    },
};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use std::collections::VecDeque;

/// A session of the server, seen from its client.
#[derive(Debug)]
pub struct Peer {
    /// The case it belongs to.
    pub cx: Context,
    /// How it talks.
    pub transport: Transport,
    /// What the server calls it.
    pub client_id: String,
    /// `name=value` of the cookie, if the server set one.
    pub cookie: Option<String>,
    /// The WebSocket, on that transport.
    pub socket: Option<Socket>,
    stream: Option<EventStream>,
    inbox: VecDeque<Message>,
    looked_at: usize,
    last_id: u64,
}

/// A request on its way, and how its answer will be found.
#[derive(Debug)]
pub enum Pending {
    /// On a connection of its own.
    Http(Connection, Vec<Value>),
    /// In the journal of the socket, from this position.
    Socket(usize, Vec<Value>),
}

impl Pending {
    /// Ends the connection of a held request with a reset, as a client does that vanishes.
    pub fn abort(self) {
        if let Self::Http(connection, _) = self {
            connection.abort();
        }
    }
}

impl Peer {
    /// A new session; `cookie` is what the browser already had.
    pub async fn handshake(cx: Context, transport: Transport, cookie: Option<String>) -> Result<Self> {
        let mut peer = Self::attach(cx, transport, "", cookie).await?;
        let hello = peer.handshake_message();
        let reply = peer.ask_one(hello).await?;
        ensure!(reply.successful(), "the handshake was refused: {}", reply.raw);
        peer.client_id = reply["clientId"].as_str().context("a handshake reply without clientId")?.to_owned();
        Ok(peer)
    }

    /// A new session that asks for these extensions, and what it was told.
    pub async fn extended(cx: Context, transport: Transport, ext: Value) -> Result<(Self, Message)> {
        let mut peer = Self::attach(cx, transport, "", None).await?;
        let mut hello = peer.handshake_message();
        hello["ext"] = ext;
        let reply = peer.ask_one(hello).await?;
        ensure!(reply.successful(), "the handshake was refused: {}", reply.raw);
        peer.client_id = reply["clientId"].as_str().context("a handshake reply without clientId")?.to_owned();
        Ok((peer, reply))
    }

    /// Somebody who claims this session, over any transport.
    pub async fn attach(cx: Context, transport: Transport, client_id: &str, cookie: Option<String>) -> Result<Self> {
        let socket = match transport {
            Transport::WebSocket => {
                let headers = cookie.iter().map(|cookie| ("Cookie".to_owned(), cookie.clone())).collect();
                Some(cx.socket_with(&Upgrade { headers, ..Upgrade::default() }).await?)
            }
            _ => None,
        };
        let client_id = client_id.to_owned();
        let (stream, inbox) = (None, VecDeque::new());
        Ok(Self { cx, transport, client_id, cookie, socket, stream, inbox, looked_at: 0, last_id: 0 })
    }

    /// The same session continued over another transport: nothing has been sent there yet.
    pub async fn moved_to(&self, transport: Transport) -> Result<Self> {
        let mut peer = Self::attach(self.cx.clone(), transport, &self.client_id, self.cookie.clone()).await?;
        peer.last_id = self.last_id + 1000;
        Ok(peer)
    }

    /// Sends the first connect of this session on this transport and opens the stream where there is one.
    pub async fn settle(&mut self) -> Result<()> {
        let connect = self.connect_message(Some(json!({"timeout": 0})));
        let reply = self.ask_one(connect).await?;
        ensure!(reply.successful(), "the first connect was refused: {}", reply.raw);
        if self.transport == Transport::EventSource {
            self.stream = Some(self.open_stream(None).await?);
        }
        Ok(())
    }

    /// Opens the event stream of this session.
    pub async fn open_stream(&self, last_event_id: Option<&str>) -> Result<EventStream> {
        let mut request = Request::new("GET", &self.cx.target(&format!("/{}", self.client_id)));
        request = request.header("Accept", "text/event-stream");
        if let Some(id) = last_event_id {
            request = request.header("Last-Event-ID", id);
        }
        let mut connection = self.cx.connection().await?;
        connection.send(&self.with_cookie(request)).await?;
        let head =
            tokio::time::timeout(PATIENCE, connection.head()).await.context("no answer to the stream request")??;
        self.cx.watch.status(head.status);
        ensure!(head.status == 200, "the stream was refused with status {}", head.status);
        EventStream::new(connection, head, &self.cx.watch)
    }

    /// The stream, on that transport.
    pub fn take_stream(&mut self) -> Result<EventStream> {
        self.stream.take().context("no stream is open")
    }

    /// Sends messages without waiting for the answer.
    pub async fn start(&mut self, messages: &[Value]) -> Result<Pending> {
        let ids = messages.iter().map(|message| message["id"].clone()).collect();
        self.start_text(&serde_json::to_string(messages)?, ids).await
    }

    /// Sends a text that is, or claims to be, an array of messages with these ids.
    pub async fn start_text(&mut self, body: &str, ids: Vec<Value>) -> Result<Pending> {
        if let Some(socket) = &mut self.socket {
            let from = socket.journal.len();
            socket.send(body).await?;
            return Ok(Pending::Socket(from, ids));
        }
        let mut connection = self.cx.connection().await?;
        connection.send(&self.request(body)).await?;
        Ok(Pending::Http(connection, ids))
    }

    /// Waits for the answer.
    pub async fn finish(&mut self, pending: Pending) -> Result<Turn> {
        let turn = match pending {
            Pending::Http(connection, ids) => self.finish_http(connection, ids).await?,
            Pending::Socket(from, ids) => self.finish_socket(from, ids).await?,
        };
        if self.socket.is_none() {
            self.inbox.extend(turn.messages.iter().filter(|message| message.is_event()).cloned());
        }
        Ok(turn)
    }

    /// Sends messages and waits for the answer.
    pub async fn ask(&mut self, messages: &[Value]) -> Result<Turn> {
        let pending = self.start(messages).await?;
        self.finish(pending).await
    }

    /// Sends one message and waits for its reply.
    pub async fn ask_one(&mut self, message: Value) -> Result<Message> {
        self.ask(&[message]).await?.reply().cloned()
    }

    /// Whether a request stays unanswered for a while.
    pub async fn is_held(&mut self, pending: &mut Pending) -> Result<bool> {
        match pending {
            Pending::Http(connection, _) => connection.silent_for(HELD).await,
            Pending::Socket(from, ids) => {
                let socket = self.socket.as_mut().context("no socket")?;
                let answered = |message: &Message| message.is_reply() && ids.contains(&message["id"]);
                Ok(socket.until(*from, HELD, answered).await.is_err())
            }
        }
    }

    /// The HTTP request that carries a body for this session.
    pub fn request(&self, body: &str) -> Request {
        let request = match self.transport {
            Transport::CallbackPolling => {
                Request::new("GET", &self.cx.target(&format!("?jsonp=cb&message={}", percent(body))))
            }
            _ => Request::json(&self.cx.target(""), body),
        };
        self.with_cookie(request)
    }

    fn with_cookie(&self, request: Request) -> Request {
        match &self.cookie {
            Some(cookie) => request.header("Cookie", cookie),
            None => request,
        }
    }

    async fn finish_http(&mut self, mut connection: Connection, ids: Vec<Value>) -> Result<Turn> {
        let response = connection.response(PATIENCE).await?;
        if let Some(cookie) = response.head.all("set-cookie").next() {
            self.cookie = cookie.split(';').next().map(str::to_owned);
        }
        ensure!(response.status() == 200, "status {}: {}", response.status(), String::from_utf8_lossy(&response.body));
        Ok(Turn { messages: response.messages()?, ids })
    }

    async fn finish_socket(&mut self, from: usize, ids: Vec<Value>) -> Result<Turn> {
        let socket = self.socket.as_mut().context("no socket")?;
        let mut end = from;
        for id in &ids {
            let wanted = |message: &Message| message.is_reply() && message["id"] == *id;
            let found = socket.until(from, PATIENCE, wanted).await.with_context(|| format!("no reply with id {id}"))?;
            end = end.max(found + 1);
        }
        Ok(Turn { messages: socket.journal[from..end].to_vec(), ids })
    }
}
