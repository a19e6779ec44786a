//! The engine on disk as a user meets it: a broker that is killed, stopped, started again, on files that are whole, torn
//! or damaged, and on a disk that is full.
//!
//! Real processes and sockets, bounded in time. Only processes that were started here are ended.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test panics")]

mod client;
mod files;
mod full;
mod killed;
mod planned;
mod process;

use std::time::Duration;

/// The longest anything may take here.
const DEADLINE: Duration = Duration::from_secs(60);
