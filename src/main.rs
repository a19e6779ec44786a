//! The program: a heap that keeps a parked client small, the command line, nothing else.

use clap::Parser;
use std::process::ExitCode;

#[global_allocator]
static HEAP: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    bayeuxd::cli::Cli::parse().run()
}
