//! `protocol-tests`: reads the command line, asks the server what it offers, runs the cases, exits with the verdict.
//!
//! Exit status 0 when nothing failed, 1 when something did, 2 when the suite could not run.

use anyhow::{Context, Result};
use clap::Parser;
use protocol_tests::{
    case::Case,
    cases,
    context::Server,
    known_differences::KnownDifferences,
    options::Options,
    probe::probe,
    report::Format,
    runner::{self, Plan},
    wire::url::Url,
};
use std::{process::ExitCode, time::Duration};

#[tokio::main]
async fn main() -> ExitCode {
    match start(Options::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("protocol-tests: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether nothing failed.
async fn start(options: Options) -> Result<bool> {
    let cases = cases::all();
    if options.list {
        list(&cases);
        return Ok(true);
    }
    let known = match &options.known_differences {
        Some(path) => KnownDifferences::read(path, &cases)?,
        None => KnownDifferences::default(),
    };
    let url = Url::parse(options.url.as_deref().context("--url is missing")?)?;
    let max_interval = Duration::try_from_secs_f32(options.max_interval).context("--max-interval")?;
    let have = options.have.into_iter().collect();
    let mut server = Server { url, max_interval, have, advertised_timeout: Duration::ZERO };
    let probe = probe(&server).await?;
    server.advertised_timeout = probe.advertised_timeout;

    let (transports, filters, jobs, format) = (options.transports, options.filters, options.jobs, options.report);
    let totals = runner::run(Plan { server, probe, transports, filters, known, jobs, format }, cases).await;
    match format {
        Format::Text => println!("{}", totals.line()),
        Format::Json => eprintln!("{}", totals.line()),
    }
    Ok(totals.failed == 0)
}

fn list(cases: &[Case]) {
    for case in cases {
        let transports: Vec<&str> = case.transports.iter().map(|transport| transport.name()).collect();
        println!("{} [{}]\n    {}\n    {}", case.id, transports.join(", "), case.title, case.contract);
    }
    println!("{} cases", cases.len());
}
