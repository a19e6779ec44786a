//! Feeds: publications and events reach the backend in order and at least once, whatever it does meanwhile.

use super::places::{Backend, Broker, Client};
use serde_json::{Value, json};

const FORWARD: &str = r#"
[backend]
secrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
[backend.feed]
max_items = 10
linger = "30ms"
min_pause = "20ms"
max_pause = "100ms"
attempts = 3
[[forward]]
channel = "/orders/**"
url = "BACKEND/script/orders"
"#;

/// All items that a backend was given, in the order they came.
fn items(posted: &[Value], kind: &str) -> Vec<Value> {
    posted.iter().flat_map(|call| call["body"]["data"][kind].as_array().unwrap().clone()).collect()
}

fn numbers(posted: &[Value]) -> Vec<u64> {
    items(posted, "publications").iter().map(|item| item["data"].as_u64().unwrap()).collect()
}

async fn publish_all(client: &mut Client, channel: &str, numbers: std::ops::Range<u64>) {
    let messages = numbers.map(|n| json!({"channel": channel, "data": n})).collect();
    let replies = client.send(messages).await;
    assert!(replies.iter().all(|reply| reply["successful"] == true), "{replies:?}");
}

#[tokio::test]
async fn what_matches_is_delivered_in_order_in_batches() {
    let backend = Backend::start().await;
    let broker = Broker::start(&backend, FORWARD).await;
    let mut shop = Client::connect(&broker).await;
    shop.subscribe("/orders/1").await;
    for n in (0..100).step_by(20) {
        publish_all(&mut shop, "/orders/1", n..n + 20).await;
        publish_all(&mut shop, "/other", n..n + 20).await;
    }
    let posted = backend.until_posted("/script/orders", |posted| numbers(posted).len() >= 100).await;
    assert_eq!(numbers(&posted), (0..100).collect::<Vec<_>>());
    assert!(posted.len() <= 40, "batches: {}", posted.len());
    assert!(posted.iter().all(|call| items(std::slice::from_ref(call), "publications").len() <= 10));
    let first = &posted[0];
    assert_eq!((&first["body"]["type"], &first["signed"][0]), (&json!("publications"), &json!(true)));
    assert_eq!(first["body"]["data"]["feed"], "/orders/**");
    let items = items(&posted, "publications");
    assert!(items.windows(2).all(|two| two[0]["position"].as_u64() < two[1]["position"].as_u64()));
    assert_eq!((&items[0]["channel"], &items[0]["publisher"]), (&json!("/orders/1"), &json!(shop.id)));
    assert!(items[0]["time"].as_str().unwrap().ends_with('Z'));
}

#[tokio::test]
async fn a_batch_that_was_not_taken_is_sent_again_with_the_same_id_and_nothing_overtakes_it() {
    let backend = Backend::start().await;
    backend.script("orders", json!([{"status": 500}, {"status": 503}, {"status": 302}, {"status": 200}])).await;
    let broker = Broker::start(&backend, FORWARD).await;
    let mut shop = Client::connect(&broker).await;
    publish_all(&mut shop, "/orders/1", 0..10).await;
    publish_all(&mut shop, "/orders/1", 10..20).await;
    let posted = backend.until_posted("/script/orders", |posted| posted.len() >= 5).await;
    let ids: Vec<_> = posted.iter().map(|call| call["headers"]["webhook-id"].clone()).collect();
    assert!(ids[..4].iter().all(|id| *id == ids[0]) && ids[4] != ids[0], "{ids:?}");
    assert!(posted[..4].iter().all(|call| call["text"] == posted[0]["text"]));
    assert_eq!(numbers(&posted[3..]), (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_backend_that_is_gone_is_waited_for_and_hears_everything() {
    let backend = Backend::start().await;
    let port = backend.port();
    let broker = Broker::start(&backend, FORWARD).await;
    let mut shop = Client::connect(&broker).await;
    publish_all(&mut shop, "/orders/1", 0..1).await;
    backend.until_posted("/script/orders", |posted| posted.len() == 1).await;
    backend.kill().await;
    publish_all(&mut shop, "/orders/1", 1..30).await;
    let again = Backend::start_on(port).await;
    let posted = again.until_posted("/script/orders", |posted| numbers(posted).last() == Some(&29)).await;
    // At least once: it may have gone before its answer to the first was out.
    let all = numbers(&posted);
    let rest = all.strip_prefix(&[0]).unwrap_or(&all);
    assert_eq!(rest, (1..30).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_is_refused_too_often_is_among_the_dead_letters_and_the_feed_goes_on() {
    let backend = Backend::start().await;
    let refusals = vec![json!({"status": 422}); 3];
    backend.script("orders", json!([refusals.clone(), vec![json!({"status": 200})]].concat())).await;
    let file = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("dead-{}", std::process::id()));
    let configuration = FORWARD.replace("attempts = 3", &format!("attempts = 3\ndead_letter_file = {file:?}"))
        + "[[forward]]\nname = \"dead\"\nchannel = \"/meta/dead_letters\"\nurl = \"BACKEND/script/dead\"\n";
    let broker = Broker::start(&backend, &configuration).await;
    let mut shop = Client::connect(&broker).await;
    assert_eq!(shop.subscribe("/meta/dead_letters").await["error"], "403::channel_denied");
    publish_all(&mut shop, "/orders/1", 0..10).await;
    let posted = backend.until_posted("/script/orders", |posted| posted.len() == 3).await;
    let refused = posted[0]["body"].clone();
    publish_all(&mut shop, "/orders/1", 10..11).await;
    let posted = backend.until_posted("/script/orders", |posted| posted.len() == 4).await;
    assert_eq!(numbers(&posted[3..]), [10]);

    let dead = backend.until_posted("/script/dead", |posted| !posted.is_empty()).await;
    let letter = &items(&dead, "publications")[0]["data"];
    assert_eq!((&letter["feed"], &letter["failure"]), (&json!("/orders/**"), &json!("status 422")));
    assert_eq!((&letter["call"], &letter["id"]), (&refused, &posted[0]["headers"]["webhook-id"]));
    let written = std::fs::read_to_string(&file).unwrap();
    assert_eq!(written.lines().count(), 1);
    assert_eq!(&written.parse::<Value>().unwrap(), letter);
}

#[tokio::test]
async fn what_the_log_did_not_keep_is_told_as_a_gap() {
    let backend = Backend::start().await;
    backend.script("orders", json!([{"status": 503}])).await;
    let broker = Broker::start(&backend, &format!("{FORWARD}\n[engine.memory]\nmax_messages = 20")).await;
    let mut shop = Client::connect(&broker).await;
    publish_all(&mut shop, "/orders/1", 0..1).await;
    backend.until_posted("/script/orders", |posted| !posted.is_empty()).await;
    for n in (1..101).step_by(50) {
        publish_all(&mut shop, "/orders/1", n..n + 50).await;
    }
    backend.script("orders", json!([{"status": 200}])).await;
    let posted = backend.until_posted("/script/orders", |posted| numbers(posted).last() == Some(&100)).await;
    let gaps: Vec<_> = posted.iter().filter_map(|call| call["body"]["data"].get("gap")).collect();
    assert!(!gaps.is_empty());
    assert_eq!(gaps[0]["last"].as_u64().unwrap() - gaps[0]["first"].as_u64().unwrap() + 1, 80, "1 to 80 are gone");
    let mut told = numbers(&posted);
    told.dedup();
    assert_eq!(told, [vec![0], (81..101).collect()].concat());
}

const EVENTS: &str = r#"
[broker]
sweep_period = "50ms"
max_interval = "3s"
[backend.feed]
linger = "0s"
[[events]]
name = "all"
on = ["session_added", "session_removed", "subscribed", "unsubscribed", "channel_occupied", "channel_vacated"]
url = "BACKEND/script/all"
[[events]]
name = "few"
on = ["channel_occupied", "channel_vacated"]
url = "BACKEND/script/few"
"#;

fn of(posted: &[Value], session: &str) -> Vec<Value> {
    let own = |event: &Value| event["session"] == session;
    let bare = |mut event: Value| {
        let fields = event.as_object_mut().unwrap();
        assert!(fields.remove("time").unwrap().as_str().unwrap().ends_with('Z'));
        fields.remove("session");
        fields.remove("user");
        event
    };
    items(posted, "events").into_iter().filter(own).map(bare).collect()
}

#[tokio::test]
async fn a_session_s_life_is_told_from_its_beginning_to_its_end_with_the_cause() {
    let backend = Backend::start().await;
    let broker = Broker::start(&backend, EVENTS).await;
    let mut ann = Client::connect(&broker).await;
    let bob = Client::connect(&broker).await;
    ann.subscribe("/a").await;
    ann.subscribe("/a").await;
    ann.subscribe("/b/**").await;
    ann.unsubscribe("/never").await;
    ann.unsubscribe("/a").await;
    ann.disconnect().await;
    let is_over = |id: &str, posted: &[Value]| of(posted, id).iter().any(|e| e["type"] == "session_removed");
    let posted =
        backend.until_posted("/script/all", |posted| is_over(&ann.id, posted) && is_over(&bob.id, posted)).await;
    assert_eq!(
        of(&posted, &ann.id),
        [
            json!({"type": "session_added"}),
            json!({"type": "subscribed", "channel": "/a"}),
            json!({"type": "subscribed", "channel": "/b/**"}),
            json!({"type": "unsubscribed", "channel": "/a"}),
            json!({"type": "unsubscribed", "channel": "/b/**"}),
            json!({"type": "session_removed", "cause": "disconnected"}),
        ]
    );
    assert_eq!(
        of(&posted, &bob.id),
        [json!({"type": "session_added"}), json!({"type": "session_removed", "cause": "expired"})]
    );
    assert_eq!(posted[0]["body"]["type"], "events");
}

#[tokio::test]
async fn a_channel_is_occupied_by_the_first_and_vacated_by_the_last() {
    let backend = Backend::start().await;
    let broker = Broker::start(&backend, &EVENTS.replace("3s", "60s")).await;
    let (mut ann, mut bob) = (Client::connect(&broker).await, Client::connect(&broker).await);
    let told = |posted: &[Value]| -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        items(posted, "events").iter().map(|e| (text(&e["type"]), text(&e["channel"]))).collect()
    };
    ann.subscribe("/room/1").await;
    bob.subscribe("/room/1").await;
    bob.subscribe("/room/*").await;
    // Only then: what is occupied and vacated again at once, or the other way round, may not be told.
    backend.until_posted("/script/few", |posted| told(posted).len() == 2).await;
    ann.unsubscribe("/room/1").await;
    bob.disconnect().await;
    backend.until_posted("/script/few", |posted| told(posted).len() == 4).await;
    ann.subscribe("/room/1").await;
    let posted = backend.until_posted("/script/few", |posted| told(posted).len() >= 5).await;
    let mut told = told(&posted);
    told[2..4].sort();
    let expected = [
        ("channel_occupied", "/room/1"),
        ("channel_occupied", "/room/*"),
        ("channel_vacated", "/room/*"),
        ("channel_vacated", "/room/1"),
        ("channel_occupied", "/room/1"),
    ];
    assert_eq!(told, expected.map(|(kind, channel)| (kind.to_owned(), channel.to_owned())));
}

#[tokio::test]
async fn a_reader_that_lost_messages_is_told_to_the_backend() {
    let backend = Backend::start().await;
    let configuration = "[engine.memory]\nmax_messages = 10\n[broker]\nmax_queue = 5\nlanes = 1\n[backend.feed]\nlinger = '0s'\n\
        [[events]]\non = ['gap']\nurl = 'BACKEND/script/gaps'";
    let broker = Broker::start(&backend, configuration).await;
    let (mut ann, mut bob) = (Client::connect(&broker).await, Client::connect(&broker).await);
    ann.subscribe("/fast").await;
    publish_all(&mut bob, "/fast", 0..40).await;
    // What the lane has not shown to anybody is not cut yet; giving a channel back waits for it.
    ann.subscribe("/other").await;
    ann.unsubscribe("/other").await;
    ann.receive(|m| m["data"] == json!(39)).await;
    let posted = backend.until_posted("/script/gaps", |posted| !items(posted, "events").is_empty()).await;
    let gap = &items(&posted, "events")[0];
    assert_eq!((&gap["type"], &gap["session"]), (&json!("gap"), &json!(ann.id)));
    assert_eq!(gap["last"].as_u64().unwrap() - gap["first"].as_u64().unwrap() + 1, 30);
}
