//! A backend: publishes without a session, several messages a request, and sends again what was not answered, under a key
//! that makes that harmless.

use super::{
    chance::Chance,
    network::{Outgoing, Repeats, Wire},
    world::World,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::time::sleep;

const CHANNELS: [&str; 8] = ["/a/1", "/a/2", "/b/x", "/few/1", "/few/2", "/lazy/1", "/state/1", "/state/2"];
/// Longest filler of a message, in bytes.
const FILLER: u64 = 120;

/// See the file's head.
pub struct Publisher {
    name: String,
    world: Arc<World>,
    /// For messages that carry a key, and for those that do not and so are sent once.
    wires: [Wire; 2],
    chance: Mutex<Chance>,
}

impl Publisher {
    /// A publisher that has not begun.
    pub fn new(world: &Arc<World>, number: usize, mut chance: Chance) -> Self {
        let name = format!("p{number}");
        let wires = [Repeats::Later, Repeats::Never].map(|repeats| Wire::new(world, &name, chance.fork(), repeats));
        Self { name, world: Arc::clone(world), wires, chance: Mutex::new(chance) }
    }

    /// Publishes until the world is quiet.
    pub async fn work(self) {
        let mut count = 0;
        while !self.world.is_quiet() && !self.world.trace.has_failed() {
            let (pause, batch, keyed) = {
                let mut chance = self.chance.lock();
                let burst = chance.one_in(3);
                (chance.ms(if burst { 1..30 } else { 50..2500 }), chance.of(1..5), !chance.one_in(4))
            };
            sleep(pause).await;
            let messages = (0..batch).map(|_| self.message(&mut count, keyed)).collect();
            self.publish(messages, keyed).await;
        }
        self.world.published();
    }

    fn message(&self, count: &mut u64, keyed: bool) -> Value {
        *count += 1;
        let mut chance = self.chance.lock();
        let data = format!("{}-{count:04} {}", self.name, ".".repeat(chance.of(0..FILLER) as usize));
        let id = format!("{}-{count}", self.name);
        let mut message = json!({ "channel": chance.pick(&CHANNELS), "data": data, "id": id });
        if keyed {
            message["ext"] = json!({ "idempotency": id });
        }
        message
    }

    async fn publish(&self, messages: Vec<Value>, keyed: bool) {
        let headers = vec![("content-type", "application/json".to_owned())];
        let body = Value::from(messages.clone()).to_string();
        let request = Outgoing { method: "POST", uri: "/bayeux".into(), headers, body };
        let wire = &self.wires[usize::from(!keyed)];
        while !self.world.trace.has_failed() {
            if let Ok(incoming) = wire.send(&request, None, || ()).await
                && self.accept(&messages, &incoming.body)
            {
                return;
            }
            if !keyed {
                return;
            }
            let pause = self.chance.lock().ms(5..1000);
            sleep(pause).await;
        }
    }

    /// Notes what was acknowledged; returns whether all of it was.
    fn accept(&self, messages: &[Value], body: &[u8]) -> bool {
        let replies: Vec<Value> = serde_json::from_slice(body).unwrap_or_default();
        let ids = |list: &[Value]| list.iter().map(|m| m["id"].clone()).collect::<Vec<_>>();
        if ids(&replies) != ids(messages) {
            let body = String::from_utf8_lossy(body);
            self.world.trace.fail(&self.name, format_args!("not one reply each, in order: {body}"));
        }
        let all = replies.iter().all(|r| r["successful"] == true);
        for (message, reply) in messages.iter().zip(&replies).filter(|(_, reply)| reply["successful"] == true) {
            self.world.ledger.accepted(&message["data"].to_string(), reply["ext"]["idempotency"]["position"].as_u64());
        }
        all
    }
}
