//! Service calls: whatever the backend does, the caller gets exactly one answer, and nobody else gets any.

use super::places::{Backend, Broker, Client, SECRETS};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

const SERVICES: &str = r#"
[backend]
timeout = "1s"
max_response_bytes = "1MiB"
breaker_failures = 0
secrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]
forward_headers = ["accept-language", "x-tenant"]
[[service]]
channel = "/service/echo/**"
url = "BACKEND/echo"
[[service]]
channel = "/service/empty"
url = "BACKEND/empty"
[[service]]
channel = "/service/hang"
url = "BACKEND/hang"
[[service]]
channel = "/service/die"
url = "BACKEND/die"
[[service]]
channel = "/service/noise"
url = "BACKEND/noise"
[[service]]
channel = "/service/drip"
url = "BACKEND/drip"
[[service]]
channel = "/service/garbage"
url = "BACKEND/garbage"
[[service]]
channel = "/service/large"
url = "BACKEND/large"
[[service]]
channel = "/service/redirect"
url = "BACKEND/redirect"
[[service]]
channel = "/service/refuse"
url = "BACKEND/status/418"
[[service]]
channel = "/service/down"
url = "http://127.0.0.1:9"
"#;

async fn places() -> (Backend, Broker) {
    let backend = Backend::start().await;
    let broker = Broker::start(&backend, SERVICES).await;
    (backend, broker)
}

#[tokio::test]
async fn the_answer_comes_to_the_caller_alone_with_the_id_of_the_call() {
    let (backend, broker) = places().await;
    let mut caller = Client::connect_with(&broker, &[("accept-language", "de"), ("cookie", "secret=1")]).await;
    let mut other = Client::connect(&broker).await;
    other.subscribe("/service/echo/a").await;
    other.subscribe("/**").await;
    let data = json!({"n": 12_345_678_901_234_567_890_u64, "text": "é \"quoted\""});
    let answer = caller.call("/service/echo/a", data.clone()).await;
    assert_eq!(answer["data"], json!({"echo": data}));
    assert_eq!((&answer["channel"], &answer["successful"]), (&json!("/service/echo/a"), &json!(true)));
    assert!(other.has_nothing().await);

    let posted = backend.posted("/echo").await;
    let [call] = posted.as_slice() else { panic!("one call: {posted:?}") };
    assert_eq!(call["body"]["type"], "service");
    assert_eq!(
        call["body"]["data"],
        json!({"channel": "/service/echo/a", "id": answer["id"], "data": data, "session": caller.id, "user": null,
            "headers": {"accept-language": "de"}})
    );
    assert_eq!(call["signed"], json!([true, true]), "with every one of {SECRETS:?}");
    assert_eq!(call["headers"]["content-type"], "application/json");
    assert!(call["headers"]["user-agent"].as_str().unwrap().starts_with("bayeuxd/"));
    assert!(call["headers"].get("cookie").is_none() && call["headers"].get("accept-language").is_none());
}

#[tokio::test]
async fn connections_are_kept_and_every_call_has_an_id_of_its_own() {
    let (backend, broker) = places().await;
    let mut caller = Client::connect(&broker).await;
    for n in 0..5 {
        caller.call("/service/echo/a", json!(n)).await;
    }
    let posted = backend.posted("/echo").await;
    let different = |what: &dyn Fn(&Value) -> String| posted.iter().map(what).collect::<BTreeSet<_>>().len();
    assert_eq!(different(&|call| call["peer"].to_string()), 1);
    assert_eq!(different(&|call| call["headers"]["webhook-id"].to_string()), 5);
}

#[tokio::test]
async fn no_body_is_null_and_a_channel_that_nobody_serves_has_no_answer() {
    let (_backend, broker) = places().await;
    let mut caller = Client::connect(&broker).await;
    let answer = caller.call("/service/empty", json!(1)).await;
    assert_eq!((&answer["data"], &answer["successful"]), (&Value::Null, &json!(true)));
    let reply = caller.publish("/service/nobody", json!(1)).await;
    assert_eq!(reply["successful"], true);
    assert!(caller.has_nothing().await);
}

#[tokio::test]
async fn whatever_goes_wrong_the_caller_is_told() {
    let (backend, broker) = places().await;
    let mut caller = Client::connect(&broker).await;
    for (channel, error) in [
        ("/service/hang", "408::timeout"),
        ("/service/die", "502:unreachable:backend_failed"),
        ("/service/drip", "408::timeout"),
        ("/service/noise", "502:unreachable:backend_failed"),
        ("/service/garbage", "502:answer not JSON:backend_failed"),
        ("/service/large", "502:answer too large:backend_failed"),
        ("/service/redirect", "502:redirect:backend_failed"),
        ("/service/refuse", "502:status 418:backend_failed"),
        ("/service/down", "502:unreachable:backend_failed"),
    ] {
        let answer = caller.call(channel, json!(1)).await;
        assert_eq!(answer["successful"], false, "{channel}");
        assert_eq!((&answer["error"], &answer["data"]), (&json!(error), &json!({"error": error})), "{channel}");
    }
    assert_eq!(backend.posted("/echo").await, Vec::<Value>::new(), "a redirect is not followed");
    let metrics = broker.metrics().await;
    for (outcome, count) in [("Timeout", 2), ("Unreachable", 3), ("Garbage", 1), ("TooLarge", 1), ("Redirect", 1)] {
        let line = format!("bayeuxd_backend_service_calls_total{{outcome=\"{outcome}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
}

#[tokio::test]
async fn calls_of_a_batch_and_of_many_sessions_are_all_answered() {
    let (_backend, broker) = places().await;
    let calls = (0..10).map(|_| async {
        let mut caller = Client::connect(&broker).await;
        let message = |n: usize| {
            let channel = ["/service/echo/x", "/service/garbage", "/service/empty", "/service/down"][n % 4];
            json!({"channel": channel, "data": n, "id": n})
        };
        let replies = caller.send((0..40).map(message).collect()).await;
        assert!(replies.iter().all(|reply| reply["successful"] == true), "{replies:?}");
        for n in 0..40 {
            let answer = caller.receive(|m| m["id"] == json!(n)).await;
            assert_eq!(answer["successful"], json!(n % 4 == 0 || n % 4 == 2), "{answer}");
        }
        assert!(caller.has_nothing().await);
    });
    futures_util::future::join_all(calls).await;
}

#[tokio::test]
async fn a_backend_that_dies_in_the_middle_and_comes_back_loses_no_call() {
    let backend = Backend::start().await;
    let port = backend.port();
    let configuration = "[backend]\ntimeout = '5s'\nbreaker_pause = '100ms'\nbreaker_failures = 3\n\
        [[service]]\nchannel = '/service/**'\nurl = 'BACKEND/script/s'";
    backend.script("s", json!([{"delay": 30, "body": 1}])).await;
    let broker = Broker::start(&backend, configuration).await;
    let mut caller = Client::connect(&broker).await;
    let calls = (0..20).map(|n| json!({"channel": "/service/x", "data": n, "id": n})).collect();
    caller.send(calls).await;
    backend.until_posted("/script/s", |posted| posted.len() == 20).await;
    backend.kill().await;
    for n in 0..20 {
        let answer = caller.receive(|m| m["id"] == json!(n)).await;
        assert_eq!(answer["error"], "502:unreachable:backend_failed");
    }
    // It failed often enough to be left in peace; the caller hears of that at once.
    let answer = caller.call("/service/x", json!(1)).await;
    let error = answer["error"].as_str().unwrap();
    assert!(error == "503:paused:backend_unavailable" || error == "502:unreachable:backend_failed", "{error}");
    let _again = Backend::start_on(port).await;
    let begun = Instant::now();
    while caller.call("/service/x", json!(1)).await["successful"] != true {
        assert!(begun.elapsed() < Duration::from_secs(10), "it is called again");
    }
}

#[tokio::test]
async fn so_many_calls_are_out_so_many_wait_and_the_rest_is_refused_at_once() {
    let backend = Backend::start().await;
    let configuration = "[backend]\ntimeout = '3s'\nmax_concurrency = 2\nmax_waiting = 3\n\
        [[service]]\nchannel = '/service/slow'\nurl = 'BACKEND/script/slow'\n\
        [[service]]\nchannel = '/service/echo'\nurl = 'BACKEND/echo'";
    backend.script("slow", json!([{"delay": 0.3, "body": "done"}])).await;
    let broker = Broker::start(&backend, configuration).await;
    let mut caller = Client::connect(&broker).await;
    caller.send((0..10).map(|n| json!({"channel": "/service/slow", "data": n, "id": n})).collect()).await;
    let mut outcomes = Vec::new();
    for _ in 0..10 {
        let answer = caller.receive(|_| true).await;
        outcomes.push(answer["error"].as_str().unwrap_or("done").to_owned());
    }
    outcomes.sort();
    let expected = [vec!["503:busy:backend_unavailable"; 5], vec!["done"; 5]].concat();
    assert_eq!(outcomes, expected);
    assert_eq!(backend.most_out().await, 2);
    assert_eq!(caller.call("/service/echo", json!(1)).await["successful"], true, "another URL has its own bounds");
}

#[tokio::test]
async fn nothing_a_client_sends_becomes_a_part_of_the_url() {
    let (backend, broker) = places().await;
    let mut caller = Client::connect_with(&broker, &[("x-tenant", "http://127.0.0.1:9/x\u{e4}")]).await;
    for channel in [
        "/service/echo/..",
        "/service/echo/../hang",
        "/service/echo/@127.0.0.1",
        "/service/echo/#x",
        "/service/echo/{a} b",
        "/service/echo/http.//evil",
    ] {
        let message = json!({"channel": channel, "data": {"url": "http://127.0.0.1:9/", "path": "../hang"}, "id": 1});
        caller.send(vec![message]).await;
    }
    caller.call("/service/echo/last", json!({"channel": "/service/hang", "url": "/hang"})).await;
    let posted = backend.until_posted("/echo", |posted| posted.len() == 6).await;
    assert!(posted.iter().all(|call| call["headers"]["host"] == backend.url["http://".len()..]), "{posted:?}");
    for other in ["/hang", "/", "/echo/", "/echo/.."] {
        assert_eq!(backend.posted(other).await.len(), 0, "{other}");
    }
}

#[tokio::test]
async fn who_waits_for_an_answer_gets_it_although_the_broker_is_told_to_end() {
    let (backend, mut broker) = places().await;
    let mut caller = Client::connect(&broker).await;
    // The first connect is answered at once; the next one is held.
    caller.has_nothing().await;
    let call = json!({"channel": "/service/hang", "data": 1, "id": "last"});
    assert_eq!(caller.send(vec![call]).await[0]["successful"], true);
    backend.until_posted("/hang", |posted| !posted.is_empty()).await;
    let answer = caller.receive(|message| message["id"] == "last");
    let (answer, ()) = tokio::join!(answer, broker.terminate());
    assert_eq!(answer["error"], "408::timeout", "{answer}");
    assert!(broker.ended().await);
}
