//! PodBounceDirective: pods to restart once a certificate is in place.

use super::{ObjectRef, is_zero};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Pods to restart, in order.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "certificates.mesh.gloo.solo.io",
    version = "v1",
    kind = "PodBounceDirective",
    namespaced,
    doc = "Pods to restart once a certificate is in place.",
    status = "PodBounceDirectiveStatus",
    derive = "Default",
    derive = "PartialEq",
    shortname = "pbd",
    category = "certmesh",
    category = "gloo-mesh",
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct PodBounceDirectiveSpec {
    /// Selectors, restarted in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub pods_to_bounce: Vec<PodSelector>,
}

/// Which pods, and what to wait for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodSelector {
    /// Their namespace.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 63))]
    pub namespace: String,
    /// Labels that all of them carry.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Ready replacements to wait for before the next selector.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub wait_for_replicas: u32,
    /// Wait until a ConfigMap holds the Secret's roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_cert_sync: Option<RootCertSync>,
}

/// A ConfigMap that must hold the root certificates of a Secret first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RootCertSync {
    /// The Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<ObjectRef>,
    /// Its key.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub secret_key: String,
    /// The ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<ObjectRef>,
    /// Its key.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub config_map_key: String,
}

/// What was restarted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodBounceDirectiveStatus {
    /// Entry *i* for selector *i*.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub pods_bounced: Vec<BouncedPods>,
    /// SHA-256 fingerprint of the certificate that this round is about. (certmesh)
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub certificate_fingerprint: String,
    /// Conditions in kstatus form. (certmesh)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// Pods of one selector that were restarted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BouncedPods {
    /// Their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4096), inner(length(max = 253)))]
    pub bounced_pods: Vec<String>,
}
