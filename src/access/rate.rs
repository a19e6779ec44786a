//! How often: token buckets around another policy, by session, user, backend and address.
//!
//! The server puts it outermost, so that a flood costs neither rules nor calls to backends. An attempt counts, whatever
//! comes of it; a batch counts each of its messages. Memory is bounded: buckets that are full again are let go, and
//! beyond the bound newcomers share one.

use super::rate_settings::RateSettings;
use crate::{
    bayeux::ClientId,
    broker::{
        Asking, Credentials, Denial, Identity, Policy,
        metrics::{RateCounters, RateLabel, RatedBy, RatedWhat},
    },
    engine::Answer,
};
use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock, Reference},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{
        InMemoryState, NotKeyed, StateStore,
        keyed::{DashMapStateStore, ShrinkableKeyedStateStore},
    },
};
use parking_lot::Mutex;
use serde_json::value::RawValue;
use std::{
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

/// How often buckets that are full again are looked for.
const SWEEP_PERIOD: Duration = Duration::from_secs(10);

/// Asks the policy inside, but not too often.
pub struct Rates<C: Clock = DefaultClock> {
    inner: Arc<dyn Policy>,
    publish: Buckets<C>,
    subscribe: Buckets<C>,
    handshake: Buckets<C>,
    loopback_too: bool,
    counters: RateCounters,
}

impl Rates {
    /// The rates of these settings around a policy, with what counts refusals; the policy itself when there are none.
    pub fn around(inner: Arc<dyn Policy>, settings: &RateSettings, counters: RateCounters) -> Arc<dyn Policy> {
        let rates = Self::with_clock(inner, settings, counters, &DefaultClock::default());
        let limits = |buckets: &Buckets<DefaultClock>| !buckets.is_empty();
        if limits(&rates.publish) || limits(&rates.subscribe) || limits(&rates.handshake) {
            Arc::new(rates)
        } else {
            rates.inner
        }
    }
}

impl<C: Clock + Clone> Rates<C> {
    fn with_clock(inner: Arc<dyn Policy>, settings: &RateSettings, counters: RateCounters, clock: &C) -> Self {
        let RateSettings { session, user, backend, address, max_buckets } = settings;
        let most = *max_buckets;
        Self {
            inner,
            publish: Buckets {
                session: Table::new(session.publishes_per_second, session.publish_burst, most, clock),
                user: Table::new(user.publishes_per_second, user.publish_burst, most, clock),
                backend: Table::new(backend.publishes_per_second, backend.publish_burst, most, clock),
                address: Table::new(address.publishes_per_second, address.publish_burst, most, clock),
            },
            subscribe: Buckets {
                session: Table::new(session.subscribes_per_second, session.subscribe_burst, most, clock),
                user: Table::new(user.subscribes_per_second, user.subscribe_burst, most, clock),
                backend: Table::new(backend.subscribes_per_second, backend.subscribe_burst, most, clock),
                address: Table::new(address.subscribes_per_second, address.subscribe_burst, most, clock),
            },
            handshake: Buckets {
                session: None,
                user: Table::new(user.handshakes_per_second, user.handshake_burst, most, clock),
                backend: Table::new(backend.handshakes_per_second, backend.handshake_burst, most, clock),
                address: None,
            },
            loopback_too: address.limit_loopback,
            counters,
        }
    }

    fn check(&self, buckets: &Buckets<C>, what: RatedWhat, asking: &Asking) -> Result<(), Denial> {
        buckets.check(asking, self.loopback_too).map_err(|(by, wait)| {
            self.counters.get_or_create(&RateLabel { by, what }).inc();
            Denial::RateLimited(wait)
        })
    }
}

impl<C> Policy for Rates<C>
where
    C: Clock + Clone + Send + Sync + 'static,
    C::Instant: Send + Sync,
{
    fn inner(&self) -> Option<&Arc<dyn Policy>> {
        Some(&self.inner)
    }

    fn identify(
        &self,
        credentials: Option<&Arc<Credentials>>,
        ext: Option<&RawValue>,
    ) -> Answer<Result<Arc<Identity>, Denial>> {
        self.inner.identify(credentials, ext)
    }

    fn may_handshake(&self, asking: &Asking, ext: Option<&RawValue>) -> Answer<Result<(), Denial>> {
        match self.check(&self.handshake, RatedWhat::Handshake, asking) {
            Ok(()) => self.inner.may_handshake(asking, ext),
            Err(denial) => Answer::Now(Err(denial)),
        }
    }

    fn may_subscribe(&self, asking: &Asking, pattern: &str) -> Answer<Result<(), Denial>> {
        match self.check(&self.subscribe, RatedWhat::Subscribe, asking) {
            Ok(()) => self.inner.may_subscribe(asking, pattern),
            Err(denial) => Answer::Now(Err(denial)),
        }
    }

    fn may_publish(
        &self,
        asking: &Asking,
        channel: &str,
        data: &RawValue,
    ) -> Answer<Result<Option<Box<RawValue>>, Denial>> {
        match self.check(&self.publish, RatedWhat::Publish, asking) {
            Ok(()) => self.inner.may_publish(asking, channel, data),
            Err(denial) => Answer::Now(Err(denial)),
        }
    }

    /// Counts as a publish, which it is.
    fn refresh(
        self: Arc<Self>,
        asking: &Asking,
        held: Vec<Arc<str>>,
        data: &RawValue,
    ) -> Answer<Result<Arc<Identity>, Denial>> {
        match self.check(&self.publish, RatedWhat::Publish, asking) {
            Ok(()) => Arc::clone(&self.inner).refresh(asking, held, data),
            Err(denial) => Answer::Now(Err(denial)),
        }
    }
}

/// The buckets of one verb; those without a rate are not there.
struct Buckets<C: Clock> {
    session: Option<Table<ClientId, C>>,
    user: Option<Table<Arc<str>, C>>,
    backend: Option<Table<Arc<str>, C>>,
    address: Option<Table<IpAddr, C>>,
}

impl<C: Clock> Buckets<C> {
    fn is_empty(&self) -> bool {
        self.session.is_none() && self.user.is_none() && self.backend.is_none() && self.address.is_none()
    }

    /// Takes a token from every bucket that is the asker's, or says which of them has none and for how long.
    fn check(&self, asking: &Asking, loopback_too: bool) -> Result<(), (RatedBy, Duration)> {
        let peer = asking.peer.map(|peer| peer.to_canonical());
        let peer = peer.filter(|peer| loopback_too || !peer.is_loopback()).map(network);
        take(self.session.as_ref(), asking.session.as_ref()).map_err(|wait| (RatedBy::Session, wait))?;
        take(self.user.as_ref(), asking.who.user.as_ref()).map_err(|wait| (RatedBy::User, wait))?;
        take(self.backend.as_ref(), asking.who.key.as_ref()).map_err(|wait| (RatedBy::Backend, wait))?;
        take(self.address.as_ref(), peer.as_ref()).map_err(|wait| (RatedBy::Address, wait))
    }
}

fn take<K: Clone + Eq + Hash, C: Clock>(table: Option<&Table<K, C>>, key: Option<&K>) -> Result<(), Duration> {
    match (table, key) {
        (Some(table), Some(key)) => table.take(key),
        _ => Ok(()),
    }
}

/// What one subscriber line is given: an address, or a network of IPv6, in which anybody picks addresses freely.
fn network(peer: IpAddr) -> IpAddr {
    const HOST_BITS: u128 = u64::MAX as u128;
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(peer) => Ipv6Addr::from_bits(peer.to_bits() & !HOST_BITS).into(),
    }
}

/// The buckets of one kind.
struct Table<K: Clone + Eq + Hash, C: Clock> {
    limiter: RateLimiter<K, Bounded<K>, C, NoOpMiddleware<C::Instant>>,
    swept: Mutex<C::Instant>,
}

impl<K: Clone + Eq + Hash, C: Clock> Table<K, C> {
    /// A table of at most `most` buckets; none when there is no rate.
    fn new(per_second: u32, burst: u32, most: usize, clock: &C) -> Option<Self>
    where
        C: Clone,
    {
        let rate = NonZeroU32::new(per_second)?;
        let quota = Quota::per_second(rate).allow_burst(NonZeroU32::new(burst).unwrap_or(rate));
        let limiter = RateLimiter::new(quota, Bounded::new(most), clock.clone());
        Some(Self { limiter, swept: Mutex::new(clock.now()) })
    }

    /// Takes a token, or says when there will be one.
    fn take(&self, key: &K) -> Result<(), Duration> {
        self.sweep_now_and_then();
        let taken = self.limiter.check_key(key);
        taken.map_err(|until| until.wait_time_from(self.limiter.clock().now()))
    }

    /// Whoever comes when it is time does it; nobody waits for it.
    fn sweep_now_and_then(&self) {
        let Some(mut swept) = self.swept.try_lock() else { return };
        let now = self.limiter.clock().now();
        if Duration::from(now.duration_since(*swept)) >= SWEEP_PERIOD {
            *swept = now;
            drop(swept);
            self.limiter.retain_recent();
        }
    }
}

/// Buckets up to a bound, and one that all beyond it share.
struct Bounded<K: Eq + Hash> {
    own: DashMapStateStore<K>,
    shared: InMemoryState,
    most: usize,
}

impl<K: Eq + Hash> Bounded<K> {
    fn new(most: usize) -> Self {
        Self { own: DashMapStateStore::default(), shared: InMemoryState::default(), most }
    }
}

impl<K: Clone + Eq + Hash> StateStore for Bounded<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        if self.own.contains_key(key) || self.own.len() < self.most {
            self.own.measure_and_replace(key, measure)
        } else {
            self.shared.measure_and_replace(&NotKeyed::NonKey, measure)
        }
    }
}

impl<K: Clone + Eq + Hash> ShrinkableKeyedStateStore<K> for Bounded<K> {
    fn retain_recent(&self, drop_below: Nanos) {
        self.own.retain_recent(drop_below);
        self.own.shrink_to_fit();
    }

    fn shrink_to_fit(&self) {
        self.own.shrink_to_fit();
    }

    fn len(&self) -> usize {
        self.own.len()
    }

    fn is_empty(&self) -> bool {
        self.own.is_empty()
    }
}

#[cfg(test)]
mod tests;
