//! A workload's identity, issued from a cluster's `cacerts` as istiod would do it.

use std::{sync::Arc, time::Duration};

use certmesh_api::secrets::{CaCerts, MissingKey};
use certmesh_x509::{
    CertificateAuthority, Host, HostError, Hosts, IssuedMaterial, KeyAlgorithm, KeyError, LeafParameters,
    MaterialError, PrivateKey, SerialNumber, SigningError, SigningMaterial, SpiffeId,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::Resumption,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier},
};

use super::verifier::ChainVerifier;

/// Istio's default for workloads.
const LEAF_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// One workload: its name, its certificate and the roots it trusts. Cheap to clone.
#[derive(Clone)]
pub struct Workload {
    id: SpiffeId,
    pub(super) client: Arc<ClientConfig>,
    pub(super) server: Arc<ServerConfig>,
}

impl Workload {
    /// Issues a leaf under the intermediate in this Secret, after checking that its parts belong together. The workload
    /// presents the leaf and the file `cert-chain.pem`, and trusts the file `root-cert.pem`, each as it stands there.
    pub fn issue(cacerts: &Secret, id: SpiffeId, now: Timestamp) -> Result<Self, WorkloadError> {
        let files = CaCerts::from_secret(cacerts)?;
        let issued = IssuedMaterial::from_files(files.certificate, files.key, files.chain, files.roots)?;
        issued.verify(now)?;
        let (key, leaf) = leaf(&issued, &id, now)?;
        let mut chain = vec![CertificateDer::from(leaf)];
        chain.extend(certificates(files.chain, "cert-chain.pem")?);
        let mut roots = RootCertStore::empty();
        for root in certificates(files.roots, "root-cert.pem")? {
            roots.add(root)?;
        }
        let roots = Arc::new(roots);
        Ok(Self { id, client: client(&roots, &chain, &key)?, server: server(&roots, &chain, &key)? })
    }

    /// Its name.
    pub fn id(&self) -> &SpiffeId {
        &self.id
    }
}

fn leaf(
    issued: &IssuedMaterial,
    id: &SpiffeId,
    now: Timestamp,
) -> Result<(PrivateKeyDer<'static>, Vec<u8>), WorkloadError> {
    let material = SigningMaterial::new(
        issued.certificate().clone(),
        issued.key().clone(),
        issued.chain().to_vec(),
        issued.roots().clone(),
    );
    let authority = CertificateAuthority::from_material(material, now)?;
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256)?;
    let hosts = Hosts::parse(&[id.as_str()])?;
    let parameters = LeafParameters { hosts, lifetime: LEAF_LIFETIME };
    let certificate = authority.sign_leaf(&parameters, key.public_key(), &SerialNumber::random()?, now)?;
    let key = PrivateKeyDer::from_pem_slice(key.to_pem().as_bytes())
        .map_err(|error| WorkloadError::Pem { file: "the leaf's key", error })?;
    Ok((key, certificate.as_der().to_vec()))
}

/// Read by rustls' own reader: what proxies will see, not what certmesh sees.
fn certificates(pem: &[u8], file: &'static str) -> Result<Vec<CertificateDer<'static>>, WorkloadError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    read.map_err(|error| WorkloadError::Pem { file, error })
}

fn client(
    roots: &Arc<RootCertStore>,
    chain: &[CertificateDer<'static>],
    key: &PrivateKeyDer<'static>,
) -> Result<Arc<ClientConfig>, WorkloadError> {
    let provider = provider();
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(ChainVerifier::new(Arc::clone(roots), provider)))
        .with_client_auth_cert(chain.to_vec(), key.clone_key())?;
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

fn server(
    roots: &Arc<RootCertStore>,
    chain: &[CertificateDer<'static>],
    key: &PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, WorkloadError> {
    let provider = provider();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(&provider)).build()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain.to_vec(), key.clone_key())?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// The one SPIFFE ID in a peer's certificate.
pub(super) fn spiffe_id(certificate: &CertificateDer<'_>) -> Option<SpiffeId> {
    let certificate = certmesh_x509::Certificate::from_der(certificate).ok()?;
    let mut ids = certificate.hosts().filter_map(|host| match host {
        Host::Spiffe(id) => Some(id.clone()),
        Host::Ip(_) | Host::Dns(_) => None,
    });
    ids.next().filter(|_| ids.next().is_none())
}

/// Why no workload can be issued from a Secret.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    /// A file is missing.
    #[error("the Secret is not complete: {0}")]
    Missing(#[from] MissingKey),
    /// The files do not belong together.
    #[error("the Secret's parts do not belong together: {0}")]
    Material(#[from] MaterialError),
    /// A file cannot be read by rustls.
    #[error("{file} cannot be read as PEM: {error}")]
    Pem {
        /// Which file.
        file: &'static str,
        /// What rustls says.
        error: rustls::pki_types::pem::Error,
    },
    /// The leaf's name is not valid.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The leaf's key could not be made.
    #[error("making the leaf's key: {0}")]
    Key(#[from] KeyError),
    /// The leaf could not be signed.
    #[error("signing the leaf: {0}")]
    Signing(#[from] SigningError),
    /// rustls does not take what is there.
    #[error("setting up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// rustls does not take the roots.
    #[error("setting up TLS: {0}")]
    Verifier(#[from] VerifierBuilderError),
}
