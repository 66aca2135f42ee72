//! Making signatures with aws-lc-rs, and checking them with webpki's algorithms.

use const_oid::db::DB;
use der::{
    Decode, Encode, Sequence, SliceReader,
    asn1::{AnyRef, BitStringRef, ObjectIdentifier},
};
use rustls_pki_types::SignatureVerificationAlgorithm;
use spki::AlgorithmIdentifierOwned;
use webpki::aws_lc_rs as algorithms;

use crate::{
    private_key::PrivateKey,
    public_key::{KeyError, PublicKey},
    verdicts,
};

/// What a chain may be signed with: what Go, OpenSSL, BoringSSL and webpki all verify. No SHA-1, no MD5, no RSA below
/// 2048 bits.
static ACCEPTED: &[&dyn SignatureVerificationAlgorithm] = &[
    algorithms::RSA_PKCS1_2048_8192_SHA256,
    algorithms::RSA_PKCS1_2048_8192_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA512,
    algorithms::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    algorithms::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    algorithms::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
    algorithms::ECDSA_P256_SHA256,
    algorithms::ECDSA_P256_SHA384,
    algorithms::ECDSA_P256_SHA512,
    algorithms::ECDSA_P384_SHA256,
    algorithms::ECDSA_P384_SHA384,
    algorithms::ECDSA_P384_SHA512,
    algorithms::ECDSA_P521_SHA256,
    algorithms::ECDSA_P521_SHA384,
    algorithms::ECDSA_P521_SHA512,
    algorithms::ED25519,
];

pub(crate) struct SignedBytes<'a> {
    pub(crate) bytes: &'a [u8],
    /// Content of the AlgorithmIdentifier, without its SEQUENCE header.
    pub(crate) algorithm: &'a [u8],
    pub(crate) signature: &'a [u8],
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SignatureError {
    /// Neither the signature's algorithm nor its combination with the signer's key is one we accept.
    UnsupportedAlgorithm {
        algorithm: String,
    },
    WeakKey {
        algorithm: String,
    },
    Invalid,
}

/// Whether a chain may hold this key at all.
pub(crate) fn is_accepted_key(key: &PublicKey) -> bool {
    !key.is_weak()
        && ACCEPTED
            .iter()
            .any(|algorithm| algorithm.public_key_alg_id().as_ref() == key.algorithm_identifier())
}

/// Whether this key made this signature over these bytes.
pub(crate) fn verify(key: &PublicKey, signed: &SignedBytes<'_>) -> Result<(), SignatureError> {
    if key.is_weak() {
        return Err(SignatureError::WeakKey { algorithm: key.algorithm_name() });
    }
    let algorithm = ACCEPTED
        .iter()
        .find(|algorithm| {
            algorithm.signature_alg_id().as_ref() == signed.algorithm
                && algorithm.public_key_alg_id().as_ref() == key.algorithm_identifier()
        })
        .ok_or_else(|| SignatureError::UnsupportedAlgorithm {
            algorithm: format!("{} by {}", name(signed.algorithm), key.algorithm_name()),
        })?;
    let is_valid = || algorithm.verify_signature(key.key_bits(), signed.bytes, signed.signature).is_ok();
    let question = [signed.algorithm, key.key_bits(), signed.bytes, signed.signature];
    if verdicts::remembered(&question, is_valid) { Ok(()) } else { Err(SignatureError::Invalid) }
}

/// The name of an algorithm, from the content of its AlgorithmIdentifier.
pub(crate) fn name(algorithm: &[u8]) -> String {
    let oid = SliceReader::new(algorithm).and_then(|mut reader| ObjectIdentifier::decode(&mut reader));
    match oid {
        Ok(oid) => DB.by_oid(&oid).map_or_else(|| oid.to_string(), str::to_owned),
        Err(_) => "an unreadable algorithm".to_owned(),
    }
}

/// `SEQUENCE { toBeSigned, AlgorithmIdentifier, BIT STRING }` of these DER bytes, signed: a certificate or a request.
pub(crate) fn sign(to_be_signed: &[u8], key: &PrivateKey) -> Result<Vec<u8>, KeyError> {
    let signature = key.sign(to_be_signed)?;
    let failed = |_| KeyError::Failed { operation: "sign", algorithm: key.algorithm() };
    let signed = Signed {
        content: AnyRef::from_der(to_be_signed).map_err(failed)?,
        algorithm: key.algorithm().signature_algorithm(),
        signature: BitStringRef::from_bytes(&signature).map_err(failed)?,
    };
    signed.to_der().map_err(failed)
}

#[derive(Sequence)]
struct Signed<'a> {
    content: AnyRef<'a>,
    algorithm: AlgorithmIdentifierOwned,
    signature: BitStringRef<'a>,
}
