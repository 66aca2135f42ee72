//! "This chain is good for this root set at this time."
//!
//! ```text
//!   certificate ──issuer──▶ intermediate ──issuer──▶ … ──issuer──▶ root of the bundle
//!       │                        │                                  │
//!       └── on each: readable by TLS libraries, valid at the time, no unknown critical extension, EKU open to TLS
//!                                └── on each CA: CA:TRUE, keyCertSign                      │
//!       └──── on each step: names and key identifiers match, pathLen holds, ─────────────┘
//!             name constraints hold, signature verifies                      (root: self-signed)
//! ```
//!
//! The walk is ours, because the certificates we must judge are CAs and webpki refuses a CA as end entity; and because it
//! does not look at keyUsage, at a root's dates or at pathLen there. The signatures are checked by webpki's algorithms.
//! Where proxies differ (Envoy on BoringSSL, ztunnel and linkerd on webpki, istiod on Go) the strictest rule is taken: a
//! chain that is good here is good everywhere in the mesh. `openssl verify` and webpki itself are the judges in the tests.

use const_oid::db::rfc5280::{ID_KP_CLIENT_AUTH, ID_KP_SERVER_AUTH};
use jiff::Timestamp;
use x509_cert::{certificate::Version, ext::pkix::KeyUsage};

mod error;
mod link;
mod name_constraints;

pub use error::VerificationError;

use crate::{bundle::TrustBundle, certificate::Certificate, signature};

/// As many CAs below the root as webpki walks.
const MAX_INTERMEDIATES: usize = 6;
/// As webpki and Go: hostile bundles of equal names must not keep us busy.
const MAX_SIGNATURE_CHECKS: usize = 100;

/// Finds a way from this certificate through the intermediates to a root of the bundle, on which everything holds at this
/// time.
///
/// The certificate may be a leaf or a CA; whether it is the one is the caller's question. A CA counts as an intermediate
/// itself, for a CA under `pathLen:0` can sign nothing that a proxy accepts. The intermediates may be in any order and
/// may hold more than is needed.
pub fn verify_chain(
    certificate: &Certificate,
    intermediates: &[Certificate],
    roots: &TrustBundle,
    at: Timestamp,
) -> Result<VerifiedPath, VerificationError> {
    let mut search = Search { intermediates, roots, at, signature_checks: 0 };
    let mut path = vec![certificate.clone()];
    search.extend(&mut path)?;
    Ok(VerifiedPath::new(path))
}

/// A depth-first search from the certificate upwards.
struct Search<'a> {
    intermediates: &'a [Certificate],
    roots: &'a TrustBundle,
    at: Timestamp,
    signature_checks: usize,
}

impl Search<'_> {
    /// Completes the path up to a root. On failure the path is as before, and the error is the most telling one.
    fn extend(&mut self, path: &mut Vec<Certificate>) -> Result<(), VerificationError> {
        let head = path.last().expect("a path starts with the certificate to verify").clone();
        self.check_alone(&head)?;
        if self.roots.contains(&head) && head.is_self_signed() {
            return Ok(());
        }
        if path.iter().filter(|certificate| certificate.is_ca()).count() > MAX_INTERMEDIATES {
            return Err(VerificationError::PathTooLong { limit: MAX_INTERMEDIATES });
        }
        let mut failure = self.unknown_issuer(&head);
        for candidate in self.candidates(&head, path) {
            match self.step(&candidate, path) {
                Ok(()) => return Ok(()),
                Err(error @ VerificationError::TooManySignatureChecks { .. }) => return Err(error),
                Err(error) => failure = failure.or_more_telling(error),
            }
        }
        Err(failure)
    }

    fn step(
        &mut self,
        candidate: &Certificate,
        path: &mut Vec<Certificate>,
    ) -> Result<(), VerificationError> {
        link::check(candidate, path)?;
        self.check_alone(candidate)?;
        self.check_signature(candidate, path)?;
        path.push(candidate.clone());
        let result = self.extend(path);
        if result.is_err() {
            path.pop();
        }
        result
    }

    /// Whoever has the issuer's name: roots first, since a shorter path is a better one. Never one that is on the path
    /// already, nor the same name and key in another certificate (RFC 4158 section 5.2).
    fn candidates(&self, head: &Certificate, path: &[Certificate]) -> Vec<Certificate> {
        let is_on_path = |candidate: &Certificate| {
            path.iter().any(|certificate| {
                certificate.subject() == candidate.subject()
                    && certificate.public_key() == candidate.public_key()
            })
        };
        let mut candidates: Vec<Certificate> = Vec::new();
        for candidate in self.roots.certificates().iter().chain(self.intermediates) {
            if candidate.subject() == head.issuer()
                && !is_on_path(candidate)
                && !candidates.contains(candidate)
            {
                candidates.push(candidate.clone());
            }
        }
        candidates
    }

    fn check_alone(&self, certificate: &Certificate) -> Result<(), VerificationError> {
        check_version(certificate)?;
        check_key(certificate)?;
        check_critical_extensions(certificate)?;
        self.check_dates(certificate)?;
        check_extended_key_usage(certificate)?;
        if certificate.is_ca() {
            link::check_may_issue(certificate)
        } else {
            check_may_authenticate(certificate)
        }
    }

    fn check_dates(&self, certificate: &Certificate) -> Result<(), VerificationError> {
        let subject = || certificate.subject().to_string();
        let (not_before, not_after) = (certificate.not_before(), certificate.not_after());
        if self.at > not_after {
            return Err(VerificationError::Expired { subject: subject(), not_after, at: self.at });
        }
        if self.at < not_before {
            return Err(VerificationError::NotYetValid { subject: subject(), not_before, at: self.at });
        }
        Ok(())
    }

    fn check_signature(
        &mut self,
        issuer: &Certificate,
        path: &[Certificate],
    ) -> Result<(), VerificationError> {
        self.signature_checks += 1;
        if self.signature_checks > MAX_SIGNATURE_CHECKS {
            return Err(VerificationError::TooManySignatureChecks { limit: MAX_SIGNATURE_CHECKS });
        }
        let head = path.last().expect("a path starts with the certificate to verify");
        head.verify_signature(issuer.public_key())
            .map_err(|error| VerificationError::from_signature(&error, head, issuer))
    }

    /// What to say when nobody can be found who signed it.
    fn unknown_issuer(&self, head: &Certificate) -> VerificationError {
        let subject = head.subject().to_string();
        if self.roots.contains(head) {
            return VerificationError::RootNotSelfSigned { subject };
        }
        if head.is_self_signed() {
            return VerificationError::UntrustedRoot { subject, fingerprint: head.fingerprint() };
        }
        VerificationError::UnknownIssuer { subject, issuer: head.issuer().to_string() }
    }
}

/// webpki reads version 3 only, and the extensions we rely on exist in no other.
fn check_version(certificate: &Certificate) -> Result<(), VerificationError> {
    match certificate.version() {
        Version::V3 => Ok(()),
        Version::V1 | Version::V2 => {
            Err(VerificationError::NotVersion3 { subject: certificate.subject().to_string() })
        }
    }
}

/// A key that makes no acceptable signature is refused wherever it stands, at the start of a path too.
fn check_key(certificate: &Certificate) -> Result<(), VerificationError> {
    let key = certificate.public_key();
    let (subject, algorithm) = (|| certificate.subject().to_string(), || key.algorithm_name());
    if key.is_weak() {
        return Err(VerificationError::WeakKey { subject: subject(), algorithm: algorithm() });
    }
    if signature::is_accepted_key(key) {
        return Ok(());
    }
    Err(VerificationError::UnsupportedKey { subject: subject(), algorithm: algorithm() })
}

fn check_critical_extensions(certificate: &Certificate) -> Result<(), VerificationError> {
    match certificate.extensions().unknown_critical {
        None => Ok(()),
        Some(oid) => Err(VerificationError::UnknownCriticalExtension {
            subject: certificate.subject().to_string(),
            oid: oid.to_string(),
        }),
    }
}

/// A workload is TLS server and client. Go, webpki and BoringSSL hold the extended key usages of a CA against the leaves
/// below it, and webpki does not know anyExtendedKeyUsage.
fn check_extended_key_usage(certificate: &Certificate) -> Result<(), VerificationError> {
    match &certificate.extensions().extended_key_usage {
        Some(usages) if !(usages.contains(&ID_KP_SERVER_AUTH) && usages.contains(&ID_KP_CLIENT_AUTH)) => {
            Err(VerificationError::ExtendedKeyUsageForbidsTls { subject: certificate.subject().to_string() })
        }
        Some(_) | None => Ok(()),
    }
}

/// A TLS 1.3 handshake is signed with the leaf's key.
fn check_may_authenticate(leaf: &Certificate) -> Result<(), VerificationError> {
    if leaf.key_usage().is_none_or(KeyUsage::digital_signature) {
        return Ok(());
    }
    Err(VerificationError::MayNotAuthenticate { subject: leaf.subject().to_string() })
}

/// A way from a certificate to a root on which everything held when it was found, and the time in which it keeps holding.
///
/// Finding it costs signature checks; whether it still holds at another time costs two comparisons
/// ([`is_valid_at`](Self::is_valid_at)), so a caller may keep it as long as certificate, chain and roots are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedPath {
    /// From the certificate to the root; one and the same when a root was verified.
    certificates: Vec<Certificate>,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl VerifiedPath {
    fn new(certificates: Vec<Certificate>) -> Self {
        let (not_before, not_after) = certificates.iter().fold(
            (Timestamp::MIN, Timestamp::MAX),
            |(not_before, not_after), certificate| {
                (not_before.max(certificate.not_before()), not_after.min(certificate.not_after()))
            },
        );
        Self { certificates, not_before, not_after }
    }

    /// The certificate that was verified.
    pub fn certificate(&self) -> &Certificate {
        self.certificates.first().expect("a path starts with the verified certificate")
    }

    /// The root it ends at.
    pub fn root(&self) -> &Certificate {
        self.certificates.last().expect("a path ends with a root")
    }

    /// From the certificate to the root, both included. One element when a root itself was verified.
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// From the certificate up to but not including the root. Empty when a root itself was verified.
    pub fn without_root(&self) -> &[Certificate] {
        &self.certificates[..self.certificates.len() - 1]
    }

    /// The latest start of all certificates on the path.
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// The earliest end of all certificates on the path.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Whether the path holds at this time too.
    pub fn is_valid_at(&self, at: Timestamp) -> bool {
        self.not_before <= at && at <= self.not_after
    }

    /// How many CAs may follow below the verified one before a leaf; nothing means that nobody set a limit. For a leaf the
    /// answer has no meaning.
    pub fn remaining_path_length(&self) -> Option<usize> {
        self.certificates
            .iter()
            .enumerate()
            .filter_map(|(below, ca)| Some(usize::from(ca.path_length()?).saturating_sub(below)))
            .min()
    }
}
