//! What must hold: the ledger knows the log, a view knows what one session was promised, and both complain at once.
//!
//! Told by the engine's wrapper, by the network and by clients. Never asks the broker.

use super::trace::Trace;
use crate::{
    bayeux::{Pattern, Seq},
    engine::Draft,
};
use parking_lot::Mutex;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// Channels of which new subscribers get the newest message.
pub const STATE: &str = "/state/**";

/// Every position of the log that anybody has seen, and every publish that was acknowledged.
pub struct Ledger {
    trace: Arc<Trace>,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    /// Channel and data by position, of what is for everybody.
    placed: BTreeMap<Seq, (String, String)>,
    by_data: HashMap<String, Seq>,
    newest_accepted: Seq,
}

impl Ledger {
    /// Nothing yet.
    pub fn new(trace: Arc<Trace>) -> Arc<Self> {
        Arc::new(Self { trace, log: Mutex::default() })
    }

    /// The log holds this here.
    pub fn placed(&self, seq: Seq, draft: &Draft) {
        if draft.to.is_some() {
            return;
        }
        let mut log = self.log.lock();
        let (channel, data) = (draft.channel().to_owned(), draft.data().to_owned());
        if let Some(there) = log.placed.get(&seq) {
            if *there != (channel, data) {
                self.trace.fail("log", format_args!("position {seq} holds {there:?} and {:?}", draft.data()));
            }
            return;
        }
        if let Some(first) = log.by_data.insert(data.clone(), seq) {
            self.trace.fail("log", format_args!("{data} has two places: {first} and {seq}"));
        }
        self.trace.note("log", format_args!("{seq} is {channel} {data:.12}"));
        log.placed.insert(seq, (channel, data));
    }

    /// A publish was answered with success, and with its position if it told.
    pub fn accepted(&self, data: &str, told: Option<Seq>) {
        let mut log = self.log.lock();
        let place = log.by_data.get(data).copied();
        if place.is_none() || told.is_some_and(|told| place != Some(told)) {
            self.trace.fail("log", format_args!("{data:.12} was acknowledged at {told:?} and is at {place:?}"));
        }
        log.newest_accepted = log.newest_accepted.max(place.unwrap_or_default());
    }

    /// An engine was opened again.
    pub fn reopened(&self, newest: Seq) {
        let accepted = self.log.lock().newest_accepted;
        if newest < accepted {
            self.trace
                .fail("log", format_args!("{accepted} was acknowledged, and after a crash the log ends at {newest}"));
        }
    }

    fn find(&self, data: &str) -> Option<(Seq, String)> {
        let log = self.log.lock();
        let seq = *log.by_data.get(data)?;
        Some((seq, log.placed.get(&seq)?.0.clone()))
    }

    /// The newest position of a channel up to another.
    fn newest_of(&self, channel: &str, upto: Seq) -> Option<Seq> {
        let log = self.log.lock();
        log.placed.range(..=upto).rev().find(|(_, (c, _))| c == channel).map(|(seq, _)| *seq)
    }
}

/// What one session was promised and what it got.
pub struct View {
    name: String,
    /// Whether it acknowledges: then no answer that the network loses excuses anything.
    pub ack: bool,
    ledger: Arc<Ledger>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    asked: Vec<Asked>,
    received: BTreeSet<Seq>,
    /// The newest one of each channel, and of all under the empty name.
    newest: HashMap<String, Seq>,
    /// Some messages may come from before others: replays, newest messages.
    reaches_back: bool,
    excused: BTreeSet<Seq>,
    /// Came for a second time when that was allowed.
    again: BTreeSet<Seq>,
    /// May come for a second time.
    once_more: BTreeSet<Seq>,
    /// First and last of positions it was told, or need not be told, that it will not get.
    gaps: Vec<(Seq, Seq)>,
}

/// One subscription as its client sees it.
struct Asked {
    pattern: String,
    /// Some of it may come from before: a replay, newest messages.
    reaches_back: bool,
    /// Nothing up to here may come.
    may_after: Seq,
    /// Everything after this must come; unknown until it was granted.
    must_after: Option<Seq>,
    /// Asked to end it: nothing must come any more.
    ending: bool,
    /// Nothing after this may come.
    until: Seq,
}

impl Asked {
    fn matches(&self, channel: &str) -> bool {
        Pattern::of_valid(&self.pattern).matches(channel)
    }
}

impl Seen {
    /// A pattern begins anew. Gives what came of it so far and may come once more.
    fn may_come_again(&mut self, pattern: &str, log: &Log) -> BTreeSet<Seq> {
        let matches = |channel: &str| Pattern::of_valid(pattern).matches(channel);
        self.newest.retain(|channel, _| channel.is_empty() || !matches(channel));
        let came = self.received.iter().copied();
        came.filter(|seq| log.placed.get(seq).is_some_and(|(channel, _)| matches(channel))).collect()
    }
}

impl View {
    /// Of a new session.
    pub fn new(name: String, ack: bool, ledger: Arc<Ledger>) -> Arc<Self> {
        Arc::new(Self { name, ack, ledger, seen: Mutex::default() })
    }

    fn fail(&self, what: std::fmt::Arguments<'_>) {
        self.ledger.trace.fail(&self.name, what);
    }

    /// A subscribe is on its way: what comes after `may_after` may come from now on.
    pub fn asks(&self, pattern: &str, may_after: Seq, reaches_back: bool) {
        let mut seen = self.seen.lock();
        let (pattern, until) = (pattern.to_owned(), Seq::MAX);
        let asked = Asked { pattern, reaches_back, may_after, must_after: None, ending: false, until };
        if reaches_back {
            // What it got under an older subscription it may get under this one, too.
            let again = seen.may_come_again(&asked.pattern, &self.ledger.log.lock());
            seen.received.retain(|seq| !again.contains(seq));
        }
        seen.asked.push(asked);
        seen.reaches_back |= reaches_back;
    }

    /// It was refused because it could not be stored, and will be asked for once more: what had begun to come by it may come
    /// again.
    pub fn refused(&self, pattern: &str) {
        let mut seen = self.seen.lock();
        if seen.asked.iter().rev().find(|a| a.pattern == pattern).is_some_and(|a| a.reaches_back) {
            let again = seen.may_come_again(pattern, &self.ledger.log.lock());
            seen.once_more.extend(again);
        }
    }

    /// It was granted: what comes after `must_after` must come.
    pub fn granted(&self, pattern: &str, must_after: Seq) {
        let mut seen = self.seen.lock();
        if let Some(asked) = seen.asked.iter_mut().rev().find(|a| a.pattern == pattern) {
            asked.must_after = Some(must_after);
        }
    }

    /// An unsubscribe is on its way.
    pub fn gives_back(&self, pattern: &str) {
        self.seen.lock().asked.iter_mut().filter(|a| a.pattern == pattern).for_each(|a| a.ending = true);
    }

    /// It was granted when the log ended at `newest`.
    pub fn given_back(&self, pattern: &str, newest: Seq) {
        let mut seen = self.seen.lock();
        seen.asked.iter_mut().filter(|a| a.pattern == pattern).for_each(|a| a.until = a.until.min(newest));
    }

    /// A message arrived. Returns its position.
    pub fn receives(&self, channel: &str, data: &str) -> Seq {
        let Some((seq, published_to)) = self.ledger.find(data) else {
            self.fail(format_args!("got {data:.12}, which was never published"));
            return 0;
        };
        let mut seen = self.seen.lock();
        if published_to != channel {
            self.fail(format_args!("got {seq} on {channel}, it was published to {published_to}"));
        }
        let in_time = |a: &Asked| {
            let newest = || {
                Pattern::of_valid(STATE).matches(channel) && self.ledger.newest_of(channel, a.may_after) == Some(seq)
            };
            seq <= a.until && (seq > a.may_after || newest())
        };
        // What was under way for a subscription that was given back may still come; if the channel was asked for again from
        // an older position, or with its newest message, it comes with that, too.
        let under_way = seen.asked.iter().any(|a| a.ending && a.matches(channel) && seq <= a.until)
            && seen.asked.iter().any(|a| !a.ending && a.matches(channel) && in_time(a));
        if !(seen.received.insert(seq) || seen.once_more.remove(&seq) || under_way && seen.again.insert(seq)) {
            self.fail(format_args!("got {seq} twice"));
        }
        let among = if seen.reaches_back { channel } else { "" };
        if !under_way {
            let before = seen.newest.insert(among.to_owned(), seq).unwrap_or(0);
            if before > seq {
                self.fail(format_args!("got {seq} after {before}"));
            }
        }
        if !seen.asked.iter().any(|a| a.matches(channel) && in_time(a)) {
            self.fail(format_args!("got {seq} on {channel}, which it did not ask for"));
        }
        seq
    }

    /// The client was told of a gap.
    pub fn told_gap(&self, first: Seq, last: Seq) {
        if first > last {
            self.fail(format_args!("was told of a gap from {first} to {last}"));
        }
        self.ledger.trace.note(&self.name, format_args!("is told of a gap from {first} to {last}"));
        self.seen.lock().gaps.push((first, last));
    }

    /// An answer was written and the network lost it: who does not acknowledge will not get it again.
    pub fn unheard(&self, answer: &[u8]) {
        let Ok(Value::Array(parts)) = serde_json::from_slice(answer) else { return };
        if self.ack {
            return;
        }
        for part in parts {
            if part.get("successful").is_none() {
                let found = self.ledger.find(&part["data"].to_string()).map(|(seq, _)| seq);
                self.ledger.trace.note(&self.name, format_args!("will not get {found:?}"));
                self.seen.lock().excused.extend(found);
            } else if let Some((first, last)) = gap(&part) {
                self.seen.lock().gaps.push((first, last));
            }
        }
    }

    /// The broker crashed and nobody knows what was under way, if the client does not say.
    pub fn crashed(&self, newest: Seq) {
        let mut seen = self.seen.lock();
        if !self.ack {
            seen.gaps.push((0, newest));
        }
        // A subscribe that was never answered is sent again, and nobody knows by then that its older messages had come.
        let unanswered = |a: &&Asked| a.must_after.is_none() && !a.ending && a.reaches_back;
        let unanswered: Vec<String> = seen.asked.iter().filter(unanswered).map(|a| a.pattern.clone()).collect();
        let log = self.ledger.log.lock();
        for pattern in unanswered {
            let again = seen.may_come_again(&pattern, &log);
            seen.once_more.extend(again);
        }
    }

    /// The session is at its end and had every occasion to get what it was promised.
    pub fn settle(&self) {
        let (seen, log) = (self.seen.lock(), self.ledger.log.lock());
        let excused = |seq: Seq| seen.excused.contains(&seq) || seen.gaps.iter().any(|(a, b)| (*a..=*b).contains(&seq));
        let promised = |seq: Seq, channel: &str| {
            seen.asked.iter().any(|a| !a.ending && a.matches(channel) && a.must_after.is_some_and(|after| seq > after))
        };
        let missing = |(seq, (channel, _)): &(&Seq, &(String, String))| {
            promised(**seq, channel) && !seen.received.contains(*seq) && !excused(**seq)
        };
        let missing: Vec<Seq> = log.placed.iter().filter(missing).map(|(seq, _)| *seq).collect();
        if !missing.is_empty() {
            self.fail(format_args!("never got {missing:?} and was told of no gap there"));
        }
        self.ledger.trace.note(&self.name, format_args!("is settled with {} messages", seen.received.len()));
    }
}

/// The gap that a reply tells of.
pub fn gap(reply: &Value) -> Option<(Seq, Seq)> {
    let gap = reply.get("ext")?.get("gap")?;
    Some((gap["first"].as_u64()?, gap["last"].as_u64()?))
}
