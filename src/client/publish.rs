//! Publishing without a session: one POST, one message or several, each answered on its own.
//!
//! Used by `cli`'s publish. Never retries: whether a message whose answer was lost may go out twice is the caller's call.

use super::{Error, endpoint::Endpoint, wire::Incoming};
use serde::Serialize;
use serde_json::value::RawValue;
use std::time::Duration;

/// How long the server may take to answer a publish.
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);

/// A message to publish; `data` goes out byte for byte.
#[derive(Clone, Debug)]
pub struct Publication {
    /// Where to.
    pub channel: String,
    /// What.
    pub data: Box<RawValue>,
}

#[derive(Serialize)]
struct Outgoing<'a> {
    channel: &'a str,
    id: String,
    data: &'a RawValue,
}

/// Publishes over one kept-alive connection.
#[derive(Debug)]
pub struct Publisher {
    endpoint: Endpoint,
}

impl Publisher {
    /// A publisher to the Bayeux endpoint at `url`, with a token or an API key if one is needed; connects with the first
    /// publish.
    ///
    /// # Errors
    /// When the URL or the token cannot be used.
    pub fn new(url: &str, token: Option<&str>) -> Result<Self, Error> {
        Ok(Self { endpoint: Endpoint::new(url, token)? })
    }

    /// Publishes one message and waits until the server has accepted it.
    ///
    /// # Errors
    /// When the server refused it or could not be reached; in the latter case nobody knows whether it was published.
    pub async fn publish(&mut self, publication: &Publication) -> Result<(), Error> {
        let outcomes = self.publish_all(std::slice::from_ref(publication)).await?;
        outcomes.into_iter().try_for_each(|outcome| outcome.map_err(Error::Refused))
    }

    /// Publishes several messages in one request; one outcome each, in their order, a refusal in the server's words.
    ///
    /// # Errors
    /// When the request as a whole was refused, or the server could not be reached.
    pub async fn publish_all(&mut self, publications: &[Publication]) -> Result<Vec<Result<(), String>>, Error> {
        let messages: Vec<Outgoing<'_>> = publications
            .iter()
            .enumerate()
            .map(|(n, p)| Outgoing { channel: &p.channel, id: n.to_string(), data: &p.data })
            .collect();
        let body = serde_json::to_string(&messages).map_err(|error| Error::NotBayeux(error.to_string()))?;
        let replies = self.endpoint.exchange(body, REPLY_TIMEOUT).await?;
        (0..publications.len()).map(|n| outcome(&replies, n)).collect()
    }
}

fn outcome(replies: &[Incoming], n: usize) -> Result<Result<(), String>, Error> {
    let id = n.to_string();
    let reply = replies.iter().find(|reply| reply.successful.is_some() && reply.id.as_ref().is_some_and(|i| *i == id));
    match reply {
        Some(reply) if reply.succeeded() => Ok(Ok(())),
        Some(reply) => Ok(Err(reply.error_text())),
        None => Err(Error::NotBayeux(format!("no reply to message {id}"))),
    }
}
