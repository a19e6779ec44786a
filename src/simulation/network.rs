//! A network that loses, delays, repeats and cuts. One [`Wire`] is what a client keeps to the broker: it dials again
//! whenever its connection broke.
//!
//! Requests go into the endpoint as bytes and answers come back as bytes; the bytes of answers are counted as the server
//! does it, so that an answer that was cut is put back by the broker itself.

use super::{
    chance::Chance,
    check::View,
    world::{Server, World},
};
use crate::{
    bayeux::Seq,
    transport::{Connection, body::AnswerBody, endpoint},
};
use bytes::Bytes;
use http::{Request, Response, response::Parts};
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;
use std::{net::IpAddr, sync::Arc, time::Duration};
use tokio::time::sleep;

/// Longest time that a client waits for any answer; more than any connect is held.
const PATIENCE: Duration = Duration::from_secs(15);

/// What becomes of one request and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Both arrive.
    Clean,
    /// Both arrive, late.
    Late,
    /// The request never arrives.
    RequestLost,
    /// The request arrives a second time later, over another connection, whose answer nobody hears.
    Twice,
    /// The client hangs up while it waits.
    HangUp,
    /// The answer is made and not even begun to be written.
    Unwritten,
    /// The connection breaks while the answer is written, and the broker learns it at once.
    Cut,
    /// The same, and the broker learns it later.
    CutUnnoticed,
    /// The answer is written as a whole and lost on its way.
    AnswerLost,
}

const FATES: [Fate; 8] = [
    Fate::Late,
    Fate::RequestLost,
    Fate::Twice,
    Fate::HangUp,
    Fate::Unwritten,
    Fate::Cut,
    Fate::CutUnnoticed,
    Fate::AnswerLost,
];

/// A request as bytes.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Path and query.
    pub uri: String,
    /// Headers.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: String,
}

impl Outgoing {
    fn build(&self) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method(self.method).uri(&self.uri);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        request.body(Full::new(Bytes::from(self.body.clone()))).unwrap()
    }
}

/// An answer that arrived.
pub struct Incoming {
    /// HTTP status.
    pub status: u16,
    /// The whole body.
    pub body: Bytes,
    /// Where the log ended when the answer was made.
    pub newest: Seq,
}

/// No answer arrived; the client cannot know why.
#[derive(Debug)]
pub struct Lost;

/// A client's connection.
pub struct Wire {
    world: Arc<World>,
    name: String,
    chance: Mutex<Chance>,
    open: Mutex<Option<(Arc<Server>, Connection)>>,
    repeats: Repeats,
}

/// When the network may repeat a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeats {
    /// Whenever.
    Later,
    /// So that the repetition comes first.
    Before,
    /// Never: it does harm by the contract.
    Never,
}

impl Wire {
    /// A wire that is not dialled yet.
    pub fn new(world: &Arc<World>, name: &str, chance: Chance, repeats: Repeats) -> Self {
        let (world, name) = (Arc::clone(world), name.to_owned());
        Self { world, name, chance: Mutex::new(chance), open: Mutex::default(), repeats }
    }

    fn fate(&self, view: Option<&Arc<View>>) -> Fate {
        let mut chance = self.chance.lock();
        if self.world.is_quiet() || !chance.one_in(self.world.plan.trouble) {
            return Fate::Clean;
        }
        match chance.pick(&FATES) {
            Fate::Twice if self.repeats == Repeats::Never => Fate::Clean,
            // Who does not acknowledge relies on the broker knowing a broken connection when he comes back.
            Fate::CutUnnoticed if view.is_some_and(|v| !v.ack) => Fate::Cut,
            fate => fate,
        }
    }

    /// The connection, dialled if need be.
    pub async fn dial(&self) -> Result<(Arc<Server>, Connection), Lost> {
        let Some(server) = self.world.server() else {
            self.pause(10..300).await;
            return Err(Lost);
        };
        let mut open = self.open.lock();
        match &*open {
            Some((to, connection)) if Arc::ptr_eq(to, &server) => Ok((server, connection.clone())),
            _ => {
                let connection = connect(&server);
                *open = Some((Arc::clone(&server), connection.clone()));
                Ok((server, connection))
            }
        }
    }

    /// The connection is over.
    pub fn hang_up(&self) {
        if let Some((server, connection)) = self.open.lock().take() {
            close(&server, &connection);
        }
    }

    async fn pause(&self, range: std::ops::Range<u64>) {
        let pause = self.chance.lock().ms(range);
        sleep(pause).await;
    }

    /// Sends a request and waits for its answer. `view` is the session that it is for; `served` is called when the
    /// broker has made its answer.
    pub async fn send(
        &self,
        request: &Outgoing,
        view: Option<&Arc<View>>,
        served: impl Fn() + Send,
    ) -> Result<Incoming, Lost> {
        let fate = self.fate(view);
        if fate != Fate::Clean {
            self.world.trace.note(&self.name, format_args!("{fate:?}"));
        }
        let late = fate == Fate::Late;
        self.pause(if late { 0..2000 } else { 0..15 }).await;
        if fate == Fate::RequestLost {
            self.hang_up();
            self.pause(100..3000).await;
            return Err(Lost);
        }
        let (server, connection) = self.dial().await?;
        if fate == Fate::Twice {
            let again = self.chance.lock().ms(0..1500);
            let repeat = repeat(Arc::clone(&self.world), request.clone(), view.cloned(), again);
            // What changes something must not be repeated when the client has changed its mind already.
            if self.repeats == Repeats::Before { repeat.await } else { drop(tokio::spawn(repeat)) }
        }
        let patience = if fate == Fate::HangUp { self.chance.lock().ms(0..1000) } else { PATIENCE };
        let Some((parts, body)) = serve(&server, &connection, request, patience).await else {
            self.hang_up();
            self.pause(0..500).await;
            return Err(Lost);
        };
        served();
        let newest = server.engine().newest();
        let written = self.write(fate, (&server, &connection), &parts, body, view).await;
        if written.is_err() {
            self.open.lock().take();
        }
        let mut under_way = UnderWay { view, body: written? };
        self.pause(if late { 0..2000 } else { 0..15 }).await;
        under_way.view = None;
        Ok(Incoming { status: parts.status.as_u16(), body: under_way.body.clone(), newest })
    }

    async fn write(
        &self,
        fate: Fate,
        (server, connection): (&Arc<Server>, &Connection),
        parts: &Parts,
        body: AnswerBody,
        view: Option<&Arc<View>>,
    ) -> Result<Bytes, Lost> {
        if fate == Fate::Unwritten {
            drop(body);
            close(server, connection);
            return Err(Lost);
        }
        let bytes = body.collect().await.map_err(|_| Lost)?.to_bytes();
        let whole = head_len(parts, Some(bytes.len())) + bytes.len();
        match fate {
            Fate::Cut | Fate::CutUnnoticed => {
                connection.wrote(self.chance.lock().of(0..whole as u64) as usize);
                let notice = self.chance.lock().ms(0..3000);
                let (server, connection) = (Arc::clone(server), connection.clone());
                if fate == Fate::Cut {
                    close(&server, &connection);
                } else {
                    tokio::spawn(async move {
                        sleep(notice).await;
                        close(&server, &connection);
                    });
                }
                Err(Lost)
            }
            Fate::AnswerLost => {
                connection.wrote(whole);
                close(server, connection);
                view.inspect(|view| view.unheard(&bytes));
                Err(Lost)
            }
            _ => {
                connection.wrote(whole);
                Ok(bytes)
            }
        }
    }
}

/// An answer between broker and client, who may leave before it is there.
struct UnderWay<'a> {
    view: Option<&'a Arc<View>>,
    body: Bytes,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.view.inspect(|view| view.unheard(&self.body));
    }
}

/// Dials.
pub fn connect(server: &Arc<Server>) -> Connection {
    Connection::new(server.transport.clone(), Some(IpAddr::from([127, 0, 0, 1])))
}

/// The broker learns that a connection is over.
fn close(server: &Arc<Server>, connection: &Connection) {
    if !server.forgets_cut_answers {
        connection.closed();
    }
}

/// Bytes of the response head, as hyper writes it.
pub fn head_len(parts: &Parts, length: Option<usize>) -> usize {
    let headers: usize = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let length = match length {
        Some(length) => format!("content-length: {length}\r\n").len(),
        None => "transfer-encoding: chunked\r\n".len(),
    };
    "HTTP/1.1 200 OK\r\n\r\n".len() + headers + length + "date: Thu, 26 Nov 2026 11:04:10 GMT\r\n".len()
}

/// The broker's answer, if it comes before the client's patience or the broker ends.
pub async fn serve(
    server: &Arc<Server>,
    connection: &Connection,
    request: &Outgoing,
    patience: Duration,
) -> Option<(Parts, AnswerBody)> {
    let answering = endpoint::serve(connection.clone(), request.build());
    tokio::select! {
        biased;
        () = server.gone() => None,
        answer = answering => Some(Response::into_parts(answer)),
        () = sleep(patience) => None,
    }
}

/// The same request once more; nobody hears the answer.
async fn repeat(world: Arc<World>, request: Outgoing, view: Option<Arc<View>>, after: Duration) {
    sleep(after).await;
    let Some(server) = world.server() else { return };
    let connection = connect(&server);
    let Some((parts, body)) = serve(&server, &connection, &request, PATIENCE).await else { return };
    let Ok(bytes) = body.collect().await else { return };
    let bytes = bytes.to_bytes();
    connection.wrote(head_len(&parts, Some(bytes.len())) + bytes.len());
    view.inspect(|view| view.unheard(&bytes));
    close(&server, &connection);
}
