//! Keys, signing requests, certificates, trust bundles and chain verification.
//!
//! Pure and synchronous: no Kubernetes, no async runtime, no clock. Time is a [`jiff::Timestamp`] that the
//! caller passes in, and there are exactly two doors to randomness: [`PrivateKey::generate`] and
//! [`SerialNumber::random`]. (ECDSA draws its nonce inside aws-lc-rs, so two ECDSA signatures of the same bytes differ.)
//!
//! ```text
//!   PEM bytes ──▶ Certificate ─┬─▶ TrustBundle ───┐
//!        │                     │                  ├─▶ verify_chain(…, at) ──▶ VerifiedPath
//!        │                     └─▶ chain ─────────┘
//!        ├──────▶ PrivateKey ─▶ SigningRequest        SigningMaterial ──▶ CertificateAuthority
//!        └──────▶ SigningRequest ─▶ PublicKey ───────────────────────────▶  sign_intermediate(…)
//! ```
//!
//! Strings stop at the edge: a [`Host`], a [`SpiffeId`], a [`SubjectName`] or a [`Fingerprint`] that exists is valid.
//! Certificates are compared by the SHA-256 of their DER and bundles as sets of those, never by their PEM bytes.

mod algorithm;
mod authority;
mod bundle;
mod certificate;
mod document;
mod encoding;
mod fingerprint;
mod host;
mod issue;
mod material;
mod name;
mod pem;
mod private_key;
mod public_key;
mod request;
mod serial;
mod signature;
mod spiffe;
mod verdicts;
mod verify;

pub use algorithm::{KeyAlgorithm, UnknownKeyAlgorithm};
pub use authority::CertificateAuthority;
pub use bundle::{BundleError, TrustBundle};
pub use certificate::{Certificate, CertificateError, SubjectAltName};
pub use document::{PemFile, PemItem, RequestDescription};
pub use fingerprint::{Fingerprint, InvalidFingerprint};
pub use host::{DnsName, Host, HostError, Hosts, InvalidHost};
pub use issue::{IntermediateParameters, LeafParameters, SigningError};
pub use material::{IssuedMaterial, MaterialError, SigningMaterial};
pub use name::{DistinguishedName, SubjectName, SubjectNameError};
pub use pem::PemError;
pub use private_key::PrivateKey;
pub use public_key::{KeyError, KeyIdentifier, PublicKey};
pub use request::{RequestError, SigningRequest};
pub use serial::SerialNumber;
pub use spiffe::{InvalidSpiffeId, SpiffeId};
pub use verdicts::remember_verdicts;
pub use verify::{VerificationError, VerifiedPath, verify_chain};
