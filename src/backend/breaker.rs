//! The circuit breaker: after so many failures in a row a backend is left in peace for a while, then tried with one call.
//!
//! A state machine without a clock: the caller brings the time. Own code, because it is three states and a crate would
//! bring a clock of its own. Used by `target` behind a lock.

use std::time::Duration;
use tokio::time::Instant;

/// Whether calls go out.
#[derive(Debug)]
pub struct Breaker {
    /// Failures in a row that open it; 0 never opens it.
    threshold: u32,
    pause: Duration,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed {
        failures: u32,
    },
    /// Nothing goes out before this.
    Open {
        until: Instant,
    },
    /// One call is out to see. If nobody tells how it went, another may go after this.
    Trial {
        until: Instant,
    },
}

/// What a call's end did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It opened.
    Opened,
    /// It closed again.
    Closed,
    /// It stays as it was.
    Stayed,
}

impl Breaker {
    /// A closed one.
    pub fn new(threshold: u32, pause: Duration) -> Self {
        Self { threshold, pause, state: State::Closed { failures: 0 } }
    }

    /// Whether calls are refused now.
    pub fn is_open(&self, now: Instant) -> bool {
        match self.state {
            State::Closed { .. } => false,
            State::Open { until } | State::Trial { until } => now < until,
        }
    }

    /// Whether a call may go out now. When it was open long enough, exactly one may.
    pub fn admit(&mut self, now: Instant) -> bool {
        if self.is_open(now) {
            return false;
        }
        if !matches!(self.state, State::Closed { .. }) {
            self.state = State::Trial { until: now + self.pause };
        }
        true
    }

    /// A call was answered.
    pub fn succeeded(&mut self) -> Turn {
        let before = std::mem::replace(&mut self.state, State::Closed { failures: 0 });
        if matches!(before, State::Closed { .. }) { Turn::Stayed } else { Turn::Closed }
    }

    /// A call failed.
    pub fn failed(&mut self, now: Instant) -> Turn {
        match &mut self.state {
            State::Closed { failures } => {
                *failures = failures.saturating_add(1);
                if self.threshold == 0 || *failures < self.threshold {
                    return Turn::Stayed;
                }
                self.state = State::Open { until: now + self.pause };
                Turn::Opened
            }
            State::Trial { .. } => {
                self.state = State::Open { until: now + self.pause };
                Turn::Stayed
            }
            // One that was out already when it opened: nothing new.
            State::Open { .. } => Turn::Stayed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(2);

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::new(3, PAUSE);
        assert_eq!([(); 3].map(|()| breaker.failed(now)), [Turn::Stayed, Turn::Stayed, Turn::Opened]);
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_them_does_not() {
        let now = Instant::now();
        let mut breaker = Breaker::new(3, PAUSE);
        for _ in 0..9 {
            assert_eq!((breaker.failed(now), breaker.failed(now)), (Turn::Stayed, Turn::Stayed));
            assert_eq!(breaker.succeeded(), Turn::Stayed);
            assert!(breaker.admit(now));
        }
        assert!(!opened(now).admit(now));
    }

    #[test]
    fn after_the_pause_one_call_goes_out_and_decides() {
        let now = Instant::now();
        let later = now + PAUSE;
        let mut breaker = opened(now);
        assert!(!breaker.admit(later - Duration::from_millis(1)));
        assert!(breaker.admit(later) && !breaker.admit(later));
        assert_eq!(breaker.failed(later), Turn::Stayed);
        assert!(!breaker.admit(later));
        assert!(breaker.admit(later + PAUSE));
        assert_eq!(breaker.succeeded(), Turn::Closed);
        assert!(breaker.admit(later + PAUSE) && breaker.admit(later + PAUSE));
    }

    #[test]
    fn a_trial_that_is_never_heard_of_again_does_not_keep_it_open() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert!(breaker.admit(now + PAUSE));
        assert!(!breaker.admit(now + PAUSE));
        assert!(breaker.admit(now + 2 * PAUSE));
    }

    #[test]
    fn those_that_were_out_when_it_opened_do_not_lengthen_the_pause() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert_eq!(breaker.failed(now + PAUSE / 2), Turn::Stayed);
        assert!(breaker.admit(now + PAUSE));
    }

    #[test]
    fn a_threshold_of_zero_never_opens() {
        let now = Instant::now();
        let mut breaker = Breaker::new(0, PAUSE);
        assert!((0..1000).all(|_| breaker.failed(now) == Turn::Stayed && breaker.admit(now)));
    }
}
