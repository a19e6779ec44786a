//! TLS: certificate and key from files, read anew when asked, without touching connections that are open.
//!
//! Loaded by `server::run`, used by the acceptor for each connection. Offers HTTP/2 and HTTP/1.1.

use super::settings::TlsSettings;
use parking_lot::RwLock;
use std::{
    io::{Error, ErrorKind, Result},
    path::Path,
    sync::Arc,
};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring::default_provider,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
    server::TlsStream,
};

/// The protocols offered, the first ones first.
const OFFERED: [&[u8]; 2] = [HTTP_2, b"http/1.1"];
const HTTP_2: &[u8] = b"h2";

/// What a listener needs to speak TLS. Shared by all its connections.
pub struct Tls {
    settings: TlsSettings,
    current: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// When one of them cannot be used.
    pub fn load(settings: &TlsSettings) -> Result<Self> {
        let current = RwLock::new(Arc::new(config(settings)?));
        Ok(Self { settings: settings.clone(), current })
    }

    /// Reads the files again, for connections that come from now on; bad ones change nothing.
    pub fn reload(&self) {
        match config(&self.settings) {
            Ok(config) => {
                *self.current.write() = Arc::new(config);
                tracing::info!(cert = self.settings.cert, "the certificate was read again");
            }
            Err(error) => tracing::error!(%error, "the certificate is not replaced"),
        }
    }

    /// Shakes hands with a peer.
    ///
    /// # Errors
    /// When they do not understand each other, or the peer leaves.
    pub async fn accept(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>> {
        let config = Arc::clone(&self.current.read());
        TlsAcceptor::from(config).accept(stream).await
    }
}

/// Whether the peer chose HTTP/2.
pub fn is_http2(stream: &TlsStream<TcpStream>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(HTTP_2)
}

fn config(settings: &TlsSettings) -> Result<ServerConfig> {
    let (cert, key) = (Path::new(&settings.cert), Path::new(&settings.key));
    let bad = |file: &Path, error: &dyn std::fmt::Display| {
        Error::new(ErrorKind::InvalidInput, format!("{}: {error}", file.display()))
    };
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(cert).and_then(Iterator::collect).map_err(|error| bad(cert, &error))?;
    if chain.is_empty() {
        return Err(bad(cert, &"holds no certificate"));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| bad(key, &error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
        .map_err(|error| bad(cert, &error))?;
    config.alpn_protocols = OFFERED.map(<[u8]>::to_vec).into();
    Ok(config)
}
