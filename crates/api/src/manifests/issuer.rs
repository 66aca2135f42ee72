//! The issuer, in the management cluster.

use super::access::{Account, allow, hold_lease, write_events};
use super::deployment::Controller;
use super::{IMAGE, Manifest, namespace};
use crate::crds;
use crate::names::{CERTIFICATES_GROUP, MULTICLUSTER_GROUP, well_known};
use k8s_openapi::api::rbac::v1::PolicyRule;

/// An installation of the issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// Its namespace, which also holds the signing CAs and the kubeconfigs of the remote clusters.
    pub namespace: String,
    /// The container image.
    pub image: String,
}

impl Default for Issuer {
    fn default() -> Self {
        Self { namespace: well_known::NAMESPACE.to_owned(), image: IMAGE.to_owned() }
    }
}

impl Issuer {
    /// Name of its account, roles and Deployment.
    pub const NAME: &'static str = "certmesh-issuer";

    /// Everything that the management cluster needs, in the order in which it has to be applied.
    pub fn manifests(&self) -> Vec<Manifest> {
        let definitions = crds::all();
        let definitions = definitions.iter().map(Manifest::of);
        definitions.chain(self.access()).chain([self.deployment()]).collect()
    }

    /// Namespace, account and rights.
    pub fn access(&self) -> Vec<Manifest> {
        let account = Account { name: Self::NAME, namespace: &self.namespace, component: "issuer" };
        let mut manifests = vec![Manifest::of(&namespace(&self.namespace)), account.manifest()];
        manifests.extend(account.may_everywhere(rights_everywhere()));
        manifests.extend(account.may_in(&self.namespace, rights_at_home()));
        manifests
    }

    /// The Deployment alone.
    pub fn deployment(&self) -> Manifest {
        let controller = Controller {
            name: Self::NAME,
            namespace: &self.namespace,
            component: "issuer",
            image: &self.image,
            command: "issuer",
            elects: true,
        };
        Manifest::of(&controller.deployment())
    }
}

/// Intents are in one namespace for each cluster, and clusters come and go.
fn rights_everywhere() -> Vec<PolicyRule> {
    vec![
        // update: the finalizer that holds an intent until its copy is gone.
        allow(&["get", "list", "watch", "update"], CERTIFICATES_GROUP, "issuedcertificates"),
        allow(&["update"], CERTIFICATES_GROUP, "issuedcertificates/status"),
        // A namespace's label tells which cluster it was made for.
        allow(&["get"], "", "namespaces"),
        write_events(),
    ]
}

/// Secrets are read nowhere but at home: signing CAs and kubeconfigs.
fn rights_at_home() -> Vec<PolicyRule> {
    let [create_lease, keep_lease] = hold_lease(Issuer::NAME);
    vec![
        allow(&["get", "list", "watch"], "", "secrets"),
        allow(&["get", "list", "watch"], MULTICLUSTER_GROUP, "kubernetesclusters"),
        allow(&["update"], MULTICLUSTER_GROUP, "kubernetesclusters/status"),
        create_lease,
        keep_lease,
    ]
}
