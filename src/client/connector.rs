//! How connections to other servers come about, plain or with TLS. Used by this room and, for calls, by the backend room.
//!
//! No proxy is taken from the environment and nothing is decided about a single request.

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use std::{sync::Arc, time::Duration};

/// Connects within `connect_timeout`. The certificates that this machine trusts are read only when `https` needs them: there
/// may be none.
///
/// # Errors
/// When TLS is needed and cannot be had.
pub(crate) fn connector(connect_timeout: Duration, https: bool) -> Result<HttpsConnector<HttpConnector>, String> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(connect_timeout));
    let provider = Arc::new(ring::default_provider());
    let builder = HttpsConnectorBuilder::new();
    let builder = if https {
        builder.with_provider_and_platform_verifier(provider).map_err(|error| format!("TLS: {error}"))?
    } else {
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls = tls.map_err(|error| format!("TLS: {error}"))?;
        builder.with_tls_config(tls.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
    };
    Ok(builder.https_or_http().enable_http1().wrap_connector(tcp))
}
