//! Rules: one ordered list, the first that matches decides, and what none matches is denied.
//!
//! Compiled from the settings at the start, asked by `policy` for every verb and by `explain` and rule tests. Pure: no
//! clock, no I/O. Never answers differently than going through the list one by one would; `index` only makes it fast.

mod compiled;
mod index;
mod mark;
mod set;
mod shape;
#[cfg(test)]
mod tests;
mod who;

pub use set::{Decision, RuleSet};
pub use shape::{Asked, Shape};
pub use who::{Subject, Who};

use serde::{Deserialize, Serialize};

/// What rules are about.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// To have a session.
    Handshake,
    /// To receive what a channel or a pattern gets.
    Subscribe,
    /// To publish to a channel.
    Publish,
    /// To call a service: to publish to `/service/…` with a session.
    Service,
    /// To look at what belongs to others and change it, by the API.
    Api,
}

impl Action {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Handshake, Self::Subscribe, Self::Publish, Self::Service, Self::Api];

    /// As rules write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Subscribe => "subscribe",
            Self::Publish => "publish",
            Self::Service => "service",
            Self::Api => "api",
        }
    }

    /// The action of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }
}
