//! Registrations that are wrong: each says so on the KubernetesCluster and on every intent for it, with what to do;
//! corrected, the cluster is served without a restart.

use super::{Disturbs, Story, cacerts};
use crate::mesh::{HOME, Mesh, Server};
use certmesh_api::certificates::IssuedCertificate;
use certmesh_api::multicluster::{KubernetesCluster, KubernetesClusterSpec};
use certmesh_api::names::labels;
use certmesh_tests::wrong_kubeconfigs::wrong_kubeconfigs;
use certmesh_tests::{condition, reason};
use futures::FutureExt as _;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use serde_json::json;
use std::collections::BTreeMap;

pub(super) const STORIES: &[Story] = &[
    Story {
        name: "a_kubeconfig_that_is_more_than_data_is_refused_and_once_corrected_the_cluster_is_served",
        disturbs: Disturbs::Cluster(1),
        targets: || cacerts(&["registered"]),
        tell: |mesh| kubeconfigs(mesh).boxed(),
    },
    Story {
        name: "an_intent_for_a_cluster_that_is_not_registered_says_so",
        disturbs: Disturbs::Nobody,
        targets: Vec::new,
        tell: |mesh| unregistered(mesh).boxed(),
    },
    Story {
        name: "a_namespace_that_was_not_made_for_the_cluster_is_not_used",
        disturbs: Disturbs::Nobody,
        targets: Vec::new,
        tell: |mesh| foreign_namespace(mesh).boxed(),
    },
    Story {
        name: "namespaces_that_kubernetes_or_the_issuer_keeps_are_no_clusters",
        disturbs: Disturbs::Nobody,
        targets: Vec::new,
        tell: |mesh| kept_namespaces(mesh).boxed(),
    },
    Story {
        name: "one_cluster_under_two_names_is_refused",
        disturbs: Disturbs::Nobody,
        targets: Vec::new,
        tell: |mesh| twin(mesh).boxed(),
    },
];

/// Waits until the registration and the intent both say this, and how it ends.
async fn refused(mesh: &Mesh, cluster: &str, intent: &str, part: &str, todo: &str) {
    let says = |found: Option<&KubernetesCluster>| {
        let reports = found.and_then(|cluster| cluster.status.as_ref()).map(|status| &status.status);
        reports.into_iter().flatten().any(|report| report.state == "INVALID" && report.message.contains(part))
    };
    let found = mesh.wait(&mesh.management, HOME, cluster, says).await.expect("a registration");
    let message = found.status.expect("a status").status.swap_remove(0).message;
    assert!(message.ends_with(todo), "{message:?} ends with {todo:?}");
    let says = |intent: Option<&IssuedCertificate>| {
        let status = intent.and_then(|intent| intent.status.as_ref());
        status.is_some_and(|status| status.error.contains(message.as_str()))
    };
    let found = mesh.until(cluster, intent, says).await.expect("an intent");
    let reason = reason(&found).to_owned();
    let status = found.status.expect("a status");
    // A certificate that is in place is still good; then another condition tells.
    let told = status.conditions.iter().find(|one| one.message == status.error);
    assert!(told.is_some(), "{cluster}/{intent}: {:#?}", status.conditions);
    assert!(condition(&status, "Ready").is_some(), "{reason}");
}

async fn write_kubeconfig(mesh: &Mesh, cluster: &str, content: &[u8]) {
    let data = json!({"data": {"kubeconfig": ByteString(content.to_vec())}});
    mesh.management.patch::<Secret>(HOME, cluster, data).await;
}

async fn kubeconfigs(mesh: &Mesh) {
    let good = mesh.registration(1).await;
    let server: &Server = &mesh.remotes[1].server;
    mesh.ask("cluster-2", "registered").await;
    mesh.ready("cluster-2", "registered").await;
    let before = mesh.issued(1, "registered").await;
    for (content, part, todo) in wrong_kubeconfigs(&server.ca_pem) {
        write_kubeconfig(mesh, "cluster-2", content.as_bytes()).await;
        refused(mesh, "cluster-2", "registered", part, todo).await;
    }
    // A cluster is what its kube-system namespace says.
    let management = &mesh.management.server;
    let other = management.kubeconfig(&management.url, &management.admin_token);
    write_kubeconfig(mesh, "cluster-2", other.as_bytes()).await;
    let todo = "deregister and register it again";
    refused(mesh, "cluster-2", "registered", "the cluster is not the one registered", todo).await;

    mesh.management.delete::<Secret>(HOME, "cluster-2").await;
    let part = "certmesh/cluster-2 does not exist";
    refused(mesh, "cluster-2", "registered", part, "register the cluster again").await;
    // Registered again; nothing was restarted, and what was in place stayed.
    mesh.write_registration("cluster-2", &good).await;
    mesh.renew(1, "registered", "please").await;
    assert_eq!(mesh.records("cluster-2", "registered").len(), 2);
    assert_ne!(mesh.issued(1, "registered").await.data, before.data);
    for name in mesh.names() {
        let log = mesh.log(&name);
        assert!(!log.contains("hunter2"), "no part of a kubeconfig is in the log of {name}");
    }
}

async fn unregistered(mesh: &Mesh) {
    let label = BTreeMap::from([(labels::REGISTERED_CLUSTER.to_owned(), "cluster-9".to_owned())]);
    mesh.management.ensure_namespace("cluster-9", label).await;
    mesh.ask("cluster-9", "istiod").await;
    let todo = "or move the intent to a registered cluster's namespace";
    mesh.refused("cluster-9", "istiod", "ClusterUnregistered", todo).await;
}

async fn foreign_namespace(mesh: &Mesh) {
    mesh.management.ensure_namespace("payments", BTreeMap::new()).await;
    mesh.register_without_namespace("payments", &mesh.registration(0).await).await;
    mesh.ask("payments", "istiod").await;
    let part = "namespace payments has no label certmesh.dev/cluster=payments";
    refused(mesh, "payments", "istiod", part, "add the label if it was").await;
}

async fn kept_namespaces(mesh: &Mesh) {
    for (name, todo) in [
        ("default", "choose a name that is neither \"default\" nor \"kube-*\""),
        ("kube-public", "choose a name that is neither \"default\" nor \"kube-*\""),
        (HOME, "register the cluster under another name"),
    ] {
        let label = BTreeMap::from([(labels::REGISTERED_CLUSTER.to_owned(), name.to_owned())]);
        mesh.management.ensure_namespace(name, label).await;
        let spec =
            KubernetesClusterSpec { secret_name: "cluster-1".to_owned(), cluster_domain: String::new() };
        mesh.management.create(HOME, &KubernetesCluster::new(name, spec)).await;
        mesh.ask(name, "kept").await;
        refused(mesh, name, "kept", name, todo).await;
    }
}

async fn twin(mesh: &Mesh) {
    mesh.register("twin", &mesh.registration(0).await).await;
    mesh.ask("twin", "istiod").await;
    let part = "the cluster is already registered as cluster-1";
    refused(mesh, "twin", "istiod", part, "deregister that name first").await;
    let copy = mesh.remotes[0].get::<IssuedCertificate>(HOME, "istiod").await;
    assert!(copy.is_none(), "nothing was written there");
}
