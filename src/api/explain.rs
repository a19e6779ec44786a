//! `POST /api/v1/explain`: would this identity be allowed, and by which rule.
//!
//! Asks the policy; nothing takes effect. What a token says is read by the same code that reads it at a handshake.

use super::{
    Api,
    answer::{self, Outcome},
    error::{ApiError, Failure, Refused},
    request::parse,
};
use crate::broker::{Asking, Explanation, Identity};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};
use std::sync::Arc;
use utoipa::ToSchema;

/// What to explain.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// What would be done.
    action: Action,
    /// To which channel or pattern, where it matters.
    channel: Option<String>,
    /// Who would do it: the claims of a token. Nobody in particular when absent. Beside a token, claims to add to its own.
    #[schema(value_type = Option<Object>)]
    identity: Option<Map<String, Value>>,
    /// A token to take the claims from.
    token: Option<String>,
    /// The name of an API key that would be shown.
    key: Option<String>,
}

/// What can be asked for.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// To publish.
    Publish,
    /// To subscribe.
    Subscribe,
    /// To have a session.
    Handshake,
    /// To call a service.
    Service,
    /// To look at and change what belongs to others, by this API.
    Api,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
            Self::Handshake => "handshake",
            Self::Service => "service",
            Self::Api => "api",
        }
    }
}

/// What would be decided.
#[derive(Debug, Serialize, ToSchema)]
pub struct Decision {
    /// Whether it would be allowed.
    allowed: bool,
    /// The rule that decides; absent when none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    /// Why, for people.
    reason: String,
}

/// Tells whether somebody would be allowed to do something, and by which rule.
///
/// # Errors
/// When the sender may not ask, or the token is none.
#[utoipa::path(
    post, path = "/api/v1/explain", tag = "access", request_body = Question,
    responses(
        (status = 200, description = "What would be decided", body = Decision),
        (status = 408, description = "The body did not come in time", body = Failure),
        (status = 413, description = "The body is too large", body = Failure),
        (status = 415, description = "The body is not JSON", body = Failure), Refused,
    ),
)]
pub async fn explain(api: &Api, asking: &Asking, body: &[u8]) -> Outcome {
    let question: Question = parse(body)?;
    api.administer(asking, None).await?;
    let who = identity(api, &question).await?;
    let Explanation { allowed, rule, reason } =
        api.broker().policy().explain(&who, question.action.name(), question.channel.as_deref());
    answer::json(&Decision { allowed, rule, reason })
}

async fn identity(api: &Api, question: &Question) -> Result<Arc<Identity>, ApiError> {
    let mut who = match &question.token {
        Some(token) => {
            let ext = serde_json::json!({ "token": token }).to_string();
            let ext = RawValue::from_string(ext).map_err(|error| ApiError::malformed(error.to_string()))?;
            let who = api.broker().policy().identify(None, Some(&ext)).await;
            // It is the question that is wrong, not the sender.
            who.map_err(|denial| ApiError::malformed(format!("token: {}", ApiError::from(denial).shown.message)))?
        }
        None => Arc::default(),
    };
    let changed = Arc::make_mut(&mut who);
    if let Some(claims) = &question.identity {
        changed.claims.extend(claims.clone());
        changed.user = api.broker().policy().user_of(claims).or(changed.user.take());
    }
    if let Some(key) = &question.key {
        changed.key = Some(key.as_str().into());
    }
    Ok(who)
}
