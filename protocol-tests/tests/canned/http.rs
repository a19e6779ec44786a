//! As much HTTP/1.1 as the canned server needs: one request, one answer, the end.

use super::Incoming;
use serde_json::{Value, value::RawValue};
use std::collections::HashMap;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The body of the request, however long it says it is.
pub(crate) async fn read(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            let body = end + 4;
            while bytes.len() < body + length.unwrap_or(0) {
                (stream.read_buf(&mut bytes).await.ok()? > 0).then_some(())?;
            }
            return Some(bytes.split_off(body));
        }
        (stream.read_buf(&mut bytes).await.ok()? > 0).then_some(())?;
    }
}

/// The messages of a body, or nothing when there are none.
pub(crate) fn parse(body: &[u8]) -> Option<Vec<Incoming>> {
    let text = std::str::from_utf8(body).ok()?;
    let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    elements.into_iter().map(|element| message(element.get())).collect()
}

fn message(raw: &str) -> Option<Incoming> {
    let fields: HashMap<String, &RawValue> = serde_json::from_str(raw).ok()?;
    let data = fields.get("data").map(|data| data.get().to_owned());
    let ext: Option<HashMap<String, &RawValue>> =
        fields.get("ext").and_then(|ext| serde_json::from_str(ext.get()).ok());
    let binary = ext.and_then(|ext| Some(ext.get("binary")?.get().to_owned()));
    Some(Incoming { fields: serde_json::from_str::<Value>(raw).ok()?, data, binary })
}

/// Sends the answer and closes the connection.
pub(crate) async fn write(stream: &mut TcpStream, status: u16, body: &str, with_length: bool) {
    let mut head =
        format!("HTTP/1.1 {status} X\r\nContent-Type: application/json;charset=UTF-8\r\nConnection: close\r\n");
    if with_length {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    // A client that is gone is no concern of a server that is wrong on purpose.
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).await.ok();
    stream.shutdown().await.ok();
}
