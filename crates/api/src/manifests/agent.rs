//! The agent, in a remote cluster.

use super::access::{Account, allow, allow_named, hold_lease, write_events};
use super::deployment::Controller;
use super::{IMAGE, Manifest, namespace};
use crate::certificates::ObjectRef;
use crate::crds;
use crate::names::{CERTIFICATES_GROUP, well_known};
use k8s_openapi::api::rbac::v1::PolicyRule;
use std::collections::{BTreeMap, BTreeSet};

/// An installation of the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Its namespace, in which copies, requests and pending keys are.
    pub namespace: String,
    /// The container image.
    pub image: String,
    /// The Secrets that it may write certificates to.
    pub targets: Vec<ObjectRef>,
}

impl Default for Agent {
    fn default() -> Self {
        Self {
            namespace: well_known::NAMESPACE.to_owned(),
            image: IMAGE.to_owned(),
            targets: vec![ObjectRef::new(well_known::ISTIO_NAMESPACE, well_known::ISTIO_CA_SECRET)],
        }
    }
}

impl Agent {
    /// Name of its account, roles and Deployment.
    pub const NAME: &'static str = "certmesh-agent";

    /// Everything that a remote cluster needs for the agent, in the order in which it has to be applied.
    pub fn manifests(&self) -> Vec<Manifest> {
        let definitions = crds::remote();
        let definitions = definitions.iter().map(Manifest::of);
        definitions.chain(self.access()).chain([self.deployment()]).collect()
    }

    /// Namespace, account and rights. The targets' namespaces must exist.
    pub fn access(&self) -> Vec<Manifest> {
        let account = Account { name: Self::NAME, namespace: &self.namespace, component: "agent" };
        let mut manifests = vec![Manifest::of(&namespace(&self.namespace)), account.manifest()];
        let mut targets = self.targets_by_namespace();
        let mut at_home = rights_at_home();
        // A target at home is no special case: the rights on it are added to the role there.
        at_home.extend(targets.remove(self.namespace.as_str()).into_iter().flat_map(rights_at_targets));
        manifests.extend(account.may_in(&self.namespace, at_home));
        for (namespace, names) in targets {
            manifests.extend(account.may_in(namespace, rights_at_targets(names)));
        }
        manifests
    }

    /// The Deployment alone.
    pub fn deployment(&self) -> Manifest {
        let controller = Controller {
            name: Self::NAME,
            namespace: &self.namespace,
            component: "agent",
            image: &self.image,
            command: "agent",
            elects: false,
        };
        Manifest::of(&controller.deployment())
    }

    fn targets_by_namespace(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut by_namespace = BTreeMap::<_, BTreeSet<_>>::new();
        for target in &self.targets {
            by_namespace.entry(target.namespace.as_str()).or_default().insert(target.name.as_str());
        }
        by_namespace
    }
}

fn rights_at_home() -> Vec<PolicyRule> {
    let [create_lease, keep_lease] = hold_lease(Agent::NAME);
    vec![
        // update: the finalizer that holds a copy while its issued Secret is to be removed.
        allow(&["get", "list", "watch", "update"], CERTIFICATES_GROUP, "issuedcertificates"),
        allow(&["update"], CERTIFICATES_GROUP, "issuedcertificates/status"),
        allow(&["create", "get", "list", "watch", "delete"], CERTIFICATES_GROUP, "certificaterequests"),
        // Pending private keys.
        allow(&["create", "get", "delete"], "", "secrets"),
        allow_named(&["get"], "", "configmaps", &[well_known::TRUST_ANCHORS]),
        write_events(),
        create_lease,
        keep_lease,
    ]
}

/// By name, but for creation, which Kubernetes cannot restrict to a name.
fn rights_at_targets(names: BTreeSet<&str>) -> Vec<PolicyRule> {
    let names: Vec<&str> = names.into_iter().collect();
    vec![
        allow(&["create"], "", "secrets"),
        // list and watch of one object, by a field selector; delete for the deletion policy that asks for it.
        allow_named(&["get", "list", "watch", "update", "delete"], "", "secrets", &names),
        // The roots in use, so that none is replaced by accident.
        allow_named(&["get"], "", "configmaps", &[well_known::ISTIO_CA_ROOT_CERT]),
    ]
}
