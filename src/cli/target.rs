//! Which broker a command speaks to, and as whom. Flattened into `publish` and `subscribe`.

use super::Failure;
use crate::client::Error;

/// Where the commands look for a broker when not told.
const DEFAULT_URL: &str = "http://127.0.0.1:8080/bayeux";

#[derive(Debug, clap::Args)]
pub(super) struct Target {
    /// The Bayeux URL of the broker
    #[arg(long, env = "BAYEUXD_URL", default_value = DEFAULT_URL)]
    pub(super) url: String,
    /// A token or an API key, where the broker asks for one; other users of this machine cannot see it in the environment
    #[arg(long, env = "BAYEUXD_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

impl Target {
    /// The token, if there is one; an empty variable is none.
    pub(super) fn token(&self) -> Option<&str> {
        self.token.as_deref().map(str::trim).filter(|token| !token.is_empty())
    }
}

/// A command that could not even begin was asked wrongly.
pub(super) fn unusable(error: &Error) -> Failure {
    Failure::Usage(error.to_string())
}
