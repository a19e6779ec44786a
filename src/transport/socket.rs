//! One WebSocket: frames in, replies and messages out, one connect held as heartbeat.
//!
//! Runs as one task per socket. Messages are pushed as they come, those that wait together in one frame. The end of the
//! socket never ends the session, and a write that failed puts its messages back.

mod ending;

use super::{
    Transport,
    connection::{Connection, while_moving},
    exchange::{Dispatched, Due, Frame},
    frames::{self, Publications},
    response,
};
use crate::{
    bayeux::{Reply, decode, reply::meta},
    broker::{Answered, Caller, Connect, Delivery, Event, Plan, Session, Stream},
};
use bytes::Bytes;
use futures_util::{FutureExt, Sink, SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, Sleep, sleep_until, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message as WsMessage, Utf8Bytes,
        error::CapacityError,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

/// How long a client that said goodbye has to close the socket itself.
const GOODBYE_GRACE: Duration = Duration::from_secs(1);

type WebSocket = WebSocketStream<TokioIo<Upgraded>>;

/// A socket and what it is bound to.
pub struct Socket {
    transport: Transport,
    connection: Connection,
    caller: Caller,
    web_socket: WebSocket,
    /// The session it pushes for.
    stream: Option<Stream>,
    /// The connect that is held, and until when.
    held: Option<(Box<Plan>, Instant)>,
    /// Whether the peer sends objects without arrays: such peers read only one message a frame.
    bare: bool,
    next_ping: Instant,
    /// When the peer was last heard: pings are answered by every library.
    heard: Instant,
    /// When it last had to do with a session.
    bound: Instant,
    /// Set when the client said goodbye.
    close_at: Option<Instant>,
}

/// What there is to do next.
enum Step {
    Frame(Option<Result<WsMessage, Error>>),
    Session(Event),
    Time,
    Stop,
}

/// The socket is over, with what the peer is told.
struct Over(Option<CloseCode>);

impl Socket {
    /// A socket that has just been opened.
    pub fn new(connection: Connection, caller: Caller, web_socket: WebSocket) -> Self {
        let transport = connection.transport().clone();
        let now = Instant::now();
        let next_ping = now + transport.settings().websocket_ping;
        Self {
            transport,
            connection,
            caller,
            web_socket,
            stream: None,
            held: None,
            bare: false,
            next_ping,
            heard: now,
            bound: now,
            close_at: None,
        }
    }

    /// Serves the socket until either side ends it.
    pub async fn run(mut self) {
        let mut stop = self.transport.exchange().broker.stopping();
        let mut timer = Box::pin(sleep_until(self.next_ping));
        loop {
            let step = self.step(&mut timer, &mut stop).await;
            // In boxes of their own, so that a socket with nothing to do needs no room for them.
            let result = match step {
                Step::Frame(frame) => Box::pin(self.receive(frame)).await,
                Step::Session(event) => Box::pin(self.session_event(event)).await,
                Step::Time => Box::pin(self.on_time()).await,
                Step::Stop => Box::pin(self.stop()).await,
            };
            if let Err(Over(code)) = result {
                return Box::pin(self.close(code)).await;
            }
            let due = self.due();
            if timer.deadline() != due {
                timer.as_mut().reset(due);
            }
        }
    }

    /// Waits for whatever comes first.
    async fn step(&mut self, timer: &mut Pin<Box<Sleep>>, stop: &mut watch::Receiver<bool>) -> Step {
        let stopping = stop.wait_for(|stopping| *stopping).map(|_| ());
        tokio::pin!(stopping);
        poll_fn(|cx: &mut Context<'_>| {
            // A session that acknowledges is given messages with connect replies only.
            let (stream, held) = (self.stream.as_ref(), self.held.is_some());
            if let Some(Poll::Ready(event)) = stream.map(|s| s.poll_event(held || !s.acknowledges(), cx)) {
                return Poll::Ready(Step::Session(event));
            }
            if let Poll::Ready(frame) = self.web_socket.poll_next_unpin(cx) {
                return Poll::Ready(Step::Frame(frame));
            }
            if timer.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Step::Time);
            }
            stopping.as_mut().poll(cx).map(|()| Step::Stop)
        })
        .await
    }

    /// When something has to be done even if nothing happens.
    fn due(&self) -> Instant {
        let held = self.held.as_ref().map(|(_, until)| *until);
        [held, self.close_at].into_iter().flatten().fold(self.next_ping, Instant::min)
    }

    async fn receive(&mut self, frame: Option<Result<WsMessage, Error>>) -> Result<(), Over> {
        self.heard = Instant::now();
        match frame {
            Some(Ok(WsMessage::Text(text))) => self.request(text.as_bytes()).await,
            Some(Ok(WsMessage::Binary(_))) => Err(Over(Some(CloseCode::Unsupported))),
            Some(Ok(WsMessage::Ping(_) | WsMessage::Pong(_) | WsMessage::Frame(_))) => {
                // The answer to a ping is queued by the library and leaves with the next write.
                self.flush().await
            }
            Some(Err(Error::Capacity(CapacityError::MessageTooLong { .. }))) => Err(Over(Some(CloseCode::Size))),
            Some(Err(Error::Utf8(_))) => Err(Over(Some(CloseCode::Invalid))),
            Some(Err(Error::Protocol(_))) => Err(Over(Some(CloseCode::Protocol))),
            Some(Ok(WsMessage::Close(_)) | Err(_)) | None => Err(Over(None)),
        }
    }

    /// Handles one frame of messages.
    async fn request(&mut self, text: &[u8]) -> Result<(), Over> {
        let transport = self.transport.clone();
        let exchange = transport.exchange();
        let decoded = match decode(text, exchange.limits) {
            Ok(decoded) => decoded,
            Err(bad) => return self.send(response::refusal(bad)).await,
        };
        self.bare |= decoded.bare;
        let messages = decoded.messages;
        if messages.is_empty() {
            return Ok(());
        }
        let dispatched = match exchange.dispatch(&self.caller, &messages).await {
            Ok(dispatched) => dispatched,
            Err(refusals) => return self.send_replies(&refusals).await,
        };
        if self.stream.is_none()
            && dispatched.opened.is_none()
            && dispatched.connects.is_empty()
            && let Ok(session) = exchange.broker.session(&self.caller, &messages[0]).await
            && !session.lock().is_attached()
        {
            self.bind(&session);
        }
        let goodbye = messages.iter().any(|m| m.channel == meta::DISCONNECT);
        self.answer(dispatched, goodbye).await
    }

    /// Sends the replies of a frame; a connect that is to be held is kept.
    async fn answer(&mut self, dispatched: Dispatched, goodbye: bool) -> Result<(), Over> {
        if !dispatched.delay.is_zero() {
            tokio::time::sleep(dispatched.delay).await;
        }
        if let Some(session) = &dispatched.opened {
            self.bind(session);
        }
        let mut replies = dispatched.replies;
        if goodbye {
            self.say_goodbye(&mut replies);
        }
        let mut carried = Publications::new();
        for due in dispatched.connects {
            match due {
                Due::Now(Connect::Refused(reply)) => replies.push(*reply),
                Due::Before(answered) => {
                    let Some(Answered { delivery, reply, .. }) = answered.take() else { continue };
                    replies.push(reply);
                    carried.extend(delivery.publications);
                    // Also on a socket that did not push for the session.
                    self.close_at.get_or_insert_with(|| Instant::now() + GOODBYE_GRACE);
                }
                Due::Now(Connect::Planned(plan)) => {
                    if let Some((older, _)) = self.held.take() {
                        replies.push(older.superseded(&self.transport.exchange().broker));
                    }
                    self.bind(&plan.session);
                    if plan.hold.is_zero() {
                        self.transport.exchange().broker.answered(&plan.session);
                        let delivery = self.take_if_acknowledging().await;
                        replies.push(plan.answer(&self.transport.exchange().broker, delivery.position));
                        carried.extend(delivery.publications);
                    } else {
                        let until = Instant::now() + plan.hold;
                        self.held = Some((plan, until));
                    }
                }
            }
        }
        self.answer_connects(carried, &replies).await
    }

    /// Pushes for this session from now on.
    fn bind(&mut self, session: &Arc<Session>) {
        let bound = self.stream.as_ref().is_some_and(|s| Arc::ptr_eq(s.session(), session) && s.is_current());
        if !bound {
            self.stream = Some(self.transport.exchange().broker.attach(session));
            self.close_at = None;
        }
    }

    async fn session_event(&mut self, event: Event) -> Result<(), Over> {
        match event {
            Event::Messages => {
                let acknowledges = self.stream.as_ref().is_some_and(Stream::acknowledges);
                match self.held.take_if(|_| acknowledges) {
                    Some((plan, _)) => {
                        let delivery = self.take_if_acknowledging().await;
                        self.answer_held(plan, delivery).await
                    }
                    None => self.push().await,
                }
            }
            Event::Superseded => {
                self.stream = None;
                match self.held.take() {
                    Some((plan, _)) => {
                        let reply = plan.superseded(&self.transport.exchange().broker);
                        self.send_replies(&[reply]).await
                    }
                    None => Ok(()),
                }
            }
            Event::Ended(end) => self.session_ended(end).await,
        }
    }

    async fn on_time(&mut self) -> Result<(), Over> {
        let now = Instant::now();
        if self.close_at.is_some_and(|at| at <= now) {
            return Err(Over(Some(CloseCode::Normal)));
        }
        if let Some((plan, _)) = self.held.take_if(|(_, until)| *until <= now) {
            self.answer_held(plan, Delivery::default()).await?;
        }
        if self.next_ping <= now {
            self.check_idle(now)?;
            self.next_ping = now + self.transport.settings().websocket_ping;
            self.write(WsMessage::Ping(Bytes::new())).await?;
        }
        Ok(())
    }

    /// A peer that answers no ping is gone; one without a session has no reason to stay.
    fn check_idle(&mut self, now: Instant) -> Result<(), Over> {
        let settings = self.transport.settings();
        let patience = settings.idle_timeout.max(settings.websocket_ping * 2);
        if self.stream.is_some() || self.held.is_some() {
            self.bound = now;
        }
        let is_idle = |since: Instant| now.saturating_duration_since(since) >= patience;
        if is_idle(self.heard) || is_idle(self.bound) { Err(Over(Some(CloseCode::Away))) } else { Ok(()) }
    }

    /// Answers the held connect together with what it carries.
    async fn answer_held(&mut self, plan: Box<Plan>, carried: Delivery) -> Result<(), Over> {
        let transport = self.transport.clone();
        let broker = &transport.exchange().broker;
        broker.answered(&plan.session);
        let reply = plan.answer(broker, carried.position);
        self.answer_connects(carried.publications, &[reply]).await
    }

    /// What a connect carries: of a session that acknowledges as much as fits into one frame with the reply.
    async fn take_if_acknowledging(&mut self) -> Delivery {
        match self.stream.as_ref().filter(|s| s.acknowledges()) {
            Some(stream) => stream.take_at_most(self.transport.settings().max_frame_bytes).await,
            None => Delivery::default(),
        }
    }

    /// Takes what waits and writes it.
    async fn push(&mut self) -> Result<(), Over> {
        let Some(stream) = &self.stream else { return Ok(()) };
        let delivery = stream.take().await;
        let (position, gap) = (delivery.position, delivery.gap);
        let session = Arc::clone(stream.session());
        if let Err((over, rest)) = self.send_together(delivery.publications, &[]).await {
            self.transport.exchange().broker.restore(&session, Delivery::rest(rest));
            return Err(over);
        }
        // The client is told with its connect: at once.
        if let Some((plan, _)) = self.held.take_if(|_| gap.is_some()) {
            self.answer_held(plan, Delivery::told(position)).await?;
        }
        Ok(())
    }

    /// Writes messages frame by frame, and replies beside the last of them: a client that acknowledges must have messages
    /// and their number both or neither. An error gives back what was not written.
    async fn send_together(&mut self, mut rest: Publications, replies: &[Reply]) -> Result<(), (Over, Publications)> {
        let (most, max) = (if self.bare { 1 } else { usize::MAX }, self.transport.settings().max_frame_bytes);
        while !rest.is_empty() {
            let count = frames::fitting(&rest, most, max);
            let goes_along = count == rest.len() && !replies.is_empty() && !self.bare;
            let bytes = frames::together(&rest[..count], if goes_along { replies } else { &[] });
            if let Err(over) = self.send(bytes).await {
                return Err((over, rest));
            }
            if goes_along {
                return Ok(());
            }
            rest.drain(..count);
        }
        self.send_replies(replies).await.map_err(|over| (over, rest))
    }

    /// Answers connects together with what they carry. What is not written then was not acknowledged, and is sent again.
    async fn answer_connects(&mut self, carried: Publications, replies: &[Reply]) -> Result<(), Over> {
        self.send_together(carried, replies).await.map_err(|(over, _)| over)
    }

    async fn send_replies(&mut self, replies: &[Reply]) -> Result<(), Over> {
        if replies.is_empty() {
            return Ok(());
        }
        let groups = if self.bare { 1 } else { replies.len().max(1) };
        for group in replies.chunks(groups) {
            let mut frame = Frame::with_capacity(128 * group.len());
            group.iter().for_each(|reply| frame.reply(reply));
            self.send(frame.finish()).await?;
        }
        Ok(())
    }

    async fn send(&mut self, json: Bytes) -> Result<(), Over> {
        match Utf8Bytes::try_from(json) {
            Ok(text) => self.write(WsMessage::Text(text)).await,
            Err(error) => {
                tracing::error!(%error, "a frame was not UTF-8");
                Err(Over(Some(CloseCode::Error)))
            }
        }
    }

    async fn write(&mut self, message: WsMessage) -> Result<(), Over> {
        Pin::new(&mut self.web_socket).start_send(message).map_err(|_| Over(None))?;
        self.flush().await
    }

    /// Writes out. Nearly always the kernel takes it at once; only a slow peer is given a timer.
    async fn flush(&mut self) -> Result<(), Over> {
        if let Some(done) = self.web_socket.flush().now_or_never() {
            return done.map_err(|_| Over(None));
        }
        let (within, connection) = (self.transport.settings().write_timeout, &self.connection);
        let done = while_moving(within, || connection.moved(), self.web_socket.flush()).await;
        done.and_then(Result::ok).ok_or(Over(None))
    }

    /// Says why and waits a moment for the peer to agree.
    async fn close(&mut self, code: Option<CloseCode>) {
        // Whoever takes the session over should not wait for this.
        self.stream = None;
        let frame = code.map(|code| CloseFrame { code, reason: Utf8Bytes::default() });
        let polite = async {
            // An error says that the peer was first; reading on is what sends it our answer.
            let _ = self.web_socket.close(frame).await;
            while let Some(Ok(_)) = self.web_socket.next().await {}
        };
        // A peer that does not answer is gone all the same.
        let _ = timeout(GOODBYE_GRACE, polite).await;
    }
}
