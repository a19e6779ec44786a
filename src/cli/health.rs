//! `bayeuxd health`: exit code 0 when a broker is well, 1 when it is not. For containers, which hold no other program
//! that could ask; any supervisor can use it. Asks once, and waits no longer than told.

use super::{Failure, small_runtime};
use crate::client::{self, Error};
use std::time::Duration;

/// The broker of the same container or machine, at the default port.
const DEFAULT_URL: &str = "http://127.0.0.1:8080/healthz";

/// Ask a broker whether it is well; the exit code tells
#[derive(Debug, clap::Args)]
pub(super) struct Health {
    /// The address to ask: /healthz, also when no path is given, tells whether it serves, /readyz whether it should be given work
    #[arg(long, default_value = DEFAULT_URL)]
    url: String,
    /// How long the answer may take, like 3s
    #[arg(long, default_value = "3s", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

impl Health {
    pub(super) fn run(self) -> Result<(), Failure> {
        let answer = small_runtime()?.block_on(client::health(&with_path(&self.url), self.timeout));
        answer.map_err(|error| match error {
            Error::Url(_) => Failure::Usage(error.to_string()),
            _ => Failure::Failed(error.to_string()),
        })
    }
}

/// The page at `/` answers whenever it is served, and says nothing of the broker.
fn with_path(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    match rest.split_once('/') {
        None => format!("{url}/healthz"),
        Some((_, "")) => format!("{url}healthz"),
        Some(_) => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_asked_where_it_is() {
        for (given, asked) in [
            ("http://a:1", "http://a:1/healthz"),
            ("http://a:1/", "http://a:1/healthz"),
            ("https://a/readyz", "https://a/readyz"),
        ] {
            assert_eq!(with_path(given), asked);
        }
    }
}
