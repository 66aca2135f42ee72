//! IssuedCertificate: what is wanted, and how far it is.

use super::options::{
    CertificateRotationState, CommonCertOptions, IntermediateCertificateAuthority, RootCertificateAuthority,
};
use super::{ObjectRef, is_zero};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A certificate for a remote cluster. In the management cluster (namespace = cluster) it is the intent; the issuer
/// keeps a copy of it in the remote cluster, where the agent acts on it.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "certificates.mesh.gloo.solo.io",
    version = "v1",
    kind = "IssuedCertificate",
    namespaced,
    doc = "A certificate for a remote cluster: the intent in the management cluster, its copy in the remote one.",
    status = "IssuedCertificateStatus",
    derive = "Default",
    derive = "PartialEq",
    shortname = "ic",
    category = "certmesh",
    category = "gloo-mesh",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Secret", type_ = "string", json_path = ".spec.issuedCertificateSecret.name"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".status.certificate.notAfter"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#
    ),
    printcolumn(name = "Error", type_ = "string", json_path = ".status.error", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(validation = Rule::new("!(has(self.glooMeshCa) && has(self.agentCa))").message("set at most one of glooMeshCa and agentCa"))]
#[serde(rename_all = "camelCase")]
pub struct IssuedCertificateSpec {
    /// Identities: `spiffe://…` becomes a URI SAN, an IP an IP SAN, anything else a DNS SAN.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 2048)))]
    pub hosts: Vec<String>,
    /// Deprecated: used when `certOptions.orgName` is empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub org: String,
    /// Deprecated twin of `glooMeshCa.signingCertificateSecret`; the new field wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_certificate_secret: Option<ObjectRef>,
    /// Where the agent writes the result. Absent: the sidecar agent keeps it in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_certificate_secret: Option<ObjectRef>,
    /// Pods to restart when the certificate is in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_bounce_directive: Option<ObjectRef>,
    /// Options of the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_options: Option<CommonCertOptions>,
    /// Signed in the management cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gloo_mesh_ca: Option<RootCertificateAuthority>,
    /// Signed at the remote side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_ca: Option<IntermediateCertificateAuthority>,
    /// How the issuer builds chain and roots during a root rotation.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rotation_state: CertificateRotationState,
    /// The CA being left. Required for every rotationState but NOT_ROTATING. (certmesh)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_gloo_mesh_ca: Option<RootCertificateAuthority>,
}

/// Which CA signs, once the oneof and its deprecated twin are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateAuthorityRef<'a> {
    /// The Secret of a CA in the management cluster.
    GlooMesh(&'a ObjectRef),
    /// A CA at the remote side.
    Agent(&'a IntermediateCertificateAuthority),
}

/// Why a spec names no CA.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateAuthorityError {
    /// No CA is named.
    #[error("spec names no CA: set glooMeshCa.signingCertificateSecret (or agentCa)")]
    Missing,
    /// Both are.
    #[error("spec sets both glooMeshCa and agentCa: set at most one")]
    Both,
    /// The reference is incomplete.
    #[error(
        "spec.glooMeshCa.signingCertificateSecret (or its deprecated twin spec.signingCertificateSecret) needs both name \
         and namespace"
    )]
    Incomplete,
}

impl IssuedCertificateSpec {
    /// Organization that a certificate gets when the spec names none.
    pub const DEFAULT_ORGANIZATION: &'static str = "Istio";

    /// The CA that signs.
    pub fn certificate_authority(&self) -> Result<CertificateAuthorityRef<'_>, CertificateAuthorityError> {
        let secret = self
            .gloo_mesh_ca
            .as_ref()
            .and_then(|ca| ca.signing_certificate_secret.as_ref())
            .or(self.signing_certificate_secret.as_ref());
        match (secret, &self.agent_ca) {
            _ if self.gloo_mesh_ca.is_some() && self.agent_ca.is_some() => {
                Err(CertificateAuthorityError::Both)
            }
            // A deprecated `signingCertificateSecret` beside `agentCa` is what old writers left behind: the oneof wins.
            (_, Some(agent)) => Ok(CertificateAuthorityRef::Agent(agent)),
            (None, None) => Err(CertificateAuthorityError::Missing),
            (Some(secret), None) if secret.name.is_empty() || secret.namespace.is_empty() => {
                Err(CertificateAuthorityError::Incomplete)
            }
            (Some(secret), None) => Ok(CertificateAuthorityRef::GlooMesh(secret)),
        }
    }

    /// The certificate's options, with the spec's absent ones as their defaults.
    pub fn options(&self) -> CommonCertOptions {
        self.cert_options.clone().unwrap_or_default()
    }

    /// Organization (O) of the subject: `certOptions.orgName`, else the deprecated `org`, else "Istio".
    pub fn organization(&self) -> &str {
        let option = self.cert_options.as_ref().map(|options| options.org_name.as_str());
        [option, Some(self.org.as_str())]
            .into_iter()
            .flatten()
            .find(|name| !name.is_empty())
            .unwrap_or(Self::DEFAULT_ORGANIZATION)
    }
}

/// How far an IssuedCertificate is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum IssuedCertificateState {
    /// Not yet picked up, or a new certificate is needed.
    #[default]
    Pending,
    /// A key and a request exist; the issuer has not answered yet.
    Requested,
    /// The certificate is in place; pods may be restarting.
    Issued,
    /// Nothing left to do.
    Finished,
    /// Refused, or the answer stayed unusable; `error` says what to do.
    Failed,
}

/// What the agent found and did. On an intent: the agent's word as mirrored by the issuer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!(has(self.appliedGlooMeshCa) && has(self.appliedAgentCa))",
    "message": "set at most one of appliedGlooMeshCa and appliedAgentCa"
}]))]
pub struct IssuedCertificateStatus {
    /// The `metadata.generation` that was processed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub observed_generation: i64,
    /// What prevents progress; empty when nothing does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// How far the workflow is.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub state: IssuedCertificateState,
    /// The CA that the certificate now in place came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_gloo_mesh_ca: Option<RootCertificateAuthority>,
    /// The CA that the certificate now in place came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_agent_ca: Option<IntermediateCertificateAuthority>,
    /// The rotation step now in place.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub observed_rotation_state: CertificateRotationState,
    /// `Ready`, `Reconciling`, `Stalled` in kstatus form. (certmesh)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The certificate now in place. (certmesh)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateSummary>,
    /// Which intent, and which trust, the agent acted on. (certmesh)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<ObservedIntent>,
    /// Failed attempts at the current need. (certmesh)
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempts: u32,
    /// When the next attempt is due. (certmesh)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Time>,
    /// On an intent only, written by the issuer: the trust it last had in place. (certmesh)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<RecordedTrust>,
}

/// The certificate in place, for people and tools.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateSummary {
    /// Serial number, lower-case hexadecimal.
    pub serial_number: String,
    /// SHA-256 of the DER, lower-case hexadecimal.
    pub fingerprint: String,
    /// Start of validity.
    pub not_before: Time,
    /// End of validity.
    pub not_after: Time,
    /// When it will be renewed; absent when renewal would gain nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew_at: Option<Time>,
    /// The issuer's name (RFC 4514).
    pub issuer: String,
    /// SHA-256 fingerprints of the roots delivered with it, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), inner(length(max = 64)))]
    pub roots: Vec<String>,
}

/// What an agent's report is about. Mirroring and every gate go by this alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObservedIntent {
    /// The intent's uid.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub intent_uid: String,
    /// The intent's generation.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub intent_generation: i64,
    /// The trust that the certificate in place was issued under.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub trust_fingerprint: String,
}

/// The trust an issuer has signed under for an intent: a CA whose root is outside it is refused (`RootReplaced`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecordedTrust {
    /// Fingerprint of the signing chain and root set.
    pub fingerprint: String,
    /// SHA-256 fingerprints of the roots, sorted.
    #[schemars(length(max = 128), inner(length(max = 64)))]
    pub roots: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(json: serde_json::Value) -> IssuedCertificateSpec {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn the_new_spelling_of_the_ca_wins_over_the_deprecated_one() {
        let old = json!({ "name": "old", "namespace": "ns" });
        let new = json!({ "signingCertificateSecret": { "name": "new", "namespace": "ns" } });
        let table = [
            (json!({ "signingCertificateSecret": old }), "old"),
            (json!({ "glooMeshCa": new }), "new"),
            (json!({ "signingCertificateSecret": old, "glooMeshCa": new }), "new"),
            (json!({ "signingCertificateSecret": old, "glooMeshCa": {} }), "old"),
        ];
        for (json, name) in table {
            let spec = spec(json.clone());
            let expected = ObjectRef::new("ns", name);
            assert_eq!(
                spec.certificate_authority(),
                Ok(CertificateAuthorityRef::GlooMesh(&expected)),
                "{json}"
            );
        }
    }

    #[test]
    fn a_ca_at_the_remote_side_wins_over_a_deprecated_leftover() {
        let spec = spec(json!({
            "signingCertificateSecret": { "name": "old", "namespace": "ns" },
            "agentCa": { "vault": { "server": "https://vault:8200" } },
        }));
        let agent = spec.agent_ca.clone().unwrap();
        assert_eq!(spec.certificate_authority(), Ok(CertificateAuthorityRef::Agent(&agent)));
    }

    #[test]
    fn a_ca_that_is_not_named_or_named_twice_is_an_error() {
        let secret = json!({ "signingCertificateSecret": { "name": "ca", "namespace": "ns" } });
        let table = [
            (json!({}), CertificateAuthorityError::Missing),
            (json!({ "glooMeshCa": {} }), CertificateAuthorityError::Missing),
            (json!({ "glooMeshCa": secret, "agentCa": {} }), CertificateAuthorityError::Both),
            (json!({ "glooMeshCa": {}, "agentCa": {} }), CertificateAuthorityError::Both),
            (json!({ "signingCertificateSecret": { "name": "ca" } }), CertificateAuthorityError::Incomplete),
            (
                json!({ "signingCertificateSecret": { "namespace": "ns" } }),
                CertificateAuthorityError::Incomplete,
            ),
        ];
        for (json, expected) in table {
            assert_eq!(spec(json.clone()).certificate_authority(), Err(expected), "{json}");
        }
    }

    #[test]
    fn the_organization_is_the_first_that_is_not_empty() {
        let table = [
            (json!({}), "Istio"),
            (json!({ "org": "old" }), "old"),
            (json!({ "org": "old", "certOptions": {} }), "old"),
            (json!({ "org": "old", "certOptions": { "orgName": "" } }), "old"),
            (json!({ "org": "old", "certOptions": { "orgName": "new" } }), "new"),
            (json!({ "certOptions": { "orgName": "new" } }), "new"),
        ];
        for (json, expected) in table {
            assert_eq!(spec(json.clone()).organization(), expected, "{json}");
        }
    }
}
