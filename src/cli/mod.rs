//! The command line: one file a sub-command, the tree of arguments, and what a command may end with.
//!
//! Called by `main` alone. No protocol logic: `serve` starts the server room, the others use the client room.

mod check_config;
mod explain;
mod exposure;
mod greeting;
mod health;
mod key;
mod logging;
mod publish;
mod serve;
mod settings;
mod subscribe;
mod target;
mod token;

use clap::{Parser, Subcommand};
use std::{
    fmt,
    io::{self, Write},
    process::ExitCode,
};

/// bayeuxd, a Bayeux message broker: backends POST JSON, browsers subscribe.
#[derive(Debug, Parser)]
#[command(name = "bayeuxd", version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Publish(publish::Publish),
    Subscribe(subscribe::Subscribe),
    CheckConfig(check_config::CheckConfig),
    Explain(explain::Explain),
    Key(key::Key),
    Token(token::Token),
    Health(health::Health),
}

/// How a command fails.
#[derive(Debug)]
enum Failure {
    /// It was asked rightly and could not do it: exit code 1.
    Failed(String),
    /// It was asked wrongly, or its configuration cannot work: exit code 2.
    Usage(String),
    /// Nobody reads the output any more: no message, exit code 0.
    OutputClosed,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(why) | Self::Usage(why) => f.write_str(why),
            Self::OutputClosed => f.write_str("the output was closed"),
        }
    }
}

/// Of writing to standard output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Failed(format!("cannot write: {error}")),
        }
    }
}

impl Cli {
    /// Runs the command, says on standard error why it failed, and returns what the process exits with.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let outcome = match self.command {
            Command::Serve(command) => command.run(),
            Command::Publish(command) => command.run(),
            Command::Subscribe(command) => command.run(),
            Command::CheckConfig(command) => command.run(),
            Command::Explain(command) => command.run(),
            Command::Key(command) => command.run(),
            Command::Token(command) => command.run(),
            Command::Health(command) => command.run(),
        };
        match outcome {
            Ok(()) | Err(Failure::OutputClosed) => ExitCode::SUCCESS,
            Err(failure) => {
                notice(&failure);
                ExitCode::from(if matches!(failure, Failure::Usage(_)) { 2 } else { 1 })
            }
        }
    }
}

/// Tells the person at the terminal. Whether anybody listens there must not matter, so this is not `eprintln!`.
fn notice(what: &dyn fmt::Display) {
    let _ = writeln!(io::stderr(), "bayeuxd: {what}");
}

/// A runtime for a command that does one thing at a time.
fn small_runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::Failed(format!("cannot start: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_tree_of_arguments_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_closed_output_is_no_failure() {
        assert!(matches!(Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)), Failure::OutputClosed));
        assert!(matches!(Failure::from(io::Error::from(io::ErrorKind::StorageFull)), Failure::Failed(_)));
    }
}
