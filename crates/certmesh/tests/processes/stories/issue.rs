//! From an intent to a certificate.

use super::{Disturbs, Story, cacerts};
use crate::mesh::{Mesh, whole};
use futures::FutureExt as _;

pub(super) const STORIES: &[Story] = &[Story {
    name: "two_clusters_get_certificates_under_one_root",
    disturbs: Disturbs::Cluster(1),
    targets: || cacerts(&["issued"]),
    tell: |mesh| two_clusters(mesh).boxed(),
}];

async fn two_clusters(mesh: &Mesh) {
    let mut roots = Vec::new();
    for cluster in ["cluster-1", "cluster-2"] {
        mesh.ask(cluster, "issued").await;
    }
    for (index, cluster) in ["cluster-1", "cluster-2"].into_iter().enumerate() {
        mesh.ready(cluster, "issued").await;
        roots.push(whole(&mesh.issued(index, "issued").await).1.fingerprints().clone());
        assert!(mesh.is_clean(index, "issued").await, "request and pending key are gone");
    }
    assert_eq!(roots[0], roots[1]);
}
