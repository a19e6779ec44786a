//! The checks that many cases share, each with a message that shows what was seen instead.
//!
//! Called by the cases. Never talks to the server.

use crate::wire::{
    message::{Message, excerpt},
    response::Response,
};
use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The fields a reply may have whatever its verb, apart from what the verb adds.
pub(super) const REPLY_FIELDS: &[&str] = &["channel", "id", "successful", "error", "advice"];

/// A refusal whose error starts with this.
pub(super) fn refused(reply: &Message, error: &str) -> Result<()> {
    ensure!(reply["successful"] == Value::Bool(false), "not refused: {}", reply.raw);
    ensure!(reply.error().starts_with(error), "refused, but not with {error}: {}", reply.raw);
    Ok(())
}

/// A reply that says `successful:true`.
pub(super) fn accepted(reply: &Message) -> Result<()> {
    ensure!(reply.successful(), "refused: {}", reply.raw);
    Ok(())
}

/// The full triple, with this word for what comes next.
pub(super) fn advises(reply: &Message, reconnect: &str) -> Result<()> {
    let advice = &reply["advice"];
    ensure!(advice["reconnect"] == reconnect, "no advice to {reconnect}: {}", reply.raw);
    ensure!(advice["interval"].is_u64(), "advice.interval is no number: {}", reply.raw);
    ensure!(advice["timeout"].is_u64(), "advice.timeout is no number: {}", reply.raw);
    Ok(())
}

/// No fields but these.
pub(super) fn only_fields(message: &Message, allowed: &[&str]) -> Result<()> {
    let names = message.field_names();
    let extra: Vec<&String> = names.iter().filter(|name| !allowed.contains(&name.as_str())).collect();
    ensure!(extra.is_empty(), "unexpected fields {extra:?} in {}", message.raw);
    ensure!(!message.as_object().is_some_and(|o| o.values().any(Value::is_null)), "a null in {}", message.raw);
    Ok(())
}

/// A reply with nothing but the common fields and these.
pub(super) fn reply_fields(reply: &Message, verb: &[&str]) -> Result<()> {
    only_fields(reply, &[REPLY_FIELDS, verb].concat())
}

/// A whole request refused: this status, and a body of one refusal with an error of this code.
pub(super) fn request_refused(response: &Response, status: u16) -> Result<()> {
    ensure!(response.status() == status, "status {} instead of {status}: {}", response.status(), body(response));
    let messages = response.messages()?;
    ensure!(messages.len() == 1, "not one refusal but {}: {}", messages.len(), body(response));
    refused(&messages[0], &format!("{status}:"))
}

/// An answer to a request of one message: its only element.
pub(super) fn only_message(response: &Response) -> Result<Message> {
    ensure!(response.status() == 200, "status {}: {}", response.status(), body(response));
    let mut messages = response.messages()?;
    ensure!(messages.len() == 1, "{} messages instead of one: {}", messages.len(), body(response));
    messages.pop().context("no message")
}

/// What the messages say, as JSON values.
pub(super) fn data(messages: &[Message]) -> Vec<Value> {
    messages.iter().map(|message| message["data"].clone()).collect()
}

/// The numbers that the messages carry.
pub(super) fn numbers(messages: &[Message]) -> Vec<u64> {
    messages.iter().filter_map(|message| message["data"].as_u64()).collect()
}

/// Exactly these numbers in this order.
pub(super) fn in_order(messages: &[Message], wanted: std::ops::Range<u64>) -> Result<()> {
    let seen = numbers(messages);
    ensure!(
        seen == wanted.clone().collect::<Vec<_>>(),
        "not {wanted:?} in order but {}",
        excerpt(&format!("{seen:?}"))
    );
    Ok(())
}

/// The body, short enough to print.
pub(super) fn body(response: &Response) -> String {
    excerpt(&String::from_utf8_lossy(&response.body))
}
