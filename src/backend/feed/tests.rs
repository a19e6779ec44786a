//! A feed goes on where it was, also with another broker on the same log, as after a restart on an engine that survives it.

use super::*;
use crate::{
    backend::{
        settings::BackendSettings,
        target::{Caller, Target},
    },
    bayeux::ConnectionType,
    broker::{BrokerSettings, Plugins},
    engine::{Engine, EngineSettings, MemoryEngine, Retention},
};
use axum::{Router, routing::post};
use parking_lot::Mutex;
use serde_json::Value;

type Bodies = Arc<Mutex<Vec<Value>>>;

/// A backend in this process that takes everything.
async fn backend() -> (String, Bodies) {
    let bodies = Bodies::default();
    let memory = Arc::clone(&bodies);
    let take = move |body: String| {
        memory.lock().push(body.parse().unwrap());
        async {}
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/", post(take))).await });
    (url, bodies)
}

fn broker(engine: &Arc<MemoryEngine>) -> Broker {
    let engine = Arc::clone(engine) as Arc<dyn Engine>;
    Broker::start(BrokerSettings::default(), vec![ConnectionType::LongPolling], engine, Plugins::default())
}

fn feed(url: &str, start: Seq) -> Feed {
    let caller = Caller::new(BackendSettings::default(), false, Metrics::default()).unwrap();
    Feed {
        name: "orders".into(),
        picks: Picks::Publications("/orders/*".into()),
        start,
        target: Arc::new(Target::new(url.parse().unwrap(), Arc::new(caller))),
        settings: FeedSettings { linger: Duration::ZERO, ..FeedSettings::default() },
        metrics: Metrics::default(),
    }
}

fn numbers(bodies: &Bodies) -> Vec<u64> {
    let bodies = bodies.lock();
    let items = bodies.iter().flat_map(|body| body["data"]["publications"].as_array().unwrap());
    items.map(|item| item["data"].as_u64().unwrap()).collect()
}

async fn until(bodies: &Bodies, wanted: &[u64]) {
    let wait = async {
        while numbers(bodies) != wanted {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(10), wait).await;
    assert!(waited.is_ok(), "{:?} instead of {wanted:?}", numbers(bodies));
}

async fn publish(broker: &Broker, numbers: std::ops::RangeInclusive<u64>) {
    for n in numbers {
        broker.publish_data("/orders/1", &n.to_string()).await.unwrap();
        broker.publish_data("/other/1", "0").await.unwrap();
    }
}

#[tokio::test]
async fn after_a_restart_it_goes_on_where_it_was() {
    let (url, bodies) = backend().await;
    let settings = EngineSettings::default();
    let engine = Arc::new(MemoryEngine::new(Retention::uniform(settings.memory.bounds()), settings.keys(), 1));
    let first = broker(&engine);
    publish(&first, 1..=3).await;
    let running = tokio::spawn(feed(&url, 0).run(first.clone()));
    until(&bodies, &[1, 2, 3]).await;
    first.stop();
    running.await.unwrap();
    let second = broker(&engine);
    publish(&second, 4..=5).await;
    // Where it would begin without a cursor does not matter any more.
    tokio::spawn(feed(&url, engine.newest()).run(second.clone()));
    publish(&second, 6..=6).await;
    until(&bodies, &[1, 2, 3, 4, 5, 6]).await;
    assert!(bodies.lock().iter().all(|body| body["data"].get("gap").is_none()));
}

#[test]
fn a_backend_that_is_not_there_is_waited_for_and_one_that_says_no_is_not() {
    for waits in [429, 502, 503, 504].map(Failure::Status).into_iter().chain([Failure::Unreachable(String::new())]) {
        assert!(!is_refusal(&waits), "{waits:?}");
    }
    let refusals = [400, 404, 422, 500].map(Failure::Status);
    for refusal in refusals.into_iter().chain([Failure::Timeout, Failure::Redirect]) {
        assert!(is_refusal(&refusal), "{refusal:?}");
    }
}
