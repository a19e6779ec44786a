//! A Bayeux server in a few hundred lines: long-polling only, no expiry, no limits but one, and on demand one flaw.
//!
//! Started by `broken_server.rs` to show that cases fail when they should. Never a model of how a broker is built: it
//! does what the chosen cases look at and nothing else, and shares no code with the suite or with any broker.

mod extensions;
mod http;
mod session;

use protocol_tests::{context::Server, wire::url::Url};
use serde_json::{Value, json};
use session::Sessions;
use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, timeout_at},
};

/// What is wrong with a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    AcceptsAnyChannel,
    AcceptsMissingData,
    AnswersGarbageWith500,
    BelievesAnyAck,
    BodyEndsWithConnection,
    ClientIdInReplies,
    CopiesPublisherFields,
    DeliversForEachSubscription,
    DeliversWithAnyReply,
    DropsBinaryMarker,
    DropsWhatNobodyPollsFor,
    ErrorOutsideGrammar,
    FirstConnectHeld,
    ForgetsSubscriptionInRefusal,
    ForgetsWhatWasSent,
    HandshakeBesideOthers,
    HoldNotMeasured,
    IdAsString,
    IgnoresUnsubscribe,
    KnowsWhoAsksTwice,
    NewestFirst,
    NoBodyLimit,
    NoHold,
    NullId,
    OlderConnectUnanswered,
    OneBlank,
    PublishesToPatterns,
    PublishesTwice,
    ReformatsData,
    RepliesFirst,
    SuccessfulAsString,
    UnboundedHold,
}

/// The only limit it has.
const MOST_BODY_BYTES: usize = 1 << 20;
/// How long it says it holds a connect.
const HOLD: Duration = Duration::from_secs(20);
/// Longer than any case takes for "at once".
const TOO_LATE: Duration = Duration::from_secs(3);

/// One message of a request: its fields and the bytes of its data.
pub(crate) struct Incoming {
    fields: Value,
    data: Option<String>,
    /// The bytes of `ext.binary`.
    binary: Option<String>,
}

/// Starts a server with this flaw; it lives as long as the test's runtime.
pub(crate) async fn start(flaw: Flaw) -> Arc<Server> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let canned = Arc::new(Canned { flaw, sessions: Sessions::new(flaw), keys: Mutex::default() });
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(canned.clone().serve(stream));
        }
    });
    let url = Url { host: "127.0.0.1".into(), port, path: "/bayeux".into() };
    Arc::new(Server { url, max_interval: Duration::from_secs(60), have: HashSet::new(), advertised_timeout: HOLD })
}

struct Canned {
    flaw: Flaw,
    sessions: Sessions,
    /// The keys of publishes so far.
    keys: Mutex<Vec<Value>>,
}

impl Canned {
    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    /// Serves one request and closes.
    async fn serve(self: Arc<Self>, mut stream: TcpStream) {
        let Some(body) = http::read(&mut stream).await else { return };
        let (status, messages) = self.answer(&body).await;
        let Some(messages) = messages else { return std::future::pending().await };
        http::write(&mut stream, status, &format!("[{}]", messages.join(",")), !self.has(Flaw::BodyEndsWithConnection))
            .await;
    }

    /// The status and the messages of the answer; no messages at all means that no answer is ever sent.
    async fn answer(&self, body: &[u8]) -> (u16, Option<Vec<String>>) {
        if body.len() > MOST_BODY_BYTES && !self.has(Flaw::NoBodyLimit) {
            return refusal(413, "413::message_too_large");
        }
        let Some(batch) = http::parse(body) else {
            return match self.has(Flaw::AnswersGarbageWith500) {
                true => (500, Some(Vec::new())),
                false => refusal(400, "400:body:no messages"),
            };
        };
        let hello = |message: &Incoming| message.fields["channel"] == "/meta/handshake";
        if batch.len() > 1 && batch.iter().any(hello) && !self.has(Flaw::HandshakeBesideOthers) {
            let refused = json!({"successful": false, "error": "400:handshake:must stand alone"}).to_string();
            return (400, Some(vec![refused; batch.len()]));
        }
        let alone = batch.len() == 1;
        let (mut events, mut replies) = (Vec::new(), Vec::new());
        for message in &batch {
            let came = Instant::now();
            let Some((queued, mut reply)) = self.handle(message, alone).await else { return (200, None) };
            events.extend(queued);
            if let Some(told) = self.timesync(&message.fields, came.elapsed()) {
                reply["ext"]["timesync"] = told;
            }
            replies.push(self.finish(reply, message));
        }
        if self.has(Flaw::RepliesFirst) {
            std::mem::swap(&mut events, &mut replies);
        }
        (200, Some(events.into_iter().chain(replies).collect()))
    }

    /// What leaves the queue with this reply, and the reply; `None` for the connect that is never answered.
    async fn handle(&self, message: &Incoming, alone: bool) -> Option<(Vec<String>, Value)> {
        let channel = message.fields["channel"].as_str().unwrap_or_default();
        let client = message.fields["clientId"].as_str().unwrap_or_default();
        if channel == "/meta/handshake" {
            let types = ["long-polling"];
            let asked = &message.fields["ext"];
            let mut reply = json!({"successful": true, "version": "1.0", "minimumVersion": "1.0",
                "clientId": self.sessions.create(asked["ack"] == true), "supportedConnectionTypes": types});
            for granted in ["ack", "replay"].into_iter().filter(|name| asked[name] == true) {
                reply["ext"][granted] = json!(true);
            }
            return Some((Vec::new(), reply));
        }
        if !client.is_empty() && !self.sessions.knows(client) {
            let error = if self.has(Flaw::ErrorOutsideGrammar) {
                "402::session_unknown, really"
            } else {
                "402::session_unknown"
            };
            return Some((Vec::new(), json!({"successful": false, "error": error, "advice": advice("handshake")})));
        }
        if channel == "/meta/connect" {
            return self.connect(client, &message.fields, alone).await;
        }
        let reply = self.act(channel, client, message);
        let queued = if self.has(Flaw::DeliversWithAnyReply) { self.sessions.drain(client) } else { Vec::new() };
        Some((queued, reply))
    }

    fn act(&self, channel: &str, client: &str, message: &Incoming) -> Value {
        match channel {
            "/meta/disconnect" => {
                self.sessions.remove(client);
                json!({"successful": true})
            }
            "/meta/subscribe" | "/meta/unsubscribe" => self.subscription(channel, client, &message.fields),
            _ if !self.is_channel(channel) => json!({"successful": false, "error": "405::channel_invalid"}),
            _ => self.publish(channel, message),
        }
    }

    fn subscription(&self, verb: &str, client: &str, fields: &Value) -> Value {
        let wanted = &fields["subscription"];
        let names: Vec<&str> = match wanted {
            Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
            one => one.as_str().into_iter().collect(),
        };
        if let Some(error) = self.replay_refused(fields) {
            return json!({"successful": false, "subscription": wanted, "error": error});
        }
        let good = !names.is_empty() && names.iter().all(|name| is_name(name));
        let mut reply = json!({"successful": good, "subscription": wanted});
        if !good {
            reply["error"] = json!("403::subscription_invalid");
            if self.has(Flaw::ForgetsSubscriptionInRefusal) {
                reply.as_object_mut().unwrap().remove("subscription");
            }
        } else if verb == "/meta/subscribe" {
            self.sessions.subscribe(client, &names);
        } else if !self.has(Flaw::IgnoresUnsubscribe) {
            self.sessions.unsubscribe(client, &names);
        }
        reply
    }

    fn is_channel(&self, name: &str) -> bool {
        let pattern = name.ends_with('*');
        self.has(Flaw::AcceptsAnyChannel) || is_name(name) && (!pattern || self.has(Flaw::PublishesToPatterns))
    }

    fn publish(&self, channel: &str, message: &Incoming) -> Value {
        let Some(data) = &message.data else {
            return match self.has(Flaw::AcceptsMissingData) {
                true => json!({"successful": true}),
                false => json!({"successful": false, "error": "400:data:missing"}),
            };
        };
        let event = if self.has(Flaw::CopiesPublisherFields) {
            message.fields.to_string()
        } else if self.has(Flaw::ReformatsData) {
            json!({"channel": channel, "data": message.fields["data"]}).to_string()
        } else {
            format!(r#"{{"channel":{},"data":{data}{}}}"#, json!(channel), self.travelling(message))
        };
        let key = &message.fields["ext"]["idempotency"];
        if key.is_null() {
            self.sessions.publish(channel, &event);
            return json!({"successful": true});
        }
        let (position, repeated) = self.once(key);
        if !repeated {
            self.sessions.publish(channel, &event);
        }
        let told = json!({"position": position, "repeated": repeated});
        json!({"successful": true, "ext": {"idempotency": told}})
    }

    async fn connect(&self, client: &str, fields: &Value, alone: bool) -> Option<(Vec<String>, Value)> {
        let (cycle, first) = self.sessions.begin_connect(client);
        if first && self.has(Flaw::FirstConnectHeld) {
            tokio::time::sleep(TOO_LATE).await;
        }
        let asked = fields["advice"]["timeout"].as_u64().map(Duration::from_millis);
        let hold = if self.has(Flaw::UnboundedHold) { HOLD } else { asked.unwrap_or(HOLD).min(HOLD) };
        let deadline = Instant::now() + if first || !alone || self.has(Flaw::NoHold) { Duration::ZERO } else { hold };
        let mut reply = json!({"successful": true});
        let ack = &fields["ext"]["ack"];
        self.sessions.acknowledge(client, ack.as_u64());
        loop {
            let woken = self.sessions.changed();
            if self.sessions.replaced(client, cycle) {
                return (!self.has(Flaw::OlderConnectUnanswered)).then_some((Vec::new(), reply));
            }
            let (queued, number) = self.sessions.hand_out(client);
            if let Some(number) = number {
                reply["ext"]["ack"] = json!(number);
            }
            if !queued.is_empty() || timeout_at(deadline, woken).await.is_err() {
                self.sessions.end_connect(client);
                if first || asked.is_some() {
                    reply["advice"] = advice("retry");
                }
                return Some((queued, reply));
            }
        }
    }

    /// Adds what every reply has.
    fn finish(&self, mut reply: Value, message: &Incoming) -> String {
        for field in ["channel", "id"] {
            let null_kept = field == "id" && self.has(Flaw::NullId);
            if let Some(value) = message.fields.get(field).filter(|value| !value.is_null() || null_kept) {
                reply[field] = value.clone();
            }
        }
        if self.has(Flaw::IdAsString) && reply["id"].is_number() {
            reply["id"] = json!(reply["id"].to_string());
        }
        if self.has(Flaw::ClientIdInReplies) && reply.get("clientId").is_none() {
            reply["clientId"] = message.fields["clientId"].clone();
        }
        if self.has(Flaw::SuccessfulAsString)
            && message.fields["channel"] != "/meta/handshake"
            && reply["error"] != Value::Null
        {
            reply["successful"] = json!("false");
        }
        reply.to_string()
    }
}

fn refusal(status: u16, error: &str) -> (u16, Option<Vec<String>>) {
    (status, Some(vec![json!({"successful": false, "error": error}).to_string()]))
}

fn advice(reconnect: &str) -> Value {
    json!({"reconnect": reconnect, "interval": 0, "timeout": HOLD.as_millis() as u64})
}

fn is_name(name: &str) -> bool {
    name.starts_with('/') && name.len() > 1 && name[1..].split('/').all(|segment| !segment.is_empty())
}
