//! Requests that two servers could read differently, and heads that are too large.

use crate::{
    raw::{Neighbour, Raw},
    support::Server,
};

const SMUGGLED: &str = "{\"channel\":\"/smuggled\",\"data\":1}";

/// A request that would publish, as it would stand behind another.
fn second() -> String {
    format!(
        "POST /bayeux HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{SMUGGLED}",
        SMUGGLED.len()
    )
}

/// Sends a head and what follows it; returns the statuses of all answers until the server hangs up.
async fn statuses(server: &Server, head: &str, rest: &str) -> Vec<u16> {
    let mut raw = Raw::connect(server).await;
    raw.send(format!("POST /bayeux HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{head}\r\n{rest}")).await;
    let answers = raw.rest().await;
    let status = |line: &str| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok();
    // Answers follow each other without a line end between them.
    answers.split("HTTP/1.1 ").skip(1).filter_map(|answer| status(&format!("HTTP/1.1 {answer}"))).collect()
}

#[tokio::test]
async fn a_request_with_two_lengths_hides_no_second_one() {
    let server = Server::start().await;
    let mut neighbour = Neighbour::of(&server).await;
    let ends_early = format!("2\r\n[]\r\n0\r\n\r\n{}", second());
    let length = format!("Content-Length: {}\r\n", ends_early.len());
    let chunked = "Transfer-Encoding: chunked\r\n";
    for head in [format!("{length}{chunked}"), format!("{chunked}{length}")] {
        let seen = statuses(&server, &head, &ends_early).await;
        assert_eq!(seen.len(), 1, "{head}: {seen:?}");
        assert!([200, 400].contains(&seen[0]), "{head}: {seen:?}");
    }
    neighbour.notices_nothing().await;
}

#[tokio::test]
async fn lengths_that_may_be_read_in_two_ways_are_refused() {
    let server = Server::start().await;
    let mut neighbour = Neighbour::of(&server).await;
    for head in [
        "Content-Length: 2\r\nContent-Length: 3\r\n",
        "Content-Length: 2, 3\r\n",
        "Content-Length: +2\r\n",
        "Content-Length: -2\r\n",
        "Content-Length: 0x2\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Content-Length : 2\r\n",
        "Content-Length: 2\r\n Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding : chunked\r\n",
    ] {
        let seen = statuses(&server, head, &format!("[]{}", second())).await;
        assert!(seen.iter().all(|status| (400..500).contains(status)) && seen.len() <= 1, "{head}: {seen:?}");
    }
    neighbour.notices_nothing().await;
}

#[tokio::test]
async fn chunks_that_lie_end_the_connection() {
    let server = Server::start().await;
    let mut neighbour = Neighbour::of(&server).await;
    for chunks in [
        "FFFFFFFFFFFFFFFFF\r\n[]\r\n0\r\n\r\n",
        "-2\r\n[]\r\n0\r\n\r\n",
        "+2\r\n[]\r\n0\r\n\r\n",
        "0x2\r\n[]\r\n0\r\n\r\n",
        "2\r\n[]xx0\r\n\r\n",
        "2\n[]\n0\n\n",
        "g\r\n[]\r\n0\r\n\r\n",
    ] {
        let seen = statuses(&server, "Transfer-Encoding: chunked\r\n", &format!("{chunks}{}", second())).await;
        assert!(seen.iter().all(|status| (400..500).contains(status)) && seen.len() <= 1, "{chunks:?}: {seen:?}");
    }
    // An extension without end.
    let endless = format!("2;{}\r\n[]\r\n0\r\n\r\n", "x".repeat(1 << 20));
    let seen = statuses(&server, "Transfer-Encoding: chunked\r\n", &endless).await;
    assert!(seen.iter().all(|status| (400..500).contains(status)), "{seen:?}");
    neighbour.notices_nothing().await;
}

#[tokio::test]
async fn heads_are_bounded() {
    let server = Server::start().await;
    let mut neighbour = Neighbour::of(&server).await;
    let long_line = format!("X: {}\r\n", "x".repeat(200_000));
    let many_lines = "X: y\r\n".repeat(5000);
    let long_target = format!("GET /bayeux?{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(200_000));
    for head in [
        format!("GET /bayeux HTTP/1.1\r\nHost: x\r\n{long_line}\r\n"),
        format!("GET /bayeux HTTP/1.1\r\nHost: x\r\n{many_lines}\r\n"),
        long_target,
        "GET /bayeux HTTP/1.1\r\nHost: x\r\nX: \0\r\n\r\n".into(),
        "\u{16}\u{3}\u{1}\0\u{ee} a TLS hello\r\n\r\n".into(),
    ] {
        let mut raw = Raw::connect(&server).await;
        raw.send(&head).await;
        let rest = raw.rest().await;
        let status = rest.split(' ').nth(1).unwrap_or_default();
        assert!(rest.is_empty() || status.starts_with('4'), "{} … {rest}", &head[..40]);
    }
    neighbour.notices_nothing().await;
}

#[tokio::test]
async fn compressed_bodies_are_not_unpacked() {
    let server = Server::start().await;
    let mut neighbour = Neighbour::of(&server).await;
    // The start of a gzip file: whatever it would become, it is no JSON.
    let head = "Content-Encoding: gzip\r\nConnection: close\r\nContent-Length: 10\r\n";
    assert_eq!(statuses(&server, head, "\u{1f}\u{8}\u{8}\0\0\0\0\0\0\0").await, [400]);
    neighbour.notices_nothing().await;
}
