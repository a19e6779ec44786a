//! How many handshakes an address may make a second. Sessions cost memory, so making them is rated.
//!
//! Asked by the exchange at each handshake. Loopback is exempt unless the settings say otherwise.

use super::settings::TransportSettings;
use governor::{
    DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};
use std::{net::IpAddr, num::NonZeroU32, time::Duration};

/// The rate of handshakes by address.
pub struct HandshakeLimiter {
    rates: Option<DefaultKeyedRateLimiter<IpAddr>>,
    loopback_too: bool,
}

/// Addresses remembered before those without recent handshakes are let go.
const MAX_ADDRESSES: usize = 50_000;

impl HandshakeLimiter {
    /// The limiter of these settings; a rate of zero limits nothing.
    pub fn new(settings: &TransportSettings) -> Self {
        let rates = NonZeroU32::new(settings.handshakes_per_second).map(|rate| {
            let burst = NonZeroU32::new(settings.handshake_burst).unwrap_or(NonZeroU32::MIN);
            RateLimiter::keyed(Quota::per_second(rate).allow_burst(burst))
        });
        Self { rates, loopback_too: settings.limit_loopback }
    }

    /// Whether this address may handshake now.
    ///
    /// # Errors
    /// When it may not, with the time after which it may.
    pub fn check(&self, peer: Option<IpAddr>) -> Result<(), Duration> {
        let (Some(rates), Some(peer)) = (&self.rates, peer) else { return Ok(()) };
        if peer.to_canonical().is_loopback() && !self.loopback_too {
            return Ok(());
        }
        if rates.len() > MAX_ADDRESSES {
            rates.retain_recent();
        }
        let checked = rates.check_key(&peer.to_canonical());
        checked.map_err(|until| until.wait_time_from(DefaultClock::default().now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(limit_loopback: bool) -> HandshakeLimiter {
        HandshakeLimiter::new(&TransportSettings {
            handshakes_per_second: 1,
            handshake_burst: 2,
            limit_loopback,
            ..TransportSettings::default()
        })
    }

    #[test]
    fn a_burst_is_allowed_and_then_no_more() {
        let limiter = limiter(false);
        let peer = Some(IpAddr::from([10, 0, 0, 1]));
        assert_eq!([(); 3].map(|()| limiter.check(peer).is_ok()), [true, true, false]);
        assert!(limiter.check(Some(IpAddr::from([10, 0, 0, 2]))).is_ok());
    }

    #[test]
    fn loopback_is_exempt_unless_told() {
        let local = Some(IpAddr::from([127, 0, 0, 1]));
        let free = limiter(false);
        assert!((0..9).all(|_| free.check(local).is_ok()));
        let strict = limiter(true);
        assert!(!(0..9).all(|_| strict.check(local).is_ok()));
    }
}
