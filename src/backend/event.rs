//! Events: what happens to sessions and channels, put into the log for the feeds that want it.
//!
//! The broker tells the [`Listener`], which never waits; the [`Recorder`], a task, writes events in batches to a channel
//! that nobody can subscribe to. What does not fit between the two is counted and told as lost.

use super::{feed::stopped, metrics::Metrics, occupancy::Occupancy, payload::rfc3339_ms};
use crate::{
    bayeux::ClientId,
    broker::{Broker, End, Happening, Identity, Observer, wall_clock_ms},
    engine::Draft,
};
use serde::{Deserialize, Serialize};
use serde_json::{
    Value, json,
    value::{RawValue, to_raw_value},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::mpsc, time::sleep};

/// Where events stand in the log.
pub const CHANNEL: &str = "/meta/event";
/// Most events in one place of the log.
const BATCH: usize = 100;
/// How long the recorder waits before it asks an unavailable log again.
const RETRY: Duration = Duration::from_millis(500);

/// The events there are.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A handshake made a session.
    SessionAdded,
    /// A session is over.
    SessionRemoved,
    /// A session asked for a channel or a pattern.
    Subscribed,
    /// A session gave one back, or ended while it held it.
    Unsubscribed,
    /// Somebody holds a channel or a pattern that nobody held before.
    ChannelOccupied,
    /// Nobody holds it any more.
    ChannelVacated,
    /// A session will not get messages, because the log did not keep them long enough.
    Gap,
    /// Events that happened faster than they could be recorded. Not to be asked for: everyone is told.
    EventsLost,
}

/// Something that happened, on its way to the recorder.
struct Seen {
    session: ClientId,
    who: Arc<Identity>,
    what: Happening,
    time_ms: u64,
}

/// Hears what happens.
pub struct Listener {
    sender: mpsc::Sender<Seen>,
    lost: Arc<AtomicU64>,
    wanted: Wanted,
    metrics: Metrics,
}

/// Writes it down.
pub struct Recorder {
    receiver: mpsc::Receiver<Seen>,
    lost: Arc<AtomicU64>,
    wanted: Wanted,
    occupancy: Occupancy,
    metrics: Metrics,
}

/// The events that anybody wants.
#[derive(Clone)]
struct Wanted(Arc<[EventKind]>);

impl Wanted {
    fn has(&self, kind: EventKind) -> bool {
        self.0.contains(&kind)
    }

    fn occupancy(&self) -> bool {
        self.has(EventKind::ChannelOccupied) || self.has(EventKind::ChannelVacated)
    }

    fn concerns(&self, what: &Happening) -> bool {
        match what {
            Happening::SessionAdded => self.has(EventKind::SessionAdded),
            Happening::SessionRemoved(_) => self.has(EventKind::SessionRemoved),
            Happening::Subscribed(_) => self.has(EventKind::Subscribed) || self.occupancy(),
            Happening::Unsubscribed(_) => self.has(EventKind::Unsubscribed) || self.occupancy(),
            Happening::Resumed(_) => self.occupancy(),
            Happening::Gap(..) => self.has(EventKind::Gap),
        }
    }
}

/// Both ends, with room for `most` happenings between them.
pub fn listen(wanted: Arc<[EventKind]>, most: usize, metrics: &Metrics) -> (Listener, Recorder) {
    let (sender, receiver) = mpsc::channel(most.max(1));
    let (lost, wanted) = (Arc::new(AtomicU64::new(0)), Wanted(wanted));
    let listener = Listener { sender, lost: Arc::clone(&lost), wanted: wanted.clone(), metrics: metrics.clone() };
    let recorder = Recorder { receiver, lost, wanted, occupancy: Occupancy::default(), metrics: metrics.clone() };
    (listener, recorder)
}

impl Observer for Listener {
    fn happened(&self, session: ClientId, who: &Arc<Identity>, what: &Happening) {
        if !self.wanted.concerns(what) {
            return;
        }
        let seen = Seen { session, who: Arc::clone(who), what: what.clone(), time_ms: wall_clock_ms() };
        if self.sender.try_send(seen).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
            self.metrics.events_lost.inc();
        }
    }
}

impl Recorder {
    /// Writes down until the broker stops, and then what waits.
    pub async fn run(mut self, broker: Broker) {
        let mut seen = Vec::with_capacity(BATCH);
        loop {
            let count = tokio::select! {
                count = self.receiver.recv_many(&mut seen, BATCH) => count,
                () = stopped(&broker), if !self.receiver.is_closed() => {
                    self.receiver.close();
                    continue;
                }
            };
            if count == 0 {
                return;
            }
            let events = self.events(&broker, &mut seen);
            for batch in events.chunks(BATCH) {
                self.record(&broker, batch).await;
            }
        }
    }

    fn events(&mut self, broker: &Broker, seen: &mut Vec<Seen>) -> Vec<Value> {
        let mut events = Vec::with_capacity(seen.len());
        for seen in seen.drain(..) {
            self.occupy(broker, &seen, &mut events);
            self.describe(&seen, &mut events);
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::error!(lost, "events happened faster than they could be recorded");
            events.push(json!({"type": EventKind::EventsLost, "count": lost, "time": rfc3339_ms(wall_clock_ms())}));
        }
        events
    }

    fn describe(&self, seen: &Seen, events: &mut Vec<Value>) {
        let mut push = |kind: EventKind, more: &[(&str, Value)]| {
            if self.wanted.has(kind) {
                let mut event = json!({"type": kind, "session": seen.session.to_string(), "user": seen.who.user,
                    "time": rfc3339_ms(seen.time_ms)});
                more.iter().for_each(|(name, value)| event[*name] = value.clone());
                events.push(event);
            }
        };
        match &seen.what {
            Happening::SessionAdded => push(EventKind::SessionAdded, &[]),
            Happening::SessionRemoved(end) => push(EventKind::SessionRemoved, &[("cause", json!(cause(*end)))]),
            Happening::Subscribed(channels) => {
                channels.iter().for_each(|c| push(EventKind::Subscribed, &[("channel", json!(c))]));
            }
            Happening::Unsubscribed(channels) => {
                channels.iter().for_each(|c| push(EventKind::Unsubscribed, &[("channel", json!(c))]));
            }
            Happening::Resumed(_) => {}
            Happening::Gap(first, last) => push(EventKind::Gap, &[("first", json!(first)), ("last", json!(last))]),
        }
    }

    /// Keeps count of who holds what, if anybody wants to know.
    fn occupy(&mut self, broker: &Broker, seen: &Seen, events: &mut Vec<Value>) {
        let (Happening::Subscribed(channels) | Happening::Unsubscribed(channels) | Happening::Resumed(channels)) =
            &seen.what
        else {
            return;
        };
        if !self.wanted.occupancy() {
            return;
        }
        for channel in channels {
            // Not what was told but what is: those who tell may overtake each other.
            let holds = broker.holds(seen.session, channel);
            let kind = match self.occupancy.set(channel, seen.session, holds) {
                Some(true) => EventKind::ChannelOccupied,
                Some(false) => EventKind::ChannelVacated,
                None => continue,
            };
            if self.wanted.has(kind) {
                events.push(json!({"type": kind, "channel": channel, "time": rfc3339_ms(seen.time_ms)}));
            }
        }
    }

    async fn record(&self, broker: &Broker, events: &[Value]) {
        let Ok(data) = to_raw_value(events) else { return };
        let data: &RawValue = &data;
        while let Err(error) = broker.append(vec![Draft::new(CHANNEL, data, None, wall_clock_ms())]).await {
            tracing::warn!(%error, "the log does not take events");
            sleep(RETRY).await;
        }
        self.metrics.events.inc_by(events.len() as u64);
    }
}

fn cause(end: End) -> &'static str {
    match end {
        End::Disconnected => "disconnected",
        End::Kicked => "kicked",
        End::Expired => "expired",
        End::Gap => "gap",
        End::Inactive => "inactive",
        End::ShuttingDown => "shutting_down",
        End::LaneLost => "lane_lost",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        bayeux::ConnectionType,
        broker::{BrokerSettings, Plugins},
        engine::{EngineSettings, MemoryEngine, Retention},
    };

    fn broker() -> Broker {
        let settings = EngineSettings::default();
        let engine = MemoryEngine::new(Retention::uniform(settings.memory.bounds()), settings.keys(), 1);
        let transports = vec![ConnectionType::LongPolling];
        Broker::start(BrokerSettings::default(), transports, Arc::new(engine), Plugins::default())
    }

    #[tokio::test]
    async fn what_happens_faster_than_it_is_recorded_is_counted_and_told() {
        let metrics = Metrics::default();
        let (listener, recorder) = listen([EventKind::SessionAdded].into(), 2, &metrics);
        for session in 0..5 {
            listener.happened(ClientId::from_bits(session), &Arc::default(), &Happening::SessionAdded);
            listener.happened(ClientId::from_bits(session), &Arc::default(), &Happening::Gap(1, 2));
        }
        assert_eq!(metrics.events_lost.get(), 3);
        let broker = broker();
        let mut head = broker.engine().head();
        let recording = tokio::spawn(recorder.run(broker.clone()));
        head.wait_for(|head| *head > 0).await.unwrap();
        let batch = broker.engine().read(0, 10).await.unwrap();
        let told: Vec<Value> = serde_json::from_str(batch.publications[0].draft.data()).unwrap();
        let kinds: Vec<&str> = told.iter().map(|event| event["type"].as_str().unwrap()).collect();
        assert_eq!((kinds, &told[2]["count"]), (vec!["session_added", "session_added", "events_lost"], &json!(3)));
        broker.stop();
        recording.await.unwrap();
    }
}
