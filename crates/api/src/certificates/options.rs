//! Options shared by roots and intermediates, and where an intermediate is signed.

use super::{ObjectRef, base64_pem, is_zero};
use certmesh_x509::KeyAlgorithm;
use k8s_openapi::ByteString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// protobuf's `google.protobuf.Empty`: `{}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Empty {}

/// The kind of key to make. Ours: absent means RSA, as Gloo Mesh has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum KeyAlgorithmName {
    /// RSA of `rsaKeySizeBytes`.
    #[serde(rename = "RSA")]
    Rsa,
    /// ECDSA on NIST P-256.
    #[serde(rename = "ECDSA_P256")]
    EcdsaP256,
    /// ECDSA on NIST P-384.
    #[serde(rename = "ECDSA_P384")]
    EcdsaP384,
}

/// Options of a certificate to be issued.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommonCertOptions {
    /// Days until the certificate expires. Default 365.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0, max = 36500))]
    pub ttl_days: u32,
    /// Size of an RSA key. The name says bytes, writers mean bits; 1024 or less is read as bytes. Default 4096.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0, max = 16384))]
    pub rsa_key_size_bytes: u32,
    /// Organization (O) in the subject. Default "gloo-mesh" for a root, "Istio" for an intermediate.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub org_name: String,
    /// The part of the lifetime before expiry in which the certificate is renewed. Default 0.10.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0.0, max = 0.9))]
    pub secret_rotation_grace_period_ratio: f64,
    /// Kind of key. Default RSA. (certmesh)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_algorithm: Option<KeyAlgorithmName>,
    /// Seconds until the certificate expires; wins over `ttlDays`; at least 60. (certmesh)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 60, max = 3_153_600_000_u32))]
    pub ttl_seconds: Option<u32>,
}

/// Why key options cannot be met.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyOptionsError {
    /// An RSA size that is not offered.
    #[error("certOptions.rsaKeySizeBytes is {0}: use 2048, 3072 or 4096 bits (or 256, 384 or 512 bytes)")]
    RsaSize(u32),
}

/// Values of `rsaKeySizeBytes` up to this are bytes, above it bits: no RSA key of up to 1,024 bits is acceptable.
const LARGEST_SIZE_IN_BYTES: u32 = 1024;
const DEFAULT_TTL_SECONDS: u64 = 365 * 24 * 60 * 60;
const DEFAULT_RENEWAL_RATIO: f64 = 0.10;

impl CommonCertOptions {
    /// The key to make, with defaults applied.
    pub fn key_algorithm(&self) -> Result<KeyAlgorithm, KeyOptionsError> {
        match self.key_algorithm {
            Some(KeyAlgorithmName::EcdsaP256) => Ok(KeyAlgorithm::EcdsaP256),
            Some(KeyAlgorithmName::EcdsaP384) => Ok(KeyAlgorithm::EcdsaP384),
            Some(KeyAlgorithmName::Rsa) | None => rsa_algorithm(self.rsa_key_size_bytes),
        }
    }

    /// The lifetime in seconds, with defaults applied.
    pub fn lifetime_seconds(&self) -> u64 {
        match (self.ttl_seconds, self.ttl_days) {
            (Some(seconds), _) => u64::from(seconds),
            (None, 0) => DEFAULT_TTL_SECONDS,
            (None, days) => u64::from(days) * 24 * 60 * 60,
        }
    }

    /// The part of the lifetime before expiry in which the certificate is renewed, with the default applied.
    pub fn renewal_ratio(&self) -> f64 {
        let ratio = self.secret_rotation_grace_period_ratio;
        if ratio > 0.0 && ratio < 1.0 { ratio } else { DEFAULT_RENEWAL_RATIO }
    }
}

fn rsa_algorithm(size: u32) -> Result<KeyAlgorithm, KeyOptionsError> {
    let bits = if size <= LARGEST_SIZE_IN_BYTES { size * 8 } else { size };
    match bits {
        0 | 4096 => Ok(KeyAlgorithm::Rsa4096),
        3072 => Ok(KeyAlgorithm::Rsa3072),
        2048 => Ok(KeyAlgorithm::Rsa2048),
        _ => Err(KeyOptionsError::RsaSize(size)),
    }
}

/// The CA of the management cluster that signs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RootCertificateAuthority {
    /// The Secret that holds the CA, in the issuer's cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_certificate_secret: Option<ObjectRef>,
}

/// A CA that the agent asks itself, at the remote side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IntermediateCertificateAuthority {
    /// HashiCorp Vault or OpenBao.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vault: Option<VaultCa>,
}

/// Where and how to ask Vault.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!(has(self.tokenSecretRef) && has(self.kubernetesAuth))",
    "message": "set at most one of tokenSecretRef and kubernetesAuth"
}]))]
pub struct VaultCa {
    /// Path that signs a request, e.g. `pki/root/sign-intermediate`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub ca_path: String,
    /// Path that would generate a key in Vault. Read for compatibility, never called.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub csr_path: String,
    /// The server's URL.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 2048))]
    pub server: String,
    /// PEM of the CAs that the server's certificate may chain to; https only, otherwise the system's roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "base64_pem")]
    pub ca_bundle: Option<ByteString>,
    /// Vault namespace header.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub namespace: String,
    /// Authenticate with a token in a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_secret_ref: Option<ObjectRef>,
    /// Authenticate with a service account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes_auth: Option<KubernetesAuth>,
}

/// Vault's Kubernetes authentication.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!(has(self.serviceAccountRef) && has(self.mountedSaPath))",
    "message": "set at most one of serviceAccountRef and mountedSaPath"
}]))]
pub struct KubernetesAuth {
    /// Mount path. Default `/v1/auth/kubernetes`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub mount_path: String,
    /// Vault role.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 256))]
    pub role: String,
    /// Key of the token in the service account's Secret. Default `token`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub secret_token_key: String,
    /// The service account to authenticate as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_ref: Option<ObjectRef>,
    /// Where the pod's own token is mounted. Default `/var/run/secrets/kubernetes.io/serviceaccount`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub mounted_sa_path: Option<String>,
}

/// The step of a root rotation. On an IssuedCertificate only the first five make sense.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CertificateRotationState {
    /// One root, one signer.
    #[default]
    NotRotating,
    /// Rolled back: the old root alone, the old signer.
    PreviousCa,
    /// Old and new root, the old signer.
    AddingNewRoot,
    /// Old and new root, the new signer.
    PropagatingNewIntermediate,
    /// The new root alone, the new signer.
    DeletingOldRoot,
    /// The step is in place everywhere and being verified.
    Verifying,
    /// The step is verified.
    Verified,
    /// Going back a step.
    RollingBack,
    /// The rotation is over.
    Finished,
    /// The rotation stopped.
    Failed,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn options(json: serde_json::Value) -> CommonCertOptions {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn rsa_sizes_are_read_as_bits_and_small_ones_as_bytes() {
        let table = [
            (0, Ok(KeyAlgorithm::Rsa4096)),
            (256, Ok(KeyAlgorithm::Rsa2048)),
            (384, Ok(KeyAlgorithm::Rsa3072)),
            (512, Ok(KeyAlgorithm::Rsa4096)),
            (2048, Ok(KeyAlgorithm::Rsa2048)),
            (3072, Ok(KeyAlgorithm::Rsa3072)),
            (4096, Ok(KeyAlgorithm::Rsa4096)),
            (1, Err(KeyOptionsError::RsaSize(1))),
            (128, Err(KeyOptionsError::RsaSize(128))),
            (1024, Err(KeyOptionsError::RsaSize(1024))),
            (1025, Err(KeyOptionsError::RsaSize(1025))),
            (8192, Err(KeyOptionsError::RsaSize(8192))),
            (u32::MAX, Err(KeyOptionsError::RsaSize(u32::MAX))),
        ];
        for (size, expected) in table {
            let options = CommonCertOptions { rsa_key_size_bytes: size, ..CommonCertOptions::default() };
            assert_eq!(options.key_algorithm(), expected, "{size}");
        }
    }

    #[test]
    fn the_key_algorithm_wins_over_an_rsa_size() {
        let table = [
            (json!({ "keyAlgorithm": "ECDSA_P256", "rsaKeySizeBytes": 4096 }), KeyAlgorithm::EcdsaP256),
            (json!({ "keyAlgorithm": "ECDSA_P384", "rsaKeySizeBytes": 7 }), KeyAlgorithm::EcdsaP384),
            (json!({ "keyAlgorithm": "RSA", "rsaKeySizeBytes": 3072 }), KeyAlgorithm::Rsa3072),
            (json!({ "keyAlgorithm": "RSA" }), KeyAlgorithm::Rsa4096),
            (json!({}), KeyAlgorithm::Rsa4096),
        ];
        for (json, expected) in table {
            assert_eq!(options(json.clone()).key_algorithm(), Ok(expected), "{json}");
        }
    }

    #[test]
    fn a_lifetime_in_seconds_wins_over_one_in_days() {
        let day = 24 * 60 * 60;
        let table = [
            (json!({}), 365 * day),
            (json!({ "ttlDays": 0 }), 365 * day),
            (json!({ "ttlDays": 1 }), day),
            (json!({ "ttlDays": 36500 }), 36_500 * day),
            (json!({ "ttlSeconds": 60 }), 60),
            (json!({ "ttlSeconds": 90, "ttlDays": 30 }), 90),
            (json!({ "ttlDays": u32::MAX }), u64::from(u32::MAX) * day),
        ];
        for (json, expected) in table {
            assert_eq!(options(json.clone()).lifetime_seconds(), expected, "{json}");
        }
    }

    #[test]
    fn a_renewal_ratio_that_makes_no_sense_is_the_default() {
        let table =
            [(0.0, 0.1), (0.25, 0.25), (0.9, 0.9), (1.0, 0.1), (7.0, 0.1), (-0.5, 0.1), (f64::NAN, 0.1)];
        for (ratio, expected) in table {
            let options = CommonCertOptions {
                secret_rotation_grace_period_ratio: ratio,
                ..CommonCertOptions::default()
            };
            assert!((options.renewal_ratio() - expected).abs() < f64::EPSILON, "{ratio}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_an_error_and_no_panic() {
        for json in
            [json!({ "ttlDays": -1 }), json!({ "ttlSeconds": 4_294_967_296_u64 }), json!({ "ttlDays": 1.5 })]
        {
            assert!(serde_json::from_value::<CommonCertOptions>(json.clone()).is_err(), "{json}");
        }
    }
}
