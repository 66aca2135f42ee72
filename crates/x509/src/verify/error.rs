//! Why a chain was not found good.

use jiff::Timestamp;

use crate::{certificate::Certificate, fingerprint::Fingerprint, signature::SignatureError};

/// The first thing on the most promising path that did not hold. Names are subjects in RFC 4514 form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are named after what the message says of them")]
pub enum VerificationError {
    /// Neither the roots nor the intermediates hold a certificate with the issuer's name.
    #[error(
        "no issuer of {subject} is known: neither the roots nor the chain hold a certificate {issuer}; add the missing certificate to the chain, or its root to the roots"
    )]
    UnknownIssuer { subject: String, issuer: String },
    /// The path ends at a self-signed certificate that is not in the bundle.
    #[error(
        "the chain ends at the self-signed {subject} (SHA-256 {fingerprint}), which is not among the trusted roots"
    )]
    UntrustedRoot { subject: String, fingerprint: Fingerprint },
    /// The bundle holds an intermediate, which OpenSSL and Envoy do not take as a root.
    #[error(
        "{subject} is among the trusted roots but is not self-signed, and not every proxy takes it for a root: add the root above it"
    )]
    RootNotSelfSigned { subject: String },
    /// A certificate on the path has expired.
    #[error("{subject} expired at {not_after}, it is {at}")]
    Expired { subject: String, not_after: Timestamp, at: Timestamp },
    /// A certificate on the path is not valid yet.
    #[error("{subject} is not valid before {not_before}, it is {at}: wait, or check the clocks")]
    NotYetValid { subject: String, not_before: Timestamp, at: Timestamp },
    /// The signature is not by the key of the certificate that has the issuer's name.
    #[error("the signature of {subject} was not made by the key of {issuer}")]
    BadSignature { subject: String, issuer: String },
    /// The signature's algorithm is not accepted.
    #[error("{subject} is signed with {algorithm}, which is not accepted (SHA-1 and older are not)")]
    UnsupportedAlgorithm { subject: String, algorithm: String },
    /// A key is too short.
    #[error("{subject} has an {algorithm} key, which is too weak: 2048 bits are the least")]
    WeakKey { subject: String, algorithm: String },
    /// A kind of key that proxies do not verify with.
    #[error("{subject} has a key of a kind that is not accepted ({algorithm})")]
    UnsupportedKey { subject: String, algorithm: String },
    /// The authority key identifier names another key than the issuer's.
    #[error(
        "{subject} names another key or certificate of {issuer} as its authority: the chain holds the wrong one of that name"
    )]
    AuthorityKeyMismatch { subject: String, issuer: String },
    /// The issuer is no CA.
    #[error("{issuer} is not a CA (basicConstraints CA:TRUE is missing)")]
    IssuerNotCa { issuer: String },
    /// The issuer's key usage forbids signing certificates.
    #[error("{issuer} may not sign certificates (keyUsage lacks keyCertSign)")]
    MayNotSign { issuer: String },
    /// The extended key usages of a certificate leave no room for both TLS servers and clients.
    #[error(
        "the extendedKeyUsage of {subject} does not allow both serverAuth and clientAuth, which every workload needs"
    )]
    ExtendedKeyUsageForbidsTls { subject: String },
    /// The leaf's key usage forbids signing handshakes.
    #[error("{subject} may not sign TLS handshakes (keyUsage lacks digitalSignature)")]
    MayNotAuthenticate { subject: String },
    /// Too many CAs below one that limits them.
    #[error("{issuer} allows {limit} CAs below it (pathLen), there are {below}")]
    PathLengthExceeded { issuer: String, limit: u8, below: usize },
    /// Too many CAs for webpki.
    #[error("the path has more than {limit} intermediate CAs, which ztunnel and linkerd do not follow")]
    PathTooLong { limit: usize },
    /// Not an X.509 version 3 certificate.
    #[error("{subject} is not a version 3 certificate")]
    NotVersion3 { subject: String },
    /// A critical extension that must not be ignored.
    #[error("{subject} has the critical extension {oid}, which is not understood")]
    UnknownCriticalExtension { subject: String, oid: String },
    /// A name below a CA that does not allow it.
    #[error("the name constraints of {issuer} do not allow {name}")]
    NameConstraintViolated { issuer: String, name: String },
    /// Constraints under which proxies refuse every workload.
    #[error(
        "{issuer} has {form} name constraints, under which ztunnel and linkerd (rustls-webpki) refuse every workload: use a CA without them"
    )]
    UnusableNameConstraint { issuer: String, form: &'static str },
    /// Too many certificates of the same names.
    #[error(
        "no path was found within {limit} signature checks: remove needless certificates from chain and roots"
    )]
    TooManySignatureChecks { limit: usize },
}

impl VerificationError {
    /// The one that says more about what to repair; the first of two that say as much.
    pub(super) fn or_more_telling(self, other: Self) -> Self {
        if other.telling() > self.telling() { other } else { self }
    }

    /// A fault of the issuer says more than that somebody of its name did not sign, and that more than that nobody of the
    /// name is there.
    fn telling(&self) -> u8 {
        match self {
            Self::UnknownIssuer { .. } => 0,
            Self::AuthorityKeyMismatch { .. } => 1,
            Self::BadSignature { .. } => 2,
            Self::UntrustedRoot { .. } | Self::RootNotSelfSigned { .. } => 3,
            _ => 4,
        }
    }

    pub(super) fn from_signature(error: &SignatureError, head: &Certificate, issuer: &Certificate) -> Self {
        let (subject, issuer) = (head.subject().to_string(), issuer.subject().to_string());
        match error {
            SignatureError::UnsupportedAlgorithm { algorithm } => {
                Self::UnsupportedAlgorithm { subject, algorithm: algorithm.clone() }
            }
            SignatureError::WeakKey { algorithm } => {
                Self::WeakKey { subject: issuer, algorithm: algorithm.clone() }
            }
            SignatureError::Invalid => Self::BadSignature { subject, issuer },
        }
    }
}
