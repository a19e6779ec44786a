//! The rates on a clock that stands still until it is told.

use super::{super::rate_settings::SessionRates, *};
use crate::broker::policy::Open;
use governor::clock::FakeRelativeClock;

fn asking(session: Option<u8>, user: Option<&str>, key: Option<&str>, peer: &str) -> Asking {
    let who = Identity { user: user.map(Arc::from), key: key.map(Arc::from), ..Identity::default() };
    let session = session.map(|n| ClientId::new(uuid::Uuid::from_u128(n.into())));
    Asking { who: Arc::new(who), session, peer: peer.parse().ok(), credentials: None }
}

fn rates(change: impl FnOnce(&mut RateSettings)) -> (Rates<FakeRelativeClock>, FakeRelativeClock) {
    let session =
        SessionRates { publishes_per_second: 0, publish_burst: 0, subscribes_per_second: 0, subscribe_burst: 0 };
    let mut settings = RateSettings { session, ..RateSettings::default() };
    change(&mut settings);
    let clock = FakeRelativeClock::default();
    (Rates::with_clock(Arc::new(Open), &settings, RateCounters::default(), &clock), clock)
}

/// How many of `times` publishes are let through, and how long the first refused one is told to wait.
async fn publish(rates: &Rates<FakeRelativeClock>, asking: &Asking, times: u32) -> (u32, Option<Duration>) {
    let (mut passed, mut wait) = (0, None);
    for _ in 0..times {
        match rates.may_publish(asking, "/a", RawValue::NULL).await {
            Ok(_) => passed += 1,
            Err(Denial::RateLimited(after)) => wait = wait.or(Some(after)),
            Err(other) => panic!("{other:?}"),
        }
    }
    (passed, wait)
}

#[tokio::test]
async fn a_burst_passes_and_then_one_token_comes_back_at_a_time() {
    let (rates, clock) = rates(|s| {
        s.session.publishes_per_second = 10;
        s.session.publish_burst = 30;
    });
    let ann = asking(Some(1), None, None, "10.0.0.1");
    assert_eq!(publish(&rates, &ann, 31).await, (30, Some(Duration::from_millis(100))));
    clock.advance(Duration::from_millis(100));
    assert_eq!(publish(&rates, &ann, 2).await.0, 1);
    assert_eq!(publish(&rates, &asking(Some(2), None, None, "10.0.0.1"), 30).await.0, 30, "another session");
    assert_eq!(publish(&rates, &asking(None, None, None, "10.0.0.1"), 99).await.0, 99, "no session has no such bucket");
}

#[tokio::test]
async fn sessions_of_one_user_share_its_bucket_and_keys_and_addresses_have_theirs() {
    let (rates, _clock) = rates(|s| {
        s.user.publishes_per_second = 5;
        s.backend.publishes_per_second = 6;
        s.address.publishes_per_second = 20;
    });
    let of_ann = |session| asking(Some(session), Some("ann"), None, "10.0.0.1");
    assert_eq!(publish(&rates, &of_ann(1), 3).await.0, 3);
    assert_eq!(publish(&rates, &of_ann(2), 3).await.0, 2);
    assert_eq!(publish(&rates, &asking(None, None, Some("orders"), "10.0.0.1"), 9).await.0, 6);
    // 5 and 6 of the address's 20 are gone.
    assert_eq!(publish(&rates, &asking(None, None, None, "10.0.0.1"), 20).await.0, 9);
    assert_eq!(publish(&rates, &asking(None, None, None, "10.0.0.2"), 20).await.0, 20);
    let counted = |by| rates.counters.get_or_create(&RateLabel { by, what: RatedWhat::Publish }).get();
    assert_eq!([RatedBy::User, RatedBy::Backend, RatedBy::Address].map(counted), [1, 3, 11]);
}

#[tokio::test]
async fn each_verb_has_its_own_bucket() {
    let (rates, _clock) = rates(|s| {
        s.user.publishes_per_second = 1;
        s.user.subscribes_per_second = 2;
        s.user.handshakes_per_second = 3;
    });
    let ann = asking(Some(1), Some("ann"), None, "10.0.0.1");
    let (mut subscribed, mut made) = (0, 0);
    for _ in 0..5 {
        subscribed += u8::from(rates.may_subscribe(&ann, "/a").await.is_ok());
        made += u8::from(rates.may_handshake(&ann, None).await.is_ok());
    }
    assert_eq!((publish(&rates, &ann, 5).await.0, subscribed, made), (1, 2, 3));
}

#[tokio::test]
async fn loopback_is_exempt_from_rates_by_address_unless_told() {
    for (limit_loopback, passed) in [(false, 9), (true, 1)] {
        let (rates, _clock) = rates(|s| {
            s.address.publishes_per_second = 1;
            s.address.limit_loopback = limit_loopback;
        });
        for peer in ["127.0.0.1", "::1", "::ffff:127.0.0.2"] {
            assert_eq!(publish(&rates, &asking(None, None, None, peer), 9).await.0, passed, "{peer}");
        }
    }
}

#[tokio::test]
async fn a_network_of_ipv6_is_one_address() {
    let (rates, _clock) = rates(|s| s.address.publishes_per_second = 1);
    let mut passed = 0;
    for host in 1..9 {
        passed += publish(&rates, &asking(None, None, None, &format!("2001:db8::{host}")), 1).await.0;
    }
    assert_eq!(passed, 1);
    assert_eq!(publish(&rates, &asking(None, None, None, "2001:db8:0:1::1"), 1).await.0, 1);
}

#[tokio::test]
async fn buckets_are_bounded_and_newcomers_beyond_share_one() {
    let (rates, clock) = rates(|s| {
        s.session.publishes_per_second = 2;
        s.max_buckets = 10;
    });
    let of = |n| asking(Some(n), None, None, "10.0.0.1");
    for n in 0..10 {
        assert_eq!(publish(&rates, &of(n), 1).await.0, 1);
    }
    let mut passed = 0;
    for n in 10..100 {
        passed += publish(&rates, &of(n), 1).await.0;
    }
    assert_eq!(passed, 2, "ninety sessions share one bucket");
    assert_eq!(publish(&rates, &of(3), 2).await.0, 1, "who has one keeps it");
    let table = rates.publish.session.as_ref().unwrap();
    assert_eq!(table.limiter.len(), 10);
    // A look at the right time lets those go that are full again.
    clock.advance(SWEEP_PERIOD + Duration::from_secs(1));
    assert_eq!(publish(&rates, &of(200), 1).await.0, 1);
    assert_eq!(table.limiter.len(), 1);
}

#[test]
fn without_rates_the_policy_stands_alone() {
    let mut settings = RateSettings::default();
    let inner: Arc<dyn Policy> = Arc::new(Open);
    let rated = Rates::around(Arc::clone(&inner), &settings, RateCounters::default());
    assert!(!Arc::ptr_eq(&rated, &inner));
    settings.session.publishes_per_second = 0;
    settings.session.subscribes_per_second = 0;
    assert!(Arc::ptr_eq(&Rates::around(Arc::clone(&inner), &settings, RateCounters::default()), &inner));
}
