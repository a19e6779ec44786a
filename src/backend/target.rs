//! One URL of a backend: a signed POST out, a bounded answer back, and what protects both sides from each other.
//!
//! Used by service calls, hooks and forwarders. The URL comes from the configuration and is never built from anything a
//! client sent. Redirects are not followed, and nothing is sent twice here.

use super::{
    breaker::{self, Breaker},
    gate::{Gate, Place},
    metrics::Metrics,
    pool::{self, Http},
    settings::BackendSettings,
    sign::Signer,
};
use bytes::Bytes;
use http::{
    Request, Response, Uri,
    header::{CONTENT_TYPE, USER_AGENT},
};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use parking_lot::Mutex;
use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No answer in time.
    Timeout,
    /// As many calls are out and wait as are allowed.
    Busy,
    /// It failed so often that it is left in peace for a while.
    Paused,
    /// No connection, or it broke.
    Unreachable(String),
    /// It wants the call to go somewhere else.
    Redirect,
    /// It answered with this status.
    Status(u16),
    /// Its answer is larger than allowed.
    TooLarge,
    /// Its answer is not what was asked for.
    Garbage(&'static str),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("no answer in time"),
            Self::Busy => f.write_str("busy"),
            Self::Paused => f.write_str("paused after failures"),
            Self::Unreachable(why) => write!(f, "unreachable: {why}"),
            Self::Redirect => f.write_str("it redirects, which is not followed"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::TooLarge => f.write_str("the answer is too large"),
            Self::Garbage(what) => f.write_str(what),
        }
    }
}

impl Failure {
    /// Whether it says that the backend is not well. One that says no is.
    fn is_fault(&self) -> bool {
        !matches!(self, Self::Status(400..=499) | Self::Busy | Self::Paused)
    }
}

/// What all targets share.
pub struct Caller {
    http: Http,
    signer: Signer,
    settings: BackendSettings,
    metrics: Metrics,
}

impl Caller {
    /// A caller with its own pool of connections. `https` says whether any URL needs it.
    ///
    /// # Errors
    /// When a secret or the pool cannot be used.
    pub fn new(settings: BackendSettings, https: bool, metrics: Metrics) -> Result<Self, String> {
        let signer = Signer::new(&settings.secrets).map_err(|why| format!("backend.secrets: {why}"))?;
        let http = pool::client(&settings, https)?;
        Ok(Self { http, signer, settings, metrics })
    }
}

/// One URL.
pub struct Target {
    url: Uri,
    gate: Gate,
    breaker: Mutex<Breaker>,
    caller: Arc<Caller>,
}

impl Target {
    /// A target on a URL of the configuration.
    pub fn new(url: Uri, caller: Arc<Caller>) -> Self {
        let s = &caller.settings;
        Self {
            gate: Gate::new(s.max_concurrency, s.max_waiting),
            breaker: Mutex::new(Breaker::new(s.breaker_failures, s.breaker_pause)),
            url,
            caller,
        }
    }

    /// Where it is, for logs: without the query, which may hold what nobody should read.
    pub fn name(&self) -> String {
        format!("{}{}", self.url.authority().map_or("", |a| a.as_str()), self.url.path())
    }

    /// A place among those who want to call, at once or not at all.
    ///
    /// # Errors
    /// When there is none.
    pub fn place(&self) -> Result<Place, Failure> {
        if self.breaker.lock().is_open(Instant::now()) {
            return Err(Failure::Paused);
        }
        self.gate.place().ok_or(Failure::Busy)
    }

    /// Calls once, within `patience`, when it is its turn. `read` makes sense of the answer.
    ///
    /// # Errors
    /// Why there is no answer that makes sense.
    pub async fn call<T>(
        &self,
        place: Place,
        body: Vec<u8>,
        patience: Duration,
        read: impl FnOnce(&[u8]) -> Result<T, &'static str>,
    ) -> Result<T, Failure> {
        let deadline = Instant::now() + patience;
        let turn = timeout_at(deadline, place.turn()).await.ok().flatten().ok_or(Failure::Busy)?;
        if !self.breaker.lock().admit(Instant::now()) {
            return Err(Failure::Paused);
        }
        let answer = self.post(body.into(), &new_id(), deadline).await;
        drop(turn);
        let outcome = answer.and_then(|body| read(&body).map_err(Failure::Garbage));
        self.note(outcome.as_ref().err());
        outcome
    }

    fn note(&self, failure: Option<&Failure>) {
        let turn = match failure {
            Some(failure) if failure.is_fault() => self.breaker.lock().failed(Instant::now()),
            _ => self.breaker.lock().succeeded(),
        };
        match turn {
            breaker::Turn::Opened => {
                self.caller.metrics.pauses.inc();
                tracing::warn!(backend = self.name(), "failed too often; it is left in peace for a while");
            }
            breaker::Turn::Closed => tracing::info!(backend = self.name(), "answers again"),
            breaker::Turn::Stayed => {}
        }
    }

    /// Sends one signed request, without any protection but the deadline and the bound on the answer.
    ///
    /// # Errors
    /// Why there is no answer with a status of success.
    pub async fn post(&self, body: Bytes, id: &str, deadline: Instant) -> Result<Vec<u8>, Failure> {
        let begun = Instant::now();
        let outcome = match timeout_at(deadline, self.exchange(body, id)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::Timeout),
        };
        self.caller.metrics.requested(outcome.as_ref().err(), begun.elapsed());
        if let Err(failure) = &outcome {
            tracing::debug!(backend = self.name(), id, %failure, "a call failed");
        }
        outcome
    }

    async fn exchange(&self, body: Bytes, id: &str) -> Result<Vec<u8>, Failure> {
        let time_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let mut request = Request::post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, pool::USER_AGENT)
            .header("webhook-id", id)
            .header("webhook-timestamp", time_s);
        if let Some(signature) = self.caller.signer.sign(id, time_s, &body) {
            request = request.header("webhook-signature", signature);
        }
        let request = request.body(Full::new(body)).map_err(|error| Failure::Unreachable(error.to_string()))?;
        let response =
            self.caller.http.request(request).await.map_err(|error| Failure::Unreachable(in_full(&error)))?;
        match response.status() {
            status if status.is_success() => read(response, self.caller.settings.max_response_bytes).await,
            status if status.is_redirection() => Err(Failure::Redirect),
            status => Err(Failure::Status(status.as_u16())),
        }
    }
}

/// A new `webhook-id`.
pub fn new_id() -> String {
    format!("msg_{}", Uuid::new_v4().simple())
}

async fn read(response: Response<Incoming>, most: usize) -> Result<Vec<u8>, Failure> {
    match Limited::new(response.into_body(), most).collect().await {
        Ok(body) => Ok(body.to_bytes().into()),
        Err(error) if error.is::<LengthLimitError>() => Err(Failure::TooLarge),
        Err(error) => Err(Failure::Unreachable(in_full(&*error))),
    }
}

/// The innermost cause says most.
fn in_full(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    fn target(settings: BackendSettings) -> Target {
        let caller = Caller::new(settings, false, Metrics::default()).unwrap();
        // Nobody must ever be asked here.
        Target::new(Uri::from_static("http://192.0.2.1/"), Arc::new(caller))
    }

    async fn call(target: &Target, place: Place) -> Result<(), Failure> {
        target.call(place, Vec::new(), PATIENCE, |_| Ok(())).await
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_too_long_for_a_turn_is_told_so_and_the_backend_is_not_blamed() {
        let settings =
            BackendSettings { max_concurrency: 1, max_waiting: 1, breaker_failures: 1, ..Default::default() };
        let target = target(settings);
        let _out = target.place().unwrap().turn().await.unwrap();
        let begun = Instant::now();
        let waiting = call(&target, target.place().unwrap());
        tokio::pin!(waiting);
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        assert_eq!(target.place().err(), Some(Failure::Busy));
        assert_eq!(waiting.await, Err(Failure::Busy));
        assert_eq!(begun.elapsed(), PATIENCE);
        assert!(target.place().is_ok(), "the place was given back, and the breaker is closed");
    }

    #[tokio::test(start_paused = true)]
    async fn while_it_is_left_in_peace_nobody_is_let_in_and_those_who_wait_are_told() {
        let settings = BackendSettings { max_concurrency: 1, breaker_failures: 2, ..Default::default() };
        let pause = settings.breaker_pause;
        let target = target(settings);
        let out = target.place().unwrap().turn().await.unwrap();
        let waiting = call(&target, target.place().unwrap());
        target.note(Some(&Failure::Timeout));
        target.note(Some(&Failure::Status(404)));
        assert!(target.place().is_ok(), "a status below 500 is a sign of life");
        target.note(Some(&Failure::Timeout));
        target.note(Some(&Failure::Status(500)));
        assert_eq!(target.place().err(), Some(Failure::Paused));
        drop(out);
        assert_eq!(waiting.await, Err(Failure::Paused));
        tokio::time::advance(pause).await;
        assert!(target.place().is_ok());
        assert_eq!(target.caller.metrics.pauses.get(), 1);
    }
}
