//! Turns `[log]` into a tracing subscriber on standard error. Used by `serve`; `check-config` asks whether it would
//! work. Never writes to standard output.

use super::Failure;
use crate::server::settings::{LogFormat, LogSettings};
use std::io::{self, IsTerminal};
use tracing::{Level, Metadata};
use tracing_subscriber::{EnvFilter, filter::filter_fn, fmt, prelude::*};

/// The variable that overrides `log.level`, as in every program that uses tracing.
const OVERRIDE: &str = "RUST_LOG";

/// A crate that is never heard below `debug`, whatever is asked for: it would log the messages of clients, with the
/// tokens in them.
const TALKATIVE: &str = "tungstenite";
/// Libraries that log what passes through them, too, at their finest levels. Naming one in the filter asks for that.
const QUIET: [&str; 3] = ["tokio_tungstenite", "h2", "rustls"];

/// Starts logging.
pub(super) fn start(settings: &LogSettings) -> Result<(), Failure> {
    let (source, directives) = match std::env::var(OVERRIDE) {
        Ok(directives) if !directives.is_empty() => (OVERRIDE, directives),
        _ => ("log.level", settings.level.clone()),
    };
    let filter = filter(source, &directives)?;
    // Colours are for terminals; in a file or a pipe they are noise.
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    // A line that cannot be written (a full disk, a reader that left) is lost: telling of it on standard error would panic.
    let lines = fmt::layer().with_writer(io::stderr).log_internal_errors(false).with_ansi(colours);
    let chosen = tracing_subscriber::registry().with(filter).with(filter_fn(caps(&directives)));
    let started = match settings.format {
        LogFormat::Text => chosen.with(lines.with_target(false)).try_init(),
        LogFormat::Json => chosen.with(lines.json().flatten_event(true)).try_init(),
    };
    started.map_err(|error| Failure::Failed(format!("cannot start logging: {error}")))
}

/// Whether `log.level` describes a filter.
pub(super) fn check(settings: &LogSettings) -> Result<(), Failure> {
    filter("log.level", &settings.level).map(drop)
}

fn filter(source: &str, directives: &str) -> Result<EnvFilter, Failure> {
    let wrong = |why: String| Failure::Usage(format!("{source}: \"{directives}\" is not a log level like info: {why}"));
    let filter = EnvFilter::try_new(directives).map_err(|error| wrong(error.to_string()))?;
    if names(directives, TALKATIVE) {
        return Err(wrong(format!("{TALKATIVE} cannot be named: it would log the tokens of clients")));
    }
    Ok(filter)
}

/// What libraries may say at most. Asked beside the filter: as directives of it these would also raise what a level like
/// `info` keeps quiet.
fn caps(directives: &str) -> impl Fn(&Metadata<'_>) -> bool + use<> {
    let unnamed = QUIET.into_iter().filter(|library| !names(directives, library)).map(|library| (library, Level::WARN));
    let caps: Vec<_> = unnamed.chain([(TALKATIVE, Level::DEBUG)]).collect();
    move |event| {
        let library = event.target().split("::").next().unwrap_or_default();
        caps.iter().all(|(capped, most)| library != *capped || event.level() <= most)
    }
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
    #[test]
    fn libraries_are_quieter_than_asked_for_never_louder() {
        let heard = |directives: &str| {
            let chosen = filter("log.level", directives).unwrap();
            let subscriber = tracing_subscriber::registry().with(chosen).with(filter_fn(caps(directives)));
            tracing::subscriber::with_default(subscriber, || {
                [
                    tracing::enabled!(target: "tungstenite::protocol", Level::TRACE),
                    tracing::enabled!(target: "tungstenite::protocol", Level::DEBUG),
                    tracing::enabled!(target: "h2::codec", Level::DEBUG),
                    tracing::enabled!(target: "rustls", Level::WARN),
                    tracing::enabled!(target: "bayeuxd::broker", Level::TRACE),
                ]
            })
        };
        assert_eq!(heard("error"), [false, false, false, false, false]);
        assert_eq!(heard("info"), [false, false, false, true, false]);
        assert_eq!(heard("info,bayeuxd=trace"), [false, false, false, true, true]);
        assert_eq!(heard("trace"), [false, true, false, true, true]);
        assert_eq!(heard("info,h2=debug"), [false, false, true, true, false]);
    }
}
