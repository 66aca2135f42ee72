//! The account that the issuer has in a remote cluster. Its token leaves the cluster, so it is worth the least:
//! whoever steals it can ask the agent for certificates and answer requests, and reads no Secret.

use super::access::{Account, allow, allow_named};
use super::{Manifest, namespace};
use crate::names::{CERTIFICATES_GROUP, well_known};
use k8s_openapi::api::rbac::v1::PolicyRule;

/// The issuer's account in a remote cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteIssuer {
    /// The agent's namespace.
    pub namespace: String,
}

impl Default for RemoteIssuer {
    fn default() -> Self {
        Self { namespace: well_known::NAMESPACE.to_owned() }
    }
}

impl RemoteIssuer {
    /// Name of the account and its roles.
    pub const NAME: &'static str = "certmesh-remote-issuer";

    /// Namespace, account and rights, in the order in which they have to be applied.
    pub fn manifests(&self) -> Vec<Manifest> {
        let account = Account { name: Self::NAME, namespace: &self.namespace, component: "remote-issuer" };
        let mut manifests = vec![Manifest::of(&namespace(&self.namespace)), account.manifest()];
        manifests.extend(account.may_everywhere(rights_everywhere()));
        manifests.extend(account.may_in(&self.namespace, rights_at_the_agent()));
        manifests
    }

    /// All its rights, as a KubernetesCluster's status reports them.
    pub fn policy_rules() -> Vec<PolicyRule> {
        rights_everywhere().into_iter().chain(rights_at_the_agent()).collect()
    }
}

/// The uid of this namespace tells clusters apart.
fn rights_everywhere() -> Vec<PolicyRule> {
    vec![allow_named(&["get"], "", "namespaces", &[well_known::KUBE_SYSTEM])]
}

fn rights_at_the_agent() -> Vec<PolicyRule> {
    vec![
        allow(
            &["create", "get", "list", "watch", "update", "delete"],
            CERTIFICATES_GROUP,
            "issuedcertificates",
        ),
        allow(&["get", "list", "watch", "delete"], CERTIFICATES_GROUP, "certificaterequests"),
        allow(&["update"], CERTIFICATES_GROUP, "certificaterequests/status"),
    ]
}
