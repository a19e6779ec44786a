//! One TCP connection that speaks HTTP/1.1 as told, malformed or not.
//!
//! Called by `peer`, by cases, and by `sse`. Never reconnects, retries or follows anything: a connection that the server
//! closed is an error that the case sees. Dropping a connection with `abort` sends a reset, as a vanished client does.

use super::{
    grammar::Watch,
    request::Request,
    response::{Framing, Head, Response},
    url::Url,
};
use anyhow::{Context, Result, bail, ensure};
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream, lookup_host},
    time::timeout,
};

/// Bytes read from the socket at a time.
const READ_BYTES: usize = 16 * 1024;
/// Heads larger than this are a defect of the server.
const LONGEST_HEAD_BYTES: usize = 64 * 1024;

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    host: String,
    watch: Watch,
}

impl Connection {
    /// Connects to the server, from `source` where the machine allows it: each case is then a peer of its own.
    pub async fn open(url: &Url, source: Option<IpAddr>, watch: &Watch) -> Result<Self> {
        let stream = Self::stream(url, source).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new(), host: url.authority(), watch: watch.clone() })
    }

    /// Connects without speaking HTTP.
    pub async fn stream(url: &Url, source: Option<IpAddr>) -> Result<TcpStream> {
        let address = lookup_host((url.host.as_str(), url.port)).await?.next().context("the host has no address")?;
        if let (Some(source), SocketAddr::V4(_)) = (source, address) {
            let socket = TcpSocket::new_v4()?;
            if socket.bind(SocketAddr::new(source, 0)).is_ok() {
                return Ok(socket.connect(address).await?);
            }
        }
        Ok(TcpStream::connect(address).await?)
    }

    /// Writes bytes as they are.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await.context("the server closed the connection while the request was written")
    }

    /// Writes a whole request.
    pub async fn send(&mut self, request: &Request) -> Result<()> {
        let bytes = request.bytes(&self.host);
        self.write(&bytes).await
    }

    /// Reads one whole response, passing over `100 Continue`.
    pub async fn response(&mut self, within: Duration) -> Result<Response> {
        let read = async {
            let mut head = self.head().await?;
            while head.status == 100 {
                head = self.head().await?;
            }
            let framing = head.framing()?;
            let body = self.body(framing).await?;
            anyhow::Ok(Response { head, body, framing })
        };
        let response = timeout(within, read).await.with_context(|| format!("no answer within {within:?}"))??;
        self.watch.status(response.status());
        for message in response.messages().unwrap_or_default() {
            self.watch.message(&message);
        }
        Ok(response)
    }

    /// Reads the head of the next response.
    pub async fn head(&mut self) -> Result<Head> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                let text = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.drain(..end + 4);
                return Head::parse(&text);
            }
            ensure!(self.buffer.len() < LONGEST_HEAD_BYTES, "the head of the answer does not end");
            ensure!(self.fill().await? > 0, "the server closed the connection without an answer");
        }
    }

    /// Reads the next piece of an endless body; `None` when it ended.
    pub async fn piece(&mut self, framing: Framing) -> Result<Option<Vec<u8>>> {
        match framing {
            Framing::Chunked => self.chunk().await,
            Framing::Close if self.buffer.is_empty() && self.fill().await? == 0 => Ok(None),
            Framing::Close => Ok(Some(std::mem::take(&mut self.buffer))),
            Framing::Length(_) => bail!("a stream has no length"),
        }
    }

    /// Whether nothing arrives for this long. A connection that the server closes was not silent.
    pub async fn silent_for(&mut self, period: Duration) -> Result<bool> {
        if !self.buffer.is_empty() {
            return Ok(false);
        }
        match timeout(period, self.fill()).await {
            Err(_elapsed) => Ok(true),
            Ok(read) => {
                ensure!(read? > 0, "the server closed the connection without an answer");
                Ok(false)
            }
        }
    }

    /// Waits until the server closes the connection, throwing away what it still says.
    pub async fn closed(&mut self, within: Duration) -> Result<()> {
        let read = async { while self.fill().await.unwrap_or(0) > 0 {} };
        timeout(within, read)
            .await
            .with_context(|| format!("the server did not close the connection within {within:?}"))
    }

    /// Waits until the server has this many bytes to say, and takes them.
    pub async fn take(&mut self, count: usize, within: Duration) -> Result<Vec<u8>> {
        timeout(within, self.exactly(count)).await.with_context(|| format!("no {count} bytes within {within:?}"))?
    }

    /// Ends the connection with a reset.
    pub fn abort(self) {
        // Without it the drop below is an ordinary end, which is the next best thing.
        self.stream.set_zero_linger().ok();
    }

    async fn body(&mut self, framing: Framing) -> Result<Vec<u8>> {
        if let Framing::Length(length) = framing {
            return self.exactly(length).await;
        }
        let mut body = Vec::new();
        while let Some(piece) = self.piece(framing).await? {
            body.extend(piece);
        }
        Ok(body)
    }

    async fn chunk(&mut self) -> Result<Option<Vec<u8>>> {
        let line = self.line().await?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let length = usize::from_str_radix(digits, 16).with_context(|| format!("\"{line}\" is no chunk size"))?;
        let chunk = self.exactly(length).await?;
        ensure!(self.line().await?.is_empty(), "a chunk is longer than it said");
        Ok((length > 0).then_some(chunk))
    }

    async fn line(&mut self) -> Result<String> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.drain(..end + 2);
                return Ok(line);
            }
            ensure!(self.fill().await? > 0, "the server closed the connection in the middle of a chunk");
        }
    }

    async fn exactly(&mut self, length: usize) -> Result<Vec<u8>> {
        while self.buffer.len() < length {
            let got = self.buffer.len();
            ensure!(self.fill().await? > 0, "the server promised {length} bytes, sent {got} and closed");
        }
        Ok(self.buffer.drain(..length).collect())
    }

    async fn fill(&mut self) -> Result<usize> {
        let mut bytes = [0; READ_BYTES];
        let count = self.stream.read(&mut bytes).await?;
        self.buffer.extend_from_slice(&bytes[..count]);
        Ok(count)
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    const SOON: Duration = Duration::from_secs(5);

    /// A connection to a server that says these bytes and closes.
    async fn hearing(bytes: &'static [u8]) -> Connection {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(bytes).await.unwrap();
        });
        let url = Url { host: "127.0.0.1".into(), port, path: "/".into() };
        Connection::open(&url, None, &Watch::default()).await.unwrap()
    }

    #[tokio::test]
    async fn chunked_and_counted_bodies_are_read_and_interim_answers_passed_over() {
        let mut connection = hearing(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n\
              HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\n[1]",
        )
        .await;
        let first = connection.response(SOON).await.unwrap();
        assert_eq!((first.status(), first.text().unwrap()), (200, "[]"));
        let second = connection.response(SOON).await.unwrap();
        assert_eq!((second.status(), second.text().unwrap()), (400, "[1]"));
        assert!(connection.response(SOON).await.is_err());
    }

    #[tokio::test]
    async fn a_body_shorter_than_its_length_is_an_error() {
        let mut connection = hearing(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[]").await;
        let error = connection.response(SOON).await.unwrap_err();
        assert!(error.to_string().contains("promised 9 bytes"), "{error}");
    }

    #[tokio::test]
    async fn a_server_failure_is_noticed_by_the_watch() {
        let mut connection = hearing(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n").await;
        connection.response(SOON).await.unwrap();
        assert_eq!(connection.watch.complaints().len(), 1);
    }
}
