//! WebSockets that never finish what they begin, ping all day, or have nothing to say.

use crate::{
    raw::{Neighbour, Socket},
    support::{DEADLINE, Server},
};
use futures_util::{SinkExt, StreamExt};
use std::time::Duration;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    },
};

fn piece(kind: Data, text: &[u8]) -> Message {
    Message::Frame(Frame::message(text.to_vec(), OpCode::Data(kind), false))
}

/// The code with which the server closes.
async fn close_code(socket: &mut Socket) -> Option<u16> {
    let closed = async {
        loop {
            match socket.0.next().await {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    };
    timeout(DEADLINE, closed).await.expect("the server closes in time")
}

#[tokio::test]
async fn a_message_in_pieces_without_end_is_too_big_at_some_point() {
    let server = Server::start_with(|s| s.transport.max_message_bytes = 100_000).await;
    let mut neighbour = Neighbour::of(&server).await;
    let mut socket = Socket::connect(&server).await;
    socket.0.send(piece(Data::Text, b"[")).await.unwrap();
    for _ in 0..1000 {
        // The server may have hung up.
        if socket.0.send(piece(Data::Continue, &[b' '; 1000])).await.is_err() {
            break;
        }
    }
    let code = close_code(&mut socket).await;
    assert!(matches!(code, None | Some(1009)), "{code:?}");
    neighbour.notices_nothing().await;
}

#[tokio::test]
async fn a_flood_of_pings_and_empty_pieces_is_nothing_special() {
    let server = Server::start_with(|s| s.transport.write_timeout = Duration::from_secs(1)).await;
    let mut neighbour = Neighbour::of(&server).await;
    let mut socket = Socket::connect(&server).await;
    let flood = async {
        let _ = socket.0.send(piece(Data::Text, b"")).await;
        for _ in 0..20_000 {
            // Nobody reads the answers: the server hangs up when it cannot write them.
            let ping = socket.0.send(Message::Ping(vec![b'x'; 125].into())).await;
            if ping.is_err() || socket.0.send(piece(Data::Continue, b"")).await.is_err() {
                break;
            }
        }
    };
    let (flooded, ()) = tokio::join!(timeout(DEADLINE, flood), neighbour.notices_nothing());
    flooded.expect("the server reads on or hangs up");
    neighbour.notices_nothing().await;
}

#[tokio::test]
async fn a_socket_without_a_session_is_closed_after_a_while() {
    let server = Server::start_with(|s| {
        s.transport.websocket_ping = Duration::from_millis(200);
        s.transport.idle_timeout = Duration::from_millis(600);
    })
    .await;
    let mut neighbour = Neighbour::of(&server).await;
    let (mut idle, mut used) = (Socket::connect(&server).await, Socket::connect(&server).await);
    used.handshake().await;
    // It answers pings, as every client does, and has nothing else to say.
    tokio::select! {
        code = close_code(&mut idle) => assert_eq!(code, Some(1001)),
        code = close_code(&mut used) => panic!("a socket with a session stays: {code:?}"),
    }
    neighbour.notices_nothing().await;
}
