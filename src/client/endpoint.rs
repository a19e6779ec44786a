//! One URL and the connection pool to it: bytes out, decoded messages back. Used by `publish`, `subscriber` and `health`.
//! Never retries, follows no redirect, and never looks into a reply but to name an error.

use super::{
    Error,
    connector::connector,
    wire::{self, Incoming},
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, SET_COOKIE},
};
use http_body::Body;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use std::{collections::BTreeMap, error::Error as StdError, future::Future, time::Duration};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer that is read; a server that sends more is not one to trust.
const MAX_ANSWER_BYTES: usize = 64 << 20;

#[derive(Debug)]
pub(super) struct Endpoint {
    url: Uri,
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    authorization: Option<HeaderValue>,
    /// What the server set, by name: some servers, and some balancers before them, tie a session to it.
    cookies: BTreeMap<String, String>,
}

impl Endpoint {
    /// `token` is a token or an API key that goes along with every request.
    pub(super) fn new(url: &str, token: Option<&str>) -> Result<Self, Error> {
        let uri: Uri = url.parse().map_err(|error| Error::Url(format!("{url}: {error}")))?;
        if uri.host().is_none() || !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(Error::Url(format!("{url}: must begin with http:// or https://")));
        }
        let authorization = token.map(|token| {
            let mut value = HeaderValue::try_from(format!("Bearer {token}"))
                .map_err(|_| Error::Token("it cannot stand in a header".into()))?;
            value.set_sensitive(true);
            Ok(value)
        });
        let connector = connector(CONNECT_TIMEOUT, uri.scheme_str() == Some("https"));
        let connector = connector.map_err(|why| Error::Url(format!("{url}: {why}")))?;
        let http = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        Ok(Self { url: uri, http, authorization: authorization.transpose()?, cookies: BTreeMap::new() })
    }

    /// Sends one body and reads what comes back, all within `patience`.
    pub(super) async fn exchange(&mut self, body: String, patience: Duration) -> Result<Vec<Incoming>, Error> {
        let mut request = self.request(Method::POST, body.into())?;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if let Some(cookies) = HeaderValue::try_from(pairs.join("; ")).ok().filter(|_| !pairs.is_empty()) {
            request.headers_mut().insert(COOKIE, cookies);
        }
        let http = self.http.clone();
        let exchange = async {
            let response = http.request(request).await.map_err(|error| unreachable(&error))?;
            let (status, headers) = (response.status(), response.headers().clone());
            Ok((status, headers, read(response.into_body()).await?))
        };
        let (status, headers, body) = within(patience, exchange).await?;
        self.keep_cookies(&headers);
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
        let request = self.request(Method::GET, Bytes::new())?;
        let ask = async { self.http.request(request).await.map_err(|error| unreachable(&error)) };
        within(patience, ask).await.map(|response| response.status().as_u16())
    }

    fn request(&self, method: Method, body: Bytes) -> Result<Request<Full<Bytes>>, Error> {
        let request = Request::builder().method(method).uri(self.url.clone()).body(Full::new(body));
        let mut request = request.map_err(|error| Error::Url(error.to_string()))?;
        if let Some(value) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, value.clone());
        }
        Ok(request)
    }

    fn keep_cookies(&mut self, headers: &HeaderMap) {
        let set = headers.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
        let pairs = set.filter_map(|cookie| cookie.split(';').next()?.split_once('='));
        self.cookies.extend(pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())));
    }
}

async fn within<T>(patience: Duration, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let late = |_| Error::Unreachable("no answer in time".into());
    tokio::time::timeout(patience, work).await.map_err(late)?
}

async fn read(body: impl Body<Data = Bytes, Error: Into<Box<dyn StdError + Send + Sync>>>) -> Result<Bytes, Error> {
    let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
    body.map(|body| body.to_bytes()).map_err(|error| match error.downcast_ref::<LengthLimitError>() {
        Some(_) => Error::NotBayeux(format!("more than {MAX_ANSWER_BYTES} bytes in one answer")),
        None => unreachable(&*error),
    })
}

/// The innermost cause says most.
fn unreachable(error: &(dyn StdError + 'static)) -> Error {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    Error::Unreachable(innermost.to_string())
}
