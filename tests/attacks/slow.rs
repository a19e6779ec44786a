//! Peers that take their time: over a head, over a body, over reading what they asked for.

use crate::{
    raw::{Neighbour, Raw, Socket},
    support::{DEADLINE, Server},
};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::time::{interval, timeout};

const PATIENCE: Duration = Duration::from_secs(1);

async fn impatient() -> Server {
    Server::start_with(|s| {
        s.transport.header_read_timeout = PATIENCE;
        s.transport.body_read_timeout = PATIENCE;
        s.transport.write_timeout = PATIENCE;
        s.api.body_read_timeout = PATIENCE;
    })
    .await
}

#[tokio::test]
async fn heads_that_never_end_are_cut_off() {
    let server = impatient().await;
    let mut neighbour = Neighbour::of(&server).await;
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut raw = Raw::connect(&server).await;
        raw.send("POST /bayeux HTTP/1.1\r\nHost: x\r\n").await;
        slow.push(raw);
    }
    let began = Instant::now();
    let mut drip = interval(Duration::from_millis(200));
    // Each sends a little now and then, as if it were alive.
    while began.elapsed() < PATIENCE / 2 {
        drip.tick().await;
        for raw in &mut slow {
            raw.send("X: y\r\n").await;
        }
        neighbour.notices_nothing().await;
    }
    for raw in &mut slow {
        let answer = raw.rest().await;
        assert!(!answer.starts_with("HTTP/1.1 5"), "{answer}");
    }
    neighbour.notices_nothing().await;
}

#[tokio::test]
async fn bodies_that_never_end_are_refused() {
    let server = impatient().await;
    let mut neighbour = Neighbour::of(&server).await;
    for (path, said) in [("/bayeux", "408::timeout"), ("/api/v1/publish", r#""code":"too_slow""#)] {
        let mut slow = Vec::new();
        for _ in 0..50 {
            let mut raw = Raw::connect(&server).await;
            let head = "Host: x\r\nContent-Type: application/json\r\nContent-Length: 1000";
            raw.send(format!("POST {path} HTTP/1.1\r\n{head}\r\n\r\n[")).await;
            slow.push(raw);
        }
        neighbour.notices_nothing().await;
        for raw in &mut slow {
            let answer = raw.answer().await.unwrap();
            assert!(answer.status == 408 && answer.body.contains(said), "{path}: {answer:?}");
            assert_eq!(raw.rest().await, "", "the connection ends with it");
        }
    }
    neighbour.notices_nothing().await;
}

#[tokio::test]
async fn whoever_does_not_read_is_dropped_and_holds_up_nobody() {
    let server = impatient().await;
    let mut neighbour = Neighbour::of(&server).await;
    let mut deaf = Vec::new();
    for _ in 0..3 {
        let mut socket = Socket::connect(&server).await;
        let id = socket.handshake().await;
        socket.send(&json!([{"channel": "/meta/subscribe", "clientId": id, "subscription": "/noise"}])).await;
        socket.next().await.unwrap();
        deaf.push((socket, id));
    }
    // More than the buffers of the kernel hold.
    let noise = "x".repeat(500_000);
    for _ in 0..40 {
        server.post("publish", json!({"channel": "/noise", "data": noise})).await;
    }
    let mut ear = server.subscriber(&["/quiet"]).await;
    assert_eq!(server.post("publish", json!({"channel": "/quiet", "data": 1})).await.0, 200);
    assert_eq!(ear.next().await["data"], 1);
    // The neighbour hears the noise and the quiet, and then that nothing is wrong.
    for _ in 0..41 {
        neighbour.hears_noise().await;
    }
    neighbour.notices_nothing().await;
    let dropped = async {
        let mut look = interval(Duration::from_millis(100));
        loop {
            look.tick().await;
            let (_, sessions) = server.get("sessions").await;
            let attached = sessions["sessions"].as_array().unwrap().iter();
            let deaf_ones =
                attached.filter(|s| deaf.iter().any(|(_, id)| s["session"] == *id && s["connected"] == true));
            if deaf_ones.count() == 0 {
                return;
            }
        }
    };
    timeout(DEADLINE, dropped).await.expect("their sockets are given up");
}

#[tokio::test]
async fn pipelined_requests_that_nobody_reads_stop_being_read() {
    let server = impatient().await;
    let mut neighbour = Neighbour::of(&server).await;
    let one = "GET /api/v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000);
    let mut raw = Raw::connect(&server).await;
    let flood = async {
        // Far more answers than buffers take: at some point writing them, and then reading requests, stands still.
        for _ in 0..100 {
            raw.send(&one).await;
        }
    };
    timeout(DEADLINE, flood).await.expect("the server hangs up");
    neighbour.notices_nothing().await;
}
