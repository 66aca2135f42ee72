//! The CustomResourceDefinitions, generated from the types. `cargo xtask generate` writes them to `deploy/crds`.

mod schema;

use crate::certificates::{CertificateRequest, IssuedCertificate, PodBounceDirective};
use crate::multicluster::KubernetesCluster;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

/// All kinds, in the order in which `deploy/crds` lists them.
pub fn all() -> Vec<CustomResourceDefinition> {
    [IssuedCertificate::crd(), CertificateRequest::crd(), PodBounceDirective::crd(), KubernetesCluster::crd()]
        .map(finish)
        .into()
}

/// The kinds that a remote cluster needs: it knows nothing of other clusters.
pub fn remote() -> Vec<CustomResourceDefinition> {
    let mut crds = all();
    crds.retain(|crd| crd.spec.group == crate::names::CERTIFICATES_GROUP);
    crds
}

/// What the derive leaves open: labels that tell where the definition comes from, and the schema's last touches.
fn finish(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let labels = crd.metadata.labels.get_or_insert_default();
    labels.insert("app.kubernetes.io/part-of".to_owned(), "certmesh".to_owned());
    let schemas = crd.spec.versions.iter_mut().filter_map(|version| version.schema.as_mut());
    for root in schemas.filter_map(|schema| schema.open_api_v3_schema.as_mut()) {
        schema::for_each(root, &mut schema::finish);
    }
    crd
}
