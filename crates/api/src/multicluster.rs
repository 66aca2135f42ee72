//! `multicluster.solo.io/v1alpha1`: the registered remote clusters.

use k8s_openapi::api::rbac::v1::PolicyRule;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A registered remote cluster; its name is the cluster's.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "multicluster.solo.io",
    version = "v1alpha1",
    kind = "KubernetesCluster",
    namespaced,
    doc = "A registered remote cluster.",
    status = "KubernetesClusterStatus",
    derive = "Default",
    derive = "PartialEq",
    shortname = "kc",
    category = "certmesh",
    category = "gloo-mesh",
    printcolumn(name = "State", type_ = "string", json_path = ".status.status[0].state"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.status[0].message"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct KubernetesClusterSpec {
    /// The Secret that holds the kubeconfig, in the KubernetesCluster's namespace.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub secret_name: String,
    /// The cluster's DNS domain. Default `cluster.local`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub cluster_domain: String,
}

/// What was found when connecting.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KubernetesClusterStatus {
    /// One entry for each controller that reports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub status: Vec<ClusterReport>,
    /// The namespace that the registration's service account lives in.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The rights that the registration's service account was given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policy_rules: Vec<PolicyRule>,
    /// uid of the remote cluster's `kube-system` namespace, to which the name is bound. (certmesh)
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cluster_uid: String,
}

/// One controller's report of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterReport {
    /// PENDING, PROCESSING, INVALID, FAILED or ACCEPTED.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub state: String,
    /// What is wrong and what to do, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The generation this report is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processing_time: Option<Time>,
    /// Who reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}
