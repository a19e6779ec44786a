//! Gets documents by URL, like the keys of an issuer: bounded, without redirects, on the client that calls use.
//!
//! Whoever asks sets the deadline. URLs come from the configuration alone.

use super::{
    pool::{self, Http},
    settings::BackendSettings,
};
use bytes::Bytes;
use http::{
    Request,
    header::{ACCEPT, USER_AGENT},
};
use http_body_util::{BodyExt, Full, Limited};

/// Gets documents.
pub struct Fetcher(Http);

impl Fetcher {
    /// A fetcher with connections of its own; `https` says whether any URL needs it.
    ///
    /// # Errors
    /// When TLS is needed and cannot be had.
    pub fn new(https: bool) -> Result<Self, String> {
        pool::client(&BackendSettings::default(), https).map(Self)
    }

    /// The document at a URL, if it has at most `most` bytes.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn get(&self, url: &str, most: usize) -> Result<Vec<u8>, String> {
        let request = Request::get(url).header(ACCEPT, "application/json").header(USER_AGENT, pool::USER_AGENT);
        let request = request.body(Full::new(Bytes::new())).map_err(|error| error.to_string())?;
        let response = self.0.request(request).await.map_err(|error| format!("unreachable: {error}"))?;
        if !response.status().is_success() {
            return Err(format!("it answers with status {}", response.status().as_u16()));
        }
        let body = Limited::new(response.into_body(), most).collect().await;
        body.map(|body| body.to_bytes().into()).map_err(|error| error.to_string())
    }
}
