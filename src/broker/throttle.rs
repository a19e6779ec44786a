//! How long a peer waits that keeps asking for a session that does not exist. Some clients ask ten thousand times a
//! second; the first answer is immediate, because well-behaved clients need exactly one.
//!
//! Asked by the transports before they answer. Forgets peers that have gone quiet.

use parking_lot::Mutex;
use std::{collections::HashMap, net::IpAddr, time::Duration};
use tokio::time::Instant;

/// Most peers remembered; beyond it all are forgotten, which only makes the next answers quick.
const MAX_PEERS: usize = 10_000;
/// A peer that was quiet for this long starts anew.
const FORGET_AFTER: Duration = Duration::from_secs(15);

/// Who asks: the address and the client id it claims.
type Key = (Option<IpAddr>, Box<str>);

/// Remembers who asked for unknown sessions lately.
#[derive(Default)]
pub struct Throttle(Mutex<HashMap<Key, Asked>>);

struct Asked {
    times: u32,
    last: Instant,
}

impl Throttle {
    /// How long the answer to this question should wait: nothing at first, then `first`, doubling up to `longest`.
    pub fn delay(
        &self,
        peer: Option<IpAddr>,
        claimed: &str,
        now: Instant,
        first: Duration,
        longest: Duration,
    ) -> Duration {
        let mut peers = self.0.lock();
        if peers.len() >= MAX_PEERS {
            peers.clear();
        }
        let shown = claimed.get(..64).unwrap_or(claimed);
        let asked = peers.entry((peer, shown.into())).or_insert(Asked { times: 0, last: now });
        if now.saturating_duration_since(asked.last) > FORGET_AFTER {
            asked.times = 0;
        }
        asked.times += 1;
        asked.last = now;
        match asked.times {
            1 => Duration::ZERO,
            n => first.saturating_mul(1 << (n - 2).min(16)).min(longest),
        }
    }

    /// Lets go of peers that have gone quiet.
    pub fn sweep(&self, now: Instant) {
        self.0.lock().retain(|_, asked| now.saturating_duration_since(asked.last) <= FORGET_AFTER);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_answer_is_immediate_and_repeats_wait_longer() {
        let throttle = Throttle::default();
        let now = Instant::now();
        let delay = |claimed, at| throttle.delay(None, claimed, at, Duration::from_secs(1), Duration::from_secs(5));
        let secs: Vec<u64> = (0..5).map(|_| delay("x", now).as_secs()).collect();
        assert_eq!(secs, [0, 1, 2, 4, 5]);
        assert_eq!(delay("y", now), Duration::ZERO);
        assert_eq!(delay("x", now + Duration::from_secs(60)), Duration::ZERO);
        throttle.sweep(now + Duration::from_secs(100));
        assert!(throttle.0.lock().is_empty());
    }
}
