//! One HTTP/1.1 request, down to its bytes.
//!
//! Called by `peer` for decent requests and by cases for indecent ones. Never adds a header that the case did not ask
//! for, apart from `Host` and, when there is a body, its length.

/// A request being put together.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Header lines in order.
    pub headers: Vec<(String, String)>,
    /// The body; `None` sends no length either.
    pub body: Option<Vec<u8>>,
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: &str, target: &str) -> Self {
        Self { method: method.into(), target: target.into(), headers: Vec::new(), body: None }
    }

    /// A POST of JSON.
    pub fn json(target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", target).header("Content-Type", "application/json;charset=UTF-8").body(body)
    }

    /// The same with one more header line.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The same with this body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Everything up to the blank line.
    pub fn head(&self, host: &str) -> String {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: {host}\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if let Some(body) = &self.body {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        head + "\r\n"
    }

    /// The whole request.
    pub fn bytes(&self, host: &str) -> Vec<u8> {
        let mut bytes = self.head(host).into_bytes();
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }
}

/// Percent-encodes everything but unreserved characters.
pub fn percent(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(byte as char);
        } else {
            encoded += &format!("%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_what_was_asked_for_and_no_more() {
        let request = Request::new("POST", "/bayeux").header("Cookie", "").body("[]");
        let bytes = String::from_utf8(request.bytes("h:1")).unwrap();
        assert_eq!(bytes, "POST /bayeux HTTP/1.1\r\nHost: h:1\r\nCookie: \r\nContent-Length: 2\r\n\r\n[]");
    }

    #[test]
    fn percent_encoding_covers_json_and_utf8() {
        assert_eq!(percent("[{\"a\":\"é &\"}]"), "%5B%7B%22a%22%3A%22%C3%A9%20%26%22%7D%5D");
    }
}
