//! Long-polling and callback-polling: one request, one answer, held while there is nothing to say.
//!
//! Called by the endpoint with the JSON texts of a request. Messages leave only with connect replies. The two differ in
//! how the request came and how the answer is wrapped, and in nothing else.

use super::{
    Transport,
    body::Answer,
    connection::{Connection, Undelivered},
    endpoint::Accepted,
    exchange::{Dispatched, Due, Frame, GOODBYE},
    request::Texts,
    response,
};
use crate::{
    bayeux::{BadRequest, Message, ProtocolError, Reply, decode, reply::meta},
    broker::{Answered, Broker, Caller, Connect},
};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use std::fmt::Write;

/// Room for the replies of a normal answer.
const REPLIES_CAPACITY: usize = 256;

/// How an answer is wrapped.
pub enum Wrapping {
    /// As it is.
    Json,
    /// As the argument of a function call.
    Script(String),
}

/// A polling request that was handled and now waits for its answer.
pub struct Poll {
    dispatched: Dispatched,
    texts: Texts,
    wrapping: Wrapping,
    cookie: Option<HeaderValue>,
}

impl Transport {
    /// Handles one polling request.
    pub(super) async fn poll(&self, mut caller: Caller, texts: Texts, wrapping: Wrapping) -> Accepted {
        let messages = match self.decode_all(&texts) {
            Ok(messages) => messages,
            Err(bad) => return response::refused(bad).into(),
        };
        let mut cookie = None;
        if caller.browser.is_none() && messages.iter().any(|m| m.channel == meta::HANDSHAKE) {
            caller.browser = response::new_browser();
            cookie = caller.browser.and_then(|browser| response::browser_cookie(browser, self.settings()));
        }
        match self.exchange().dispatch(&caller, &messages).await {
            Ok(dispatched) => {
                let cookie = cookie.filter(|_| dispatched.opened.is_some());
                Accepted::Poll(Box::new(Poll { dispatched, texts, wrapping, cookie }))
            }
            Err(refusals) => {
                let mut frame = Frame::with_capacity(REPLIES_CAPACITY);
                refusals.iter().for_each(|reply| frame.reply(reply));
                response::whole(StatusCode::BAD_REQUEST, response::JSON, frame.finish(), None).into()
            }
        }
    }

    /// Waits until a poll has its answer.
    pub(super) async fn finish(&self, poll: Box<Poll>, connection: &Connection) -> Answer {
        let Poll { dispatched, texts, wrapping, cookie } = *poll;
        drop(texts);
        if !dispatched.delay.is_zero() {
            tokio::time::sleep(dispatched.delay).await;
        }
        let (frame, undelivered) = self.answer(dispatched).await;
        let mut response = wrap(frame, wrapping, undelivered.map(|u| (u, connection.clone())));
        if let Some(cookie) = cookie {
            response.headers_mut().insert(header::SET_COOKIE, cookie);
        }
        response
    }

    fn decode_all<'a>(&self, texts: &'a [Bytes]) -> Result<Vec<Message<'a>>, BadRequest> {
        let limits = self.exchange().limits;
        let mut all: Vec<Message<'a>> = Vec::new();
        for text in texts {
            let decoded = decode(text, limits)?;
            if all.is_empty() {
                all = decoded.messages;
            } else {
                all.extend(decoded.messages);
            }
            if all.len() > limits.messages {
                return Err(BadRequest(ProtocolError::TooManyMessages));
            }
        }
        Ok(all)
    }

    /// Waits for held connects and lays the answer out: messages, replies, connect replies.
    async fn answer(&self, dispatched: Dispatched) -> (Frame, Option<Undelivered>) {
        let Dispatched { replies, connects, .. } = dispatched;
        let mut last = Vec::with_capacity(connects.len());
        let mut frame = None;
        let mut taken = Taken { broker: &self.exchange().broker, undelivered: None };
        let mut kicked = false;
        for due in connects {
            let answered = match due {
                Due::Now(Connect::Refused(reply)) => {
                    last.push(*reply);
                    continue;
                }
                Due::Now(Connect::Planned(plan)) => Some(taken.broker.hold(plan).await),
                Due::Before(answered) => answered.take(),
            };
            let Some(Answered { session, delivery, kicked: by_broker, reply }) = answered else { continue };
            frame
                .get_or_insert_with(|| Frame::with_capacity(delivery.encoded_len() + REPLIES_CAPACITY))
                .deliver(&delivery);
            taken.add(Undelivered::new(&session, delivery));
            kicked |= by_broker;
            last.push(reply);
        }
        let mut frame = frame.unwrap_or_else(|| Frame::with_capacity(REPLIES_CAPACITY));
        if kicked {
            frame.raw(GOODBYE);
        }
        replies.iter().chain(&last).for_each(|reply: &Reply| frame.reply(reply));
        (frame, taken.undelivered.take())
    }
}

/// What was taken for an answer that is not laid out yet. It goes back when nobody waits for the answer any more.
struct Taken<'a> {
    broker: &'a Broker,
    undelivered: Option<Undelivered>,
}

impl Taken<'_> {
    fn add(&mut self, undelivered: Option<Undelivered>) {
        if let Some(undelivered) = undelivered {
            self.undelivered = Some(undelivered.after(self.undelivered.take()));
        }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(undelivered) = self.undelivered.take() {
            undelivered.restore(self.broker);
        }
    }
}

fn wrap(frame: Frame, wrapping: Wrapping, undelivered: Option<(Undelivered, Connection)>) -> Answer {
    let json = frame.finish();
    match wrapping {
        Wrapping::Json => response::whole(StatusCode::OK, response::JSON, json, undelivered),
        Wrapping::Script(function) => {
            let script = call(&function, &String::from_utf8_lossy(&json));
            let mut response = response::whole(StatusCode::OK, response::SCRIPT, script.into(), undelivered);
            // Together with the comment in front, what keeps a plug-in from taking the answer for a program.
            let file = HeaderValue::from_static("attachment; filename=f.txt");
            response.headers_mut().insert(header::CONTENT_DISPOSITION, file);
            response
        }
    }
}

/// A call of `function` with JSON made safe inside a script: two line separators are JSON but not JavaScript.
fn call(function: &str, json: &str) -> String {
    let mut script = String::with_capacity(json.len() + function.len() + 8);
    // Writing to a String cannot fail.
    let _ = write!(script, "/**/{function}(");
    for c in json.chars() {
        match c {
            '\u{2028}' => script.push_str("\\u2028"),
            '\u{2029}' => script.push_str("\\u2029"),
            c => script.push(c),
        }
    }
    script.push_str(");");
    script
}

/// Longest name of a callback.
const MAX_CALLBACK: usize = 64;

/// Whether a name can stand in a script as the function to call, and can be nothing else.
pub fn is_function_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'$';
    bytes.next().is_some_and(|b| word(b) && !b.is_ascii_digit())
        && bytes.all(|b| word(b) || b == b'.')
        && name.len() <= MAX_CALLBACK
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        broker::{BrokerSettings, Plugins},
        engine::{EngineSettings, MemoryEngine},
        transport::{self, OriginPolicy, TransportSettings},
    };
    use axum::{Router, body};
    use std::sync::Arc;
    use tower::ServiceExt;

    #[test]
    fn only_plain_names_are_called() {
        for good in ["cb", "$", "_a.b", "jQuery.x$1"] {
            assert!(is_function_name(good), "{good}");
        }
        for bad in ["", "1a", "a-b", "alert(1)//", "a b", ".a", &"a".repeat(65)] {
            assert!(!is_function_name(bad), "{bad}");
        }
    }

    #[test]
    fn line_separators_are_escaped_in_scripts() {
        assert_eq!(call("cb", "[\"\u{2028}\"]"), "/**/cb([\"\\u2028\"]);");
    }

    /// The answer to a request with these messages, not yet read.
    async fn post(router: &Router, messages: &str) -> http::Response<body::Body> {
        let request = http::Request::post("/bayeux").body(body::Body::from(messages.to_owned())).unwrap();
        router.clone().oneshot(request).await.unwrap()
    }

    async fn text(answer: http::Response<body::Body>) -> String {
        String::from_utf8(body::to_bytes(answer.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn what_one_answer_carries_for_two_sessions_goes_back_to_each() {
        let settings = TransportSettings::default();
        let engine = Arc::new(MemoryEngine::with(&EngineSettings::default(), 1));
        let types = transport::offered(&settings);
        let broker = Broker::start(BrokerSettings::default(), types, engine, Plugins::default());
        let router = Transport::new(broker.clone(), settings, OriginPolicy::Listed(Vec::new())).router();
        let mut connects = Vec::new();
        for channel in ["/a", "/b"] {
            let opened = text(post(&router, r#"{"channel":"/meta/handshake"}"#).await).await;
            let (_, id) = opened.split_once(r#""clientId":""#).unwrap();
            let id = &id[..32];
            let about =
                |verb: &str| format!(r#"{{"channel":"/meta/{verb}","clientId":"{id}","subscription":"{channel}/*"}}"#);
            text(post(&router, &about("subscribe")).await).await;
            broker.publish_data(&format!("{channel}/x"), "1").await.unwrap();
            // Unsubscribing waits until what was published before is in the queue.
            text(post(&router, &about("unsubscribe")).await).await;
            connects.push(about("connect"));
        }
        let lost = post(&router, &format!("[{}]", connects.join(","))).await;
        assert_eq!(lost.status(), StatusCode::OK);
        drop(lost);
        for (connect, channel) in connects.iter().zip(["/a/x", "/b/x"]) {
            let answer = text(post(&router, connect).await).await;
            let message = format!(r#"[{{"channel":"{channel}","data":1}},{{"channel":"/meta/connect""#);
            assert!(answer.starts_with(&message), "{answer}");
        }
    }
}
