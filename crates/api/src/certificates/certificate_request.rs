//! CertificateRequest: the agent's signing request and the issuer's answer.

use super::{base64_pem, is_zero};
use k8s_openapi::ByteString;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A signing request of a remote cluster's agent, for the IssuedCertificate of the same name and namespace.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "certificates.mesh.gloo.solo.io",
    version = "v1",
    kind = "CertificateRequest",
    namespaced,
    doc = "A remote agent's signing request and the issuer's answer.",
    status = "CertificateRequestStatus",
    derive = "Default",
    derive = "PartialEq",
    shortname = "gcr",
    category = "certmesh",
    category = "gloo-mesh",
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Error", type_ = "string", json_path = ".status.error", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct CertificateRequestSpec {
    /// A PKCS#10 request, PEM `CERTIFICATE REQUEST`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "base64_pem")]
    pub certificate_signing_request: Option<ByteString>,
}

/// How far a request is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum CertificateRequestState {
    /// Not answered yet.
    #[default]
    Pending,
    /// Signed.
    Finished,
    /// Refused; `error` says why.
    Failed,
}

/// The issuer's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateRequestStatus {
    /// The `metadata.generation` that was answered.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub observed_generation: i64,
    /// Why there is no certificate; empty when there is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// How far the request is.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub state: CertificateRequestState,
    /// The signed certificate, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "base64_pem")]
    pub signed_certificate: Option<ByteString>,
    /// The roots to trust, PEM; may hold several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "base64_pem")]
    pub signing_root_ca: Option<ByteString>,
    /// The signed certificate, then the signing CA's chain up to but not including the root, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "base64_pem")]
    pub cert_chain: Option<ByteString>,
}
