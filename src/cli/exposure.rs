//! Who can reach the broker: refuses to open it to a network by accident. Used by `serve` before it binds.
//! Decides by address and settings alone; never looks at a request.

use super::Failure;
use crate::server::settings::ServerSettings;
use std::net::{IpAddr, SocketAddr};

/// What to tell the operator about who may use the broker.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Exposure {
    /// Those whom the rules let in.
    Ruled,
    /// Every program on this machine.
    Machine,
    /// Everyone who can reach the address, as the operator asked.
    Network,
}

/// `has_rules` says that keys, tokens or rules decide who may do what.
///
/// # Errors
/// When the address is not loopback, there are no rules, and nobody said that this is meant.
pub(super) fn check(settings: &ServerSettings, has_rules: bool) -> Result<Exposure, Failure> {
    if has_rules {
        return Ok(Exposure::Ruled);
    }
    match (is_loopback(settings.listen), settings.open) {
        (true, _) => Ok(Exposure::Machine),
        (false, true) => Ok(Exposure::Network),
        (false, false) => Err(Failure::Usage(format!(
            "refusing to listen on {}: everyone who can reach that address could publish and subscribe.\n  \
             Say in the configuration who may do what ([[rule]], see docs/access.md), or listen on 127.0.0.1:{},\n  \
             or say --open (or set server.open = true) if that is meant.",
            settings.listen,
            settings.listen.port()
        ))),
    }
}

/// Also for an IPv4 address written as an IPv6 one.
fn is_loopback(address: SocketAddr) -> bool {
    match address.ip() {
        IpAddr::V6(v6) => v6.to_canonical().is_loopback(),
        v4 @ IpAddr::V4(_) => v4.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exposure(listen: &str, open: bool) -> Result<Exposure, Failure> {
        check(&ServerSettings { listen: listen.parse().unwrap(), open, ..ServerSettings::default() }, false)
    }

    #[test]
    fn rules_let_any_address_be_listened_on() {
        let settings = ServerSettings { listen: "0.0.0.0:1".parse().unwrap(), ..ServerSettings::default() };
        assert_eq!(check(&settings, true).unwrap(), Exposure::Ruled);
    }

    #[test]
    fn only_loopback_needs_no_word() {
        for listen in ["127.0.0.1:1", "127.8.9.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(exposure(listen, false).unwrap(), Exposure::Machine, "{listen}");
        }
        for listen in ["0.0.0.0:1", "[::]:1", "192.168.1.2:1", "[::ffff:10.0.0.1]:1"] {
            assert!(matches!(exposure(listen, false), Err(Failure::Usage(why)) if why.contains("--open")), "{listen}");
            assert_eq!(exposure(listen, true).unwrap(), Exposure::Network, "{listen}");
        }
    }
}
