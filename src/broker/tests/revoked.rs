//! What is kept of revocations, and for how long.

use super::*;
use crate::{broker::policy::Open, engine::Answer};

/// Everyone may do everything, and revoke it.
struct Revoking;

impl Policy for Revoking {
    fn identify(&self, _: Option<&Arc<Credentials>>, _: Option<&RawValue>) -> Answer<Result<Arc<Identity>, Denial>> {
        Answer::Now(Ok(Arc::default()))
    }

    fn may_handshake(&self, asking: &Asking, ext: Option<&RawValue>) -> Answer<Result<(), Denial>> {
        Open.may_handshake(asking, ext)
    }

    fn may_subscribe(&self, asking: &Asking, pattern: &str) -> Answer<Result<(), Denial>> {
        Open.may_subscribe(asking, pattern)
    }

    fn may_publish(&self, who: &Asking, to: &str, data: &RawValue) -> Answer<Result<Option<Box<RawValue>>, Denial>> {
        Open.may_publish(who, to, data)
    }

    fn revoke(&self, what: Revocation, lasting: Option<Duration>, made_ms: u64) -> Result<Revoked, Denial> {
        let until_ms = made_ms + lasting.map_or(0, |lasting| lasting.as_millis() as u64);
        Ok(Revoked { what, made_ms, until_ms })
    }
}

/// A broker without a sweep of its own.
fn on(engine: &Arc<dyn Engine>) -> Broker {
    let settings =
        BrokerSettings { lanes: 1, sweep_period: Duration::from_secs(1_000_000), ..BrokerSettings::default() };
    let plugins = Plugins { policy: Arc::new(Revoking), ..Plugins::default() };
    Broker::start(settings, vec![POLL], Arc::clone(engine), plugins)
}

#[tokio::test(start_paused = true)]
async fn the_record_of_a_revocation_goes_when_it_is_over() {
    // Far ahead of the clock of this machine, which recovery looks at.
    const NOW: u64 = 1 << 45;
    let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::with(&EngineSettings::default(), 1000));
    let broker = on(&engine);
    let revoke = async |broker: &Broker, name: &str, seconds: u64| {
        let lasting = Some(Duration::from_secs(seconds));
        broker.revoke(Revocation::Token(name.into()), lasting, NOW).await.unwrap();
    };
    for name in ["short", "too", "longer"] {
        revoke(&broker, name, 10).await;
    }
    revoke(&broker, "longer", 30).await;
    let kept = async || engine.records().await.unwrap().len();
    for (seconds, count) in [(9, 3), (10, 1), (29, 1)] {
        broker.sweep(Instant::now(), NOW + seconds * 1000).await;
        assert_eq!(kept().await, count, "after {seconds} s");
    }
    // One that was made before a restart goes in the same way.
    let restarted = on(&engine);
    restarted.recover().await.unwrap();
    restarted.sweep(Instant::now(), NOW + 29_999).await;
    assert_eq!(kept().await, 1);
    restarted.sweep(Instant::now(), NOW + 30_000).await;
    assert_eq!(kept().await, 0);
}
