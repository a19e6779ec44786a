//! The head of an answer as bytes.
//!
//! Called by `plain` for each answer. Decides nothing but how the end of the body is told.

use http::{StatusCode, header, response::Parts};
use httpdate::HttpDate;
use std::{
    cell::RefCell,
    io::Write,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Room for the head of a usual answer and a small body.
const USUAL: usize = 512;

/// The head, and whether the connection ends with this answer: because it is the `last`, or because the body's length is
/// not known and its end is the connection's.
pub(super) fn head(parts: &Parts, length: Option<u64>, last: bool) -> (Vec<u8>, bool) {
    let mut out = Vec::with_capacity(USUAL);
    let ends = last || length.is_none();
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(parts.status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(parts.status.canonical_reason().unwrap_or("Unknown").as_bytes());
    out.extend_from_slice(b"\r\n");
    for (name, value) in &parts.headers {
        line(&mut out, name.as_str().as_bytes(), value.as_bytes());
    }
    match length {
        Some(length) if parts.status != StatusCode::NO_CONTENT => {
            // Writing to a Vec cannot fail.
            let _ = write!(out, "{}: {length}\r\n", header::CONTENT_LENGTH);
        }
        _ => {}
    }
    if ends {
        line(&mut out, header::CONNECTION.as_str().as_bytes(), b"close");
    }
    date(&mut out);
    out.extend_from_slice(b"\r\n");
    (out, ends)
}

fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

thread_local! {
    /// The line of the second it was made in.
    static DATE: RefCell<(u64, Vec<u8>)> = const { RefCell::new((u64::MAX, Vec::new())) };
}

/// The date, which is written anew once a second.
fn date(out: &mut Vec<u8>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    DATE.with_borrow_mut(|(second, text)| {
        if *second != now {
            text.clear();
            line(text, header::DATE.as_str().as_bytes(), date_of(now).as_bytes());
            *second = now;
        }
        out.extend_from_slice(text);
    });
}

fn date_of(second: u64) -> String {
    HttpDate::from(UNIX_EPOCH + Duration::from_secs(second)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Response;

    fn text(status: StatusCode, length: Option<u64>, last: bool) -> (String, bool) {
        let response = Response::builder().status(status).header("x-a", "1").body(()).unwrap();
        let (bytes, ends) = head(&response.into_parts().0, length, last);
        (String::from_utf8(bytes).unwrap(), ends)
    }

    #[test]
    fn the_end_of_a_body_is_always_told() {
        let (known, ends) = text(StatusCode::OK, Some(7), false);
        assert!(known.starts_with("HTTP/1.1 200 OK\r\nx-a: 1\r\ncontent-length: 7\r\ndate: "), "{known}");
        assert!(known.ends_with(" GMT\r\n\r\n") && !ends && !known.contains("connection"));
        let (unknown, ends) = text(StatusCode::OK, None, false);
        assert!(ends && unknown.contains("\r\nconnection: close\r\n") && !unknown.contains("content-length"));
        let (last, ends) = text(StatusCode::BAD_REQUEST, Some(0), true);
        assert!(ends && last.starts_with("HTTP/1.1 400 Bad Request\r\n") && last.contains("content-length: 0\r\n"));
        assert!(!text(StatusCode::NO_CONTENT, Some(0), false).0.contains("content-length"));
    }

    #[test]
    fn dates_are_as_http_writes_them() {
        assert_eq!(date_of(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
