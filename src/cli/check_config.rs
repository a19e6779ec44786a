//! `bayeuxd check-config FILE`: all problems of a configuration, or what it comes to and who said so.
//!
//! Looks at the environment and `--set` as `serve` would. Never shows a secret, never starts anything.

use super::{Failure, logging, settings::SetFlags};
use crate::config::Setting;
use std::{
    io::{self, Write},
    path::PathBuf,
};

/// Print every problem of a configuration, or the values it comes to with their origins
#[derive(Debug, clap::Args)]
pub(super) struct CheckConfig {
    /// The TOML file
    file: PathBuf,
    #[command(flatten)]
    set: SetFlags,
}

impl CheckConfig {
    pub(super) fn run(self) -> Result<(), Failure> {
        let loaded = self.set.load(Some(self.file), [])?;
        logging::check(&loaded.config.log)?;
        print(&loaded.settings, &mut io::stdout().lock())?;
        Ok(())
    }
}

/// One line a setting, itself TOML, with the origin as its comment.
fn print(settings: &[Setting], to: &mut impl Write) -> io::Result<()> {
    let line = |setting: &Setting| format!("{} = {}", setting.key, setting.value);
    let width = settings.iter().map(|setting| line(setting).chars().count()).max().unwrap_or(0).min(60);
    for setting in settings {
        writeln!(to, "{:width$}  # {}", line(setting), setting.origin)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    #[test]
    fn origins_stand_in_one_column() {
        let setting = |key: &str, origin| Setting { key: key.into(), value: "1".into(), origin };
        let settings = [setting("a.b", Origin::Default), setting("long.key", Origin::Flag("--set long.key".into()))];
        let mut out = Vec::new();
        print(&settings, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "a.b = 1       # default\nlong.key = 1  # --set long.key\n");
    }
}
