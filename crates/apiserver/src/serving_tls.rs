//! The certificate that a cluster is served under: a CA of its own and a leaf for loopback.

use std::{sync::Arc, time::Duration};

use certmesh_x509::{
    CertificateAuthority, HostError, Hosts, KeyAlgorithm, KeyError, LeafParameters, PrivateKey, SerialNumber,
    SigningError,
};
use jiff::Timestamp;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use thiserror::Error;

/// A server outlives any certificate worth renewing here: it is made anew with every start.
const LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Where clients on this machine, and those told to pretend they are in a pod, expect the server.
const NAMES: [&str; 7] = [
    "127.0.0.1",
    "::1",
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
];

/// The serving certificate could not be made.
#[derive(Debug, Error)]
pub enum PkiError {
    /// No key.
    #[error("cannot make a P-256 key: {0}")]
    Key(#[from] KeyError),
    /// The names the certificate is for.
    #[error("cannot name the server: {0}")]
    Names(#[from] HostError),
    /// No signature.
    #[error("cannot sign: {0}")]
    Signing(#[from] SigningError),
    /// The key could not be handed to the TLS library.
    #[error("cannot hand the key to the TLS library: {0}")]
    Encoding(#[from] rustls::pki_types::pem::Error),
}

/// Certificate chain and key of a server, and the CA that clients trust.
pub(crate) struct ServingIdentity {
    ca_pem: String,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl ServingIdentity {
    /// Makes a CA and a leaf. Their lives are on the system's clock, whatever the cluster's is: TLS clients look at theirs.
    pub(crate) fn generate() -> Result<Self, PkiError> {
        let now = Timestamp::now();
        let ca_key = PrivateKey::generate(KeyAlgorithm::EcdsaP256)?;
        let ca = CertificateAuthority::self_signed_root(
            ca_key,
            "Kubernetes API server",
            LIFETIME,
            &SerialNumber::random()?,
            now,
        )?;
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256)?;
        let parameters = LeafParameters { hosts: Hosts::parse(&NAMES)?, lifetime: LIFETIME };
        let leaf = ca.sign_leaf(&parameters, key.public_key(), &SerialNumber::random()?, now)?;
        Ok(Self {
            ca_pem: ca.certificate().to_pem(),
            chain: vec![CertificateDer::from(leaf.as_der().to_vec())],
            key: PrivateKeyDer::from_pem_slice(key.to_pem().as_bytes())?,
        })
    }

    /// The CA certificate as PEM.
    pub(crate) fn ca_pem(&self) -> &str {
        &self.ca_pem
    }
}

/// TLS as the server offers it: 1.3 and 1.2, HTTP/2 preferred over HTTP/1.1.
pub(crate) fn server_config(identity: &ServingIdentity) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(identity.chain.clone(), identity.key.clone_key())?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
