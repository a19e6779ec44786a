//! Turns `[log]` into a tracing subscriber on standard error. Used by `serve`; `check-config` asks whether it would
//! work. Never writes to standard output.

use super::Failure;
use crate::server::settings::{LogFormat, LogSettings};
use std::io::{self, IsTerminal};
use tracing_subscriber::{EnvFilter, filter::ParseError};

/// The variable that overrides `log.level`, as in every program that uses tracing.
const OVERRIDE: &str = "RUST_LOG";

/// A crate that is never heard below `debug`, whatever is asked for: it would log the messages of clients, with the
/// tokens in them.
const TALKATIVE: &str = "tungstenite";
/// Libraries that log what passes through them, too, at their finest levels. Naming one in the filter asks for that.
const QUIET: [&str; 3] = ["tokio_tungstenite", "h2", "rustls"];

/// Starts logging.
pub(super) fn start(settings: &LogSettings) -> Result<(), Failure> {
    let filter = match std::env::var(OVERRIDE) {
        Ok(directives) if !directives.is_empty() => filter(OVERRIDE, &directives)?,
        _ => check(settings)?,
    };
    // Colours are for terminals; in a file or a pipe they are noise.
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        // A line that cannot be written (a full disk, a reader that left) is lost: telling of it on standard error would
        // panic.
        .log_internal_errors(false)
        .with_ansi(colours);
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
    if names(directives, TALKATIVE) {
        return Err(wrong(format!("{TALKATIVE} cannot be named: it would log the tokens of clients")));
    }
    let caps = QUIET.iter().filter(|library| !names(directives, library)).map(|library| format!("{library}=warn"));
    for cap in caps.chain([format!("{TALKATIVE}=debug")]) {
        filter = filter.add_directive(cap.parse().map_err(|error: ParseError| wrong(error.to_string()))?);
    }
    Ok(filter)
}

/// Whether a filter names a crate or a module of it.
fn names(directives: &str, library: &str) -> bool {
    directives.split(',').any(|directive| {
        let target = directive.trim().split(['=', '[']).next().unwrap_or_default();
        target.split("::").next() == Some(library)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_a_name_or_directives() {
        for level in ["info", "warn,bayeuxd::broker=debug"] {
            assert!(check(&LogSettings { level: level.into(), ..LogSettings::default() }).is_ok(), "{level}");
        }
        let named = check(&LogSettings { level: "info,tungstenite::protocol=trace".into(), ..LogSettings::default() });
        assert!(named.unwrap_err().to_string().contains("tokens"));
        let failure = check(&LogSettings { level: "a=b=c".into(), ..LogSettings::default() }).unwrap_err();
        assert!(failure.to_string().starts_with("log.level: \"a=b=c\" is not a log level"), "{failure}");
    }
}
