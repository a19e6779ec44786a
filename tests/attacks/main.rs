//! Attacks on a real server, one a test: what is tried has no effect, and a neighbour notices nothing.
//!
//! `SECURITY.md` names each test beside its attack; what any Bayeux server must withstand is in `protocol-tests/`. Every
//! server ends with its test, and nothing waits longer than the deadline.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test panics")]

#[path = "../support/mod.rs"]
mod support;

mod bytes;
mod floods;
mod http2;
mod identity;
mod json;
mod logs;
mod named;
mod origins;
mod rates;
mod raw;
mod slow;
mod smuggling;
mod sockets;
