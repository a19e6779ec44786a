//! Who is there, what they want, and what waits for them; with those flaws that live in a queue.

use super::Flaw;
use std::{
    collections::HashMap,
    sync::Mutex,
    sync::atomic::{AtomicU64, Ordering},
};
use tokio::sync::{Notify, futures::Notified};

#[derive(Default)]
struct Session {
    subscriptions: Vec<String>,
    queue: Vec<String>,
    connects: u64,
    polling: bool,
    acknowledges: bool,
    /// What was sent and not acknowledged, each with its number.
    sent: Vec<(u64, String)>,
    handed: u64,
}

/// All sessions.
pub(crate) struct Sessions {
    flaw: Flaw,
    all: Mutex<HashMap<String, Session>>,
    asked: Mutex<Vec<String>>,
    created: AtomicU64,
    change: Notify,
}

impl Sessions {
    pub(crate) fn new(flaw: Flaw) -> Self {
        let (all, asked) = Default::default();
        Self { flaw, all, asked, created: AtomicU64::new(0), change: Notify::new() }
    }

    pub(crate) fn create(&self, acknowledges: bool) -> String {
        let id = format!("canned-{}", self.created.fetch_add(1, Ordering::Relaxed));
        self.all.lock().unwrap().insert(id.clone(), Session { acknowledges, ..Session::default() });
        id
    }

    pub(crate) fn knows(&self, client: &str) -> bool {
        if self.flaw == Flaw::KnowsWhoAsksTwice {
            let mut asked = self.asked.lock().unwrap();
            if asked.contains(&client.to_owned()) {
                self.all.lock().unwrap().entry(client.to_owned()).or_default();
            }
            asked.push(client.to_owned());
        }
        self.all.lock().unwrap().contains_key(client)
    }

    pub(crate) fn remove(&self, client: &str) {
        self.all.lock().unwrap().remove(client);
        self.change.notify_waiters();
    }

    pub(crate) fn subscribe(&self, client: &str, names: &[&str]) {
        if let Some(session) = self.all.lock().unwrap().get_mut(client) {
            session.subscriptions.extend(names.iter().map(|name| (*name).to_owned()));
        }
    }

    pub(crate) fn unsubscribe(&self, client: &str, names: &[&str]) {
        if let Some(session) = self.all.lock().unwrap().get_mut(client) {
            session.subscriptions.retain(|name| !names.contains(&name.as_str()));
        }
    }

    pub(crate) fn publish(&self, channel: &str, event: &str) {
        for session in self.all.lock().unwrap().values_mut() {
            let mut copies = session.subscriptions.iter().filter(|pattern| matches(pattern, channel)).count();
            if self.flaw != Flaw::DeliversForEachSubscription {
                copies = copies.min(1);
            }
            if self.flaw == Flaw::DropsWhatNobodyPollsFor && !session.polling {
                copies = 0;
            }
            let copies = std::iter::repeat_n(event.to_owned(), copies);
            match self.flaw {
                Flaw::NewestFirst => session.queue.splice(0..0, copies).for_each(drop),
                _ => session.queue.extend(copies),
            }
        }
        self.change.notify_waiters();
    }

    /// The number of this connect and whether it is the first.
    pub(crate) fn begin_connect(&self, client: &str) -> (u64, bool) {
        let mut all = self.all.lock().unwrap();
        let Some(session) = all.get_mut(client) else { return (0, true) };
        session.connects += 1;
        session.polling = true;
        self.change.notify_waiters();
        (session.connects, session.connects == 1)
    }

    pub(crate) fn end_connect(&self, client: &str) {
        if let Some(session) = self.all.lock().unwrap().get_mut(client) {
            session.polling = false;
        }
    }

    pub(crate) fn replaced(&self, client: &str, cycle: u64) -> bool {
        self.all.lock().unwrap().get(client).is_none_or(|session| session.connects != cycle)
    }

    pub(crate) fn drain(&self, client: &str) -> Vec<String> {
        let mut all = self.all.lock().unwrap();
        let Some(session) = all.get_mut(client) else { return Vec::new() };
        std::mem::take(&mut session.queue)
    }

    /// What an acknowledgement makes unnecessary is forgotten.
    pub(crate) fn acknowledge(&self, client: &str, number: Option<u64>) {
        let mut all = self.all.lock().unwrap();
        let Some(session) = all.get_mut(client) else { return };
        let believed = number.filter(|n| *n <= session.handed || self.flaw == Flaw::BelievesAnyAck);
        session.sent.retain(|(n, _)| *n > believed.unwrap_or_default());
    }

    /// What a connect carries, and the number of the newest when the session acknowledges.
    pub(crate) fn hand_out(&self, client: &str) -> (Vec<String>, Option<u64>) {
        let queued = self.drain(client);
        let mut all = self.all.lock().unwrap();
        let Some(session) = all.get_mut(client).filter(|session| session.acknowledges) else { return (queued, None) };
        if self.flaw == Flaw::ForgetsWhatWasSent {
            session.sent.clear();
        }
        for event in queued {
            session.handed += 1;
            session.sent.push((session.handed, event));
        }
        (session.sent.iter().map(|(_, event)| event.clone()).collect(), Some(session.handed))
    }

    /// Resolves at the next change after this call.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.change.notified()
    }
}

fn matches(pattern: &str, channel: &str) -> bool {
    if let Some(parent) = pattern.strip_suffix("**") {
        return channel.starts_with(parent) && channel.len() > parent.len();
    }
    match pattern.strip_suffix('*') {
        Some(parent) => channel.strip_prefix(parent).is_some_and(|rest| !rest.is_empty() && !rest.contains('/')),
        None => pattern == channel,
    }
}
