//! Asks a server whether it is well: one GET, and any status of success is a yes.
//!
//! Used by `cli`'s health. Never retries and never reads the body: whoever asks again and again does so from outside.

use super::{Error, endpoint::Endpoint};
use std::time::Duration;

/// Whether the server at `url` answers with success within `patience`.
///
/// # Errors
/// When the URL cannot be used, nobody answers in time, or the answer is not one of success.
pub async fn health(url: &str, patience: Duration) -> Result<(), Error> {
    match Endpoint::new(url, None)?.status(patience).await? {
        200..=299 => Ok(()),
        status => Err(Error::Status(status)),
    }
}
