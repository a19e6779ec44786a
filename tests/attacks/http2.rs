//! HTTP/2 inside TLS: streams begun and reset as fast as possible, and more of them than allowed.

use crate::support::{DEADLINE, Server};
use bytes::Bytes;
use h2::{Reason, client};
use http::Request;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::json;
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::{net::TcpStream, task::JoinHandle, time::timeout};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring::default_provider,
        pki_types::{CertificateDer, ServerName},
    },
};

const MAX_STREAMS: u32 = 10;

struct Place {
    server: Server,
    certificate: CertificateDer<'static>,
    folder: PathBuf,
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Place {
    async fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("bayeuxd-attacks-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let file = |name| folder.join(name).to_str().unwrap().to_owned();
        std::fs::write(file("cert.pem"), cert.pem()).unwrap();
        std::fs::write(file("key.pem"), signing_key.serialize_pem()).unwrap();
        let server = Server::start_with(|s| {
            (s.server.tls.cert, s.server.tls.key) = (file("cert.pem"), file("key.pem"));
            s.transport.max_streams = MAX_STREAMS;
        })
        .await;
        Self { server, certificate: cert.der().clone(), folder }
    }

    async fn connect(&self) -> (client::SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>) {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let stream = TcpStream::connect(self.server.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        let (sender, connection) = client::handshake(stream).await.unwrap();
        (sender, tokio::spawn(connection))
    }

    /// A publish over a connection of its own is accepted.
    async fn serves_a_neighbour(&self) {
        let publish = async {
            let (sender, _running) = self.connect().await;
            let mut sender = sender.ready().await.unwrap();
            let (answer, mut body) = sender.send_request(post(), false).unwrap();
            body.send_data(json!([{"channel": "/neighbour", "data": 1}]).to_string().into(), true).unwrap();
            assert_eq!(answer.await.unwrap().status(), 200);
        };
        timeout(DEADLINE, publish).await.expect("the neighbour is served in time");
    }
}

fn post() -> Request<()> {
    Request::post("https://localhost/bayeux").header("content-type", "application/json").body(()).unwrap()
}

#[tokio::test]
async fn streams_reset_at_once_end_the_connection_or_cost_nothing() {
    let place = Place::new("reset").await;
    let (mut sender, running) = place.connect().await;
    let flood = async {
        for _ in 0..20_000 {
            let Ok(ready) = sender.clone().ready().await else { return };
            sender = ready;
            let Ok((_, mut stream)) = sender.send_request(post(), false) else { return };
            stream.send_reset(Reason::CANCEL);
        }
    };
    let (flooded, ()) = tokio::join!(timeout(DEADLINE, flood), place.serves_a_neighbour());
    flooded.expect("the server takes it or hangs up");
    place.serves_a_neighbour().await;
    running.abort();
}

#[tokio::test]
async fn no_more_streams_are_open_than_allowed() {
    let place = Place::new("streams").await;
    let (sender, running) = place.connect().await;
    let mut sender = sender.ready().await.unwrap();
    // An answer comes after the server's settings.
    let (answer, mut body) = sender.send_request(post(), false).unwrap();
    body.send_data("[]".into(), true).unwrap();
    assert_eq!(timeout(DEADLINE, answer).await.unwrap().unwrap().status(), 200);
    let mut open = Vec::new();
    // Bodies that never come hold their streams.
    for _ in 0..MAX_STREAMS {
        sender = timeout(DEADLINE, sender.ready()).await.unwrap().unwrap();
        open.push(sender.send_request(post(), false).unwrap());
    }
    assert_eq!(sender.current_max_send_streams(), MAX_STREAMS as usize, "the limit is announced");
    let (mut eleventh, mut body) = sender.send_request(post(), false).unwrap();
    body.send_data("[]".into(), true).unwrap();
    let waits = timeout(Duration::from_millis(300), &mut eleventh).await;
    assert!(waits.is_err(), "there is no room for more");
    place.serves_a_neighbour().await;
    open[0].1.send_reset(Reason::CANCEL);
    assert_eq!(timeout(DEADLINE, eleventh).await.unwrap().unwrap().status(), 200);
    place.serves_a_neighbour().await;
    running.abort();
}
