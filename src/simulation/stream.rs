//! An EventSource as a client: reads events as they come while its connects go on beside it as heartbeats. When the stream
//! breaks, it is opened again from the last event it got, or the client goes back to polling.

use super::{
    check::View,
    client::Client,
    network::{Outgoing, connect, head_len, serve},
    world::Server,
};
use crate::transport::{Connection, body::AnswerBody};
use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, sleep_until};

/// What is around each chunk of a body of unknown length.
const CHUNK_FRAME: usize = 8;

/// Why a stream is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    /// The client wants no more.
    Closed,
    /// The connection broke.
    Broken,
    /// The broker ended it.
    Ended,
}

impl Client {
    /// Streams for a while.
    pub(super) async fn stream(&self) {
        self.world.trace.note(&self.name, format_args!("streams"));
        // A page opens another, or the browser goes on with the one it has, whatever came otherwise meanwhile.
        let another = self.one_in(2);
        {
            let mut seat = self.seat.lock();
            seat.last_event = seat.last_event.filter(|_| !another);
            seat.streamed_from.1 = true;
        }
        let until = Instant::now() + self.a_while();
        let streaming = async {
            while Instant::now() < until && !self.seat.lock().lost {
                if self.stream_once(until).await != Over::Broken {
                    return;
                }
                self.pause(0..300).await;
            }
        };
        let beating = async {
            loop {
                self.connect("eventsource").await;
                self.pause(1..60).await;
            }
        };
        tokio::select! {
            biased;
            () = streaming => {}
            () = beating => {}
        }
        // Whatever connect was held beside it is given up.
        self.connects.hang_up();
    }

    fn a_while(&self) -> Duration {
        self.draw_ms(500..8000)
    }

    async fn stream_once(&self, until: Instant) -> Over {
        let Some(server) = self.world.server() else { return Over::Broken };
        let (id, view, last) = {
            let mut seat = self.seat.lock();
            let (from, polled) = seat.streamed_from;
            // A broker that was started since cannot know what it got by polls.
            seat.last_event = seat.last_event.filter(|_| !polled || from == self.world.starts());
            (seat.id.clone(), Arc::clone(&seat.view), seat.last_event)
        };
        let mut headers = vec![("accept", "text/event-stream".to_owned()), self.cookie()];
        headers.extend(last.map(|last| ("last-event-id", last.to_string())));
        let request = Outgoing { method: "GET", uri: format!("/bayeux/{id}"), headers, body: String::new() };
        let connection = connect(&server);
        let answer = serve(&server, &connection, &request, Duration::from_secs(5)).await;
        let Some((parts, body)) = answer.filter(|(parts, _)| parts.status == 200) else { return Over::Ended };
        connection.wrote(head_len(&parts, None));
        let over = self.read(&server, (&connection, body), until, &view).await;
        self.world.trace.note(&self.name, format_args!("the stream is over: {over:?}"));
        if !server.forgets_cut_answers {
            connection.closed();
        }
        over
    }

    async fn read(
        &self,
        server: &Arc<Server>,
        (connection, mut body): (&Connection, AnswerBody),
        until: Instant,
        view: &Arc<View>,
    ) -> Over {
        loop {
            let chunk = tokio::select! {
                biased;
                () = server.gone() => return Over::Broken,
                frame = body.frame() => match frame {
                    Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                    _ => return Over::Ended,
                },
                () = sleep_until(until) => return Over::Closed,
            };
            let whole = chunk.len() + CHUNK_FRAME;
            let broken = !self.world.is_quiet() && self.one_in(self.world.plan.trouble);
            if broken && self.one_in(2) {
                connection.wrote(self.draw_ms(0..chunk.len() as u64).as_millis() as usize);
                return Over::Broken;
            }
            connection.wrote(whole);
            let event = Event::of(&chunk);
            if broken {
                // Written and lost; who names the last event when it comes back gets it all the same.
                self.world.trace.note(&self.name, format_args!("an event is lost"));
                view.unheard(&event.data);
                return Over::Broken;
            }
            sleep(self.draw_ms(0..15)).await;
            if event.id.is_some() {
                let mut seat = self.seat.lock();
                seat.last_event = event.id;
                seat.streamed_from = (self.world.starts(), false);
            }
            if let Ok(Value::Array(messages)) = serde_json::from_slice(&event.data) {
                self.receive(&messages, view);
            }
        }
    }
}

struct Event {
    id: Option<u64>,
    data: Bytes,
}

impl Event {
    fn of(chunk: &[u8]) -> Self {
        let text = String::from_utf8_lossy(chunk);
        let field = |name| text.lines().filter_map(move |line| line.strip_prefix(name));
        let id = field("id: ").next().and_then(|id| id.parse().ok());
        Self { id, data: field("data: ").collect::<String>().into() }
    }
}
