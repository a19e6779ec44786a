//! Disconnects of clients that poll: the goodbye and the next poll travel over two connections, and either may be first.

use super::*;
use tokio::time::timeout;

async fn disconnect(broker: &Broker, id: ClientId) -> Reply {
    let body = format!(r#"{{"channel":"/meta/disconnect","clientId":"{id}"}}"#);
    let decoded = decode(body.as_bytes(), LIMITS).unwrap();
    broker.disconnect(&caller(POLL), &decoded.messages[0]).await
}

/// A poll that comes so long after now.
fn later(broker: &Broker, id: ClientId, wait: Duration) -> tokio::task::JoinHandle<Answered> {
    let broker = broker.clone();
    tokio::spawn(async move {
        tokio::time::sleep(wait).await;
        poll(&broker, id, "").await
    })
}

#[tokio::test(start_paused = true)]
async fn the_poll_that_its_goodbye_overtook_is_told_not_to_come_again() {
    let broker = broker(|_| {});
    let session = handshake(&broker).await;
    poll(&broker, session.id, "").await;
    let overtaken = later(&broker, session.id, Duration::from_millis(20));
    let start = Instant::now();
    assert!(disconnect(&broker, session.id).await.is_successful());
    assert_eq!(start.elapsed(), Duration::from_millis(20), "no longer than the poll needed");
    let answered = overtaken.await.unwrap();
    assert!(answered.reply.is_successful());
    assert_eq!(answered.reply.advice.unwrap().reconnect, Reconnect::None);
    assert_eq!(session.lock().ended, Some(End::Disconnected));
}

#[tokio::test(start_paused = true)]
async fn a_goodbye_waits_only_for_a_poll_that_may_be_under_way_and_not_for_long() {
    let broker = broker(|_| {});
    let start = Instant::now();
    let [never, lately, once] = [handshake(&broker).await, handshake(&broker).await, handshake(&broker).await];
    assert!(disconnect(&broker, never.id).await.is_successful());
    assert_eq!(start.elapsed(), Duration::ZERO, "who never polled");

    poll(&broker, once.id, "").await;
    let left = later(&broker, once.id, Duration::ZERO);
    tokio::task::yield_now().await;
    left.abort();
    assert!(left.await.is_err());
    assert!(disconnect(&broker, once.id).await.is_successful());
    assert_eq!(start.elapsed(), Duration::ZERO, "who gave its poll up");

    poll(&broker, lately.id, "").await;
    assert!(disconnect(&broker, lately.id).await.is_successful());
    assert_eq!(start.elapsed(), broker.settings().disconnect_grace, "who polled a moment ago");

    let silent = handshake(&broker).await;
    poll(&broker, silent.id, "").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let start = Instant::now();
    assert!(disconnect(&broker, silent.id).await.is_successful());
    assert_eq!(start.elapsed(), Duration::ZERO, "who polled long ago");
}

#[tokio::test(start_paused = true)]
async fn a_goodbye_counts_although_nobody_stays_for_the_answer() {
    let broker = broker(|_| {});
    let session = handshake(&broker).await;
    poll(&broker, session.id, "").await;
    let leaving = timeout(Duration::from_millis(10), disconnect(&broker, session.id));
    assert!(leaving.await.is_err(), "it waits for the next poll");
    assert_eq!(session.lock().ended, None);
    tokio::time::sleep(broker.settings().disconnect_grace).await;
    assert_eq!(session.lock().ended, Some(End::Disconnected));
}

#[tokio::test(start_paused = true)]
async fn a_connect_in_front_of_a_goodbye_is_the_last_and_carries_what_waits() {
    let broker = broker(|_| {});
    for transport in [POLL, ConnectionType::WebSocket] {
        let session = handshake(&broker).await;
        subscribe(&broker, &session, "/a").await;
        let start = Instant::now();
        broker.publish_data("/a", "1").await.unwrap();
        // It is in the queue when this is answered.
        let body = format!(r#"{{"channel":"/meta/unsubscribe","clientId":"{}","subscription":"/a"}}"#, session.id);
        broker.unsubscribe(&caller(POLL), &decode(body.as_bytes(), LIMITS).unwrap().messages[0]).await;
        let body = format!(r#"{{"channel":"/meta/connect","clientId":"{}"}}"#, session.id);
        let decoded = decode(body.as_bytes(), LIMITS).unwrap();
        let last = async || match broker.connect(&caller(transport), &decoded.messages[0], true).await {
            Connect::Planned(plan) => broker.answer_last(plan).await,
            Connect::Refused(reply) => panic!("{reply:?}"),
        };
        drop(last().await);
        let answered = last().await.take().unwrap();
        assert_eq!(data(&answered), ["1"], "also after an answer that was never laid out");
        assert_eq!(answered.reply.advice.unwrap().reconnect, Reconnect::None);
        assert!(answered.reply.is_successful() && disconnect(&broker, session.id).await.is_successful());
        assert_eq!(start.elapsed(), Duration::ZERO, "no other poll is waited for");
        assert_eq!(session.lock().ended, Some(End::Disconnected));
    }
}
