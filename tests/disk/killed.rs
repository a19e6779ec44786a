//! `kill -9` and SIGTERM: nothing acknowledged is lost, nothing comes twice, nobody has to begin anew.

use crate::{
    DEADLINE,
    client::{self, Published, Subscriber},
    process::{Folder, Process},
};
use reqwest::Client;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::{sync::watch, time::timeout};

const PUBLISHERS: u64 = 8;
/// How long it is killed again and again.
const KILLING: Duration = Duration::from_secs(20);

/// What a subscriber got of one publisher holds all that was acknowledged, once and in order, and nothing that was never
/// sent.
fn check(received: &[Value], publisher: u64, published: &Published) {
    let own = received.iter().filter(|data| data[0] == publisher);
    let numbers: Vec<u64> = own.map(|data| data[1].as_u64().unwrap()).collect();
    assert!(
        numbers.windows(2).all(|pair| pair[0] < pair[1]),
        "publisher {publisher}: twice or out of order: {numbers:?}"
    );
    assert!(numbers.iter().all(|n| *n < published.sent));
    let missing: Vec<_> = published.acknowledged.iter().filter(|n| numbers.binary_search(n).is_err()).collect();
    assert!(missing.is_empty(), "publisher {publisher}: acknowledged and lost: {missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_loses_nothing_that_was_acknowledged() {
    let folder = Folder::new();
    let mut broker = Process::start(&folder).await;
    let address = broker.address;
    let last = json!("the end");
    let mut subscribers = Vec::new();
    for channel in ["/load/**", "/load/*"] {
        let mut subscriber = Subscriber::new(address, channel).await;
        let last = last.clone();
        subscribers.push(tokio::spawn(async move {
            subscriber.until(&last).await;
            subscriber.received
        }));
    }
    let (stop, stopped) = watch::channel(false);
    let publishers: Vec<_> =
        (0..PUBLISHERS).map(|p| tokio::spawn(client::publish_until(address, p, 1 + p % 4, stopped.clone()))).collect();
    let (began, mut kills) = (Instant::now(), 0_u64);
    while began.elapsed() < KILLING {
        // At any moment: from the middle of the start to long after it.
        tokio::time::sleep(Duration::from_millis((kills * 137) % 700)).await;
        broker.kill().await;
        broker = Process::start_at(&folder.0, &address.to_string()).await;
        kills += 1;
    }
    stop.send_replace(true);
    let mut published = Vec::new();
    for publisher in publishers {
        published.push(timeout(DEADLINE, publisher).await.expect("it ends").unwrap());
    }
    let http = Client::new();
    assert_eq!(client::publish(&http, address, "/load/end", std::slice::from_ref(&last)).await, Some(vec![true]));
    let mut received = Vec::new();
    for subscriber in subscribers {
        received.push(timeout(DEADLINE, subscriber).await.expect("it receives the end").unwrap());
    }
    for all in &received {
        published.iter().enumerate().for_each(|(publisher, done)| check(all, publisher as u64, done));
    }
    assert!(received[0] == received[1], "everybody sees the same log");
    let acknowledged: usize = published.iter().map(|p| p.acknowledged.len()).sum();
    println!("{kills} kills, {acknowledged} acknowledged, {} received", received[0].len());
    assert!(kills >= 3 && acknowledged > 20, "it had something to do: {kills} kills, {acknowledged} acknowledged");
    broker.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_go_on_over_a_restart() {
    let folder = Folder::new();
    let broker = Process::start(&folder).await;
    let address = broker.address;
    let http = Client::new();
    let mut subscriber = Subscriber::new(address, "/news").await;
    assert!(subscriber.connect().await);
    let publish = async |n: u64| client::publish(&http, address, "/news", &[json!(n)]).await;
    assert_eq!(publish(1).await, Some(vec![true]));
    subscriber.until(&json!(1)).await;
    assert_eq!(publish(2).await, Some(vec![true]));
    broker.terminate().await;

    let broker = Process::start_at(&folder.0, &address.to_string()).await;
    subscriber.until(&json!(2)).await;
    let poll = tokio::spawn(async move {
        subscriber.until(&json!(3)).await;
        subscriber
    });
    assert_eq!(publish(3).await, Some(vec![true]));
    let subscriber = timeout(DEADLINE, poll).await.expect("it is live again").unwrap();
    assert_eq!(subscriber.received, [json!(1), json!(2), json!(3)]);
    // A record that was replaced or removed stays so.
    let disconnect = json!([{"channel": "/meta/disconnect", "clientId": subscriber.id}]);
    assert_eq!(client::send(&http, address, &disconnect).await.unwrap()[0]["successful"], true);
    broker.kill().await;
    let broker = Process::start_at(&folder.0, &address.to_string()).await;
    let connect = json!([{"channel": "/meta/connect", "clientId": subscriber.id, "connectionType": "long-polling"}]);
    let reply = client::send(&http, address, &connect).await.unwrap();
    assert_eq!(reply[0]["error"], "402::session_unknown");
    broker.terminate().await;
}
