//! Trust bundles: the roots a cluster believes in.

use std::{collections::BTreeSet, fmt, sync::Arc};

use crate::{
    certificate::{Certificate, CertificateError},
    fingerprint::Fingerprint,
};

/// One or more roots, and the PEM bytes they came in.
///
/// Two questions are asked of a bundle and they have different answers. *Which roots does it hold?* is a question about
/// the set of certificates: [`is_same_set`](Self::is_same_set), [`contains_all`](Self::contains_all). *What must be
/// written?* is a question about bytes: a bundle that was read keeps its PEM verbatim, comments, CRLF and a doubled last
/// root included, because istiod compares those bytes and a change of them has effects. So it has no `==`. Cheap to clone.
#[derive(Clone)]
pub struct TrustBundle(Arc<Inner>);

struct Inner {
    certificates: Vec<Certificate>,
    pem: Vec<u8>,
    fingerprints: BTreeSet<Fingerprint>,
}

impl TrustBundle {
    /// Reads a PEM file of at least one certificate, and keeps its bytes.
    pub fn from_pem(pem: &[u8]) -> Result<Self, BundleError> {
        Self::new(Certificate::parse_chain(pem)?, pem.to_vec())
    }

    /// The bundle of these certificates in this order, doubles kept.
    pub fn from_certificates(
        certificates: impl IntoIterator<Item = Certificate>,
    ) -> Result<Self, BundleError> {
        let certificates: Vec<_> = certificates.into_iter().collect();
        let pem = Certificate::write_chain(&certificates).into_bytes();
        Self::new(certificates, pem)
    }

    fn new(certificates: Vec<Certificate>, pem: Vec<u8>) -> Result<Self, BundleError> {
        if certificates.is_empty() {
            return Err(BundleError::Empty);
        }
        let fingerprints = certificates.iter().map(Certificate::fingerprint).collect();
        Ok(Self(Arc::new(Inner { certificates, pem, fingerprints })))
    }

    /// This bundle's bytes followed by other certificates: what istiod versions that compare bytes accept as an addition.
    /// A missing newline at the end of the old bytes is added first.
    #[must_use]
    pub fn appended(&self, certificates: impl IntoIterator<Item = Certificate>) -> Self {
        let mut all = self.0.certificates.clone();
        let mut pem = self.0.pem.clone();
        if pem.last() != Some(&b'\n') {
            pem.push(b'\n');
        }
        for certificate in certificates {
            pem.extend_from_slice(certificate.to_pem().as_bytes());
            all.push(certificate);
        }
        Self::new(all, pem).expect("a bundle is never empty, and only certificates were added")
    }

    /// The certificates in the order of the file, doubles included.
    pub fn certificates(&self) -> &[Certificate] {
        &self.0.certificates
    }

    /// The PEM bytes to write: those that were read, or 64 columns with LF for a bundle that was put together.
    pub fn as_pem(&self) -> &[u8] {
        &self.0.pem
    }

    /// The set of certificates it holds.
    pub fn fingerprints(&self) -> &BTreeSet<Fingerprint> {
        &self.0.fingerprints
    }

    /// One fingerprint for the set, whatever its order, doubles and bytes.
    pub fn set_fingerprint(&self) -> Fingerprint {
        Fingerprint::of_set(self.0.fingerprints.iter().copied())
    }

    /// Whether both hold the same roots.
    pub fn is_same_set(&self, other: &Self) -> bool {
        self.0.fingerprints == other.0.fingerprints
    }

    /// Whether every root of the other is here too.
    pub fn contains_all(&self, other: &Self) -> bool {
        other.0.fingerprints.is_subset(&self.0.fingerprints)
    }

    /// Whether this certificate is one of the roots.
    pub fn contains(&self, certificate: &Certificate) -> bool {
        self.0.fingerprints.contains(&certificate.fingerprint())
    }
}

impl fmt::Debug for TrustBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TrustBundle").field(&self.0.certificates).finish()
    }
}

/// Why a trust bundle was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// A bundle without a root trusts nobody.
    #[error("the trust bundle has no certificate")]
    Empty,
    /// Something in the file is not readable.
    #[error("the trust bundle is not readable: {0}")]
    Certificate(#[from] CertificateError),
}
