//! Registrations that are wrong: each says so on the KubernetesCluster and on every intent for it, with what to do;
//! corrected, the cluster is served without a restart.

use certmesh_api::certificates::IssuedCertificate;
use certmesh_api::manifests::RemoteIssuer;
use certmesh_api::multicluster::{KubernetesCluster, KubernetesClusterSpec};
use certmesh_api::names::labels;
use certmesh_apiserver::Cluster;
use certmesh_controllers::client_from_secret;
use certmesh_controllers::issuer::Connector;
use certmesh_tests::wrong_kubeconfigs::{kubeconfig, wrong_kubeconfigs};
use certmesh_tests::{
    Faults, Fleet, HOME, HOUR, Inventory, condition, ensure_namespace, intent, is_ready, reason, stop,
};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use std::time::Duration;

async fn write_kubeconfig(fleet: &Fleet, content: &[u8]) {
    let data = json!({"data": {"kubeconfig": ByteString(content.to_vec())}});
    fleet.patch::<Secret>(&fleet.management, HOME, "cluster-1", data).await;
}

/// Waits until the registration and the intent both say this, and how it ends.
async fn refused(fleet: &Fleet, name: &str, part: &str, todo: &str) {
    let says = |cluster: Option<&KubernetesCluster>| {
        let reports = cluster.and_then(|cluster| cluster.status.as_ref()).map(|status| &status.status);
        reports.into_iter().flatten().any(|report| report.state == "INVALID" && report.message.contains(part))
    };
    let cluster = fleet.wait(&fleet.management, HOME, name, says).await.unwrap();
    let message = &cluster.status.as_ref().unwrap().status[0].message;
    assert!(message.ends_with(todo), "{message:?} ends with {todo:?}");
    let says = |intent: Option<&IssuedCertificate>| {
        let status = intent.and_then(|intent| intent.status.as_ref());
        status.is_some_and(|status| status.error.contains(message.as_str()))
    };
    let intent = fleet.wait(&fleet.management, name, "istiod", says).await.unwrap();
    let status = intent.status.as_ref().unwrap();
    assert_eq!(condition(status, "Ready").unwrap().message, status.error);
    let reason = reason(&intent).to_owned();
    let events = fleet.events(&fleet.management, name, "istiod").await;
    assert!(events.iter().any(|event| event.reason.as_deref() == Some(&reason)), "an event {reason}");
}

#[tokio::test(start_paused = true)]
async fn a_kubeconfig_that_is_more_than_data_is_refused_and_once_corrected_the_cluster_is_served() {
    let fleet = Fleet::new(1).await;
    let remote = fleet.remotes[0].clone();
    // The product's own reading of the Secret; where it leads to a client, that is one in this process.
    let in_process = remote.clone();
    let judging = Connector::new(move |secret| {
        let remote = in_process.clone();
        async move {
            client_from_secret(&secret).await?;
            Ok(remote.client(Cluster::service_account(HOME, RemoteIssuer::NAME)))
        }
    });
    let table = wrong_kubeconfigs(remote.ca_pem());
    write_kubeconfig(&fleet, table[0].0.as_bytes()).await;
    fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
    for connector in [Connector::default(), judging.clone()] {
        let issuer = fleet.run_issuer_with(&Faults::default(), connector).await;
        for (content, part, todo) in &table {
            write_kubeconfig(&fleet, content.as_bytes()).await;
            refused(&fleet, "cluster-1", part, todo).await;
            let said = Inventory::of(&fleet.management).without(&["secrets "]);
            let said = serde_json::to_string(said.objects()).unwrap();
            assert!(!said.contains("hunter2") && !said.contains("/etc/passwd"), "no part of it is shown");
        }
        issuer.stop().await;
    }
    let issuer = fleet.run_issuer_with(&Faults::default(), judging).await;
    let agent = fleet.run_agent(0, &Faults::default()).await;
    tokio::time::sleep(HOUR).await;
    assert!(
        fleet.get::<IssuedCertificate>(&remote, HOME, "istiod").await.is_none(),
        "nothing was written there"
    );
    write_kubeconfig(&fleet, kubeconfig(remote.ca_pem(), "", "").as_bytes()).await;
    let limit = Duration::from_secs(3);
    fleet.wait_for(limit, &fleet.management, "cluster-1", "istiod", is_ready).await;
    agent.stop().await;
    issuer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_kubeconfig_that_goes_missing_is_asked_for_and_what_is_in_place_stays() {
    let fleet = Fleet::new(1).await;
    let running = fleet.run_all().await;
    fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
    fleet.ready("cluster-1", "istiod").await;
    let before = fleet.cacerts(0).await;
    fleet.delete::<Secret>(&fleet.management, HOME, "cluster-1").await;
    refused(&fleet, "cluster-1", "certmesh/cluster-1 does not exist", "register the cluster again").await;
    tokio::time::sleep(HOUR).await;
    let secret = Secret {
        metadata: kube::core::ObjectMeta {
            namespace: Some(HOME.to_owned()),
            name: Some("cluster-1".to_owned()),
            ..kube::core::ObjectMeta::default()
        },
        data: Some([("kubeconfig".to_owned(), ByteString(b"cluster-1".to_vec()))].into()),
        ..Secret::default()
    };
    fleet.create(&fleet.management, &secret).await;
    let limit = Duration::from_secs(60);
    let says_issued = |intent: Option<&IssuedCertificate>| {
        is_ready(intent) && intent.is_some_and(|intent| reason(intent) == "Issued")
    };
    fleet.wait_for(limit, &fleet.management, "cluster-1", "istiod", says_issued).await;
    assert_eq!(fleet.cacerts(0).await, before);
    stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn an_intent_for_a_cluster_that_is_not_registered_says_so() {
    let fleet = Fleet::new(1).await;
    let running = fleet.run_all().await;
    ensure_namespace(&fleet.management, "cluster-9", Some("cluster-9")).await;
    fleet.create(&fleet.management, &intent("cluster-9", "istiod")).await;
    let todo = "or move the intent to a registered cluster's namespace";
    fleet.refused("cluster-9", "istiod", "ClusterUnregistered", todo).await;
    tokio::time::sleep(HOUR).await;
    // Registered, it is served.
    fleet.register("cluster-9", "cluster-1").await;
    fleet.delete::<KubernetesCluster>(&fleet.management, HOME, "cluster-1").await;
    fleet.ready("cluster-9", "istiod").await;
    stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_was_not_made_for_the_cluster_is_not_used() {
    let fleet = Fleet::new(1).await;
    ensure_namespace(&fleet.management, "payments", None).await;
    let running = fleet.run_all().await;
    fleet.register("payments", "cluster-1").await;
    fleet.create(&fleet.management, &intent("payments", "istiod")).await;
    let part = "namespace payments has no label certmesh.dev/cluster=payments";
    refused(&fleet, "payments", part, "add the label if it was").await;
    tokio::time::sleep(HOUR).await;
    assert!(fleet.get::<IssuedCertificate>(&fleet.remotes[0], HOME, "istiod").await.is_none());
    fleet.delete::<KubernetesCluster>(&fleet.management, HOME, "cluster-1").await;
    let namespaces = Api::<Namespace>::all(fleet.management.client(Cluster::admin()));
    let label = Patch::Merge(json!({"metadata": {"labels": {labels::REGISTERED_CLUSTER: "payments"}}}));
    namespaces.patch("payments", &PatchParams::default(), &label).await.unwrap();
    fleet.ready("payments", "istiod").await;
    stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn namespaces_that_kubernetes_or_the_issuer_keeps_are_no_clusters() {
    let fleet = Fleet::new(1).await;
    let running = fleet.run_all().await;
    for (name, todo) in [
        ("default", "choose a name that is neither \"default\" nor \"kube-*\""),
        ("kube-public", "choose a name that is neither \"default\" nor \"kube-*\""),
        (HOME, "register the cluster under another name"),
    ] {
        ensure_namespace(&fleet.management, name, Some(name)).await;
        let spec =
            KubernetesClusterSpec { secret_name: "cluster-1".to_owned(), cluster_domain: String::new() };
        let mut cluster = KubernetesCluster::new(name, spec);
        cluster.metadata.namespace = Some(HOME.to_owned());
        fleet.create(&fleet.management, &cluster).await;
        fleet.create(&fleet.management, &intent(name, "istiod")).await;
        refused(&fleet, name, name, todo).await;
    }
    tokio::time::sleep(HOUR).await;
    assert!(fleet.get::<IssuedCertificate>(&fleet.remotes[0], HOME, "istiod").await.is_none());
    stop(running).await;
}
