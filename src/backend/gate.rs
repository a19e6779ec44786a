//! How many calls are out to one backend at a time, and how many may wait for their turn: both are bounded, so that a
//! backend that hangs holds a known amount of memory and nothing else.
//!
//! Used by `target`. Knows no HTTP.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bounds of one backend.
#[derive(Clone)]
pub struct Gate {
    /// One for each call that is out or waits.
    places: Arc<Semaphore>,
    /// One for each call that is out.
    turns: Arc<Semaphore>,
}

/// A place in the queue; given back when dropped.
pub struct Place {
    _place: OwnedSemaphorePermit,
    turns: Arc<Semaphore>,
}

/// The right to be out now; given back when dropped.
pub struct Turn {
    _turn: OwnedSemaphorePermit,
    _place: Place,
}

impl Gate {
    /// At most `active` calls out, and `waiting` more that wait.
    pub fn new(active: usize, waiting: usize) -> Self {
        let all = active.saturating_add(waiting).min(Semaphore::MAX_PERMITS);
        Self { places: Arc::new(Semaphore::new(all)), turns: Arc::new(Semaphore::new(active.min(all))) }
    }

    /// A place, at once or not at all.
    pub fn place(&self) -> Option<Place> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(Place { _place: place, turns: Arc::clone(&self.turns) })
    }
}

impl Place {
    /// Waits for its turn: first come, first served.
    pub async fn turn(self) -> Option<Turn> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok()?;
        Some(Turn { _turn: turn, _place: self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn so_many_are_out_so_many_wait_and_the_next_is_refused() {
        let gate = Gate::new(2, 1);
        let first = gate.place().unwrap().turn().await.unwrap();
        let _second = gate.place().unwrap().turn().await.unwrap();
        let third = gate.place().unwrap().turn();
        tokio::pin!(third);
        assert!(third.as_mut().now_or_never().is_none());
        assert!(gate.place().is_none());
        drop(first);
        assert!(third.now_or_never().is_some());
        assert!(gate.place().is_some());
    }

    #[tokio::test]
    async fn whoever_stops_waiting_gives_the_place_back() {
        let gate = Gate::new(1, 1);
        let _out = gate.place().unwrap().turn().await.unwrap();
        let waiting = Box::pin(gate.place().unwrap().turn());
        assert!(gate.place().is_none());
        drop(waiting);
        assert!(gate.place().is_some());
    }
}
