//! What happens to one cluster delays no other; the intents of the one that cannot be reached say so, and go on by
//! themselves when it comes back. Here the network fails: connections break, or go silent. Proxies that answer for the
//! server, links that flap for an hour, and what a status says in the meantime are told in one process.

use super::{Disturbs, Story, cacerts};
use crate::mesh::{HOME, LinkState, Mesh};
use certmesh_api::certificates::IssuedCertificateStatus;
use certmesh_api::multicluster::KubernetesCluster;
use certmesh_api::names::annotations;
use certmesh_tests::condition;
use futures::FutureExt as _;
use k8s_openapi::api::core::v1::Secret;
use serde_json::json;
use std::time::{Duration, Instant};

/// More than a certificate takes on a busy machine, and less than it takes to give up a silent peer (40 s).
const UNDELAYED: Duration = Duration::from_secs(20);

pub(super) const STORIES: &[Story] = &[
    Story {
        name: "a_cluster_that_goes_silent_on_the_way_delays_no_other",
        disturbs: Disturbs::Cluster(2),
        targets: || cacerts(&["silent"]),
        tell: |mesh| silent(mesh).boxed(),
    },
    Story {
        name: "a_cluster_that_is_cut_off_from_the_start_delays_no_other",
        disturbs: Disturbs::Cluster(1),
        targets: || cacerts(&["cut-off"]),
        tell: |mesh| cut_off(mesh).boxed(),
    },
];

async fn cut_off(mesh: &Mesh) {
    mesh.set_link(1, LinkState::Cut);
    // Another version of its kubeconfig, so that the issuer connects anew, and fails at it.
    let note = json!({"metadata": {"annotations": {"example.com/connect": "anew"}}});
    mesh.management.patch::<Secret>(HOME, "cluster-2", note).await;
    let begin = Instant::now();
    for cluster in ["cluster-2", "cluster-1"] {
        mesh.ask(cluster, "cut-off").await;
    }
    mesh.ready("cluster-1", "cut-off").await;
    assert!(begin.elapsed() < UNDELAYED, "{:?}", begin.elapsed());
    unreachable_is_said(mesh, "cluster-2", "cut-off").await;
    let message = registration(mesh, "FAILED").await;
    assert!(message.ends_with("the network and the token"), "{message}");

    mesh.set_link(1, LinkState::Up);
    mesh.ready("cluster-2", "cut-off").await;
    mesh.told("cluster-2", "cut-off", "Normal", "Issued").await;
    registration(mesh, "ACCEPTED").await;
}

/// What is said on the registration of cluster-2, once it is in this state.
async fn registration(mesh: &Mesh, state: &str) -> String {
    let is_in_state = |cluster: Option<&KubernetesCluster>| {
        let reports = cluster.and_then(|cluster| cluster.status.as_ref()).map(|status| &status.status);
        reports.into_iter().flatten().any(|report| report.state == state)
    };
    let cluster = mesh.wait(&mesh.management, HOME, "cluster-2", is_in_state).await.expect("a registration");
    cluster.status.expect("a status").status.swap_remove(0).message
}

async fn silent(mesh: &Mesh) {
    for cluster in ["cluster-1", "cluster-3"] {
        mesh.ask(cluster, "silent").await;
    }
    for cluster in ["cluster-1", "cluster-3"] {
        mesh.ready(cluster, "silent").await;
    }
    let before = mesh.issued(2, "silent").await;
    mesh.set_link(2, LinkState::Silent);
    mesh.annotate("cluster-3", "silent", annotations::RENEW, "please").await;
    let begin = Instant::now();
    mesh.renew(0, "silent", "please").await;
    assert!(begin.elapsed() < UNDELAYED, "{:?}", begin.elapsed());
    let status = unreachable_is_said(mesh, "cluster-3", "silent").await;
    let ready = condition(&status, "Ready").expect("a headline");
    assert_eq!(ready.status, "True", "the certificate in place is still good");

    mesh.set_link(2, LinkState::Up);
    mesh.renewed("cluster-3", "silent", &before).await;
    assert_eq!(mesh.records("cluster-3", "silent").len(), 2, "it cost no certificate");
}

/// The intent says that its cluster cannot be reached, and what was tried.
async fn unreachable_is_said(mesh: &Mesh, cluster: &str, name: &str) -> IssuedCertificateStatus {
    let status = mesh.says(cluster, name, "ClusterUnreachable").await.status.expect("a status");
    let begin = format!("cluster {cluster} cannot be reached, trying again: ");
    assert!(status.error.starts_with(&begin), "{}", status.error);
    mesh.told(cluster, name, "Normal", "ClusterUnreachable").await;
    status
}
