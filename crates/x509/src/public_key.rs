//! Public keys, as the SubjectPublicKeyInfo of certificates and requests (RFC 5280 section 4.1.2.7).

use std::{fmt, sync::Arc};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use const_oid::db::DB;
use der::{
    Decode, Encode, Sequence,
    asn1::{AnyRef, ObjectIdentifier, UintRef},
};
use spki::SubjectPublicKeyInfoRef;

use crate::{
    algorithm::{EC_PUBLIC_KEY, KeyAlgorithm, RSA_ENCRYPTION},
    fingerprint::Fingerprint,
    pem::PemError,
};

/// A public key. Two are equal when their SubjectPublicKeyInfo is, byte for byte. Cheap to clone.
#[derive(Clone)]
pub struct PublicKey(Arc<Inner>);

struct Inner {
    spki: Vec<u8>,
    /// Content of the AlgorithmIdentifier, without its SEQUENCE header: what webpki's algorithms are found by.
    algorithm_identifier: Vec<u8>,
    key_bits: Vec<u8>,
    kind: Kind,
    fingerprint: Fingerprint,
}

enum Kind {
    Supported(KeyAlgorithm),
    /// RSA with a modulus of so many bits.
    OtherRsa(u32),
    Other(ObjectIdentifier),
}

impl PublicKey {
    /// Reads a DER SubjectPublicKeyInfo. Keys of kinds that certmesh does not make are read too, since bundles and chains
    /// may hold them; they have no [`algorithm`](Self::algorithm).
    pub fn from_spki_der(der: &[u8]) -> Result<Self, KeyError> {
        let malformed = |_| KeyError::Malformed { format: "SubjectPublicKeyInfo" };
        let spki = SubjectPublicKeyInfoRef::from_der(der).map_err(malformed)?;
        let mut algorithm_identifier = Vec::new();
        spki.algorithm.oid.encode_to_vec(&mut algorithm_identifier).map_err(malformed)?;
        spki.algorithm.parameters.encode_to_vec(&mut algorithm_identifier).map_err(malformed)?;
        let key_bits = spki
            .subject_public_key
            .as_bytes()
            .ok_or(KeyError::Malformed { format: "SubjectPublicKeyInfo" })?;
        Ok(Self(Arc::new(Inner {
            spki: der.to_vec(),
            algorithm_identifier,
            key_bits: key_bits.to_vec(),
            kind: kind(spki.algorithm.oid, spki.algorithm.parameters, key_bits).map_err(malformed)?,
            fingerprint: Fingerprint::of(der),
        })))
    }

    /// Its kind, or nothing for one that certmesh neither makes nor signs (RSA-1024, Ed25519, P-521).
    pub fn algorithm(&self) -> Option<KeyAlgorithm> {
        match self.0.kind {
            Kind::Supported(algorithm) => Some(algorithm),
            Kind::OtherRsa(_) | Kind::Other(_) => None,
        }
    }

    /// The name of its kind for messages, whether supported or not.
    pub fn algorithm_name(&self) -> String {
        match self.0.kind {
            Kind::Supported(algorithm) => algorithm.to_string(),
            Kind::OtherRsa(bits) => format!("RSA-{bits}"),
            Kind::Other(oid) => DB.by_oid(&oid).map_or_else(|| oid.to_string(), str::to_owned),
        }
    }

    /// The DER SubjectPublicKeyInfo.
    pub fn as_spki_der(&self) -> &[u8] {
        &self.0.spki
    }

    /// SHA-256 of the SubjectPublicKeyInfo.
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint
    }

    /// SHA-1 of the key bits: method (1) of RFC 5280 section 4.2.1.2, what peers match on. No security rests on it.
    pub fn subject_key_identifier(&self) -> KeyIdentifier {
        KeyIdentifier(digest(&SHA1_FOR_LEGACY_USE_ONLY, &self.0.key_bits).as_ref().into())
    }

    /// The BIT STRING's content.
    pub(crate) fn key_bits(&self) -> &[u8] {
        &self.0.key_bits
    }

    pub(crate) fn algorithm_identifier(&self) -> &[u8] {
        &self.0.algorithm_identifier
    }

    /// RSA below 2048 bits, which no peer accepts.
    pub fn is_weak(&self) -> bool {
        matches!(self.0.kind, Kind::OtherRsa(bits) if bits < 2048)
    }
}

fn kind(oid: ObjectIdentifier, parameters: Option<AnyRef<'_>>, key_bits: &[u8]) -> der::Result<Kind> {
    if oid == RSA_ENCRYPTION {
        let bits = modulus_bits(&RsaPublicKey::from_der(key_bits)?.modulus);
        return Ok(KeyAlgorithm::rsa(bits).map_or(Kind::OtherRsa(bits), Kind::Supported));
    }
    if oid == EC_PUBLIC_KEY {
        let curve = parameters.map_or(Ok(oid), ObjectIdentifier::try_from)?;
        return Ok(KeyAlgorithm::of_curve(curve).map_or(Kind::Other(curve), Kind::Supported));
    }
    Ok(Kind::Other(oid))
}

/// RFC 8017 appendix A.1.1.
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    #[allow(dead_code, reason = "part of the encoding")]
    public_exponent: UintRef<'a>,
}

pub(crate) fn modulus_bits(modulus: &UintRef<'_>) -> u32 {
    let bytes = modulus.as_bytes();
    let leading_zeros = bytes.first().map_or(0, |byte| byte.leading_zeros());
    u32::try_from(bytes.len() * 8).unwrap_or(u32::MAX) - leading_zeros
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.spki == other.0.spki
    }
}

impl Eq for PublicKey {}

impl std::hash::Hash for PublicKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.fingerprint.hash(state);
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}, {})", self.algorithm_name(), self.0.fingerprint)
    }
}

/// The value of a subject or authority key identifier, written as lower case hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeyIdentifier(Box<[u8]>);

impl KeyIdentifier {
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The identifier's bytes: 20 of them when certmesh made it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for KeyIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyIdentifier({self})")
    }
}

/// Why a key could not be made, read or used. Never holds a part of the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The file is not PEM.
    #[error("the private key file is not readable: {0}")]
    Pem(#[from] PemError),
    /// The file holds several blocks.
    #[error("the private key file has {found} blocks where one private key is expected")]
    NotOneKey {
        /// How many blocks there are.
        found: usize,
    },
    /// The file holds something else.
    #[error(
        "the private key file has a {label} block; expected RSA PRIVATE KEY, EC PRIVATE KEY or PRIVATE KEY"
    )]
    NotAPrivateKey {
        /// The block's label.
        label: String,
    },
    /// The key needs a passphrase.
    #[error("the private key is encrypted, which is not supported: decrypt it first (openssl pkey)")]
    Encrypted,
    /// The content is not what its label says, or the parts of the key do not fit together.
    #[error("the {format} is malformed, or the numbers of the key do not fit together")]
    Malformed {
        /// The encoding that was tried.
        format: &'static str,
    },
    /// A kind of key that certmesh does not use.
    #[error(
        "the key is {algorithm}, which is not supported: use RSA-2048, RSA-3072, RSA-4096, ECDSA-P256 or ECDSA-P384"
    )]
    Unsupported {
        /// Its kind.
        algorithm: String,
    },
    /// The cryptographic library failed to make a key.
    #[error("generating an {algorithm} key failed in the cryptographic library: try again")]
    Generation {
        /// The kind of key.
        algorithm: KeyAlgorithm,
    },
    /// The operating system gave no random numbers.
    #[error("the operating system gave no random numbers: try again")]
    Randomness,
    /// The cryptographic library failed to sign or to encode.
    #[error("the cryptographic library failed to {operation} with an {algorithm} key")]
    Failed {
        /// What was attempted.
        operation: &'static str,
        /// The kind of key.
        algorithm: KeyAlgorithm,
    },
}
