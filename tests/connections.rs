//! One HTTP/1.1 connection, byte by byte: requests of the usual kind, what else comes on the same connection, and its end.
//!
//! Nothing waits longer than the deadline; every server ends with its test.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test panics")]

mod support;

use std::time::{Duration, Instant};
use support::{DEADLINE, Server};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const PUBLISH: &str = r#"{"channel":"/a","data":1}"#;
/// A whole request, of the kind that hyper serves.
const PUBLISHED_BEFORE: &str = "POST /bayeux HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n19\r\n{\"channel\":\"/a\",\"data\":1}\r\n0\r\n\r\n";
const PUBLISHED: &str = r#"[{"channel":"/a","successful":true}]"#;

fn post(headers: &str, body: &str) -> String {
    format!("POST /bayeux HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
}

async fn open(server: &Server) -> TcpStream {
    TcpStream::connect(server.address).await.unwrap()
}

/// Reads answers until `count` of them ended with `end`.
async fn read_until(stream: &mut TcpStream, end: &str, count: usize) -> String {
    let mut text = String::new();
    let reading = async {
        let mut buffer = [0; 4096];
        while text.matches(end).count() < count {
            match stream.read(&mut buffer).await.unwrap() {
                0 => break,
                read => text.push_str(std::str::from_utf8(&buffer[..read]).unwrap()),
            }
        }
    };
    timeout(DEADLINE, reading).await.expect("answers in time");
    text
}

#[tokio::test]
async fn requests_that_come_together_are_answered_one_after_the_other() {
    let server = Server::start().await;
    let mut stream = open(&server).await;
    let three: String =
        ["1", "2", "3"].map(|id| post("", &PUBLISH.replace('}', &format!(r#","id":"{id}"}}"#)))).concat();
    stream.write_all(three.as_bytes()).await.unwrap();
    let text = read_until(&mut stream, "}]", 3).await;
    let ids: Vec<_> = text.match_indices(r#""id":""#).map(|(at, id)| &text[at + id.len()..=at + id.len()]).collect();
    assert_eq!(ids, ["1", "2", "3"], "{text}");
    assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), 3);
    assert_eq!(text.matches("\r\ndate: ").count(), 3);
}

#[tokio::test]
async fn what_is_unusual_is_served_on_the_same_connection() {
    let server = Server::start().await;
    let mut stream = open(&server).await;
    for request in [
        post("", PUBLISH),
        format!(
            "POST /bayeux HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{PUBLISH}\r\n0\r\n\r\n",
            PUBLISH.len()
        ),
        post("X: y\r\n", PUBLISH),
    ] {
        stream.write_all(request.as_bytes()).await.unwrap();
        assert!(read_until(&mut stream, PUBLISHED, 1).await.starts_with("HTTP/1.1 200 OK\r\n"));
    }
    let mut stream = open(&server).await;
    let (head, body) =
        post("", PUBLISH).split_once("\r\n\r\n").map(|(h, b)| (format!("{h}\r\n\r\n"), b.to_owned())).unwrap();
    for piece in [&head[..9], &head[9..], &body[..5], &body[5..]] {
        stream.write_all(piece.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        tokio::task::yield_now().await;
    }
    assert!(read_until(&mut stream, PUBLISHED, 1).await.ends_with(PUBLISHED), "in pieces");
}

#[tokio::test]
async fn two_lengths_or_a_length_beside_chunks_are_never_served() {
    let server = Server::start().await;
    let smuggled = post("", PUBLISH);
    for headers in ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "Content-Length: +5\r\n"] {
        let mut stream = open(&server).await;
        stream.write_all(post(headers, &format!("0\r\n\r\n{smuggled}")).as_bytes()).await.unwrap();
        let text = read_until(&mut stream, "never", 1).await;
        assert!(!text.contains(PUBLISHED), "{headers}: {text}");
    }
}

#[tokio::test]
async fn a_held_poll_whose_peer_is_gone_is_let_go() {
    let server = Server::start().await;
    let mut ann = server.subscriber(&["/a"]).await;
    let mut stream = open(&server).await;
    let connect = format!(r#"{{"channel":"/meta/connect","clientId":"{}","connectionType":"long-polling"}}"#, ann.id);
    stream.write_all(post("", &connect).as_bytes()).await.unwrap();
    // Held: it is the only session that has a connection for messages.
    let attached = async {
        while server.get(&format!("sessions/{}", ann.id)).await.1["connected"] != true {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, attached).await.expect("held");
    drop(stream);
    let detached = async {
        while server.get(&format!("sessions/{}", ann.id)).await.1["connected"] != false {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, detached).await.expect("let go");
    server.call("POST", "/bayeux", &[], Some(PUBLISH)).await;
    assert_eq!(ann.next_text().await, PUBLISH, "and nothing was lost to it");
}

#[tokio::test]
async fn a_server_that_stops_answers_what_is_held_and_says_that_it_was_the_last() {
    let server = Server::start().await;
    let ann = server.subscriber(&["/b"]).await;
    let (mut held, mut idle) = (open(&server).await, open(&server).await);
    idle.write_all(post("", PUBLISH).as_bytes()).await.unwrap();
    read_until(&mut idle, PUBLISHED, 1).await;
    let connect = format!(r#"{{"channel":"/meta/connect","clientId":"{}","connectionType":"long-polling"}}"#, ann.id);
    held.write_all(post("", &connect).as_bytes()).await.unwrap();
    let attached = async {
        while server.get(&format!("sessions/{}", ann.id)).await.1["connected"] != true {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, attached).await.expect("held");
    let (text, ()) = tokio::join!(read_until(&mut held, "never", 1), server.stop());
    assert!(text.contains("\r\nconnection: close\r\n") && text.contains(r#""successful":true"#), "{text}");
    assert_eq!(read_until(&mut idle, "never", 1).await, "", "one that says nothing is closed");
}

/// Waits until a session's poll is held.
async fn is_held(server: &Server, id: &str) {
    let attached = async {
        while server.get(&format!("sessions/{id}")).await.1["connected"] != true {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, attached).await.expect("held");
}

#[tokio::test]
async fn a_server_that_stops_does_not_wait_for_requests_that_are_not_all_there() {
    let grace = Duration::from_millis(1500);
    let server = Server::start_with(|settings| settings.server.request_grace = grace).await;
    let ann = server.subscriber(&[]).await;
    let whole = post("Content-Type: application/json\r\n", PUBLISH);
    let (head, body) = whole.split_once("\r\n\r\n").unwrap();
    let chunked = "POST /bayeux HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"cha";
    let api = whole.replace("/bayeux", "/api/v1/publish");
    let mut silent = Vec::new();
    for said in ["", "P", &head[..30], &format!("{PUBLISHED_BEFORE}{}", &head[..30]), PUBLISHED_BEFORE] {
        let mut stream = open(&server).await;
        stream.write_all(said.as_bytes()).await.unwrap();
        if said.starts_with(PUBLISHED_BEFORE) {
            read_until(&mut stream, PUBLISHED, 1).await;
        }
        silent.push(stream);
    }
    let (start, rest) = body.split_at(5);
    let mut halves = Vec::new();
    for said in [&format!("{head}\r\n\r\n{start}"), chunked, &api[..api.len() - 5]] {
        let mut stream = open(&server).await;
        stream.write_all(said.as_bytes()).await.unwrap();
        halves.push(stream);
    }
    let mut finishing = open(&server).await;
    finishing.write_all(format!("{head}\r\n\r\n{start}").as_bytes()).await.unwrap();
    let mut held = open(&server).await;
    let connect = format!(r#"{{"channel":"/meta/connect","clientId":"{}","connectionType":"long-polling"}}"#, ann.id);
    held.write_all(post("", &connect).as_bytes()).await.unwrap();
    is_held(&server, &ann.id).await;

    let began = Instant::now();
    let stopping = tokio::spawn(server.stop());
    let text = read_until(&mut held, "never", 1).await;
    assert!(text.contains(r#""successful":true"#) && began.elapsed() < grace, "held: {:?} {text}", began.elapsed());
    for mut stream in silent {
        assert_eq!(read_until(&mut stream, "never", 1).await, "", "no request, no answer");
    }
    assert!(began.elapsed() < grace, "what is no request is closed at once: {:?}", began.elapsed());
    // The held poll's end tells that the server is stopping: what is finished within the grace still counts.
    finishing.write_all(rest.as_bytes()).await.unwrap();
    assert!(read_until(&mut finishing, "never", 1).await.ends_with(PUBLISHED), "in time");
    for mut stream in halves {
        let text = read_until(&mut stream, "never", 1).await;
        assert!(text.starts_with("HTTP/1.1 503 ") && text.contains("shutting_down"), "{text}");
    }
    stopping.await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(3), "stopped after {:?}", began.elapsed());
}

#[tokio::test]
async fn one_who_sends_too_much_hears_why_before_the_connection_ends() {
    let server = Server::start_with(|settings| settings.transport.max_message_bytes = 100).await;
    for body in ["x".repeat(2 << 20), "x".repeat(101)] {
        let mut stream = open(&server).await;
        stream.write_all(post("", &body).as_bytes()).await.expect("all of it is read");
        let text = read_until(&mut stream, "message_too_large", 1).await;
        assert!(text.starts_with("HTTP/1.1 413 "), "{text}");
    }
}
