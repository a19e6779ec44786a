//! The OpenAPI document: made from the calls' own signatures, so that it cannot say something else than they do.
//!
//! Served at `/api/v1/openapi.json`, without credentials.

use super::{
    answer::{self, Outcome},
    channels, error, explain, names, publish, revoke, schema, sessions, status,
};
use bytes::Bytes;
use http::StatusCode;
use std::sync::OnceLock;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        path::{Operation, PathItem},
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

/// The document.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "bayeuxd",
        description = "Publish to Bayeux clients, and look after their sessions and channels, over HTTP.",
    ),
    paths(
        publish::publish, sessions::deliver, sessions::deliver_to_user,
        sessions::list, sessions::show, sessions::end, sessions::unsubscribe,
        channels::list, channels::subscribers, channels::history,
        explain::explain, revoke::revoke, openapi, status::metrics, status::health, status::ready,
    ),
    components(schemas(error::Failure, schema::PublishBody, schema::Published, names::ChannelName,
        names::ChannelPattern, names::ChannelInPath, names::SessionId)),
    modifiers(&Credentials),
    security((), ("bearer" = []), ("key" = [])),
)]
pub struct Document;

struct Credentials;

impl Modify for Credentials {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        // What the calls' comments tell programmers about errors is in the responses.
        for operation in document.paths.paths.values_mut().flat_map(operations) {
            operation.description = operation.description.take().filter(|text| !text.starts_with("# Errors"));
        }
        let components = document.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        let key = ApiKey::Header(ApiKeyValue::new("X-API-Key"));
        components.add_security_scheme("key", SecurityScheme::ApiKey(key));
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.delete].into_iter().flatten()
}

/// This document.
///
/// # Errors
/// None.
#[utoipa::path(
    get, path = "/api/v1/openapi.json", tag = "status",
    responses((status = 200, description = "OpenAPI 3.1", body = Object)),
)]
pub fn openapi() -> Outcome {
    static TEXT: OnceLock<Bytes> = OnceLock::new();
    let text = TEXT.get_or_init(|| serde_json::to_vec(&Document::openapi()).unwrap_or_default().into());
    Ok(answer::bytes(StatusCode::OK, text.clone()))
}
