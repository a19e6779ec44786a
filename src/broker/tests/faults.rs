//! What faults leave behind, each once found by the simulation.

use super::{log::*, *};

#[tokio::test(start_paused = true)]
async fn a_reader_that_finds_nothing_for_itself_does_not_make_its_client_ask_for_ever() {
    let channels = channels(vec![]);
    let engine = engine(&channels);
    let before = on(&engine, channels.clone(), |_| {});
    let session = open(&before, r#"{"ack":true}"#).await;
    subscribe(&before, &session, "/a").await;
    let ack = publish(&before, "/a", 0..1).await;
    let (got, number) = poll_acking(&before, &session, 0).await;
    assert_eq!((got.len(), number), (1, ack));
    let newest = publish(&before, "/b", 0..10).await;
    let after = on(&engine, channels, |_| {});
    after.recover().await.unwrap();
    let (got, number) = poll_acking(&after, &session, ack).await;
    assert_eq!((got.len(), number), (0, newest), "it looked as far as this");
    let start = Instant::now();
    poll(&after, session.id, &format!(r#","ext":{{"ack":{number}}}"#)).await;
    assert!(start.elapsed() > Duration::from_secs(1), "held");
}

#[tokio::test(start_paused = true)]
async fn what_a_broken_connection_gives_back_reaches_the_session_that_took_the_place_of_another() {
    let broker = broker(|_| {});
    let session = handshake(&broker).await;
    subscribe(&broker, &session, "/a").await;
    poll(&broker, session.id, "").await;
    broker.publish_data("/a", "1").await.unwrap();
    let answered = poll(&broker, session.id, "").await;
    assert_eq!(data(&answered), ["1"]);
    broker.lane(session.lane).fault.store(true, Ordering::Relaxed);
    broker.publish_data("/a", "2").await.unwrap();
    while session.lock().ended.is_none() {
        tokio::task::yield_now().await;
    }
    // Only now the broker learns that the first answer was never written.
    broker.restore(&session, answered.delivery);
    assert_eq!(data(&poll(&broker, session.id, "").await), ["1"]);
    assert_eq!(data(&poll(&broker, session.id, "").await), ["2"]);
}

#[tokio::test(start_paused = true)]
async fn a_replay_that_could_not_be_written_comes_back_however_full_the_queue_is() {
    let channels = channels(vec![]);
    let broker = on(&engine(&channels), channels, |s| s.max_queue = 1);
    publish(&broker, "/a", 0..5).await;
    let session = open(&broker, r#"{"replay":true}"#).await;
    assert!(subscribe_from(&broker, &session, "/a", "-2").await.is_successful());
    let answered = poll(&broker, session.id, "").await;
    assert_eq!(data(&answered), numbers(0..5));
    broker.restore(&session, answered.delivery);
    publish(&broker, "/a", 5..9).await;
    assert_eq!(collect(&broker, &session, 9).await, numbers(0..9));
}

#[tokio::test(start_paused = true)]
async fn entries_of_a_replay_that_was_asked_for_again_are_void() {
    let channels = channels(vec![]);
    let engine = engine(&channels);
    let before = on(&engine, channels.clone(), |_| {});
    publish(&before, "/a", 0..3).await;
    let session = open(&before, r#"{"replay":true,"ack":true}"#).await;
    // The broker crashes when the entries are in the log and the record is not: the client asks again.
    let record = engine.load(session.id).await.unwrap().unwrap();
    assert!(subscribe_from(&before, &session, "/a", "-2").await.is_successful());
    engine.save(session.id, record).await.unwrap();
    let after = on(&engine, channels, |_| {});
    after.recover().await.unwrap();
    assert!(subscribe_from(&after, &session, "/a", "-2").await.is_successful());
    publish(&after, "/a", 3..4).await;
    let (mut got, mut ack) = (Vec::new(), 0);
    while got.last().is_none_or(|last| last != "3") {
        let (messages, number) = poll_acking(&after, &session, ack).await;
        got.extend(messages);
        ack = number;
    }
    assert_eq!(got, numbers(0..4), "once");
}
