//! How the broker is: `/metrics` for Prometheus, `/healthz` for who restarts it, `/readyz` for who sends it work.
//!
//! Health and readiness say nothing of anybody and are open; metrics are a call like any other.

use super::{
    Api,
    answer::{self, Outcome},
    error::{ApiError, Failure, Refused},
};
use crate::{bayeux::ProtocolError, broker::Asking, transport::response};
use http::{HeaderValue, StatusCode};
use prometheus_client::encoding::text;
use serde::Serialize;
use utoipa::ToSchema;

/// The type of metrics.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The answer of the health pages.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// Always `ok`; otherwise there is an error.
    #[schema(value_type = String)]
    status: &'static str,
}

/// Everything that is counted, in the OpenMetrics form.
///
/// # Errors
/// When the sender may not look.
#[utoipa::path(
    get, path = "/metrics", tag = "status",
    responses(
        (status = 200, description = "Counters and gauges", body = String, content_type = OPEN_METRICS),
        Refused,
    ),
)]
pub async fn metrics(api: &Api, asking: &Asking) -> Outcome {
    api.administer(asking, None).await?;
    let mut page = String::with_capacity(8 << 10);
    text::encode(&mut page, api.registry()).map_err(|error| {
        tracing::error!(%error, "the metrics cannot be written");
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the metrics cannot be written")
    })?;
    Ok(response::whole(StatusCode::OK, HeaderValue::from_static(OPEN_METRICS), page.into(), None))
}

/// Whether the process serves.
///
/// # Errors
/// None.
#[utoipa::path(get, path = "/healthz", tag = "status", responses((status = 200, description = "It serves", body = Health)))]
pub fn health() -> Outcome {
    answer::json(&Health { status: "ok" })
}

/// Whether the broker should be given work: it is not stopping, and its lanes keep up with the log.
///
/// # Errors
/// When it should not.
#[utoipa::path(
    get, path = "/readyz", tag = "status",
    responses((status = 200, description = "Ready", body = Health), (status = 503, description = "Not now", body = Failure)),
)]
pub fn ready(api: &Api) -> Outcome {
    if api.broker().is_stopping() {
        return Err(ProtocolError::ShuttingDown.into());
    }
    if !api.broker().keeps_up() {
        return Err(ApiError::behind());
    }
    answer::json(&Health { status: "ok" })
}
