//! One HTTP/1.1 response: its head, how its body was framed, and the Bayeux messages in it.
//!
//! Called by `http`. Never guesses: a body that is neither JSON nor a JSONP call has no messages and says so.

use super::message::{Message, excerpt};
use anyhow::{Context, Result, bail, ensure};

/// How the end of a body was marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// `Content-Length`.
    Length(usize),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// The end of the connection.
    Close,
}

/// Status line and headers.
#[derive(Clone, Debug)]
pub struct Head {
    /// The status code.
    pub status: u16,
    headers: Vec<(String, String)>,
}

impl Head {
    /// Reads everything before the blank line.
    pub fn parse(text: &str) -> Result<Self> {
        let mut lines = text.split("\r\n");
        let status_line = lines.next().unwrap_or_default();
        let mut words = status_line.split(' ');
        ensure!(words.next().is_some_and(|v| v.starts_with("HTTP/1.")), "not an HTTP/1 answer: {}", excerpt(text));
        let status = words.next().and_then(|code| code.parse().ok()).context("no status code")?;
        let mut headers = Vec::new();
        for line in lines.filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').with_context(|| format!("header line without colon: {line}"))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(Self { status, headers })
    }

    /// The first header of that name, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// All headers of that name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let name = name.to_ascii_lowercase();
        self.headers.iter().filter(move |(key, _)| *key == name).map(|(_, value)| value.as_str())
    }

    /// Whether a comma-separated header names this token, whatever its case.
    pub fn lists(&self, name: &str, token: &str) -> bool {
        self.all(name).flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(token))
    }

    /// How the body is framed.
    pub fn framing(&self) -> Result<Framing> {
        if self.lists("transfer-encoding", "chunked") {
            return Ok(Framing::Chunked);
        }
        match self.header("content-length") {
            "" if self.status == 204 || self.status == 304 || self.status < 200 => Ok(Framing::Length(0)),
            "" => Ok(Framing::Close),
            length => Ok(Framing::Length(length.parse().context("Content-Length is no number")?)),
        }
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// Status and headers.
    pub head: Head,
    /// The body as received, chunk framing removed.
    pub body: Vec<u8>,
    /// How its end was marked.
    pub framing: Framing,
}

impl Response {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// The body as text.
    pub fn text(&self) -> Result<&str> {
        std::str::from_utf8(&self.body).context("the body is not UTF-8")
    }

    /// The messages of a JSON array or of a JSONP call around one.
    pub fn messages(&self) -> Result<Vec<Message>> {
        let text = self.text()?;
        if !self.head.header("content-type").contains("javascript") {
            return Message::array(text).with_context(|| format!("status {}", self.status()));
        }
        match (text.find('('), text.rfind(')')) {
            (Some(open), Some(close)) if open < close => Message::array(&text[open + 1..close]),
            _ => bail!("not a JSONP call: {}", excerpt(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Head {
        Head::parse(text).unwrap()
    }

    #[test]
    fn header_names_have_no_case_and_lists_are_split() {
        let head = head("HTTP/1.1 200 OK\r\nVary: accept, Origin\r\nX-A:  b \r\n");
        assert_eq!((head.status, head.header("x-a")), (200, "b"));
        assert!(head.lists("vary", "origin") && !head.lists("vary", "orig"));
    }

    #[test]
    fn framing_is_read_from_the_head() {
        assert_eq!(head("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n").framing().unwrap(), Framing::Length(5));
        assert_eq!(head("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n").framing().unwrap(), Framing::Chunked);
        assert_eq!(head("HTTP/1.1 200 OK\r\n").framing().unwrap(), Framing::Close);
        assert_eq!(head("HTTP/1.1 204 No Content\r\n").framing().unwrap(), Framing::Length(0));
        assert!(head("HTTP/1.1 200 OK\r\nContent-Length: x\r\n").framing().is_err());
        assert!(Head::parse("SSH-2.0").is_err());
    }

    #[test]
    fn a_jsonp_call_is_unwrapped() {
        let head = head("HTTP/1.1 200 OK\r\nContent-Type: text/javascript\r\n");
        let body = b"/**/cb([{\"channel\":\"/a\",\"data\":\")\"}]);".to_vec();
        let response = Response { head, framing: Framing::Length(body.len()), body };
        assert_eq!(response.messages().unwrap()[0]["data"], ")");
    }
}
