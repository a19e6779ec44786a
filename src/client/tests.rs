//! Tests of the client against a scripted server: each test says what the server answers to each request in turn, and
//! looks at what the client asked.

use super::{Error, Event, Publication, Publisher, Subscriber, backoff::Backoff};
use serde_json::{Value, json, value::RawValue};
use std::time::Duration;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

/// The longest a test waits for anything.
const DEADLINE: Duration = Duration::from_secs(10);

enum Answer {
    /// 200 with these messages; `"id"` values are filled in from the request.
    Replies(Value),
    /// A status with a body and an extra header line.
    Http(u16, &'static str, &'static str),
    /// The connection breaks before an answer.
    Break,
}

struct Request {
    messages: Value,
    body: String,
    cookie: Option<String>,
}

/// A server that gives one answer a request, in order, and then none. Each request is told to the test.
async fn scripted(answers: Vec<Answer>) -> (String, mpsc::UnboundedReceiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/bayeux", listener.local_addr().unwrap());
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut connection = None;
        for answer in answers {
            let (mut stream, request) = next_request(&listener, connection.take()).await;
            let reply = match &answer {
                Answer::Replies(messages) => Some((200, with_ids(messages, &request.messages), "")),
                Answer::Http(status, body, header) => Some((*status, (*body).to_owned(), *header)),
                Answer::Break => None,
            };
            let _ = tell.send(request);
            if let Some((status, body, header)) = reply {
                let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n{header}\r\n", body.len());
                stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
                connection = Some(stream);
            }
        }
        // Held for ever, as a long poll would be.
        let (_stream, request) = next_request(&listener, connection).await;
        let _ = tell.send(request);
        std::future::pending::<()>().await;
    });
    (url, told)
}

/// The next request on the kept-alive connection, or on a new one when the client left it.
async fn next_request(listener: &TcpListener, kept: Option<BufReader<TcpStream>>) -> (BufReader<TcpStream>, Request) {
    if let Some(mut stream) = kept
        && let Some(request) = read_request(&mut stream).await
    {
        return (stream, request);
    }
    loop {
        let mut stream = BufReader::new(listener.accept().await.unwrap().0);
        if let Some(request) = read_request(&mut stream).await {
            return (stream, request);
        }
    }
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let (mut length, mut cookie) = (0, None);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().unwrap(),
            Some((name, value)) if name.eq_ignore_ascii_case("cookie") => cookie = Some(value.to_owned()),
            _ if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let body = String::from_utf8(body).unwrap();
    Some(Request { messages: serde_json::from_str(&body).unwrap(), body, cookie })
}

/// Gives the replies (messages with `successful`) the ids of the request's messages, in order.
fn with_ids(replies: &Value, request: &Value) -> String {
    let mut ids = request.as_array().unwrap().iter().map(|message| message["id"].clone());
    let mut replies = replies.clone();
    for reply in replies.as_array_mut().unwrap().iter_mut().filter(|reply| reply.get("successful").is_some()) {
        reply["id"] = ids.next().unwrap();
    }
    replies.to_string()
}

fn handshake_ok(client_id: &str) -> Answer {
    Answer::Replies(json!([{ "channel": "/meta/handshake", "successful": true, "clientId": client_id, "version": "1.0",
        "supportedConnectionTypes": ["websocket", "long-polling"] }]))
}

fn subscribe_ok() -> Answer {
    Answer::Replies(json!([{ "channel": "/meta/subscribe", "successful": true, "subscription": "/a" }]))
}

/// A connect reply after `messages`.
fn connect_ok(messages: &[Value]) -> Answer {
    let mut all = messages.to_vec();
    all.push(json!({ "channel": "/meta/connect", "successful": true }));
    Answer::Replies(all.into())
}

fn unsuccessful(meta: &str, error: &str, advice: Value) -> Answer {
    Answer::Replies(json!([{ "channel": meta, "successful": false, "error": error, "advice": advice }]))
}

fn subscriber(url: &str) -> Subscriber {
    let mut subscriber = Subscriber::new(url, None, vec!["/a".into()]).unwrap();
    subscriber.backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(4));
    subscriber
}

async fn next(subscriber: &mut Subscriber) -> Result<Event, Error> {
    timeout(DEADLINE, subscriber.next()).await.unwrap()
}

async fn next_message(subscriber: &mut Subscriber) -> String {
    loop {
        if let Event::Message(message) = next(subscriber).await.unwrap() {
            return serde_json::to_string(&message).unwrap();
        }
    }
}

fn text(data: &str) -> Box<RawValue> {
    RawValue::from_string(data.into()).unwrap()
}

#[tokio::test]
async fn a_publish_is_one_message_with_its_data_untouched() {
    let reply = json!([{ "channel": "/a", "successful": true }]);
    let (url, mut told) = scripted(vec![Answer::Replies(reply)]).await;
    let data = text("{ \"n\": 12345678901234567890, \"f\": 1.10, \"n\": 2 }");
    Publisher::new(&url, None)
        .unwrap()
        .publish(&Publication { channel: "/a".into(), data: data.clone() })
        .await
        .unwrap();
    let request = told.recv().await.unwrap();
    assert!(request.body.contains(data.get()), "{}", request.body);
    assert_eq!(request.messages[0]["channel"], "/a");
    assert!(request.messages[0].get("clientId").is_none());
}

#[tokio::test]
async fn each_publish_of_several_has_its_own_outcome() {
    let replies = json!([
        { "channel": "/b", "id": "1", "successful": false, "error": "405::channel_invalid" },
        { "channel": "/a", "id": "0", "successful": true },
    ]);
    let (url, _told) = scripted(vec![Answer::Http(200, Box::leak(replies.to_string().into_boxed_str()), "")]).await;
    let publications = ["/a", "/b"].map(|channel| Publication { channel: channel.into(), data: text("1") });
    let outcomes = Publisher::new(&url, None).unwrap().publish_all(&publications).await.unwrap();
    assert_eq!(outcomes, [Ok(()), Err("405::channel_invalid".into())]);
}

#[tokio::test]
async fn a_refused_publish_says_why_whether_by_reply_or_by_status() {
    let publication = Publication { channel: "/a".into(), data: text("1") };
    let refused = "[{\"successful\":false,\"error\":\"413::message_too_large\"}]";
    let cases = [
        (unsuccessful("/a", "403::publish_denied", json!(null)), Error::Refused("403::publish_denied".into())),
        (Answer::Http(413, refused, ""), Error::Refused("413::message_too_large".into())),
        (Answer::Http(404, "not here", ""), Error::Status(404)),
    ];
    for (answer, expected) in cases {
        let (url, _told) = scripted(vec![answer]).await;
        assert_eq!(Publisher::new(&url, None).unwrap().publish(&publication).await.unwrap_err(), expected);
    }
    let (url, _told) = scripted(vec![Answer::Http(200, "<html>", "")]).await;
    let error = Publisher::new(&url, None).unwrap().publish(&publication).await.unwrap_err();
    assert!(matches!(error, Error::NotBayeux(_)), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_as_such() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let publication = Publication { channel: "/a".into(), data: text("1") };
    let error =
        Publisher::new(&format!("http://{port}/bayeux"), None).unwrap().publish(&publication).await.unwrap_err();
    assert!(matches!(&error, Error::Unreachable(why) if why.contains("refused")), "{error}");
    assert!(matches!(Publisher::new("nonsense", None).unwrap_err(), Error::Url(_)));
    assert!(matches!(Publisher::new("ftp://a/", None).unwrap_err(), Error::Url(_)));
    assert!(matches!(Publisher::new("http://a/", Some("two\nlines")).unwrap_err(), Error::Token(_)));
}

#[tokio::test]
async fn a_subscriber_hands_on_messages_in_order_and_byte_for_byte() {
    let body = "[{\"channel\":\"/a\",\"data\":{\"x\": 1.10}},{\"channel\":\"/a\",\"data\":null,\"ext\":{\"k\":1}},\
                {\"channel\":\"/meta/connect\",\"successful\":true,\"id\":\"3\"}]";
    let answers = vec![handshake_ok("s1"), subscribe_ok(), Answer::Http(200, body, "")];
    let (url, mut told) = scripted(answers).await;
    let mut subscriber = subscriber(&url);
    assert!(matches!(next(&mut subscriber).await.unwrap(), Event::Subscribed { client_id } if client_id == "s1"));
    assert_eq!(next_message(&mut subscriber).await, "{\"channel\":\"/a\",\"data\":{\"x\": 1.10}}");
    assert_eq!(next_message(&mut subscriber).await, "{\"channel\":\"/a\",\"data\":null,\"ext\":{\"k\":1}}");
    let asked: Vec<Value> = vec![told.recv().await.unwrap(), told.recv().await.unwrap(), told.recv().await.unwrap()]
        .into_iter()
        .map(|request| request.messages[0].clone())
        .collect();
    assert_eq!(asked[0]["supportedConnectionTypes"], json!(["long-polling"]));
    assert_eq!((&asked[1]["clientId"], &asked[1]["subscription"]), (&json!("s1"), &json!("/a")));
    assert_eq!(asked[2]["advice"], json!({ "timeout": 0 }), "the first connect wants an answer at once");
}

#[tokio::test]
async fn an_unknown_session_is_replaced_and_subscribed_again() {
    let advice = json!({ "reconnect": "handshake", "interval": 0 });
    let answers = vec![
        handshake_ok("s1"),
        subscribe_ok(),
        connect_ok(&[]),
        unsuccessful("/meta/connect", "402::session_unknown", advice),
        handshake_ok("s2"),
        subscribe_ok(),
        connect_ok(&[json!({ "channel": "/a", "data": "again" })]),
    ];
    let (url, mut told) = scripted(answers).await;
    let mut subscriber = subscriber(&url);
    assert_eq!(next_message(&mut subscriber).await, "{\"channel\":\"/a\",\"data\":\"again\"}");
    let mut channels = Vec::new();
    for _ in 0..7 {
        channels.push(told.recv().await.unwrap().messages[0]["channel"].as_str().unwrap().to_owned());
    }
    let [h, s, c] = ["/meta/handshake", "/meta/subscribe", "/meta/connect"];
    assert_eq!(channels, [h, s, c, c, h, s, c]);
}

#[tokio::test]
async fn a_broken_connection_keeps_the_session_and_is_reported() {
    let answers = vec![
        handshake_ok("s1"),
        subscribe_ok(),
        connect_ok(&[]),
        Answer::Break,
        Answer::Http(503, "busy", ""),
        connect_ok(&[json!({ "channel": "/a", "data": 1 })]),
    ];
    let (url, mut told) = scripted(answers).await;
    let mut subscriber = subscriber(&url);
    let mut lost = 0;
    loop {
        match next(&mut subscriber).await.unwrap() {
            Event::Lost { .. } => lost += 1,
            Event::Message(_) => break,
            Event::Subscribed { .. } => {}
        }
    }
    assert_eq!(lost, 2);
    let mut last = None;
    for _ in 0..6 {
        last = told.recv().await;
    }
    let last = &last.unwrap().messages[0];
    assert_eq!((&last["clientId"], &last["advice"]["timeout"]), (&json!("s1"), &json!(0)));
}

#[tokio::test]
async fn refusals_end_the_subscriber_and_say_why() {
    let none = json!({ "reconnect": "none", "interval": 0 });
    let retry = json!({ "reconnect": "retry", "interval": 0 });
    let cases = [
        (
            vec![unsuccessful("/meta/handshake", "403::handshake_denied", none.clone())],
            Error::Refused("403::handshake_denied".into()),
        ),
        (
            vec![handshake_ok("s"), unsuccessful("/meta/subscribe", "403::subscribe_denied", retry)],
            Error::Refused("/a: 403::subscribe_denied".into()),
        ),
        (
            vec![handshake_ok("s"), subscribe_ok(), unsuccessful("/meta/connect", "402::session_unknown", none)],
            Error::Ended,
        ),
    ];
    for (answers, expected) in cases {
        let (url, _told) = scripted(answers).await;
        let mut subscriber = subscriber(&url);
        let error = loop {
            if let Err(error) = next(&mut subscriber).await {
                break error;
            }
        };
        assert_eq!(error, expected);
    }
}

#[tokio::test]
async fn a_denied_handshake_that_may_be_retried_waits_as_advised() {
    let advice = json!({ "reconnect": "handshake", "interval": 30 });
    let answers = vec![unsuccessful("/meta/handshake", "429::rate_limited", advice), handshake_ok("s"), subscribe_ok()];
    let (url, _told) = scripted(answers).await;
    let mut subscriber = subscriber(&url);
    match next(&mut subscriber).await.unwrap() {
        Event::Lost { reason, pause } => assert_eq!((reason.as_str(), pause.as_millis()), ("429::rate_limited", 30)),
        other => panic!("{other:?}"),
    }
    assert!(matches!(next(&mut subscriber).await.unwrap(), Event::Subscribed { .. }));
}

#[tokio::test]
async fn cookies_come_back_and_goodbye_names_the_session() {
    let handshake = "[{\"channel\":\"/meta/handshake\",\"id\":\"1\",\"successful\":true,\"clientId\":\"s1\"}]";
    let answers =
        vec![Answer::Http(200, handshake, "Set-Cookie: BAYEUX_BROWSER=b1; Path=/; HttpOnly\r\n"), subscribe_ok()];
    let (url, mut told) = scripted(answers).await;
    let mut subscriber = subscriber(&url);
    assert!(matches!(next(&mut subscriber).await.unwrap(), Event::Subscribed { .. }));
    subscriber.disconnect().await;
    assert_eq!(told.recv().await.unwrap().cookie, None);
    assert_eq!(told.recv().await.unwrap().cookie.as_deref(), Some("BAYEUX_BROWSER=b1"));
    let bye = told.recv().await.unwrap().messages;
    assert_eq!((&bye[0]["channel"], &bye[0]["clientId"]), (&json!("/meta/disconnect"), &json!("s1")));
}
