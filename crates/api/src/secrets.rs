//! What Secrets hold: their keys, and how to read them as bytes. What the bytes mean is `certmesh_x509`'s.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

/// Key of the pending private key.
pub const PRIVATE_KEY: &str = "private-key";
/// Key of the kubeconfig in a registration Secret.
pub const KUBECONFIG: &str = "kubeconfig";

/// The certificate alone (Istio's `cacerts`).
pub const CA_CERT: &str = "ca-cert.pem";
/// The private key (Istio's `cacerts`).
pub const CA_KEY: &str = "ca-key.pem";
/// The certificate and everything above it up to but not including the root (Istio's `cacerts`).
pub const CERT_CHAIN: &str = "cert-chain.pem";
/// The roots to trust (Istio's `cacerts`).
pub const ROOT_CERT: &str = "root-cert.pem";
/// The private key of the old signing CA layout (`root-cert.pem` + `key.pem`).
pub const OLD_CA_KEY: &str = "key.pem";
/// `kubernetes.io/tls`: certificate, then its chain.
pub const TLS_CERT: &str = "tls.crt";
/// `kubernetes.io/tls`: private key.
pub const TLS_KEY: &str = "tls.key";
/// `kubernetes.io/tls`, as cert-manager fills it: the roots.
pub const TLS_CA: &str = "ca.crt";
/// istiod's marker of a Secret that it made itself.
pub const ISTIO_GENERATED: &str = "istio-generated";

/// The bytes under `key`, if any.
pub fn data<'a>(secret: &'a Secret, key: &str) -> Option<&'a [u8]> {
    secret.data.as_ref()?.get(key).map(|ByteString(bytes)| bytes.as_slice())
}

/// The four files of Istio's `cacerts`, all present.
#[derive(Clone, Copy)]
pub struct CaCerts<'a> {
    /// `ca-cert.pem`.
    pub certificate: &'a [u8],
    /// `ca-key.pem`.
    pub key: &'a [u8],
    /// `cert-chain.pem`.
    pub chain: &'a [u8],
    /// `root-cert.pem`.
    pub roots: &'a [u8],
}

impl<'a> CaCerts<'a> {
    /// The four files, or the name of the first that is missing or empty.
    pub fn from_secret(secret: &'a Secret) -> Result<Self, MissingKey> {
        Ok(Self {
            certificate: required(secret, CA_CERT)?,
            key: required(secret, CA_KEY)?,
            chain: required(secret, CERT_CHAIN)?,
            roots: required(secret, ROOT_CERT)?,
        })
    }
}

/// A signing CA's files, whichever of the three layouts they came in.
#[derive(Clone, Copy)]
pub struct SigningCa<'a> {
    /// The CA's certificate; further certificates may follow it in `tls.crt`.
    pub certificate: &'a [u8],
    /// Its private key.
    pub key: &'a [u8],
    /// The certificate and what is above it; absent where the layout has no such file.
    pub chain: Option<&'a [u8]>,
    /// The roots to trust; absent when the CA is its own root.
    pub roots: Option<&'a [u8]>,
}

impl<'a> SigningCa<'a> {
    /// Reads the layout that the Secret's keys tell: Istio's `cacerts`, else the old `root-cert.pem` + `key.pem`,
    /// else `kubernetes.io/tls`.
    pub fn from_secret(secret: &'a Secret) -> Result<Self, MissingKey> {
        if data(secret, CA_CERT).is_some() || data(secret, CA_KEY).is_some() {
            return Ok(Self {
                certificate: required(secret, CA_CERT)?,
                key: required(secret, CA_KEY)?,
                chain: optional(secret, CERT_CHAIN),
                roots: Some(required(secret, ROOT_CERT)?),
            });
        }
        if data(secret, TLS_CERT).is_some() || data(secret, TLS_KEY).is_some() {
            return Ok(Self {
                certificate: required(secret, TLS_CERT)?,
                key: required(secret, TLS_KEY)?,
                chain: None,
                roots: optional(secret, TLS_CA),
            });
        }
        let root = required(secret, ROOT_CERT)?;
        Ok(Self { certificate: root, key: required(secret, OLD_CA_KEY)?, chain: None, roots: Some(root) })
    }
}

/// A key that a Secret should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("key {0:?} is missing or empty")]
pub struct MissingKey(pub &'static str);

fn required<'a>(secret: &'a Secret, key: &'static str) -> Result<&'a [u8], MissingKey> {
    optional(secret, key).ok_or(MissingKey(key))
}

fn optional<'a>(secret: &'a Secret, key: &str) -> Option<&'a [u8]> {
    data(secret, key).filter(|bytes| !bytes.is_empty())
}
