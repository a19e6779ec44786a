//! Service calls: a publish to `/service/…` becomes a POST to the backend that the configuration names for the channel,
//! and its answer, or why there is none, is what the caller gets.
//!
//! Implements `broker::Services`. Calls of one session may be out at the same time; the id tells their answers apart.

use super::{
    metrics::Metrics,
    pattern, payload,
    settings::ServiceSettings,
    target::{Failure, Target},
};
use crate::{
    bayeux::ProtocolError,
    broker::{Call, Services, service},
    engine::Answer,
};
use serde_json::value::RawValue;
use std::{sync::Arc, time::Duration};

/// The services of the configuration.
pub struct Calls {
    pub(super) entries: Vec<Entry>,
    pub(super) forward_headers: Arc<[String]>,
    pub(super) metrics: Metrics,
}

/// One `[[service]]`.
pub struct Entry {
    pub(super) settings: ServiceSettings,
    pub(super) target: Arc<Target>,
    pub(super) patience: Duration,
}

impl Services for Calls {
    fn call(&self, call: &Call) -> Option<Answer<service::Outcome>> {
        let entry = self.entries.iter().find(|entry| pattern::matches(&entry.settings.channel, &call.channel))?;
        let metrics = self.metrics.clone();
        // Before anything waits, so that what waits is bounded.
        let ready = entry.target.place().and_then(|place| Ok((place, self.body(call)?)));
        let (place, body) = match ready {
            Ok(ready) => ready,
            Err(failure) => {
                metrics.called(Some(&failure));
                return Some(Answer::Now(Err(told(&failure))));
            }
        };
        let (target, patience) = (Arc::clone(&entry.target), entry.patience);
        Some(Answer::later(async move {
            let outcome = target.call(place, body, patience, answer).await;
            metrics.called(outcome.as_ref().err());
            outcome.map_err(|failure| told(&failure))
        }))
    }
}

impl Calls {
    fn body(&self, call: &Call) -> Result<Vec<u8>, Failure> {
        let who = payload::Who::of(&call.asking, &self.forward_headers);
        let data = payload::ServiceCall { channel: &call.channel, id: call.id.as_deref(), data: &call.data, who };
        payload::body("service", data).map_err(|_| Failure::Garbage("the call cannot be written as JSON"))
    }
}

/// The whole body is the answer; nothing at all is `null`.
fn answer(body: &[u8]) -> Result<Box<RawValue>, &'static str> {
    let body = if body.trim_ascii().is_empty() { b"null" } else { body };
    serde_json::from_slice(body).map_err(|_| "the answer is not JSON")
}

/// What a client may know of a failure: nothing about addresses.
fn told(failure: &Failure) -> ProtocolError {
    match failure {
        Failure::Timeout => ProtocolError::Timeout,
        Failure::Busy => ProtocolError::BackendUnavailable("busy".into()),
        Failure::Paused => ProtocolError::BackendUnavailable("paused".into()),
        Failure::Unreachable(_) => ProtocolError::BackendFailed("unreachable".into()),
        Failure::Redirect => ProtocolError::BackendFailed("redirect".into()),
        Failure::Status(status) => ProtocolError::BackendFailed(format!("status {status}").into()),
        Failure::TooLarge => ProtocolError::BackendFailed("answer too large".into()),
        Failure::Garbage(_) => ProtocolError::BackendFailed("answer not JSON".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_one_json_value_or_nothing() {
        assert_eq!(answer(b" {\"a\": 1.10}\n").unwrap().get(), "{\"a\": 1.10}");
        assert_eq!(answer(b"").unwrap().get(), "null");
        for bad in [&b"{"[..], b"<html>", b"1 2", b"\"\xff\"", b"{\"a\":1}{}"] {
            assert!(answer(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn clients_learn_no_address() {
        let error = told(&Failure::Unreachable("connect to 10.0.0.7:9000 refused".into()));
        assert_eq!(error.to_string(), "502:unreachable:backend_failed");
    }
}
