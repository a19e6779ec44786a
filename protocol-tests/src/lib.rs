//! Black-box conformance suite for Bayeux servers.
//!
//! The binary beside this library is the way to run it; the library exists so that the suite's own tests can run cases
//! against servers that are wrong on purpose. Knows the server under test by URL only: no type, no code and no constant
//! of any broker is used here, and nothing here is used by one.

pub mod case;
pub mod cases;
pub mod context;
pub mod known_differences;
pub mod options;
pub mod peer;
pub mod probe;
pub mod report;
pub mod runner;
pub mod transport;
pub mod wire;
