//! What the settings say of channels: how long they are kept, whether new subscribers get the newest message, whether
//! messages may wait, by pattern.
//!
//! Built once from `[[channel]]`, asked by lanes and verbs. Holds settings, never messages.

use super::settings::ChannelSettings;
use crate::{
    bayeux::Pattern,
    engine::{Bounds, Lost, Retention, retention::Class},
};
use std::{sync::Arc, time::Duration};

/// The table of all of them.
#[derive(Clone, Debug)]
pub struct Channels {
    settings: Vec<ChannelSettings>,
    retention: Retention,
    any_lazy: bool,
}

impl Channels {
    /// A table over what the engine keeps by default.
    pub fn new(settings: Vec<ChannelSettings>, default: Bounds, max_last: usize) -> Self {
        let kept = settings.iter().filter(|c| c.retain.is_some() || c.retain_last);
        let classes = kept.map(|c| Class { pattern: c.pattern.clone(), retain: c.retain, retain_last: c.retain_last });
        let retention = Retention::new(classes.collect(), default, max_last);
        let any_lazy = settings.iter().any(|c| c.lazy.is_some());
        Self { settings, retention, any_lazy }
    }

    /// What the engine has to keep.
    pub fn retention(&self) -> &Retention {
        &self.retention
    }

    /// How long a message of a channel may wait; `None` is not at all.
    pub fn lazy(&self, channel: &str) -> Option<Duration> {
        if !self.any_lazy {
            return None;
        }
        let matching = |c: &&ChannelSettings| c.lazy.is_some() && Pattern::of_valid(&c.pattern).matches(channel);
        self.settings.iter().find(matching).and_then(|c| c.lazy).filter(|wait| !wait.is_zero())
    }

    /// Whether a subscription to `pattern` may be given newest messages.
    pub fn keeps_last(&self, pattern: &str) -> bool {
        let mut classes = (0..self.retention.len()).filter(|class| self.retention.keeps_last(*class));
        classes.any(|class| self.class_overlaps(class, pattern))
    }

    /// Channels that are listed also while nobody subscribes to them.
    pub fn persistent(&self) -> impl Iterator<Item = &str> {
        self.settings.iter().filter(|c| c.persistent).map(|c| c.pattern.as_str())
    }

    /// First and last position of what is lost to somebody with these subscriptions; `None` when nothing concerns them.
    pub fn concerns(&self, lost: &[Lost], subscriptions: &[Arc<str>]) -> Option<(u64, u64)> {
        let mut lost = lost.iter().filter(|l| subscriptions.iter().any(|s| self.class_overlaps(l.class, s)));
        let first = *lost.next()?;
        Some(lost.fold((first.first, first.last), |(a, b), l| (a.min(l.first), b.max(l.last))))
    }

    /// Whether a subscription may match channels of a class: of the default one, if no class covers it wholly.
    fn class_overlaps(&self, class: usize, subscription: &str) -> bool {
        let subscription = Pattern::of_valid(subscription);
        match self.retention.pattern(class) {
            Some(pattern) => Pattern::of_valid(pattern).overlaps(subscription),
            None => {
                !(0..class).filter_map(|c| self.retention.pattern(c)).any(|p| Pattern::of_valid(p).covers(subscription))
            }
        }
    }
}

impl Default for Channels {
    fn default() -> Self {
        let wide = Bounds { max_messages: usize::MAX, max_bytes: usize::MAX, max_age: Duration::MAX };
        Self::new(Vec::new(), wide, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Retain;

    fn entry(pattern: &str) -> ChannelSettings {
        ChannelSettings { pattern: pattern.into(), retain: None, retain_last: false, lazy: None, persistent: false }
    }

    fn table() -> Channels {
        let second = Duration::from_secs(1);
        let orders =
            ChannelSettings { retain: Some(Retain { messages: Some(5), ..Retain::default() }), ..entry("/orders/**") };
        let urgent = ChannelSettings { lazy: Some(Duration::ZERO), ..entry("/orders/urgent") };
        let lazy = ChannelSettings { lazy: Some(second), ..entry("/**") };
        let state = ChannelSettings { retain_last: true, ..entry("/state/*") };
        Channels::new(vec![orders, urgent, lazy, state], Channels::default().retention.bounds(0), 10)
    }

    #[test]
    fn the_first_entry_that_says_something_decides() {
        let channels = table();
        assert_eq!(channels.lazy("/orders/1"), Some(Duration::from_secs(1)));
        assert_eq!(channels.lazy("/orders/urgent"), None);
        assert_eq!(channels.retention().len(), 3);
        assert!(channels.keeps_last("/state/x") && channels.keeps_last("/**") && !channels.keeps_last("/orders/**"));
    }

    #[test]
    fn losses_concern_only_those_who_could_have_received() {
        let channels = table();
        let lost = |class| [Lost { class, first: 3, last: 9 }];
        let concerns = |class, s: &str| channels.concerns(&lost(class), &[s.into()]).is_some();
        assert!(concerns(0, "/orders/1") && concerns(0, "/**") && !concerns(0, "/chat/*"));
        assert!(concerns(2, "/chat/*") && !concerns(2, "/orders/x/*"), "orders are never of the default class");
        let both = [Lost { class: 0, first: 3, last: 4 }, Lost { class: 2, first: 3, last: 9 }];
        assert_eq!(channels.concerns(&both, &["/**".into()]), Some((3, 9)));
    }
}
