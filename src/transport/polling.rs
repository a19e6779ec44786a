//! Long-polling and callback-polling: one request, one answer, held while there is nothing to say.
//!
//! Called by the endpoint with the JSON texts of a request. Messages leave only with connect replies. The two differ in
//! how the request came and how the answer is wrapped, and in nothing else.

use super::{
    Transport,
    body::Answer,
    connection::{Connection, Undelivered},
    endpoint::Accepted,
    exchange::{Dispatched, Frame, GOODBYE},
    request::Texts,
    response,
};
use crate::{
    bayeux::{BadRequest, Message, ProtocolError, Reply, decode, reply::meta},
    broker::{Answered, Caller, Connect, Delivery},
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
        let mut session = None;
        let mut all = Delivery::default();
        let mut kicked = false;
        for connect in connects {
            match connect {
                Connect::Refused(reply) => last.push(*reply),
                Connect::Planned(plan) => {
                    let answered: Answered = self.exchange().broker.hold(plan).await;
                    all.append(answered.delivery);
                    kicked |= answered.kicked;
                    last.push(answered.reply);
                    session = Some(answered.session);
                }
            }
        }
        let mut frame = Frame::with_capacity(all.encoded_len() + REPLIES_CAPACITY);
        frame.deliver(&all);
        if kicked {
            frame.raw(GOODBYE);
        }
        replies.iter().chain(&last).for_each(|reply: &Reply| frame.reply(reply));
        let undelivered = session.and_then(|s| Undelivered::new(&s, all));
        (frame, undelivered)
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
}
