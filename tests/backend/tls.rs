//! Backends behind TLS: the broker calls those whose certificate this machine trusts, and no others.

use super::places::{Backend, Broker, Client};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::json;
use std::path::PathBuf;

/// An authority, and a certificate with its key for this machine: two files.
fn certificates(name: &str) -> (PathBuf, PathBuf) {
    let (authority_key, own_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let own = CertificateParams::new(vec!["127.0.0.1".into()]).unwrap();
    let own = own.signed_by(&own_key, &Issuer::new(authority, authority_key)).unwrap();
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let (trusted, served) = (folder.join(format!("{name}-ca.pem")), folder.join(format!("{name}-own.pem")));
    std::fs::write(&trusted, authority_pem).unwrap();
    std::fs::write(&served, own.pem() + &own_key.serialize_pem()).unwrap();
    (trusted, served)
}

#[tokio::test]
async fn a_certificate_that_is_trusted_is_called_and_another_is_not() {
    let (trusted, served) = certificates("backend-tls");
    let (foreign, _) = certificates("backend-tls-foreign");
    let backend = Backend::start_with(0, &[("CERTIFICATE", &served)]).await;
    assert!(backend.url.starts_with("https://"));
    let configuration = "[[service]]\nchannel = '/service/**'\nurl = 'BACKEND/echo'";
    for (authority, error) in [(&trusted, None), (&foreign, Some("502:unreachable:backend_failed"))] {
        let broker = Broker::start_with(&backend, configuration, &[("SSL_CERT_FILE", authority)]).await;
        let mut caller = Client::connect(&broker).await;
        let answer = caller.call("/service/echo", json!(1)).await;
        assert_eq!(answer["error"].as_str(), error, "{answer}");
    }
}
