//! One HTTP/1.1 connection, byte by byte: requests of the usual kind, what else comes on the same connection, and its end.
//!
//! Nothing waits longer than the deadline; every server ends with its test.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test panics")]

mod support;

use support::{DEADLINE, Server};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const PUBLISH: &str = r#"{"channel":"/a","data":1}"#;
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
