//! The rates as clients and backends meet them.

use crate::{
    raw::{Neighbour, Socket, request},
    support::{Server, Subscriber},
};
use bayeuxd::server::Settings;
use serde_json::{Value, json};

/// Two tokens, and the next in a long while.
fn two_a_session(settings: &mut Settings) {
    let session = &mut settings.rates.session;
    (session.publishes_per_second, session.publish_burst) = (1, 2);
    (session.subscribes_per_second, session.subscribe_burst) = (1, 2);
}

/// A wait of at most a second, in milliseconds.
fn is_wait(ms: u64) -> bool {
    (1..=1000).contains(&ms)
}

fn wait_in(error: &str) -> u64 {
    let wait = error.strip_prefix("429:").and_then(|rest| rest.strip_suffix(":rate_limited"));
    wait.and_then(|wait| wait.parse().ok()).unwrap_or_else(|| panic!("{error}"))
}

async fn publish(client: &Subscriber, count: usize) -> Vec<Value> {
    let one = json!({"channel": "/a", "clientId": client.id, "data": 1});
    client.send(Value::from(vec![one; count])).await.as_array().unwrap().clone()
}

#[tokio::test]
async fn a_batch_counts_each_message_and_tells_how_long_to_wait() {
    let server = Server::start_with(two_a_session).await;
    let mut neighbour = Neighbour::of(&server).await;
    let mallory = server.subscriber(&[]).await;
    let replies = publish(&mallory, 50).await;
    let (made, refused): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply["successful"] == true);
    assert!((2..10).contains(&made.len()), "{}", made.len());
    for reply in refused {
        assert!(is_wait(wait_in(reply["error"].as_str().unwrap())), "{reply}");
    }
    for _ in made {
        neighbour.hears_noise().await;
    }
    neighbour.notices_nothing().await;
    let metrics = server.get_text("/metrics").await;
    assert!(metrics.contains("bayeuxd_rate_limited_total{by=\"Session\",what=\"Publish\"}"), "{metrics}");
}

#[tokio::test]
async fn a_socket_is_rated_like_any_transport() {
    let server = Server::start_with(two_a_session).await;
    let mut neighbour = Neighbour::of(&server).await;
    let mut socket = Socket::connect(&server).await;
    let id = socket.handshake().await;
    let mut made = 0;
    for _ in 0..20 {
        socket.send(&json!([{"channel": "/a", "clientId": id, "data": 1}])).await;
        made += usize::from(socket.next().await.unwrap()[0]["successful"] == true);
    }
    assert!((2..10).contains(&made), "{made}");
    for _ in 0..made {
        neighbour.hears_noise().await;
    }
    neighbour.notices_nothing().await;
}

#[tokio::test]
async fn too_many_subscribes_are_advised_to_wait_and_connects_then_go_on_as_before() {
    let server = Server::start_with(two_a_session).await;
    let mut mallory = server.subscriber(&[]).await;
    let ask = |name: &str| json!({"channel": "/meta/subscribe", "clientId": mallory.id, "subscription": name});
    let mut refused = None;
    for n in 0..10 {
        let reply = mallory.send(ask(&format!("/a/{n}"))).await[0].take();
        if reply["successful"] == false {
            refused = Some(reply);
            break;
        }
    }
    let reply = refused.expect("ten are too many");
    assert_eq!(reply["error"], "429::rate_limited");
    assert_eq!(reply["advice"]["reconnect"], "retry");
    assert!(is_wait(reply["advice"]["interval"].as_u64().unwrap()), "{reply}");
    // A client that obeyed would pause between connects for ever, if it were not told otherwise.
    assert_eq!(server.post("publish", json!({"channel": "/a/0", "data": 1})).await.0, 200);
    assert_eq!(mallory.connect().await[0]["advice"]["interval"], 0);
}

#[tokio::test]
async fn the_api_answers_429_with_retry_after() {
    let server = Server::start_with(|s| {
        s.rates.address.limit_loopback = true;
        (s.rates.address.publishes_per_second, s.rates.address.publish_burst) = (1, 3);
    })
    .await;
    let json = [("Content-Type", "application/json")];
    let one = json!({"channel": "/a", "data": 1});
    let some = Value::from(vec![one.clone(); 50]).to_string();
    let call = |body: String| {
        let server = &server;
        async move { request(server, "POST", "/api/v1/publish", &json, &body).await }
    };
    let answer = call(some.clone()).await;
    assert_eq!(answer.status, 200, "the first three are in: {answer:?}");
    let results = serde_json::from_str::<Value>(&answer.body).unwrap()["results"].take();
    let errors: Vec<_> = results.as_array().unwrap().iter().filter(|r| r["error"].is_object()).collect();
    assert!(errors.len() > 40 && errors.iter().all(|r| r["error"]["code"] == "rate_limited"), "{results}");
    assert!(errors.iter().all(|r| r["error"]["retryable"] == true));
    // Soon enough after that, one message is refused as a whole.
    let answer = loop {
        let answer = call(one.to_string()).await;
        if answer.status != 200 {
            break answer;
        }
    };
    assert_eq!(answer.status, 429, "{answer:?}");
    assert!(answer.head.to_ascii_lowercase().contains("retry-after: 1\r\n"), "{answer:?}");
}
