//! Calls to backends as a user sees them: a real broker, a real backend in another language, real HTTP between them.
//!
//! The backend is `server.py`, which can answer in every way a backend can. Every process ends with its test.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test panics")]

mod docs;
mod feeds;
mod hooks;
mod places;
mod services;
mod tls;
