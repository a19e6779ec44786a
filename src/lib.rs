//! bayeuxd: a Bayeux message broker that stands beside any backend as a black box.
//!
//! The rooms, lowest first; a room may use only rooms below it (`tests/architecture.rs` holds them to that):
//! [`bayeux`] the protocol as values, [`engine`] the log, [`broker`] sessions and fan-out, [`transport`] the clients'
//! side of HTTP, [`config`] and [`server`] which put it together. `ARCHITECTURE.md` tells the whole story.

pub mod api;
pub mod backend;
pub mod bayeux;
pub mod broker;
pub mod cli;
pub mod client;
pub mod config;
pub mod engine;
pub mod extension;
pub mod server;
#[cfg(test)]
mod simulation;
pub mod transport;
pub mod units;
