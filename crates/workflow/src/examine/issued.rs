//! What an issued Secret holds, and for whom.

use std::collections::BTreeSet;

use certmesh_api::certificates::ObjectRef;
use certmesh_api::names::{annotations, labels, secret_types};
use certmesh_api::secrets::{self, CaCerts, ISTIO_GENERATED, ROOT_CERT, TLS_CERT};
use certmesh_x509::{Certificate, Fingerprint, IssuedMaterial, MaterialError, TrustBundle, VerifiedPath};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

use super::chain::instants;
use crate::need::Need;
use crate::object::annotation;
use crate::trust;

/// What a Secret that a certificate is to be written to holds now. No part of its key.
#[derive(Clone, Debug)]
pub struct IssuedFacts {
    /// The namespace of the agent that wrote it, if one did.
    pub written_by: Option<String>,
    /// The intent it was issued for.
    pub issued_for: Option<ObjectRef>,
    /// The need it answers.
    pub need: Option<Need>,
    /// Nothing renews it, its record says.
    pub unmanaged: bool,
    /// What stands in the way of writing a certificate to it.
    pub obstacle: Option<Obstacle>,
    /// Its certificate, if that can be read.
    pub certificate: Option<Certificate>,
    /// Its roots, or why they cannot be read; nothing when it has no `root-cert.pem`.
    pub roots: Option<Result<TrustBundle, String>>,
    /// Fingerprints of the roots it was written with, by its record.
    pub recorded_roots: BTreeSet<Fingerprint>,
    /// The certificate in place, or what is wrong with it.
    pub content: Result<InPlace, Flaw>,
}

/// A certificate in place: key, certificate, chain and roots belong together.
#[derive(Clone, Debug)]
pub struct InPlace {
    /// From the certificate to a root, with the time in which all of it is valid.
    pub path: VerifiedPath,
    /// The roots delivered with it.
    pub roots: TrustBundle,
    /// Fingerprint of its chain and roots.
    pub trust: Fingerprint,
}

impl InPlace {
    /// The certificate.
    pub fn certificate(&self) -> &Certificate {
        self.path.certificate()
    }

    /// The certificate above it that ends first.
    pub fn first_ending_authority(&self) -> Option<&Certificate> {
        self.path.certificates().iter().skip(1).min_by_key(|certificate| certificate.not_after())
    }
}

/// What is wrong with a Secret's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A file is missing or unreadable, or one too many is there.
    Incomplete(String),
    /// The private key is another certificate's.
    KeyMismatch(String),
    /// The chain does not lead to the roots.
    ChainInvalid(String),
}

/// Why a certificate cannot be written to an existing Secret. Each message names the way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// Its layout is fixed by Kubernetes.
    #[error(
        "its type is kubernetes.io/tls, which cannot hold cacerts and cannot be changed: back it up, delete it, or name another Secret"
    )]
    TlsType,
    /// Nobody can change it.
    #[error("it is immutable: back it up, delete it, or name another Secret")]
    Immutable,
    /// istiod would read another key instead.
    #[error(
        "it has a tls.crt, which istiod reads before ca-cert.pem: back it up and remove that key, or name another Secret"
    )]
    TlsCertificate,
    /// istiod made it itself, and would again.
    #[error(
        "istiod generated it (key istio-generated) and its root is in use: migrate by rotating from that CA, or back it up and delete it"
    )]
    IstioGenerated,
}

/// Reads a Secret that a certificate is to be written to.
pub fn issued(secret: &Secret) -> IssuedFacts {
    let content = content(secret);
    let roots = secrets::data(secret, ROOT_CERT)
        .map(|pem| TrustBundle::from_pem(pem).map_err(|error| error.to_string()));
    let certificate = secrets::data(secret, secrets::CA_CERT).and_then(|pem| Certificate::from_pem(pem).ok());
    IssuedFacts {
        written_by: secret.labels().get(labels::AGENT).cloned(),
        issued_for: annotation(secret, annotations::ISSUED_FOR).and_then(object_ref),
        need: annotation(secret, annotations::NEED).and_then(|text| text.parse().ok()),
        unmanaged: annotation(secret, annotations::UNMANAGED_SINCE).is_some(),
        obstacle: obstacle(secret),
        certificate,
        roots,
        recorded_roots: annotation(secret, annotations::ROOTS).map(fingerprints).unwrap_or_default(),
        content,
    }
}

fn object_ref(text: &str) -> Option<ObjectRef> {
    let (namespace, name) = text.split_once('/')?;
    Some(ObjectRef::new(namespace, name))
}

fn fingerprints(text: &str) -> BTreeSet<Fingerprint> {
    text.split(',').filter_map(|fingerprint| fingerprint.parse().ok()).collect()
}

fn obstacle(secret: &Secret) -> Option<Obstacle> {
    let has = |key| secrets::data(secret, key).is_some();
    if secret.type_.as_deref() == Some(secret_types::TLS) {
        return Some(Obstacle::TlsType);
    }
    if secret.immutable == Some(true) {
        return Some(Obstacle::Immutable);
    }
    if has(ISTIO_GENERATED) {
        return Some(Obstacle::IstioGenerated);
    }
    has(TLS_CERT).then_some(Obstacle::TlsCertificate)
}

fn content(secret: &Secret) -> Result<InPlace, Flaw> {
    if secrets::data(secret, TLS_CERT).is_some() {
        return Err(Flaw::Incomplete("it has a tls.crt, which istiod reads before ca-cert.pem".to_owned()));
    }
    let files = CaCerts::from_secret(secret).map_err(|missing| Flaw::Incomplete(missing.to_string()))?;
    let material = IssuedMaterial::from_files(files.certificate, files.key, files.chain, files.roots)?;
    let path = verify_at_some_time(&material)?;
    let roots = material.roots().clone();
    let trust = trust::of_path(&path, material.chain(), &roots);
    Ok(InPlace { path, roots, trust })
}

fn verify_at_some_time(material: &IssuedMaterial) -> Result<VerifiedPath, MaterialError> {
    let certificates = std::iter::once(material.certificate())
        .chain(material.chain())
        .chain(material.roots().certificates());
    let mut first_error = None;
    for at in instants(certificates) {
        match material.verify(at) {
            Ok(path) => return Ok(path),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.expect("there is an instant for the certificate itself"))
}

impl From<MaterialError> for Flaw {
    fn from(error: MaterialError) -> Self {
        let text = error.to_string();
        match error {
            MaterialError::Certificate { .. } | MaterialError::Key { .. } | MaterialError::Roots { .. } => {
                Self::Incomplete(text)
            }
            MaterialError::KeyMismatch { .. } => Self::KeyMismatch(text),
            MaterialError::NotACertificateAuthority { .. }
            | MaterialError::MayNotSign { .. }
            | MaterialError::Chain(_)
            | MaterialError::ChainLacksCertificate => Self::ChainInvalid(text),
        }
    }
}
