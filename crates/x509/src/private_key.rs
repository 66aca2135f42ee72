//! Private keys. They cannot be printed, compared or serialized, and are overwritten with zeros when dropped.

use std::sync::Arc;

use aws_lc_rs::{
    encoding::{AsDer, EcPrivateKeyRfc5915Der, Pkcs8V1Der, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::KeyPair as RsaKeyPair,
    signature::{EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256},
};
use der::{
    Decode, Sequence,
    asn1::{AnyRef, BitStringRef, ObjectIdentifier, OctetStringRef, UintRef},
};
use spki::AlgorithmIdentifierRef;
use x509_cert::attr::Attributes;
use zeroize::Zeroizing;

use crate::{
    algorithm::{EC_PUBLIC_KEY, Family, KeyAlgorithm, RSA_ENCRYPTION},
    pem::{self, Block},
    public_key::{KeyError, PublicKey, modulus_bits},
};

/// A private key with its public key.
///
/// Clones share the one copy of the secret; its memory is zeroized when the last of them is dropped. It becomes bytes
/// only through [`to_pem`](Self::to_pem), for the one place that writes a Secret. It has no `Debug`, `Display` or
/// serialization:
///
/// ```compile_fail
/// fn print(key: &certmesh_x509::PrivateKey) { println!("{key:?}"); }
/// ```
/// ```compile_fail
/// fn print(key: &certmesh_x509::PrivateKey) { println!("{key}"); }
/// ```
#[derive(Clone)]
pub struct PrivateKey(Arc<Inner>);

struct Inner {
    pair: Pair,
    algorithm: KeyAlgorithm,
    public_key: PublicKey,
}

/// aws-lc's key objects, which clean their memory when freed.
enum Pair {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
}

impl PrivateKey {
    /// Makes a new key: a second or so for RSA-4096 (keep it off async threads), microseconds for ECDSA. Impure: see the
    /// crate documentation.
    pub fn generate(algorithm: KeyAlgorithm) -> Result<Self, KeyError> {
        let failed = |_| KeyError::Generation { algorithm };
        let pair = match algorithm.family() {
            Family::Rsa(size) => Pair::Rsa(RsaKeyPair::generate(size).map_err(failed)?),
            Family::Ecdsa(curve) => Pair::Ecdsa(EcdsaKeyPair::generate(curve).map_err(failed)?),
        };
        Self::new(pair)
    }

    /// Reads a file with one private key: PKCS#1 (`RSA PRIVATE KEY`), SEC1 (`EC PRIVATE KEY`, with or without the
    /// `EC PARAMETERS` block that `openssl ecparam` puts before it) or PKCS#8 (`PRIVATE KEY`).
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let mut blocks = pem::read(pem)?.blocks;
        blocks.retain(|block| block.label != pem::EC_PARAMETERS);
        match blocks.as_slice() {
            [block] => Self::from_block(block),
            _ => Err(KeyError::NotOneKey { found: blocks.len() }),
        }
    }

    pub(crate) fn from_block(block: &Block) -> Result<Self, KeyError> {
        let pair = match block.label.as_str() {
            pem::RSA_PRIVATE_KEY => rsa_pair(&block.der, "PKCS#1 RSA private key")?,
            pem::EC_PRIVATE_KEY => ecdsa_pair(&block.der, None, "SEC1 EC private key")?,
            pem::PRIVATE_KEY => pkcs8_pair(&block.der)?,
            pem::ENCRYPTED_PRIVATE_KEY => return Err(KeyError::Encrypted),
            _ => return Err(KeyError::NotAPrivateKey { label: block.label.clone() }),
        };
        Self::new(pair)
    }

    fn new(pair: Pair) -> Result<Self, KeyError> {
        let malformed = |_| KeyError::Malformed { format: "key pair" };
        let spki: PublicKeyX509Der<'_> = match &pair {
            Pair::Rsa(pair) => pair.public_key().as_der().map_err(malformed)?,
            Pair::Ecdsa(pair) => pair.public_key().as_der().map_err(malformed)?,
        };
        let public_key = PublicKey::from_spki_der(spki.as_ref())?;
        let algorithm = public_key
            .algorithm()
            .ok_or_else(|| KeyError::Unsupported { algorithm: public_key.algorithm_name() })?;
        Ok(Self(Arc::new(Inner { pair, algorithm, public_key })))
    }

    /// Its kind and size.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.0.algorithm
    }

    /// The public half.
    pub fn public_key(&self) -> &PublicKey {
        &self.0.public_key
    }

    /// The key as PKCS#1 for RSA and SEC1 for EC, the forms that every supported istiod reads. Zeroized on drop.
    pub fn to_pem(&self) -> Zeroizing<String> {
        let pem = match &self.0.pair {
            Pair::Rsa(pair) => {
                let pkcs8: Pkcs8V1Der<'_> = pair.as_der().expect("aws-lc encodes the keys it holds");
                // PKCS#8 is the PKCS#1 key in an envelope (RFC 5958).
                let envelope = PrivateKeyInfo::from_der(pkcs8.as_ref()).expect("aws-lc writes PKCS#8");
                pem::write(pem::RSA_PRIVATE_KEY, envelope.private_key.as_bytes())
            }
            Pair::Ecdsa(pair) => {
                let sec1: EcPrivateKeyRfc5915Der<'_> =
                    pair.private_key().as_der().expect("aws-lc encodes the keys it holds");
                pem::write(pem::EC_PRIVATE_KEY, sec1.as_ref())
            }
        };
        Zeroizing::new(pem)
    }

    /// Signs with the algorithm that [`KeyAlgorithm::signature_algorithm`] names.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let failed = |_| KeyError::Failed { operation: "sign", algorithm: self.0.algorithm };
        // aws-lc draws its own randomness and ignores the one it is given.
        let random = SystemRandom::new();
        match &self.0.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
            Pair::Ecdsa(pair) => Ok(pair.sign(&random, message).map_err(failed)?.as_ref().to_vec()),
        }
    }
}

fn rsa_pair(der: &[u8], format: &'static str) -> Result<Pair, KeyError> {
    let key = RsaPrivateKey::from_der(der).map_err(|_| KeyError::Malformed { format })?;
    let bits = modulus_bits(&key.modulus);
    KeyAlgorithm::rsa(bits).map_err(|_| KeyError::Unsupported { algorithm: format!("RSA-{bits}") })?;
    RsaKeyPair::from_der(der).map(Pair::Rsa).map_err(|_| KeyError::Malformed { format })
}

fn ecdsa_pair(
    der: &[u8],
    curve_outside: Option<ObjectIdentifier>,
    format: &'static str,
) -> Result<Pair, KeyError> {
    let malformed = |_| KeyError::Malformed { format };
    let key = EcPrivateKey::from_der(der).map_err(malformed)?;
    let curve_inside = key.parameters.map(ObjectIdentifier::try_from).transpose().map_err(malformed)?;
    let algorithm = match curve_outside.or(curve_inside) {
        Some(curve) => KeyAlgorithm::of_curve(curve)
            .ok_or_else(|| KeyError::Unsupported { algorithm: format!("ECDSA on curve {curve}") })?,
        // The parameters may be left out where the curve is known; the key's length tells which it is.
        None => match key.private_key.as_bytes().len() {
            32 => KeyAlgorithm::EcdsaP256,
            48 => KeyAlgorithm::EcdsaP384,
            _ => return Err(KeyError::Unsupported { algorithm: "ECDSA on an unnamed curve".into() }),
        },
    };
    match algorithm.family() {
        Family::Ecdsa(curve) => EcdsaKeyPair::from_private_key_der(curve, der)
            .map(Pair::Ecdsa)
            .map_err(|_| KeyError::Malformed { format }),
        Family::Rsa(_) => Err(KeyError::Malformed { format }),
    }
}

fn pkcs8_pair(der: &[u8]) -> Result<Pair, KeyError> {
    let format = "PKCS#8 private key";
    let malformed = |_| KeyError::Malformed { format };
    let envelope = PrivateKeyInfo::from_der(der).map_err(malformed)?;
    match envelope.algorithm.oid {
        RSA_ENCRYPTION => rsa_pair(envelope.private_key.as_bytes(), format),
        EC_PUBLIC_KEY => {
            let parameters = envelope.algorithm.parameters.ok_or(KeyError::Malformed { format })?;
            let curve = ObjectIdentifier::try_from(parameters).map_err(malformed)?;
            ecdsa_pair(envelope.private_key.as_bytes(), Some(curve), format)
        }
        other => {
            let name = const_oid::db::DB.by_oid(&other).map_or_else(|| other.to_string(), str::to_owned);
            Err(KeyError::Unsupported { algorithm: name })
        }
    }
}

/// `RSAPrivateKey` with two primes (RFC 8017 appendix A.1.2), borrowed: nothing of it is copied.
#[derive(Sequence)]
#[allow(dead_code, reason = "the encoding has more than the size that is read here")]
struct RsaPrivateKey<'a> {
    version: u8,
    modulus: UintRef<'a>,
    public_exponent: UintRef<'a>,
    private_exponent: UintRef<'a>,
    prime1: UintRef<'a>,
    prime2: UintRef<'a>,
    exponent1: UintRef<'a>,
    exponent2: UintRef<'a>,
    coefficient: UintRef<'a>,
}

/// PKCS#8 `OneAsymmetricKey` (RFC 5958 section 2).
#[derive(Sequence)]
struct PrivateKeyInfo<'a> {
    #[allow(dead_code, reason = "part of the encoding")]
    version: u8,
    algorithm: AlgorithmIdentifierRef<'a>,
    private_key: &'a OctetStringRef,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    #[allow(dead_code, reason = "part of the encoding")]
    attributes: Option<Attributes>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    #[allow(dead_code, reason = "part of the encoding")]
    public_key: Option<BitStringRef<'a>>,
}

/// `ECPrivateKey` (RFC 5915 section 3).
#[derive(Sequence)]
struct EcPrivateKey<'a> {
    #[allow(dead_code, reason = "part of the encoding")]
    version: u8,
    private_key: &'a OctetStringRef,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    parameters: Option<AnyRef<'a>>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    #[allow(dead_code, reason = "part of the encoding")]
    public_key: Option<BitStringRef<'a>>,
}
