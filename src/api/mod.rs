//! The backends' side of HTTP: publish, sessions, channels, history, explain; health and metrics.
//!
//! The server hands it the requests below `/api/` and of a few pages. Speaks JSON with true HTTP statuses; knows no
//! Bayeux framing and no socket. One file a family of calls.

pub mod answer;
pub mod channels;
pub mod document;
pub mod error;
pub mod explain;
pub mod names;
pub mod origin;
pub mod publish;
pub mod request;
pub mod revoke;
pub mod route;
pub mod schema;
pub mod sessions;
pub mod settings;
pub mod status;

pub use error::ApiError;
pub use settings::ApiSettings;

use crate::{
    bayeux::ProtocolError,
    broker::{Asking, Broker},
    transport::{OriginPolicy, body::Answer, origin::Verdict},
};
use answer::Outcome;
use axum::BoxError;
use bytes::Bytes;
use http::{Method, Request, request::Parts};
use http_body::Body;
use prometheus_client::registry::Registry;
use route::Call;
use std::{net::IpAddr, sync::Arc, time::Instant};

/// The API of a broker. Cheap to clone.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

struct Inner {
    broker: Broker,
    settings: ApiSettings,
    origins: OriginPolicy,
    registry: Registry,
}

impl Api {
    /// An API on a broker; `registry` holds everything that is counted.
    pub fn new(broker: Broker, settings: ApiSettings, registry: Registry) -> Self {
        let origins = OriginPolicy::Listed(settings.allowed_origins.clone());
        Self(Arc::new(Inner { broker, settings, origins, registry }))
    }

    /// Serves one request.
    pub async fn serve<B>(&self, peer: Option<IpAddr>, request: Request<B>) -> Answer
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin,
    {
        let began = Instant::now();
        let (parts, body) = request.into_parts();
        let verdict = self.origins().judge(&parts.headers);
        if parts.method == Method::OPTIONS && matches!(verdict, Verdict::Listed(_)) {
            return origin::preflight(&verdict);
        }
        let call = route::call(&parts.method, parts.uri.path());
        // The call's name, as paths hold session ids.
        let name = call.as_ref().map_or("none", Call::name);
        let outcome = match call {
            Ok(_) if verdict == Verdict::Denied => Err(ProtocolError::OriginDenied.into()),
            Ok(call) => self.carry_out(call, peer, &parts, body).await,
            Err(error) => Err(error),
        };
        tracing::debug!(
            target: "bayeuxd::api::access",
            call = name,
            status = request::status_of(&outcome).as_u16(),
            peer = ?peer,
            micros = began.elapsed().as_micros(),
        );
        let mut answer = outcome.unwrap_or_else(answer::refused);
        if matches!(verdict, Verdict::Listed(_)) {
            verdict.apply(answer.headers_mut());
        }
        answer
    }

    async fn carry_out<B>(&self, call: Call, peer: Option<IpAddr>, parts: &Parts, body: B) -> Outcome
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin,
    {
        match call {
            Call::Health => return status::health(),
            Call::Ready => return status::ready(self),
            Call::Document => return document::openapi(),
            _ => {}
        }
        let asking = self.admit(peer, parts).await?;
        let body = self.body(parts, body).await?;
        match call {
            Call::Publish => publish::publish(self, &asking, &body).await,
            call => Box::pin(self.carry_out_rare(call, &asking, parts, &body)).await,
        }
    }

    /// Everything but publishing.
    async fn carry_out_rare(&self, call: Call, asking: &Asking, parts: &Parts, body: &[u8]) -> Outcome {
        match call {
            Call::Publish => publish::publish(self, asking, body).await,
            Call::DeliverToSession(id) => sessions::deliver(self, asking, &id, body).await,
            Call::DeliverToUser(user) => sessions::deliver_to_user(self, asking, &user, body).await,
            Call::ListSessions => sessions::list(self, asking, parts).await,
            Call::ShowSession(id) => sessions::show(self, asking, &id).await,
            Call::EndSession(id) => sessions::end(self, asking, &id).await,
            Call::RemoveSubscriptions(id) => sessions::unsubscribe(self, asking, parts, &id).await,
            Call::ListChannels => channels::list(self, asking, parts).await,
            Call::Subscribers(channel) => channels::subscribers(self, asking, parts, &channel).await,
            Call::History(channel) => channels::history(self, asking, parts, &channel).await,
            Call::Explain => explain::explain(self, asking, body).await,
            Call::Revoke => revoke::revoke(self, asking, body).await,
            Call::Metrics => status::metrics(self, asking).await,
            Call::Document => document::openapi(),
            Call::Health => status::health(),
            Call::Ready => status::ready(self),
        }
    }

    pub(crate) fn broker(&self) -> &Broker {
        &self.0.broker
    }

    pub(crate) fn settings(&self) -> &ApiSettings {
        &self.0.settings
    }

    fn origins(&self) -> &OriginPolicy {
        &self.0.origins
    }

    fn registry(&self) -> &Registry {
        &self.0.registry
    }
}
