//! Which configured entry a channel or a subscription concerns.
//!
//! Unlike subscriptions, entries may name channels below `/service/`, so the kinds of channel are looked at here: a
//! wildcard at the root stays with broadcast channels. Used by `service`, `hook` and `forward`.

use crate::bayeux::{
    Pattern,
    channel::{ChannelKind, kind, parent},
};

/// Whether a channel is one that the pattern of an entry means.
pub fn matches(pattern: &str, channel: &str) -> bool {
    if kind(pattern) != kind(channel) {
        return false;
    }
    match Pattern::of_valid(pattern) {
        Pattern::Exact(name) => name == channel,
        Pattern::Children(prefix) => parent(channel) == prefix,
        Pattern::Descendants(prefix) => is_below(channel, prefix),
    }
}

/// Whether a subscription could receive anything that the pattern of an entry means.
pub fn overlap(entry: &str, subscription: &str) -> bool {
    if kind(entry) != ChannelKind::Broadcast || kind(subscription) != ChannelKind::Broadcast {
        return false;
    }
    Pattern::of_valid(entry).overlaps(Pattern::of_valid(subscription))
}

fn is_below(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/') && rest.len() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn service_channels_are_only_meant_by_their_own_patterns() {
        assert!(matches("/service/echo/**", "/service/echo/a/b") && matches("/service/*", "/service/echo"));
        assert!(matches("/service/echo", "/service/echo") && !matches("/service/echo/**", "/service/echo"));
        assert!(!matches("/**", "/service/echo") && !matches("/**", "/meta/connect"));
        assert!(matches("/**", "/servicex") && matches("/a/*", "/a/b") && !matches("/a/*", "/a/b/c"));
    }

    #[test]
    fn a_subscription_that_covers_an_entry_concerns_it() {
        for subscription in ["/chat/x", "/chat/*", "/chat/**", "/**", "/chat/x/*"] {
            assert!(overlap("/chat/**", subscription), "{subscription}");
        }
        for subscription in ["/chat", "/*", "/chats/**", "/service/chat"] {
            assert!(!overlap("/chat/**", subscription), "{subscription}");
        }
    }

    fn names() -> Vec<String> {
        let words = ["a", "b", "c"];
        let mut all: Vec<String> = words.iter().map(|w| format!("/{w}")).collect();
        for _ in 0..3 {
            let longer = all.iter().flat_map(|n| words.iter().map(move |w| format!("{n}/{w}"))).collect::<Vec<_>>();
            all.extend(longer);
        }
        all
    }

    fn pattern() -> impl Strategy<Value = String> {
        let name = proptest::collection::vec(prop_oneof!["a", "b"], 0..3)
            .prop_map(|s| s.iter().fold(String::new(), |name, segment| format!("{name}/{segment}")));
        (name, prop_oneof![Just(""), Just("/*"), Just("/**")]).prop_map(|(name, tail)| {
            if name.is_empty() && tail.is_empty() { "/a".into() } else { format!("{name}{tail}") }
        })
    }

    proptest! {
        /// Against the definition: some channel is meant by both.
        #[test]
        fn overlapping_is_having_a_channel_in_common(a in pattern(), b in pattern()) {
            let common = names().iter().any(|channel| matches(&a, channel) && matches(&b, channel));
            prop_assert_eq!(overlap(&a, &b), common);
        }
    }
}
