//! The command line.
//!
//! Read by `main` only. Never talks to the server.

use crate::{case::Feature, report::Format, transport::Transport};
use clap::Parser;
use std::path::PathBuf;

/// Checks a Bayeux server against the contract of `wire.md`, one case a behaviour.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Options {
    /// The mount of the server under test, like http://127.0.0.1:8080/bayeux
    #[arg(long, required_unless_present = "list")]
    pub url: Option<String>,
    /// Only these transports; without it every transport that the server offers
    #[arg(long = "transport", value_enum)]
    pub transports: Vec<Transport>,
    /// Only cases whose id, with its transport in brackets, contains this; of several, all
    #[arg(long = "filter")]
    pub filters: Vec<String>,
    /// How results are printed: text, or one JSON object a line
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub report: Format,
    /// Print the cases with the sentences they check, and run none
    #[arg(long)]
    pub list: bool,
    /// The server's broker.max_interval in seconds
    #[arg(long, default_value_t = 60.0)]
    pub max_interval: f32,
    /// What the server was started with, see the README
    #[arg(long, value_enum)]
    pub have: Vec<Feature>,
    /// Cases that are known to fail against this server, with reasons
    #[arg(long)]
    pub known_differences: Option<PathBuf>,
    /// Cases run side by side
    #[arg(long, default_value_t = 16)]
    pub jobs: usize,
}
