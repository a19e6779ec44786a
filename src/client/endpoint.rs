//! One URL and the connection pool to it: bytes out, decoded messages back. Used by `publish`, `subscriber` and `health`.
//! Never retries and never looks into a reply but to name an error.

use super::{
    Error,
    wire::{self, Incoming},
};
use reqwest::{
    Client, Response, Url,
    header::{CONTENT_TYPE, COOKIE, SET_COOKIE},
};
use std::{collections::BTreeMap, error::Error as _, time::Duration};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer that is read; a server that sends more is not one to trust.
const MAX_ANSWER_BYTES: usize = 64 << 20;

#[derive(Debug)]
pub(super) struct Endpoint {
    url: Url,
    http: Client,
    /// What the server set, by name: some servers, and some balancers before them, tie a session to it.
    cookies: BTreeMap<String, String>,
}

impl Endpoint {
    pub(super) fn new(url: &str) -> Result<Self, Error> {
        let url = Url::parse(url).map_err(|error| Error::Url(format!("{url}: {error}")))?;
        if url.scheme() != "http" {
            return Err(Error::Url(format!("{url}: only http:// is spoken here; put TLS in front of it")));
        }
        let http = Client::builder().connect_timeout(CONNECT_TIMEOUT).build();
        let http = http.map_err(|error| Error::Url(in_full(&error)))?;
        Ok(Self { url, http, cookies: BTreeMap::new() })
    }

    /// Sends one body and reads what comes back, all within `patience`.
    pub(super) async fn exchange(&mut self, body: String, patience: Duration) -> Result<Vec<Incoming>, Error> {
        let mut request = self.http.post(self.url.clone()).header(CONTENT_TYPE, "application/json").body(body);
        if !self.cookies.is_empty() {
            let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header(COOKIE, pairs.join("; "));
        }
        let response = request.timeout(patience).send().await.map_err(|error| Error::Unreachable(in_full(&error)))?;
        self.keep_cookies(&response);
        let status = response.status();
        let body = read(response).await?;
        if status.is_success() {
            return wire::decode(&body);
        }
        let said = wire::decode(&body).ok().and_then(|replies| replies.into_iter().find_map(|reply| reply.error));
        match said {
            Some(error) if status.is_client_error() => Err(Error::Refused(error)),
            _ => Err(Error::Status(status.as_u16())),
        }
    }

    /// Asks with a GET, and reads nothing but the status.
    pub(super) async fn status(&self, patience: Duration) -> Result<u16, Error> {
        let response = self.http.get(self.url.clone()).timeout(patience).send().await;
        response.map(|response| response.status().as_u16()).map_err(|error| Error::Unreachable(in_full(&error)))
    }

    fn keep_cookies(&mut self, response: &Response) {
        let set = response.headers().get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
        let pairs = set.filter_map(|cookie| cookie.split(';').next()?.split_once('='));
        self.cookies.extend(pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())));
    }
}

async fn read(mut response: Response) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| Error::Unreachable(in_full(&error)))? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(Error::NotBayeux(format!("more than {MAX_ANSWER_BYTES} bytes in one answer")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The innermost cause says most, and reqwest's own sentence repeats the URL.
fn in_full(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".into();
    }
    let mut cause: &dyn std::error::Error = error;
    let mut next = error.source();
    while let Some(inner) = next {
        cause = inner;
        next = inner.source();
    }
    cause.to_string()
}
