//! `[rates]`: how often whom may do what. Nested by `config`.
//!
//! Each rate is a token bucket: it holds a burst, and a token comes back so many times a second. Handshakes by address are
//! rated before anything else is looked at, by `transport.handshakes_per_second`.

use serde::{Deserialize, Serialize};

/// `[rates]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateSettings {
    /// What one session may do.
    pub session: SessionRates,
    /// What all requests and sessions of one user may do together. Who is anonymous is no user.
    pub user: IdentityRates,
    /// What all requests and sessions of one backend, by the name of its API key, may do together.
    pub backend: IdentityRates,
    /// What all requests and sessions from one address may do together.
    pub address: AddressRates,
    /// Buckets of one kind in use at once; whoever comes beyond that shares a single one.
    pub max_buckets: usize,
}

/// `[rates.session]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionRates {
    /// Messages it may publish a second; 0 is no limit.
    pub publishes_per_second: u32,
    /// Messages it may publish at once; 0 is those of a second.
    pub publish_burst: u32,
    /// Channels it may ask for a second; 0 is no limit.
    pub subscribes_per_second: u32,
    /// Channels it may ask for at once; 0 is those of a second.
    pub subscribe_burst: u32,
}

/// `[rates.user]` and `[rates.backend]`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct IdentityRates {
    /// Messages it may publish a second; 0 is no limit.
    pub publishes_per_second: u32,
    /// Messages it may publish at once; 0 is those of a second.
    pub publish_burst: u32,
    /// Channels it may ask for a second; 0 is no limit.
    pub subscribes_per_second: u32,
    /// Channels it may ask for at once; 0 is those of a second.
    pub subscribe_burst: u32,
    /// Sessions it may make a second; 0 is no limit.
    pub handshakes_per_second: u32,
    /// Sessions it may make at once; 0 is those of a second.
    pub handshake_burst: u32,
}

/// `[rates.address]`. Of IPv6, the network of 64 bits counts as one address.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AddressRates {
    /// Messages it may publish a second; 0 is no limit. Behind a proxy, all clients share its address.
    pub publishes_per_second: u32,
    /// Messages it may publish at once; 0 is those of a second.
    pub publish_burst: u32,
    /// Channels it may ask for a second; 0 is no limit.
    pub subscribes_per_second: u32,
    /// Channels it may ask for at once; 0 is those of a second.
    pub subscribe_burst: u32,
    /// Whether these rates apply to loopback addresses too.
    pub limit_loopback: bool,
}

/// Far above what a page does, far below what floods a broker.
impl Default for SessionRates {
    fn default() -> Self {
        Self { publishes_per_second: 0, publish_burst: 0, subscribes_per_second: 1000, subscribe_burst: 5000 }
    }
}

impl Default for RateSettings {
    fn default() -> Self {
        Self {
            session: SessionRates::default(),
            user: IdentityRates::default(),
            backend: IdentityRates::default(),
            address: AddressRates::default(),
            max_buckets: 100_000,
        }
    }
}

impl RateSettings {
    /// Reports every value that cannot work, as (key within the section, what is wrong).
    pub fn validate(&self, problem: &mut dyn FnMut(&str, String)) {
        if self.max_buckets == 0 {
            problem("max_buckets", "must be at least 1".into());
        }
    }
}
