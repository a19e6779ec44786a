//! The head of a request, if it is one of those that `plain` serves.
//!
//! Strict on purpose: whatever could be understood in two ways (two lengths, a length beside chunks, folded lines) is left
//! to hyper, which refuses it. Nothing is answered here.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use http_body_util::Full;
use std::{mem, ops::Range};

/// Most headers of such a request.
const MAX_HEADERS: usize = 48;

/// Takes the first request out of what was read. `None` when it is not of the kind, or not all there; nothing is taken
/// then. `most` bounds its body, `serves` tells whether a path is served here.
pub(super) fn take(unread: &mut Vec<u8>, most: usize, serves: impl Fn(&str) -> bool) -> Option<Request<Full<Bytes>>> {
    let shape = Shape::of(unread, most, serves)?;
    let end = shape.body.end;
    let bytes = Bytes::from(mem::take(unread));
    let request = shape.request(&bytes);
    // Nearly always nothing is left.
    let left = if request.is_some() { end } else { 0 };
    unread.extend_from_slice(&bytes[left..]);
    request
}

/// Where everything is.
struct Shape {
    path: Range<usize>,
    headers: Vec<(HeaderName, Range<usize>)>,
    body: Range<usize>,
}

impl Shape {
    fn of(read: &[u8], most: usize, serves: impl Fn(&str) -> bool) -> Option<Self> {
        let mut lines = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut head = httparse::Request::new(&mut lines);
        let httparse::Status::Complete(start) = head.parse(read).ok()? else { return None };
        let path = head.path.filter(|_| head.method == Some("POST") && head.version == Some(1))?;
        if !serves(path.split('?').next().unwrap_or_default()) {
            return None;
        }
        let place = |part: &[u8]| {
            let start = part.as_ptr() as usize - read.as_ptr() as usize;
            start..start + part.len()
        };
        let mut headers = Vec::with_capacity(head.headers.len());
        let mut length = None;
        for line in head.headers.iter() {
            let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
            match name {
                header::CONTENT_LENGTH if length.is_some() => return None,
                header::CONTENT_LENGTH => length = Some(number(line.value)?),
                header::CONNECTION if !line.value.eq_ignore_ascii_case(b"keep-alive") => return None,
                header::TRANSFER_ENCODING | header::UPGRADE | header::EXPECT | header::TRAILER | header::TE => {
                    return None;
                }
                _ => {}
            }
            headers.push((name, place(line.value)));
        }
        let end = start.checked_add(length.filter(|length| *length <= most)?)?;
        (end <= read.len()).then(|| Self { path: place(path.as_bytes()), headers, body: start..end })
    }

    /// The request, which refers to the bytes it came in.
    fn request(self, bytes: &Bytes) -> Option<Request<Full<Bytes>>> {
        let mut request = Request::new(Full::new(bytes.slice(self.body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_maybe_shared(bytes.slice(self.path)).ok()?;
        let mut headers = HeaderMap::with_capacity(self.headers.len());
        for (name, value) in self.headers {
            headers.append(name, HeaderValue::from_maybe_shared(bytes.slice(value)).ok()?);
        }
        *request.headers_mut() = headers;
        Some(request)
    }
}

/// A length: digits and nothing else.
fn number(value: &[u8]) -> Option<usize> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    digits.then(|| std::str::from_utf8(value).ok()?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    const MOST: usize = 100;

    fn taken(bytes: &str) -> (Option<Request<Full<Bytes>>>, String) {
        let mut unread = bytes.as_bytes().to_vec();
        let request = take(&mut unread, MOST, |path| path == "/b");
        (request, String::from_utf8(unread).unwrap())
    }

    fn post(headers: &str, body: &str) -> String {
        format!("POST /b HTTP/1.1\r\nHost: h\r\n{headers}\r\n{body}")
    }

    #[tokio::test]
    async fn one_request_is_taken_and_the_rest_stays() {
        let (request, rest) = taken(&post("Content-Length: 2\r\nX-A: 1\r\nX-A: 2\r\n", "[]POST /b"));
        let request = request.unwrap();
        assert_eq!((request.uri().path(), request.headers().get_all("x-a").iter().count()), ("/b", 2));
        assert_eq!(request.into_body().collect().await.unwrap().to_bytes(), "[]");
        assert_eq!(rest, "POST /b");
        let (request, _) = taken(&post("content-length: 0\r\nconnection: Keep-Alive\r\n", ""));
        assert_eq!(request.unwrap().headers()["host"], "h");
    }

    #[test]
    fn whatever_is_unusual_is_left_as_it_was() {
        for unusual in [
            post("", ""),
            post("Content-Length: 3\r\n", "[]"),
            post("Content-Length: 101\r\n", &"x".repeat(101)),
            post("Content-Length: 2\r\nContent-Length: 2\r\n", "[]"),
            post("Content-Length: 2, 2\r\n", "[]"),
            post("Content-Length: +2\r\n", "[]"),
            post("Content-Length: \r\n", "[]"),
            post("Content-Length: 99999999999999999999999\r\n", "[]"),
            post("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", "[]"),
            post("Content-Length: 2\r\nExpect: 100-continue\r\n", "[]"),
            post("Content-Length: 2\r\nUpgrade: h2c\r\n", "[]"),
            post("Content-Length: 2\r\nConnection: close\r\n", "[]"),
            post("Content-Length: 2\r\nConnection: keep-alive, upgrade\r\n", "[]"),
            post("Content-Length: 2\r\n folded: 1\r\n", "[]"),
            post("Content-Length : 2\r\n", "[]"),
            post("Content-Length: 2\r\n", "[]").replace("HTTP/1.1", "HTTP/1.0"),
            post("Content-Length: 2\r\n", "[]").replace("POST", "PUT"),
            post("Content-Length: 2\r\n", "[]").replace("/b", "/c"),
            post("Content-Length: 2\r\n", "[]").replace("\r\n\r\n", "\r\n"),
            format!("POST /b HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(99)),
            String::new(),
            "\u{0}".repeat(40),
        ] {
            let (request, rest) = taken(&unusual);
            assert!(request.is_none(), "{unusual}");
            assert_eq!(rest, unusual);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let mut unread = bytes.clone();
            proptest::prop_assert!(take(&mut unread, MOST, |_| true).is_none());
            proptest::prop_assert_eq!(unread, bytes);
        }
    }
}
