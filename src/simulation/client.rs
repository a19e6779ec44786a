//! A client: shakes hands, subscribes, connects for ever, acknowledges what it got if it said so, and begins anew when its
//! session is gone or it was restarted. It never drops a duplicate: there must be none.

use super::{
    chance::Chance,
    check::{STATE, View, gap},
    network::{Incoming, Lost, Outgoing, Repeats, Wire},
    world::World,
};
use crate::bayeux::{Pattern, Seq};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// Channels that clients ask for. Those who replay ask for single ones that no other of theirs covers.
const PATTERNS: [&str; 9] = ["/a/1", "/a/2", "/a/*", "/few/1", "/few/2", "/lazy/1", "/state/*", "/b/**", "/few/**"];
const SINGLE: [&str; 5] = ["/a/1", "/a/2", "/few/1", "/few/2", "/b/x"];
/// Connects in a row that bring nothing before a client believes that there is nothing more.
const ENOUGH: u32 = 2;
/// How long a connect must have been held to say that there is nothing more.
const HELD: Duration = Duration::from_millis(600);

/// How a client is.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// Acknowledges.
    pub ack: bool,
    /// Replays, and goes on where it stood when it gets a new session.
    pub replay: bool,
    /// Uses an EventSource at times.
    pub streams: bool,
    /// Pauses between connects.
    pub slow: bool,
    /// Is restarted at times.
    pub restarts: bool,
}

/// A client. See the file's head.
pub struct Client {
    pub(super) name: String,
    pub(super) world: Arc<World>,
    pub(super) profile: Profile,
    pub(super) connects: Wire,
    others: Wire,
    chance: Mutex<Chance>,
    pub(super) seat: Mutex<Seat>,
}

/// What it knows of its session.
pub(super) struct Seat {
    pub(super) id: String,
    pub(super) view: Arc<View>,
    /// The number to acknowledge.
    ack: Seq,
    held: Vec<&'static str>,
    /// The newest position by channel, over all sessions.
    cursors: HashMap<String, Seq>,
    /// When the broker last answered this session.
    heard: Instant,
    pub(super) lost: bool,
    /// Connects in a row that brought nothing.
    empty: u32,
    sessions: u32,
    messages: u64,
    advised_pause: u64,
    pub(super) last_event: Option<Seq>,
    /// Which broker it streamed from, and whether it has polled since.
    pub(super) streamed_from: (usize, bool),
}

impl Client {
    /// A client that has not begun.
    pub fn new(world: &Arc<World>, number: usize, mut chance: Chance) -> Self {
        let name = format!("c{number}");
        let mut one_in = |n| chance.one_in(n);
        let profile =
            Profile { ack: one_in(2), replay: one_in(3), streams: one_in(3), slow: one_in(3), restarts: one_in(4) };
        world.trace.note(&name, format_args!("{profile:?}"));
        let view = View::new(name.clone(), profile.ack, Arc::clone(&world.ledger));
        let seat = Seat {
            id: String::new(),
            view,
            ack: 0,
            held: Vec::new(),
            cursors: HashMap::new(),
            heard: Instant::now(),
            lost: true,
            empty: 0,
            sessions: 0,
            messages: 0,
            advised_pause: 0,
            last_event: None,
            streamed_from: (0, false),
        };
        Self {
            connects: Wire::new(world, &name, chance.fork(), Repeats::Later),
            others: Wire::new(world, &name, chance.fork(), Repeats::Before),
            name,
            world: Arc::clone(world),
            profile,
            chance: Mutex::new(chance),
            seat: Mutex::new(seat),
        }
    }

    /// Its whole life.
    pub async fn live(self) {
        while !self.world.trace.has_failed() {
            if !self.begin().await {
                continue;
            }
            let wishes = self.chance.lock().of(1..4);
            for _ in 0..wishes {
                self.subscribe().await;
            }
            while !self.seat.lock().lost {
                if self.is_settled() {
                    self.seat.lock().view.settle();
                    return;
                }
                if self.wants(12) && self.profile.restarts {
                    self.world.trace.note(&self.name, format_args!("is restarted"));
                    break;
                }
                self.turn().await;
            }
        }
    }

    pub(super) fn one_in(&self, n: u64) -> bool {
        self.chance.lock().one_in(n)
    }

    /// Whether it does something once in `n` times; when the world is quiet it only listens.
    fn wants(&self, n: u64) -> bool {
        !self.world.is_quiet() && self.one_in(n)
    }

    pub(super) fn draw_ms(&self, range: std::ops::Range<u64>) -> Duration {
        self.chance.lock().ms(range)
    }

    pub(super) async fn pause(&self, range: std::ops::Range<u64>) {
        let pause = self.chance.lock().ms(range);
        sleep(pause).await;
    }

    fn is_settled(&self) -> bool {
        self.world.is_drained() && self.seat.lock().empty >= ENOUGH
    }

    /// One connect or one stream, and what the client does beside it.
    async fn turn(&self) {
        if self.profile.slow && self.wants(3) {
            self.pause(500..9000).await;
        }
        if self.profile.streams && self.wants(3) {
            tokio::join!(self.stream(), self.act());
        } else {
            tokio::join!(self.connect("long-polling"), self.act());
        }
        let advised = std::mem::take(&mut self.seat.lock().advised_pause);
        sleep(Duration::from_millis(advised)).await;
        self.pause(1..60).await;
    }

    async fn act(&self) {
        if !self.wants(4) {
            return;
        }
        self.pause(0..500).await;
        if self.one_in(2) { self.subscribe().await } else { self.unsubscribe().await }
    }

    fn message(&self, channel: &str) -> Value {
        let mut seat = self.seat.lock();
        seat.messages += 1;
        let mut message = json!({ "channel": channel, "id": format!("{}-{}", self.name, seat.messages) });
        if channel != "/meta/handshake" {
            message["clientId"] = seat.id.clone().into();
        }
        message
    }

    pub(super) fn cookie(&self) -> (&'static str, String) {
        ("cookie", format!("BAYEUX_BROWSER=browser-of-{}", self.name))
    }

    /// Sends one message and takes in what comes back. Returns its reply, and where the log ended when it was made.
    async fn call(&self, wire: &Wire, message: Value, touches: bool) -> Result<(Value, Seq), Lost> {
        let view = Arc::clone(&self.seat.lock().view);
        let headers = vec![("content-type", "application/json".to_owned()), self.cookie()];
        let request = Outgoing { method: "POST", uri: "/bayeux".into(), headers, body: json!([message]).to_string() };
        let served = || {
            if touches {
                self.seat.lock().heard = Instant::now();
            }
        };
        let before = self.seat.lock().heard;
        let incoming = wire.send(&request, Some(&view), served).await?;
        if !Arc::ptr_eq(&view, &self.seat.lock().view) {
            return Err(Lost);
        }
        let reply = self.take_in(&incoming, &message, &view)?;
        self.check_session(&reply, before);
        Ok((reply, incoming.newest))
    }

    /// Messages first, then exactly one reply with our id.
    fn take_in(&self, incoming: &Incoming, message: &Value, view: &View) -> Result<Value, Lost> {
        let fail = |what: &str| {
            let body = String::from_utf8_lossy(&incoming.body);
            self.world.trace.fail(&self.name, format_args!("{what}: {} {body} to {message}", incoming.status));
            Err(Lost)
        };
        let Ok(Value::Array(mut parts)) = serde_json::from_slice(&incoming.body) else {
            return fail("an answer is no array");
        };
        let Some(reply) = parts.pop() else { return fail("an answer is empty") };
        if incoming.status != 200 || reply["id"] != message["id"] || reply["channel"] != message["channel"] {
            return fail("not a reply to this message");
        }
        if reply.get("successful").and_then(Value::as_bool).is_none() || reply.get("data").is_some() {
            return fail("not the form of a reply");
        }
        if parts.iter().any(|part| part.get("successful").is_some()) {
            return fail("more than one reply");
        }
        if !parts.is_empty() && message["channel"] != "/meta/connect" {
            return fail("messages came without a connect");
        }
        self.receive(&parts, view);
        Ok(reply)
    }

    /// Takes in messages.
    pub(super) fn receive(&self, messages: &[Value], view: &View) {
        for message in messages {
            let channel = message["channel"].as_str().unwrap_or_default();
            let seq = view.receives(channel, &message["data"].to_string());
            self.world.trace.note(&self.name, format_args!("got {seq}"));
            if self.profile.replay && message["ext"]["replay"]["id"] != seq {
                self.world.trace.fail(&self.name, format_args!("{seq} does not tell its position: {message}"));
            }
            let mut seat = self.seat.lock();
            seat.cursors.insert(channel.to_owned(), seq);
            seat.empty = 0;
        }
    }

    /// A session may be gone only if it was silent for too long.
    fn check_session(&self, reply: &Value, heard: Instant) {
        let error = reply["error"].as_str().unwrap_or_default();
        if error.starts_with("402") {
            let silent = heard.elapsed();
            if silent < self.world.plan.max_interval && !self.world.plan.rehandshakes {
                let text = format_args!("its session is gone, though it was silent for {silent:?} only");
                self.world.trace.fail(&self.name, text);
            }
            self.world.trace.note(&self.name, format_args!("lost its session"));
            self.seat.lock().lost = true;
        }
    }

    async fn begin(&self) -> bool {
        self.pause(1..200).await;
        {
            let mut seat = self.seat.lock();
            seat.sessions += 1;
            let name = format!("{}.{}", self.name, seat.sessions);
            seat.view = View::new(name, self.profile.ack, Arc::clone(&self.world.ledger));
            self.world.watch(&seat.view);
            (seat.ack, seat.empty, seat.last_event) = (0, 0, None);
            seat.held.clear();
        }
        let mut message = self.message("/meta/handshake");
        message["version"] = "1.0".into();
        message["supportedConnectionTypes"] = json!(["eventsource", "long-polling"]);
        message["ext"] = json!({ "ack": self.profile.ack, "replay": self.profile.replay });
        let Ok((reply, _)) = self.call(&self.others, message, true).await else { return false };
        if reply["successful"] != true {
            self.pause(500..1500).await;
            return false;
        }
        let mut seat = self.seat.lock();
        seat.id = reply["clientId"].as_str().unwrap_or_default().to_owned();
        seat.lost = false;
        self.world.trace.note(&self.name, format_args!("is {:.8}", seat.id));
        true
    }

    async fn subscribe(&self) {
        let pattern = self.chance.lock().pick(if self.profile.replay { &SINGLE } else { &PATTERNS });
        if self.seat.lock().held.contains(&pattern) {
            return;
        }
        let view = Arc::clone(&self.seat.lock().view);
        let newest = self.world.newest();
        let from = self.replays_from(pattern);
        let state = Pattern::of_valid(pattern).overlaps(Pattern::of_valid(STATE));
        view.asks(pattern, from.map_or(newest, |from| from.max(0) as Seq), state || self.profile.replay);
        self.world.trace.note(&self.name, format_args!("asks for {pattern} from {from:?}"));
        for _ in 0..20 {
            let mut message = self.message("/meta/subscribe");
            message["subscription"] = pattern.into();
            if let Some(from) = from {
                message["ext"] = json!({ "replay": { pattern: from } });
            }
            match self.call(&self.others, message, true).await {
                Ok((reply, now)) if reply["successful"] == true => {
                    let must = from.filter(|from| *from >= 0).map_or(now, |from| from as Seq);
                    view.granted(pattern, must);
                    self.seat.lock().held.push(pattern);
                    return;
                }
                // The position is gone: the client is told, and begins anew with its next wish.
                Ok((reply, _)) if reply["error"].as_str().unwrap_or_default().starts_with("400") => {
                    self.seat.lock().cursors.remove(pattern);
                    return;
                }
                _ if self.seat.lock().lost => return,
                refused => {
                    if refused.is_ok() {
                        view.refused(pattern);
                    }
                    self.pause(10..1500).await;
                }
            }
        }
    }

    /// Where a replay begins: where the client stood, or at times everything.
    fn replays_from(&self, pattern: &str) -> Option<i64> {
        if !self.profile.replay {
            return None;
        }
        match self.seat.lock().cursors.get(pattern) {
            Some(cursor) => Some(*cursor as i64),
            None => self.one_in(2).then_some(-2),
        }
    }

    async fn unsubscribe(&self) {
        let Some(pattern) = self.seat.lock().held.pop() else { return };
        let view = Arc::clone(&self.seat.lock().view);
        view.gives_back(pattern);
        self.world.trace.note(&self.name, format_args!("gives {pattern} back"));
        for _ in 0..20 {
            let mut message = self.message("/meta/unsubscribe");
            message["subscription"] = pattern.into();
            match self.call(&self.others, message, true).await {
                Ok((reply, newest)) if reply["successful"] == true => return view.given_back(pattern, newest),
                _ if self.seat.lock().lost => return,
                _ => self.pause(10..1500).await,
            }
        }
    }

    /// One connect.
    pub(super) async fn connect(&self, transport: &str) {
        let view = Arc::clone(&self.seat.lock().view);
        let mut message = self.message("/meta/connect");
        message["connectionType"] = transport.into();
        if self.profile.ack {
            message["ext"] = json!({ "ack": self.seat.lock().ack });
        }
        if self.world.is_quiet() {
            message["advice"] = json!({ "timeout": 700 });
        }
        let (empty_before, begun) = (self.seat.lock().empty, Instant::now());
        match self.call(&self.connects, message, true).await {
            Err(Lost) => self.pause(0..400).await,
            Ok((reply, _)) => {
                if let Some((first, last)) = gap(&reply) {
                    self.world.trace.note(&self.name, format_args!("is told of a gap {first}..{last}"));
                    view.told_gap(first, last);
                }
                let mut seat = self.seat.lock();
                // An answer at once says nothing: it may have been too early, or stand for a replay that held nothing.
                let held = begun.elapsed() >= HELD;
                if seat.empty == empty_before && held && self.world.is_drained() {
                    seat.empty += 1;
                }
                seat.advised_pause = reply["advice"]["interval"].as_u64().unwrap_or(0);
                if let Some(number) = reply["ext"]["ack"].as_u64() {
                    seat.ack = number;
                } else if self.profile.ack && reply["successful"] == true {
                    self.world.trace.fail(&self.name, format_args!("no number to acknowledge: {reply}"));
                }
            }
        }
    }
}
