//! Turns `[log]` into a tracing subscriber on standard error. Used by `serve`; `check-config` asks whether it would
//! work. Never writes to standard output.

use super::Failure;
use crate::server::settings::{LogFormat, LogSettings};
use std::io::{self, IsTerminal};
use tracing_subscriber::{EnvFilter, filter::ParseError};

/// The variable that overrides `log.level`, as in every program that uses tracing.
const OVERRIDE: &str = "RUST_LOG";

/// Libraries that log what passes through them, credentials too, at their finest levels. Naming one in the filter asks
/// for that.
const TALKATIVE: [&str; 4] = ["tungstenite", "tokio_tungstenite", "h2", "rustls"];

/// Starts logging.
pub(super) fn start(settings: &LogSettings) -> Result<(), Failure> {
    let filter = match std::env::var(OVERRIDE) {
        Ok(directives) if !directives.is_empty() => filter(OVERRIDE, &directives)?,
        _ => check(settings)?,
    };
    // Colours are for terminals; in a file or a pipe they are noise.
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(colours);
    let started = match settings.format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| Failure::Failed(format!("cannot start logging: {error}")))
}

/// The filter that `log.level` describes.
pub(super) fn check(settings: &LogSettings) -> Result<EnvFilter, Failure> {
    filter("log.level", &settings.level)
}

fn filter(source: &str, directives: &str) -> Result<EnvFilter, Failure> {
    let wrong = |why: String| Failure::Usage(format!("{source}: \"{directives}\" is not a log level like info: {why}"));
    let mut filter = EnvFilter::try_new(directives).map_err(|error| wrong(error.to_string()))?;
    for library in TALKATIVE.into_iter().filter(|library| !directives.contains(library)) {
        let quiet = format!("{library}=warn").parse().map_err(|error: ParseError| wrong(error.to_string()))?;
        filter = filter.add_directive(quiet);
    }
    Ok(filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_a_name_or_directives() {
        for level in ["info", "warn,bayeuxd::broker=debug"] {
            assert!(check(&LogSettings { level: level.into(), ..LogSettings::default() }).is_ok(), "{level}");
        }
        let failure = check(&LogSettings { level: "a=b=c".into(), ..LogSettings::default() }).unwrap_err();
        assert!(failure.to_string().starts_with("log.level: \"a=b=c\" is not a log level"), "{failure}");
    }
}
