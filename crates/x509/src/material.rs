//! Files that belong together: a certificate, its key, the chain above it and the roots.
//!
//! The same four parts come in three layouts, and two roles look at them:
//!
//! ```text
//!               certificate    key          chain            roots
//!   Istio       ca-cert.pem    ca-key.pem   cert-chain.pem   root-cert.pem
//!   old root    root-cert.pem  key.pem      –                root-cert.pem
//!   TLS Secret  tls.crt (1st)  tls.key      tls.crt (rest)   ca.crt
//! ```
//!
//! [`SigningMaterial`] is what an issuer signs with, [`IssuedMaterial`] what an agent has delivered. A chain file may
//! start with the certificate itself and may end with a root, as files in the field do; both are dropped from it.

use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::{
    bundle::{BundleError, TrustBundle},
    certificate::{Certificate, CertificateError},
    fingerprint::Fingerprint,
    private_key::PrivateKey,
    public_key::KeyError,
    verify::{VerificationError, VerifiedPath, verify_chain},
};

/// A signing CA as it is stored: readable, not yet found whole.
#[derive(Clone)]
pub struct SigningMaterial(Parts);

impl SigningMaterial {
    /// Parts that are in memory already. The chain holds what stands between the certificate and its root.
    pub fn new(
        certificate: Certificate,
        key: PrivateKey,
        chain: Vec<Certificate>,
        roots: TrustBundle,
    ) -> Self {
        Self(Parts { certificate, key, chain, roots })
    }

    /// Istio's layout. Without a chain file, a root must have signed the CA itself.
    pub fn from_istio_files(
        ca_cert: &[u8],
        ca_key: &[u8],
        cert_chain: Option<&[u8]>,
        root_cert: &[u8],
    ) -> Result<Self, MaterialError> {
        let files = Files {
            certificate: ("ca-cert.pem", ca_cert),
            key: ("ca-key.pem", ca_key),
            chain: cert_chain.map(|chain| ("cert-chain.pem", chain)),
            roots: ("root-cert.pem", root_cert),
        };
        files.read().map(Self)
    }

    /// The old layout: a root and its key.
    pub fn from_root_files(root_cert: &[u8], key: &[u8]) -> Result<Self, MaterialError> {
        let certificate = ("root-cert.pem", root_cert);
        Files { certificate, key: ("key.pem", key), chain: None, roots: certificate }.read().map(Self)
    }

    /// A TLS Secret, whose `tls.crt` may hold the chain after the certificate.
    pub fn from_tls_files(tls_crt: &[u8], tls_key: &[u8], ca_crt: &[u8]) -> Result<Self, MaterialError> {
        let files = Files {
            certificate: ("tls.crt", tls_crt),
            key: ("tls.key", tls_key),
            chain: None,
            roots: ("ca.crt", ca_crt),
        };
        files.read().map(Self)
    }

    /// Whether the parts belong together: the key is the certificate's, the certificate is a CA that may sign, and its
    /// chain leads to one of the roots, everything on the way valid at this time.
    pub fn verify(&self, at: Timestamp) -> Result<VerifiedPath, MaterialError> {
        self.0.verify(at)
    }

    /// The CA's certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.0.certificate
    }

    /// The roots.
    pub fn roots(&self) -> &TrustBundle {
        &self.0.roots
    }

    pub(crate) fn into_key_and_roots(self) -> (PrivateKey, TrustBundle) {
        (self.0.key, self.0.roots)
    }
}

/// An intermediate CA as it is delivered to a cluster: the four files of Istio's `cacerts`.
#[derive(Clone)]
pub struct IssuedMaterial {
    parts: Parts,
    chain_starts_with_certificate: bool,
}

impl IssuedMaterial {
    /// Parts that are in memory already. The chain holds what stands between the certificate and its root.
    pub fn new(
        certificate: Certificate,
        key: PrivateKey,
        chain: Vec<Certificate>,
        roots: TrustBundle,
    ) -> Self {
        let parts = Parts { certificate, key, chain, roots };
        Self { parts, chain_starts_with_certificate: true }
    }

    /// Reads the four files: `ca-cert.pem`, `ca-key.pem`, `cert-chain.pem`, `root-cert.pem`.
    pub fn from_files(
        ca_cert: &[u8],
        ca_key: &[u8],
        cert_chain: &[u8],
        root_cert: &[u8],
    ) -> Result<Self, MaterialError> {
        let files = Files {
            certificate: ("ca-cert.pem", ca_cert),
            key: ("ca-key.pem", ca_key),
            chain: Some(("cert-chain.pem", cert_chain)),
            roots: ("root-cert.pem", root_cert),
        };
        let parts = files.read()?;
        let first = Certificate::parse_chain(cert_chain).ok().and_then(|chain| chain.into_iter().next());
        let chain_starts_with_certificate = first.as_ref() == Some(&parts.certificate);
        Ok(Self { parts, chain_starts_with_certificate })
    }

    /// Whether the parts belong together: as [`SigningMaterial::verify`], and the chain file starts with the certificate,
    /// without which no workload could show its peers how it is trusted.
    pub fn verify(&self, at: Timestamp) -> Result<VerifiedPath, MaterialError> {
        let path = self.parts.verify(at)?;
        if self.chain_starts_with_certificate { Ok(path) } else { Err(MaterialError::ChainLacksCertificate) }
    }

    /// The intermediate.
    pub fn certificate(&self) -> &Certificate {
        &self.parts.certificate
    }

    /// Its key.
    pub fn key(&self) -> &PrivateKey {
        &self.parts.key
    }

    /// What stands between it and its root.
    pub fn chain(&self) -> &[Certificate] {
        &self.parts.chain
    }

    /// The roots to trust.
    pub fn roots(&self) -> &TrustBundle {
        &self.parts.roots
    }

    /// The content of `ca-cert.pem`: the intermediate alone.
    pub fn certificate_pem(&self) -> String {
        self.parts.certificate.to_pem()
    }

    /// The content of `ca-key.pem`.
    pub fn key_pem(&self) -> Zeroizing<String> {
        self.parts.key.to_pem()
    }

    /// The content of `cert-chain.pem`: the intermediate, then every certificate up to but not including the root.
    pub fn chain_pem(&self) -> String {
        Certificate::write_chain(std::iter::once(&self.parts.certificate).chain(&self.parts.chain))
    }

    /// The content of `root-cert.pem`: the bundle's bytes as they are.
    pub fn roots_pem(&self) -> &[u8] {
        self.parts.roots.as_pem()
    }
}

#[derive(Clone)]
struct Parts {
    certificate: Certificate,
    key: PrivateKey,
    chain: Vec<Certificate>,
    roots: TrustBundle,
}

impl Parts {
    fn verify(&self, at: Timestamp) -> Result<VerifiedPath, MaterialError> {
        self.check_key()?;
        self.check_is_ca()?;
        self.check_may_sign()?;
        Ok(verify_chain(&self.certificate, &self.chain, &self.roots, at)?)
    }

    fn check_key(&self) -> Result<(), MaterialError> {
        if self.key.public_key() == self.certificate.public_key() {
            return Ok(());
        }
        Err(MaterialError::KeyMismatch {
            certificate: self.certificate.subject().to_string(),
            key: self.key.public_key().fingerprint(),
        })
    }

    fn check_is_ca(&self) -> Result<(), MaterialError> {
        if self.certificate.is_ca() {
            return Ok(());
        }
        Err(MaterialError::NotACertificateAuthority { certificate: self.certificate.subject().to_string() })
    }

    fn check_may_sign(&self) -> Result<(), MaterialError> {
        if self.certificate.may_sign_certificates() {
            return Ok(());
        }
        Err(MaterialError::MayNotSign { certificate: self.certificate.subject().to_string() })
    }
}

/// A file's name, for messages, and its content.
type File<'a> = (&'static str, &'a [u8]);

struct Files<'a> {
    certificate: File<'a>,
    key: File<'a>,
    chain: Option<File<'a>>,
    roots: File<'a>,
}

impl Files<'_> {
    fn read(&self) -> Result<Parts, MaterialError> {
        let mut chain = read_certificates(self.certificate)?;
        let certificate = chain.remove(0);
        if let Some(file) = self.chain {
            chain.extend(read_certificates(file)?);
        }
        let (file, content) = self.key;
        let key = PrivateKey::from_pem(content).map_err(|error| MaterialError::Key { file, error })?;
        let (file, content) = self.roots;
        let roots = TrustBundle::from_pem(content).map_err(|error| MaterialError::Roots { file, error })?;
        chain.retain(|above| *above != certificate && !roots.contains(above) && !above.is_self_signed());
        Ok(Parts { certificate, key, chain, roots })
    }
}

fn read_certificates((file, content): File<'_>) -> Result<Vec<Certificate>, MaterialError> {
    Certificate::parse_chain(content).map_err(|error| MaterialError::Certificate { file, error })
}

/// Why CA material is not whole. Each failure is a variant of its own.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MaterialError {
    /// A file of certificates is not readable.
    #[error("{file} is not readable: {error}")]
    Certificate {
        /// Which file.
        file: &'static str,
        /// What is wrong with it.
        error: CertificateError,
    },
    /// The key file is not readable.
    #[error("{file} is not readable: {error}")]
    Key {
        /// Which file.
        file: &'static str,
        /// What is wrong with it.
        error: KeyError,
    },
    /// The file of roots is not readable.
    #[error("{file} is not readable: {error}")]
    Roots {
        /// Which file.
        file: &'static str,
        /// What is wrong with it.
        error: BundleError,
    },
    /// The private key is another certificate's.
    #[error(
        "the private key does not belong to the certificate {certificate} (the key's SHA-256 is {key}): put the matching pair in place"
    )]
    KeyMismatch {
        /// The certificate's subject.
        certificate: String,
        /// The fingerprint of the key's public half.
        key: Fingerprint,
    },
    /// The certificate is no CA's.
    #[error("the certificate {certificate} is not a CA's (basicConstraints CA:TRUE is missing)")]
    NotACertificateAuthority {
        /// Its subject.
        certificate: String,
    },
    /// The certificate's key usage forbids signing.
    #[error("the CA certificate {certificate} may not sign certificates (keyUsage lacks keyCertSign)")]
    MayNotSign {
        /// Its subject.
        certificate: String,
    },
    /// The chain does not lead to a root, or something on the way is not valid.
    #[error("the CA certificate does not verify: {0}")]
    Chain(#[from] VerificationError),
    /// The chain file starts with something else.
    #[error("cert-chain.pem does not start with the certificate in ca-cert.pem")]
    ChainLacksCertificate,
}
