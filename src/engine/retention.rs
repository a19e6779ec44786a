//! How much of the log is kept, by channel: the classes that the settings name, each with bounds of its own.
//!
//! Built by the server from `[[channel]]` and the engine's defaults, asked by every engine. Decides, keeps nothing.

use super::settings::Retain;
use crate::bayeux::Pattern;
use std::time::Duration;

/// Bounds on what is kept of a class. Whichever is met first cuts its tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Messages.
    pub max_messages: usize,
    /// Bytes of messages, with what carries them.
    pub max_bytes: usize,
    /// How long a message is kept.
    pub max_age: Duration,
}

impl Bounds {
    /// The oldest time that may stay at `now_ms`, in milliseconds of the wall clock.
    pub fn oldest_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(u64::try_from(self.max_age.as_millis()).unwrap_or(u64::MAX))
    }
}

/// Channels that are kept by bounds of their own.
#[derive(Clone, Debug)]
pub struct Class {
    /// The channels it is for.
    pub pattern: String,
    /// What is kept of all of them together; `None` is whatever the default keeps.
    pub retain: Option<Retain>,
    /// Whether the newest message of each channel is kept beyond the bounds.
    pub retain_last: bool,
}

/// All classes. A publication belongs to the first one whose pattern matches its channel, or else to the default, whose
/// number is one above the last.
#[derive(Clone, Debug)]
pub struct Retention {
    classes: Vec<Class>,
    default: Bounds,
    /// Channels of which the newest message is kept, over all classes; the one that was quiet longest makes room.
    pub max_last: usize,
}

impl Retention {
    /// Classes in the order in which they are asked.
    pub fn new(classes: Vec<Class>, default: Bounds, max_last: usize) -> Self {
        Self { classes, default, max_last }
    }

    /// Everything in one class.
    pub fn uniform(default: Bounds) -> Self {
        Self::new(Vec::new(), default, 0)
    }

    /// How many classes there are, the default included.
    pub fn len(&self) -> usize {
        self.classes.len() + 1
    }

    /// Never: the default is always there.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The class of a channel.
    pub fn class_of(&self, channel: &str) -> usize {
        let found = self.classes.iter().position(|c| Pattern::of_valid(&c.pattern).matches(channel));
        found.unwrap_or(self.classes.len())
    }

    /// The bounds of a class.
    pub fn bounds(&self, class: usize) -> Bounds {
        let own = self.classes.get(class).and_then(|c| c.retain);
        own.map_or(self.default, |retain| retain.over(self.default))
    }

    /// Whether the newest message of each channel of a class is kept.
    pub fn keeps_last(&self, class: usize) -> bool {
        self.classes.get(class).is_some_and(|c| c.retain_last)
    }

    /// Whether any class keeps the newest messages.
    pub fn keeps_any_last(&self) -> bool {
        self.classes.iter().any(|c| c.retain_last)
    }

    /// The pattern of a class; `None` is the default.
    pub fn pattern(&self, class: usize) -> Option<&str> {
        self.classes.get(class).map(|c| c.pattern.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_class_that_matches_decides_and_the_rest_is_the_default() {
        let default = Bounds { max_messages: 10, max_bytes: 1000, max_age: Duration::from_secs(60) };
        let class = |pattern: &str, messages| Class {
            pattern: pattern.into(),
            retain: Some(Retain { messages: Some(messages), ..Retain::default() }),
            retain_last: pattern == "/a/b",
        };
        let retention = Retention::new(vec![class("/a/b", 1), class("/a/**", 2)], default, 5);
        assert_eq!(["/a/b", "/a/c", "/a", "/x"].map(|c| retention.class_of(c)), [0, 1, 2, 2]);
        assert_eq!([0, 1, 2].map(|c| retention.bounds(c).max_messages), [1, 2, 10]);
        assert_eq!(retention.bounds(0).max_bytes, 1000);
        assert!(retention.keeps_last(0) && !retention.keeps_last(1) && !retention.keeps_last(2));
    }
}
