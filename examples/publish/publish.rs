//! Publishes one message:  rustc publish.rs && ./publish CHANNEL JSON
//!
//! BAYEUX_URL names the broker's endpoint, http only; BAYEUX_KEY is an API key, for brokers that want one.

use std::{
    env,
    error::Error,
    io::{Read, Write},
    net::{TcpStream, ToSocketAddrs},
    process::ExitCode,
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(10);

fn publish(channel: &str, json: &str) -> Result<(), Box<dyn Error>> {
    let url = env::var("BAYEUX_URL").unwrap_or_else(|_| "http://127.0.0.1:8080/bayeux".into());
    let place = url.strip_prefix("http://").ok_or("BAYEUX_URL does not begin with http://")?;
    let (host, path) = place.split_once('/').unwrap_or((place, ""));
    let address = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let key = env::var("BAYEUX_KEY").map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
    let name = channel.replace('\\', "\\\\").replace('"', "\\\"");
    let body = format!("{{\"channel\": \"{name}\", \"data\": {json}}}");

    let address = address.to_socket_addrs()?.next().ok_or("the host has no address")?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // HTTP/1.0: the answer ends where the connection does.
    write!(
        stream,
        "POST /{path} HTTP/1.0\r\nHost: {host}\r\nContent-Type: application/json\r\n{key}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, reply) = answer.split_once("\r\n\r\n").ok_or("the answer is not HTTP")?;
    // The only text of ours in a reply is the channel, and quotes in it are escaped: this cannot be part of it.
    if reply.contains("\"successful\":true") {
        return Ok(());
    }
    Err(format!("refused: {reply} ({})", head.lines().next().unwrap_or_default()).into())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [channel, json] = arguments.as_slice() else {
        eprintln!("usage: publish CHANNEL JSON");
        return ExitCode::from(2);
    };
    match publish(channel, json) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("publish: {error}");
            ExitCode::FAILURE
        }
    }
}
