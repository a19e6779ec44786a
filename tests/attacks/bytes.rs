//! Random and mutated bytes against everything that reads bytes: never a panic, never a 500, and the server goes on.

use crate::{
    raw::{Neighbour, Raw, Socket},
    support::{DEADLINE, Server},
};
use bayeuxd::bayeux::{DecodeLimits, decode};
use futures_util::{SinkExt, StreamExt};
use proptest::{
    collection::vec,
    prelude::{Just, ProptestConfig, Strategy, any, prop_oneof},
    strategy::ValueTree,
    test_runner::TestRunner,
};
use serde_json::json;
use std::{
    panic,
    sync::atomic::{AtomicUsize, Ordering},
};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

const LIMITS: DecodeLimits = DecodeLimits { messages: 10, depth: 20 };
/// Inputs over the network; a few seconds of them.
const INPUTS: usize = 300;

/// Requests as clients send them, to be mutated.
const SEEDS: [&str; 6] = [
    r#"[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"],"ext":{"ack":true}}]"#,
    r#"[{"channel":"/meta/connect","clientId":"0123456789abcdef0123456789abcdef","advice":{"timeout":0},"id":"1"}]"#,
    r#"[{"channel":"/meta/subscribe","clientId":"x","subscription":["/a/*","/b/**"],"ext":{"replay":{"/a":-2}}}]"#,
    r#"{"channel":"/a/b","data":{"n":[1,2.50,"\u00e9\/"],"o":null},"ext":{"binary":{"last":true},"idempotency":"k"}}"#,
    r#"[{"channel":"/service/echo","data":"x"},{"channel":"/a","data":1}]"#,
    r#"[{"channel":"/a","channels":["/a","/b"],"data":0,"idempotency_key":"k","exclude":"x"}]"#,
];

#[derive(Clone, Debug)]
enum Change {
    Set(usize, u8),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    Repeat(usize, usize),
}

/// Random bytes, or a seed with a few changes.
fn input() -> impl Strategy<Value = Vec<u8>> {
    let place = || any::<usize>();
    let tokens = prop_oneof![
        vec(any::<u8>(), 1..5),
        prop_oneof![
            Just("null"),
            Just("[]"),
            Just("{}"),
            Just("\""),
            Just("\\u"),
            Just("1e999"),
            Just("-"),
            Just("/meta/"),
            Just("\u{feff}"),
            Just("\0"),
            Just("[[[["),
            Just(",")
        ]
        .prop_map(|token| token.as_bytes().to_vec()),
    ];
    let change = prop_oneof![
        (place(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (place(), tokens).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (place(), 1..20usize).prop_map(|(at, count)| Change::Remove(at, count)),
        (place(), 1..20usize).prop_map(|(at, count)| Change::Repeat(at, count)),
    ];
    let mutated = (0..SEEDS.len(), vec(change, 0..6))
        .prop_map(|(seed, changes)| changes.into_iter().fold(SEEDS[seed].as_bytes().to_vec(), apply));
    prop_oneof![1 => vec(any::<u8>(), 0..300), 4 => mutated]
}

fn apply(mut bytes: Vec<u8>, change: Change) -> Vec<u8> {
    let length = bytes.len();
    if length == 0 {
        return bytes;
    }
    match change {
        Change::Set(at, byte) => bytes[at % length] = byte,
        Change::Insert(at, new) => drop(bytes.splice(at % length..at % length, new)),
        Change::Remove(at, count) => drop(bytes.drain(at % length..(at % length + count).min(length))),
        Change::Repeat(at, count) => {
            let piece = bytes[at % length..(at % length + count).min(length)].to_vec();
            bytes.splice(at % length..at % length, piece);
        }
    }
    bytes
}

/// The same inputs at every run: what failed once fails again.
fn inputs() -> Vec<Vec<u8>> {
    let mut runner = TestRunner::deterministic();
    (0..INPUTS).map(|_| input().new_tree(&mut runner).unwrap().current()).collect()
}

proptest::proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decoding_never_panics_and_says_what_is_wrong_in_the_form_of_the_wire(body in input()) {
        if let Err(refused) = decode(&body, LIMITS) {
            proptest::prop_assert!(bayeuxd::bayeux::error::is_well_formed(&refused.0.to_string()), "{}", refused.0);
        }
    }
}

/// Panics of the server's tasks, which would only cost it a connection.
fn count_panics() -> &'static AtomicUsize {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if info.location().is_some_and(|at| at.file().starts_with("src/") || at.file().contains("registry")) {
            PANICS.fetch_add(1, Ordering::SeqCst);
        }
        before(info);
    }));
    &PANICS
}

#[tokio::test]
async fn no_body_no_frame_and_no_request_makes_the_server_fail() {
    let panics = count_panics();
    let server = Server::start().await;
    let mallory = server.subscriber(&[]).await;
    let inputs = inputs();
    for (n, input) in inputs.iter().enumerate() {
        let path = ["/bayeux", "/api/v1/publish", "/api/v1/explain", "/bayeux/x"][n % 4];
        let kind = ["application/json", "application/x-www-form-urlencoded", "text/plain"][n / 4 % 3];
        let mut raw = Raw::connect(&server).await;
        let head = format!("Host: x\r\nContent-Type: {kind}\r\nContent-Length: {}", input.len());
        raw.send([format!("POST {path} HTTP/1.1\r\n{head}\r\n\r\n").as_bytes(), input].concat()).await;
        let answer = raw.answer().await.unwrap_or_else(|| panic!("no answer to {:?}", String::from_utf8_lossy(input)));
        assert!(answer.status < 500, "{answer:?} to {:?}", String::from_utf8_lossy(input));
        assert!(!answer.body.is_empty(), "{answer:?}");
    }
    for input in &inputs {
        // As a request of its own, with an end so that nothing waits for more.
        let mut raw = Raw::connect(&server).await;
        raw.send([input, &b"\r\n\r\n"[..]].concat()).await;
        let _ = tokio::io::AsyncWriteExt::shutdown(&mut raw.0).await;
        let rest = raw.rest().await;
        assert!(!rest.starts_with("HTTP/1.1 5"), "{rest} to {:?}", String::from_utf8_lossy(input));
    }
    let mut socket = Socket::connect(&server).await;
    for input in &inputs {
        let Ok(text) = String::from_utf8(input.clone()) else { continue };
        let is_empty_array = text.trim() == "[]";
        if socket.0.send(Message::text(text)).await.is_err() {
            socket = Socket::connect(&server).await;
        } else if !is_empty_array {
            // Each frame is answered; the answer to a connect may be held, so the next ping is waited for instead.
            socket.0.send(Message::Ping("x".into())).await.unwrap();
            let pong = async { while !matches!(socket.0.next().await, Some(Ok(Message::Pong(_))) | None) {} };
            timeout(DEADLINE, pong).await.expect("the socket lives");
        }
    }
    assert_eq!(panics.load(Ordering::SeqCst), 0);
    let mut neighbour = Neighbour::of(&server).await;
    neighbour.notices_nothing().await;
    let alive = mallory.send(json!({"channel": "/a", "clientId": mallory.id, "data": 1})).await;
    assert_eq!(alive[0]["successful"], true);
}
