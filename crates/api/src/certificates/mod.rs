//! `certificates.mesh.gloo.solo.io/v1`: the kinds through which a certificate travels.

mod certificate_request;
mod issued_certificate;
mod options;
mod pod_bounce_directive;

pub use certificate_request::{
    CertificateRequest, CertificateRequestSpec, CertificateRequestState, CertificateRequestStatus,
};
pub use issued_certificate::{
    CertificateAuthorityError, CertificateAuthorityRef, CertificateSummary, IssuedCertificate,
    IssuedCertificateSpec, IssuedCertificateState, IssuedCertificateStatus, ObservedIntent, RecordedTrust,
};
pub use options::{
    CertificateRotationState, CommonCertOptions, Empty, IntermediateCertificateAuthority, KeyAlgorithmName,
    KeyOptionsError, KubernetesAuth, RootCertificateAuthority, VaultCa,
};
pub use pod_bounce_directive::{
    BouncedPods, PodBounceDirective, PodBounceDirectiveSpec, PodBounceDirectiveStatus, PodSelector,
    RootCertSync,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A reference to a namespaced object (`core.skv2.solo.io.ObjectRef`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// The object's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub name: String,
    /// The object's namespace.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 63))]
    pub namespace: String,
}

impl ObjectRef {
    /// A reference to `namespace/name`.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl std::fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// True for a value that protobuf's JSON mapping leaves out.
fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Schema of protobuf `bytes` that hold PEM text: standard base64. The limit fits a bundle of a hundred roots.
fn base64_pem(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "string", "format": "byte", "maxLength": 524_288 })
}
