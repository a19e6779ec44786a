//! The flags that set settings, shared by `serve` and `check-config`. Never interprets a value.

use super::Failure;
use crate::config::{self, Flag, Loaded, Sources};
use std::path::PathBuf;

/// `--set`.
#[derive(Debug, Default, clap::Args)]
pub(super) struct SetFlags {
    /// Set one setting, like `--set broker.timeout=45s`; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = Flag::set)]
    set: Vec<Flag>,
}

impl SetFlags {
    /// Loads the configuration: `file`, then the environment of this process, then `--set`, then `more` flags.
    pub(super) fn load(self, file: Option<PathBuf>, more: impl IntoIterator<Item = Flag>) -> Result<Loaded, Failure> {
        let flags = self.set.into_iter().chain(more).collect();
        let sources = Sources { file, environment: environment(), flags };
        config::load(sources).map_err(|problems| Failure::Usage(problems.to_string()))
    }
}

/// A flag that stands for a setting.
pub(super) fn shorthand(name: &str, key: &str, value: String) -> Flag {
    Flag { name: name.into(), key: key.into(), value }
}

/// What is not UTF-8 cannot be a setting, but neither may it stop the program.
fn environment() -> Vec<(String, String)> {
    let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(|(name, value)| (lossy(name), lossy(value))).collect()
}
