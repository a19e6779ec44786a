//! `bayeuxd explain`: would somebody be allowed to do something, and by which rule of a configuration.
//!
//! Exits with 0 when it is allowed and with 1 when it is denied. Asks no broker.

use super::{Failure, settings::SetFlags};
use serde_json::{Map, Value};
use std::{
    io::{self, Write},
    path::PathBuf,
};

/// Tell whether something would be allowed, and by which rule
#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Who would do it: the claims of a token, as JSON
    #[arg(long = "as", value_name = "CLAIMS", value_parser = claims)]
    claims: Option<Claims>,
    /// Who would do it: the name of an API key
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
    /// What: handshake, subscribe, publish, service or api
    #[arg(value_parser = ["handshake", "subscribe", "publish", "service", "api"])]
    action: String,
    /// To which channel or pattern
    channel: Option<String>,
}

/// An object.
#[derive(Clone, Debug)]
struct Claims(Map<String, Value>);

fn claims(text: &str) -> Result<Claims, String> {
    let wrong = |why: serde_json::Error| format!("must be like {{\"sub\": \"ann\"}}: {why}");
    serde_json::from_str(text).map(Claims).map_err(wrong)
}

impl Explain {
    pub(super) fn run(self) -> Result<(), Failure> {
        let plan = SetFlags::default().load(Some(self.config), [])?.config.access();
        let claims = self.claims.map(|claims| claims.0).unwrap_or_default();
        let explained = plan.explain(claims, self.key.as_deref(), &self.action, self.channel.as_deref());
        let explained = explained.map_err(Failure::Usage)?;
        let by = explained.rule.map_or_else(String::new, |rule| format!(" by {rule}"));
        if !explained.allowed {
            return Err(Failure::Failed(format!("denied{by}: {}", explained.reason)));
        }
        writeln!(io::stdout().lock(), "allowed{by}: {}", explained.reason)?;
        Ok(())
    }
}
