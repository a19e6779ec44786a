//! The two things that the broker takes from outside of what it is told: the wall clock, and chance for client ids.
//!
//! Asked by the verbs and the sweep. In tests a thread can script both, so that what happened once happens again.

use crate::bayeux::ClientId;
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// The wall clock in milliseconds since 1970.
pub(crate) fn wall_clock_ms() -> u64 {
    #[cfg(test)]
    if let Some(now_ms) = scripted::wall_clock_ms() {
        return now_ms;
    }
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

/// An id that nobody can guess.
pub(super) fn new_client_id() -> ClientId {
    #[cfg(test)]
    if let Some(id) = scripted::new_client_id() {
        return id;
    }
    ClientId::new(Uuid::new_v4())
}

/// Clock and chance as a script for one thread.
#[cfg(test)]
pub(crate) mod scripted {
    use super::*;
    use std::{cell::RefCell, time::Duration};

    struct Script {
        draw: Box<dyn FnMut() -> u64>,
        clock: Box<dyn Fn() -> Duration>,
    }

    thread_local!(static SCRIPT: RefCell<Option<Script>> = const { RefCell::new(None) });

    /// Ends the script when it is dropped.
    pub(crate) struct Scripted(());

    impl Drop for Scripted {
        fn drop(&mut self) {
            SCRIPT.take();
        }
    }

    /// From now on this thread draws ids from `draw` and reads the time since 1970 from `clock`.
    pub(crate) fn begin(draw: impl FnMut() -> u64 + 'static, clock: impl Fn() -> Duration + 'static) -> Scripted {
        SCRIPT.replace(Some(Script { draw: Box::new(draw), clock: Box::new(clock) }));
        Scripted(())
    }

    pub(super) fn wall_clock_ms() -> Option<u64> {
        SCRIPT.with_borrow(|script| script.as_ref().map(|s| (s.clock)().as_millis() as u64))
    }

    pub(super) fn new_client_id() -> Option<ClientId> {
        SCRIPT.with_borrow_mut(|script| {
            let script = script.as_mut()?;
            Some(ClientId::from_bits(u128::from((script.draw)()) << 64 | u128::from((script.draw)())))
        })
    }
}
