//! What `serve` says once it listens: where to look and a line to paste. Used by `serve` alone; only makes the text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The places of a running broker.
pub(super) struct Places {
    /// The playground page.
    pub(super) playground: String,
    /// The Bayeux endpoint.
    pub(super) bayeux: String,
}

impl Places {
    /// Of a broker that listens on `address` with its endpoint at `path`.
    pub(super) fn new(address: SocketAddr, path: &str, tls: bool) -> Self {
        let ip = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        let scheme = if tls { "https" } else { "http" };
        let origin = format!("{scheme}://{}", SocketAddr::new(ip, address.port()));
        Self { playground: format!("{origin}/"), bayeux: format!("{origin}{path}") }
    }

    /// A command that makes a message appear on the playground.
    pub(super) fn curl(&self) -> String {
        let message = r#"{"channel":"/demo/hello","data":{"text":"hello from curl"}}"#;
        format!("curl -d '{message}' -H 'Content-Type: application/json' {}", self.bayeux)
    }

    /// The block for people.
    pub(super) fn block(&self) -> String {
        format!(
            "\n  Playground   {}\n  Bayeux       {}\n\n  Paste this to see a message on the playground:\n\n  {}\n\n",
            self.playground,
            self.bayeux,
            self.curl()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_can_be_opened_from_this_machine() {
        let cases = [
            ("127.0.0.1:8080", "http://127.0.0.1:8080/bayeux"),
            ("0.0.0.0:80", "http://127.0.0.1:80/bayeux"),
            ("[::]:81", "http://[::1]:81/bayeux"),
        ];
        for (address, bayeux) in cases {
            let places = Places::new(address.parse().unwrap(), "/bayeux", false);
            assert_eq!(places.bayeux, bayeux);
            assert!(places.block().contains(&places.curl()) && places.curl().ends_with(bayeux));
        }
    }
}
