//! What happened, in order, with virtual times. The same seed gives the same trace.

use parking_lot::Mutex;
use std::fmt;
use tokio::time::Instant;

/// Everything that happened in one run, and the first thing that must not have.
pub struct Trace {
    start: Instant,
    events: Mutex<Vec<String>>,
    failure: Mutex<Option<String>>,
    /// Whether events are printed as they come.
    loud: bool,
}

impl Trace {
    /// An empty trace that begins now.
    pub fn new(loud: bool) -> Self {
        Self { start: Instant::now(), events: Mutex::default(), failure: Mutex::default(), loud }
    }

    /// Notes an event.
    pub fn note(&self, who: &str, what: fmt::Arguments<'_>) {
        let event = format!("{:>7} {who:<5} {what}", self.start.elapsed().as_millis());
        if self.loud {
            println!("{event}");
        }
        self.events.lock().push(event);
    }

    /// Notes that something happened which must not.
    pub fn fail(&self, who: &str, what: fmt::Arguments<'_>) {
        self.note(who, format_args!("VIOLATION: {what}"));
        self.failure.lock().get_or_insert_with(|| format!("{who}: {what}"));
    }

    /// Whether something happened which must not.
    pub fn has_failed(&self) -> bool {
        self.failure.lock().is_some()
    }

    /// The first thing which must not, and everything that happened.
    pub fn finish(&self) -> (Option<String>, Vec<String>) {
        (self.failure.lock().clone(), std::mem::take(&mut self.events.lock()))
    }
}
