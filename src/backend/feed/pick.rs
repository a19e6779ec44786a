//! What a feed takes from the log, and how it tells its backend.
//!
//! Used by `feed` for every publication. Messages to one session are never picked.

use super::super::{
    event::{self, EventKind},
    pattern,
    payload::rfc3339_ms,
};
use crate::{
    bayeux::{
        Seq,
        channel::{ChannelKind, kind},
    },
    broker::Broker,
    engine::{Lost, Publication},
};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use std::sync::Arc;

/// What a feed takes.
#[derive(Clone, Debug)]
pub enum Picks {
    /// Publications to the channels of a pattern.
    Publications(Arc<str>),
    /// Events of these kinds.
    Events(Arc<[EventKind]>),
}

/// One publication as a backend is told.
#[derive(Serialize)]
struct Told<'a> {
    position: u64,
    channel: &'a str,
    data: &'a RawValue,
    publisher: Option<String>,
    time: String,
}

/// An event as it stands in the log: what it is, and the rest.
#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: EventKind,
}

impl Picks {
    /// The type of the calls.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Publications(_) => "publications",
            Self::Events(_) => "events",
        }
    }

    /// The channels it picks from.
    pub fn pattern(&self) -> Arc<str> {
        match self {
            Self::Publications(pattern) => Arc::clone(pattern),
            Self::Events(_) => event::CHANNEL.into(),
        }
    }

    /// Whether it picks publications to exactly this channel.
    pub fn is_of(&self, channel: &str) -> bool {
        matches!(self, Self::Publications(pattern) if **pattern == *channel)
    }

    /// First and last position of what is lost to this feed; `None` when nothing concerns it.
    pub fn lost(&self, broker: &Broker, lost: &[Lost]) -> Option<(Seq, Seq)> {
        match self {
            Self::Publications(pattern) if kind(pattern) == ChannelKind::Broadcast => {
                broker.channel_table().concerns(lost, std::slice::from_ref(pattern))
            }
            // Channels of our own are in the last class, which is the default.
            _ => {
                let own = broker.channel_table().retention().len() - 1;
                lost.iter().find(|lost| lost.class == own).map(|lost| (lost.first, lost.last))
            }
        }
    }

    /// The items that a publication holds for this feed, each as JSON.
    pub fn of(&self, publication: &Publication) -> Vec<Box<RawValue>> {
        let draft = &publication.draft;
        if draft.to.is_some() {
            return Vec::new();
        }
        match self {
            Self::Publications(pattern) if pattern::matches(pattern, draft.channel()) => told(publication),
            Self::Events(kinds) if draft.channel() == event::CHANNEL => events(draft.data(), kinds),
            _ => Vec::new(),
        }
    }
}

fn told(publication: &Publication) -> Vec<Box<RawValue>> {
    let draft = &publication.draft;
    let Ok(data) = serde_json::from_str(draft.data()) else { return Vec::new() };
    let told = Told {
        position: publication.seq,
        channel: draft.channel(),
        data,
        publisher: draft.publisher.map(|id| id.to_string()),
        time: rfc3339_ms(draft.time_ms),
    };
    to_raw_value(&told).into_iter().collect()
}

fn events(data: &str, kinds: &[EventKind]) -> Vec<Box<RawValue>> {
    let mut all: Vec<Box<RawValue>> = serde_json::from_str(data).unwrap_or_default();
    // That some are missing concerns everyone who listens.
    let is_wanted = |kind: EventKind| kind == EventKind::EventsLost || kinds.contains(&kind);
    all.retain(|one| serde_json::from_str::<Event>(one.get()).is_ok_and(|event| is_wanted(event.kind)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{bayeux::ClientId, engine::Draft};

    fn publication(channel: &str, data: &str) -> Publication {
        let data = RawValue::from_string(data.into()).unwrap();
        Publication::new(7, Draft::new(channel, &data, None, 1_700_000_000_123))
    }

    fn texts(picks: &Picks, publication: &Publication) -> Vec<String> {
        picks.of(publication).into_iter().map(|item| item.get().to_owned()).collect()
    }

    #[test]
    fn publications_are_told_with_their_data_byte_for_byte() {
        let picks = Picks::Publications("/orders/**".into());
        let mut one = publication("/orders/7", r#"{"n": 1.10}"#);
        one.draft.publisher = Some(ClientId::from_bits(10));
        assert_eq!(
            texts(&picks, &one),
            [
                r#"{"position":7,"channel":"/orders/7","data":{"n": 1.10},"publisher":"0000000000000000000000000000000a","time":"2023-11-14T22:13:20.123Z"}"#
            ]
        );
        assert!(texts(&picks, &publication("/other", "1")).is_empty());
    }

    #[test]
    fn what_is_for_one_session_is_for_nobody_else() {
        let mut one = publication("/orders/7", "1");
        one.draft.to = Some(ClientId::from_bits(1));
        assert!(texts(&Picks::Publications("/**".into()), &one).is_empty());
    }

    #[test]
    fn events_are_picked_by_their_kind() {
        let picks = Picks::Events([EventKind::SessionAdded].into());
        let batch = r#"[{"type":"session_added","n":1},{"type":"subscribed"},{"type":"events_lost"}]"#;
        assert_eq!(
            texts(&picks, &publication(event::CHANNEL, batch)),
            [r#"{"type":"session_added","n":1}"#, r#"{"type":"events_lost"}"#]
        );
        assert!(texts(&picks, &publication("/events", batch)).is_empty());
    }
}
