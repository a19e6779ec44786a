//! Who may do what, and how often. Implements `broker::Policy`, one policy around another.
//!
//! Put together by the server. Knows identities, channels and clocks; never a socket.

pub mod rate;
pub mod rate_settings;

pub use rate::Rates;
pub use rate_settings::RateSettings;
