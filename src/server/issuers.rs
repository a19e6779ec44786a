//! How keys of issuers are fetched: the access room says which, the backend room knows how to ask for a document.

use crate::{
    access::{Fetch, Plan},
    backend::fetch::Fetcher,
    engine::Answer,
};
use std::sync::Arc;

struct Issuers(Arc<Fetcher>);

impl Fetch for Issuers {
    fn get(&self, url: &str, most: usize) -> Answer<Result<Vec<u8>, String>> {
        let (fetcher, url) = (Arc::clone(&self.0), url.to_owned());
        Answer::later(async move { fetcher.get(&url, most).await })
    }
}

/// What fetches the keys that a plan names.
///
/// # Errors
/// When TLS is needed and cannot be had.
pub(super) fn fetcher(plan: &Plan) -> Result<Arc<dyn Fetch>, String> {
    let https = plan.jwts.iter().filter_map(|jwt| jwt.jwks_url.as_deref()).any(|url| url.starts_with("https:"));
    Ok(Arc::new(Issuers(Arc::new(Fetcher::new(https)?))))
}
