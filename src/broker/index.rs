//! Which sessions of a lane asked for a channel. A channel of n segments costs n + 2 look-ups, however many patterns
//! there are.
//!
//! Owned by one lane behind its lock; subscribe and unsubscribe change it, fan-out reads it. Holds sessions, never
//! messages.

use super::session::Session;
use crate::bayeux::{ClientId, Pattern, Seq, channel};
use indexmap::IndexMap;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// The sessions that hold one pattern, each with the position its subscription began at.
type Subscribers = IndexMap<ClientId, (Arc<Session>, Seq)>;

/// Patterns to sessions. Wildcards are kept under their prefix, so that matching only compares whole names.
#[derive(Default)]
pub struct ChannelIndex {
    exact: HashMap<Box<str>, Subscribers>,
    children: HashMap<Box<str>, Subscribers>,
    descendants: HashMap<Box<str>, Subscribers>,
}

impl ChannelIndex {
    /// Adds a subscription; one that exists keeps its beginning, unless its session is over and this one
    /// goes on in its place.
    pub fn add(&mut self, pattern: &str, session: &Arc<Session>, since: Seq) {
        let (map, key) = self.place(pattern);
        let new = || (Arc::clone(session), since);
        let there = map.entry(key.into()).or_default().entry(session.id).or_insert_with(new);
        if !Arc::ptr_eq(&there.0, session) && there.0.lock().ended.is_some() {
            *there = new();
        }
    }

    /// Removes a subscription if there is one.
    pub fn remove(&mut self, pattern: &str, session: ClientId) {
        let (map, key) = self.place(pattern);
        let Some(subscribers) = map.get_mut(key) else { return };
        subscribers.swap_remove(&session);
        if subscribers.is_empty() {
            map.remove(key);
        }
    }

    /// Calls `each` for every session that asked for `channel` before position `seq`; one that holds several matching
    /// patterns is called for each of them.
    pub fn for_each(&self, channel: &str, seq: Seq, mut each: impl FnMut(&Arc<Session>)) {
        for subscribers in self.reached(channel) {
            for (session, since) in subscribers.values() {
                if seq > *since {
                    each(session);
                }
            }
        }
    }

    /// Who holds a pattern that matches `channel`, pattern by pattern.
    fn reached<'a>(&'a self, channel: &'a str) -> impl Iterator<Item = &'a Subscribers> {
        let broadcast = channel::kind(channel) == channel::ChannelKind::Broadcast;
        let exact = self.exact.get(channel);
        let children = self.children.get(channel::parent(channel));
        let descendants = channel::ancestors(channel).filter_map(|prefix| self.descendants.get(prefix));
        exact.into_iter().chain(children).chain(descendants).filter(move |_| broadcast)
    }

    /// How many sessions hold a pattern that matches `channel`, one of them left out.
    pub fn count(&self, channel: &str, without: Option<ClientId>) -> usize {
        let mut count = 0;
        let mut reached = self.reached(channel);
        let Some(first) = reached.next() else { return 0 };
        let mut before = vec![first];
        count += first.len();
        for subscribers in reached {
            count += subscribers.keys().filter(|id| !before.iter().any(|b| b.contains_key(*id))).count();
            before.push(subscribers);
        }
        count - usize::from(without.is_some_and(|id| before.iter().any(|b| b.contains_key(&id))))
    }

    /// Calls `each` for everyone a publication to `channel` is for, maybe twice; of a pattern, for everyone who holds it.
    pub fn holders(&self, channel: &str, each: &mut dyn FnMut(&Arc<Session>)) {
        let own = match Pattern::of_valid(channel) {
            Pattern::Exact(_) => return self.for_each(channel, Seq::MAX, each),
            Pattern::Children(prefix) => self.children.get(prefix),
            Pattern::Descendants(prefix) => self.descendants.get(prefix),
        };
        own.into_iter().flat_map(IndexMap::values).for_each(|(session, _)| each(session));
    }

    /// The first `limit` names that are held and wanted, each with how many hold it.
    pub fn names(&self, wanted: &dyn Fn(&str) -> bool, limit: usize) -> BTreeMap<Box<str>, usize> {
        let mut first = BTreeMap::new();
        let mut name = String::new();
        for (map, tail) in [(&self.exact, ""), (&self.children, "/*"), (&self.descendants, "/**")] {
            for (prefix, subscribers) in map {
                name.clear();
                name.push_str(prefix);
                name.push_str(tail);
                if wanted(&name) {
                    first.insert(name.as_str().into(), subscribers.len());
                    if first.len() > limit {
                        first.pop_last();
                    }
                }
            }
        }
        first
    }

    /// How many patterns are held by anybody.
    pub fn patterns(&self) -> usize {
        self.exact.len() + self.children.len() + self.descendants.len()
    }

    fn place<'a>(&mut self, pattern: &'a str) -> (&mut HashMap<Box<str>, Subscribers>, &'a str) {
        match Pattern::of_valid(pattern) {
            Pattern::Exact(name) => (&mut self.exact, name),
            Pattern::Children(prefix) => (&mut self.children, prefix),
            Pattern::Descendants(prefix) => (&mut self.descendants, prefix),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use tokio::time::Instant;

    fn session(n: u128) -> Arc<Session> {
        Arc::new(Session::new(ClientId::from_bits(n), 0, None, 0, Instant::now()))
    }

    fn matching(index: &ChannelIndex, channel: &str, seq: Seq) -> BTreeSet<u128> {
        let mut found = BTreeSet::new();
        index.for_each(channel, seq, |s| {
            found.insert(s.id.bits());
        });
        found
    }

    #[test]
    fn what_is_removed_leaves_nothing_behind() {
        let mut index = ChannelIndex::default();
        let s = session(1);
        for pattern in ["/a", "/a/*", "/a/**", "/**"] {
            index.add(pattern, &s, 0);
            index.remove(pattern, s.id);
            index.remove(pattern, s.id);
        }
        assert_eq!(index.patterns(), 0);
    }

    #[test]
    fn subscribing_again_keeps_the_first_beginning() {
        let mut index = ChannelIndex::default();
        let s = session(1);
        index.add("/a", &s, 5);
        index.add("/a", &s, 9);
        assert!(matching(&index, "/a", 6).contains(&1));
        assert!(matching(&index, "/a", 5).is_empty());
    }

    fn name() -> impl Strategy<Value = String> {
        proptest::collection::vec(prop_oneof!["a", "b", "meta", "service"], 1..4)
            .prop_map(|s| format!("/{}", s.join("/")))
    }

    fn pattern() -> impl Strategy<Value = String> {
        (name(), prop_oneof![Just(""), Just("/*"), Just("/**")], any::<bool>())
            .prop_map(|(name, tail, root)| if root && !tail.is_empty() { tail.into() } else { format!("{name}{tail}") })
    }

    proptest! {
        #[test]
        fn the_index_finds_what_a_naive_matcher_finds(
            held in proptest::collection::vec((0u128..6, pattern(), any::<bool>()), 0..40),
            channel in name(),
        ) {
            let mut index = ChannelIndex::default();
            let sessions: Vec<_> = (0..6).map(session).collect();
            let mut model: BTreeSet<(u128, String)> = BTreeSet::new();
            for (who, pattern, add) in held {
                if add {
                    index.add(&pattern, &sessions[who as usize], 0);
                    model.insert((who, pattern));
                } else {
                    index.remove(&pattern, ClientId::from_bits(who));
                    model.remove(&(who, pattern));
                }
            }
            let naive: BTreeSet<u128> = model
                .iter()
                .filter(|(_, pattern)| Pattern::of_valid(pattern).matches(&channel))
                .map(|(who, _)| *who)
                .collect();
            prop_assert_eq!(index.count(&channel, None), naive.len());
            let others = naive.iter().filter(|id| **id != 3).count();
            prop_assert_eq!(index.count(&channel, Some(ClientId::from_bits(3))), others);
            let names: BTreeSet<String> = model.iter().map(|(_, pattern)| pattern.clone()).collect();
            let held = index.names(&|_| true, 100);
            prop_assert_eq!(held.keys().map(|name| name.to_string()).collect::<BTreeSet<_>>(), names);
            let first: Vec<_> = held.keys().take(3).cloned().collect();
            prop_assert_eq!(index.names(&|_| true, 3).into_keys().collect::<Vec<_>>(), first);
            prop_assert_eq!(held.values().sum::<usize>(), model.len());
            prop_assert_eq!(matching(&index, &channel, 1), naive);
        }
    }
}
