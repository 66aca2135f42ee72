//! The kinds of key that certmesh makes and accepts, and the signature each of them produces.

use std::{fmt, str::FromStr};

use aws_lc_rs::{
    rsa::KeySize,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaSigningAlgorithm},
};
use const_oid::db::{rfc5912, rfc5912::ID_EC_PUBLIC_KEY};
use der::asn1::{Any, ObjectIdentifier};
use spki::AlgorithmIdentifierOwned;

/// Kind and size of a key. `Display` and `FromStr` use the form `RSA-4096`, `ECDSA-P256`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyAlgorithm {
    /// RSA with a 2048 bit modulus.
    Rsa2048,
    /// RSA with a 3072 bit modulus.
    Rsa3072,
    /// RSA with a 4096 bit modulus.
    Rsa4096,
    /// ECDSA on the NIST curve P-256 (secp256r1).
    EcdsaP256,
    /// ECDSA on the NIST curve P-384 (secp384r1).
    EcdsaP384,
}

impl KeyAlgorithm {
    /// Every algorithm, in ascending order.
    pub const ALL: [Self; 5] =
        [Self::Rsa2048, Self::Rsa3072, Self::Rsa4096, Self::EcdsaP256, Self::EcdsaP384];

    /// The RSA algorithm with a modulus of that many bits.
    pub fn rsa(bits: u32) -> Result<Self, UnknownKeyAlgorithm> {
        match bits {
            2048 => Ok(Self::Rsa2048),
            3072 => Ok(Self::Rsa3072),
            4096 => Ok(Self::Rsa4096),
            _ => Err(UnknownKeyAlgorithm { value: format!("RSA-{bits}") }),
        }
    }

    /// Its name, as `Display` writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rsa2048 => "RSA-2048",
            Self::Rsa3072 => "RSA-3072",
            Self::Rsa4096 => "RSA-4096",
            Self::EcdsaP256 => "ECDSA-P256",
            Self::EcdsaP384 => "ECDSA-P384",
        }
    }

    /// Whether this is an RSA key, which is slow to make and needs `keyEncipherment` in a TLS certificate.
    pub const fn is_rsa(self) -> bool {
        matches!(self, Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096)
    }

    pub(crate) fn family(self) -> Family {
        match self {
            Self::Rsa2048 => Family::Rsa(KeySize::Rsa2048),
            Self::Rsa3072 => Family::Rsa(KeySize::Rsa3072),
            Self::Rsa4096 => Family::Rsa(KeySize::Rsa4096),
            Self::EcdsaP256 => Family::Ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING),
            Self::EcdsaP384 => Family::Ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING),
        }
    }

    /// The named curve's algorithm, if certmesh supports that curve.
    pub(crate) fn of_curve(curve: ObjectIdentifier) -> Option<Self> {
        match curve {
            rfc5912::SECP_256_R_1 => Some(Self::EcdsaP256),
            rfc5912::SECP_384_R_1 => Some(Self::EcdsaP384),
            _ => None,
        }
    }

    /// The `signatureAlgorithm` of whatever a key of this kind signs: RSA PKCS#1 v1.5 with SHA-256, P-256 with SHA-256,
    /// P-384 with SHA-384 (RFC 4055 asks for NULL parameters, RFC 5758 for none).
    pub(crate) fn signature_algorithm(self) -> AlgorithmIdentifierOwned {
        match self {
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => AlgorithmIdentifierOwned {
                oid: rfc5912::SHA_256_WITH_RSA_ENCRYPTION,
                parameters: Some(Any::null()),
            },
            Self::EcdsaP256 => {
                AlgorithmIdentifierOwned { oid: rfc5912::ECDSA_WITH_SHA_256, parameters: None }
            }
            Self::EcdsaP384 => {
                AlgorithmIdentifierOwned { oid: rfc5912::ECDSA_WITH_SHA_384, parameters: None }
            }
        }
    }
}

/// How aws-lc-rs makes and uses a key of an algorithm.
pub(crate) enum Family {
    Rsa(KeySize),
    Ecdsa(&'static EcdsaSigningAlgorithm),
}

pub(crate) const RSA_ENCRYPTION: ObjectIdentifier = rfc5912::RSA_ENCRYPTION;
pub(crate) const EC_PUBLIC_KEY: ObjectIdentifier = ID_EC_PUBLIC_KEY;

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for KeyAlgorithm {
    type Err = UnknownKeyAlgorithm;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.as_str() == value)
            .ok_or_else(|| UnknownKeyAlgorithm { value: value.to_owned() })
    }
}

/// The name is none of the supported key algorithms.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unsupported key algorithm {value:?}: use one of RSA-2048, RSA-3072, RSA-4096, ECDSA-P256, ECDSA-P384"
)]
pub struct UnknownKeyAlgorithm {
    /// What was asked for.
    pub value: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back() {
        for algorithm in KeyAlgorithm::ALL {
            assert_eq!(algorithm.to_string().parse(), Ok(algorithm));
        }
    }

    #[test]
    fn unknown_names_and_sizes_are_refused_by_name() {
        for bad in ["", "RSA", "rsa-2048", "RSA-1024", "ECDSA-P521", "Ed25519"] {
            let error = bad.parse::<KeyAlgorithm>().unwrap_err();
            assert!(error.to_string().contains(&format!("{bad:?}")), "{error}");
        }
        assert_eq!(KeyAlgorithm::rsa(3072), Ok(KeyAlgorithm::Rsa3072));
        assert!(KeyAlgorithm::rsa(1024).unwrap_err().to_string().contains("RSA-1024"));
    }
}
