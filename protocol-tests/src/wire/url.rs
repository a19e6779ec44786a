//! The address of the server under test. Only plain `http://` URLs: the suite writes its own HTTP.
//!
//! Called by the command line once. Never resolves names; `http` does that when it opens a connection.

use anyhow::{Context, Result, ensure};

/// Where the Bayeux endpoint is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Name or address.
    pub host: String,
    /// TCP port, 80 when the URL names none.
    pub port: u16,
    /// The mount, without a trailing slash.
    pub path: String,
}

impl Url {
    /// Reads `http://host[:port]/path`.
    pub fn parse(text: &str) -> Result<Self> {
        let rest = text.strip_prefix("http://").context("the URL must start with http://")?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().with_context(|| format!("\"{port}\" is no port"))?),
            None => (authority, 80),
        };
        ensure!(!host.is_empty(), "the URL names no host");
        Ok(Self { host: host.to_owned(), port, path: format!("/{}", path.trim_end_matches('/')) })
    }

    /// The value of the `Host` header.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_loses_its_trailing_slash_and_keeps_its_port() {
        let url = Url::parse("http://127.0.0.1:8088/bayeux/").unwrap();
        assert_eq!((url.host.as_str(), url.port, url.path.as_str()), ("127.0.0.1", 8088, "/bayeux"));
    }

    #[test]
    fn other_schemes_and_bad_ports_are_refused() {
        for bad in ["https://x/y", "x/y", "http://:80/y", "http://x:port/y"] {
            assert!(Url::parse(bad).is_err(), "{bad}");
        }
    }
}
