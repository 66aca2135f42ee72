//! An intent goes, and with it what only served it: the certificate in place stays until somebody says otherwise.

use certmesh_api::certificates::IssuedCertificate;
use certmesh_api::multicluster::KubernetesCluster;
use certmesh_api::names::{annotations, finalizers};
use certmesh_tests::{Faults, Fleet, HOME, HOUR, Running, intent, is_clean, stop};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use serde_json::json;

async fn issued() -> (Fleet, Vec<Running>) {
    let fleet = Fleet::new(1).await;
    let running = fleet.run_all().await;
    fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
    fleet.ready("cluster-1", "istiod").await;
    (fleet, running)
}

async fn delete_intent(fleet: &Fleet) {
    fleet.delete::<IssuedCertificate>(&fleet.management, "cluster-1", "istiod").await;
}

async fn copy(fleet: &Fleet) -> Option<IssuedCertificate> {
    fleet.get::<IssuedCertificate>(&fleet.remotes[0], HOME, "istiod").await
}

#[tokio::test(start_paused = true)]
async fn a_deleted_intent_takes_its_copy_along_and_leaves_the_certificate_in_place() {
    let (fleet, running) = issued().await;
    let before = fleet.cacerts(0).await;
    delete_intent(&fleet).await;
    fleet.gone("cluster-1", "istiod").await;
    assert!(copy(&fleet).await.is_none());
    assert!(is_clean(&fleet, &fleet.remotes[0], "istiod").await, "no request and no pending key is left");
    let after = fleet.cacerts(0).await;
    assert_eq!(after.data, before.data, "without it istiod would make itself a root");
    let since = &after.annotations()[annotations::UNMANAGED_SINCE];
    assert!(since.parse::<jiff::Timestamp>().is_ok(), "{since}");

    // It is found again by an intent of the same name, which is another object.
    fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
    fleet.ready("cluster-1", "istiod").await;
    let again = fleet.cacerts(0).await;
    assert_eq!(again.data, before.data, "and needs no new certificate");
    assert!(!again.annotations().contains_key(annotations::UNMANAGED_SINCE), "it is looked after again");
    assert_eq!(fleet.issuance_log.records().len(), 1);
    stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn an_open_request_and_its_key_go_with_the_intent() {
    let fleet = Fleet::new(1).await;
    let remote = &fleet.remotes[0];
    let issuer = fleet.run_issuer(&Faults::default()).await;
    fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
    fleet.announced(0, "istiod").await;
    issuer.kill().await;
    let agent = fleet.run_agent(0, &Faults::default()).await;
    fleet.request(0, "istiod").await;
    assert!(fleet.get::<Secret>(remote, HOME, "istiod").await.is_some(), "the pending key");
    delete_intent(&fleet).await;
    let issuer = fleet.run_issuer(&Faults::default()).await;
    fleet.gone("cluster-1", "istiod").await;
    assert!(copy(&fleet).await.is_none());
    assert!(is_clean(&fleet, remote, "istiod").await);
    assert!(fleet.get::<Secret>(remote, "istio-system", "cacerts").await.is_none());
    assert!(fleet.issuance_log.records().is_empty(), "nothing is signed for an intent that is going");
    issuer.stop().await;
    agent.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_certificate_goes_too_where_the_intent_said_so() {
    let (fleet, running) = issued().await;
    fleet.annotate("cluster-1", "istiod", annotations::DELETION_POLICY, "Delete").await;
    tokio::time::sleep(HOUR).await;
    assert!(fleet.get::<Secret>(&fleet.remotes[0], "istio-system", "cacerts").await.is_some(), "not before");
    delete_intent(&fleet).await;
    fleet.gone("cluster-1", "istiod").await;
    assert!(copy(&fleet).await.is_none());
    assert!(fleet.get::<Secret>(&fleet.remotes[0], "istio-system", "cacerts").await.is_none());
    stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_copy_deleted_by_mistake_comes_back_and_costs_nothing() {
    let (fleet, running) = issued().await;
    fleet.annotate("cluster-1", "istiod", annotations::DELETION_POLICY, "Delete").await;
    tokio::time::sleep(HOUR).await;
    let (before, old) = (fleet.cacerts(0).await, copy(&fleet).await.unwrap());
    fleet.delete::<IssuedCertificate>(&fleet.remotes[0], HOME, "istiod").await;
    let another = |copy: Option<&IssuedCertificate>| copy.is_some_and(|copy| copy.uid() != old.uid());
    fleet.wait(&fleet.remotes[0], HOME, "istiod", another).await;
    tokio::time::sleep(HOUR).await;
    fleet.ready("cluster-1", "istiod").await;
    let after = fleet.cacerts(0).await;
    assert_eq!(after.data, before.data, "even where the certificate goes with the intent");
    assert!(!after.annotations().contains_key(annotations::UNMANAGED_SINCE));
    assert_eq!(fleet.issuance_log.records().len(), 1);
    stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn an_intent_waits_for_its_agent_and_says_so() {
    let (fleet, running) = issued().await;
    stop(running).await;
    let issuer = fleet.run_issuer(&Faults::default()).await;
    delete_intent(&fleet).await;
    let waiting = fleet.says("cluster-1", "istiod", "WaitingForAgent").await;
    assert!(waiting.finalizers().iter().any(|finalizer| finalizer == finalizers::INTENT));
    let error = waiting.status.unwrap().error;
    assert!(error.ends_with("deregister the cluster if it is gone for good"), "{error}");
    assert!(copy(&fleet).await.unwrap().metadata.deletion_timestamp.is_some());
    let agent = fleet.run_agent(0, &Faults::default()).await;
    fleet.gone("cluster-1", "istiod").await;
    agent.stop().await;
    issuer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_intent_of_a_deregistered_cluster_is_let_go_and_nothing_there_is_touched() {
    let (fleet, running) = issued().await;
    let before = fleet.cacerts(0).await;
    fleet.delete::<KubernetesCluster>(&fleet.management, HOME, "cluster-1").await;
    fleet.says("cluster-1", "istiod", "ClusterUnregistered").await;
    delete_intent(&fleet).await;
    fleet.gone("cluster-1", "istiod").await;
    tokio::time::sleep(HOUR).await;
    assert!(copy(&fleet).await.unwrap().metadata.deletion_timestamp.is_none(), "a restored fleet needs it");
    assert_eq!(fleet.cacerts(0).await, before);
    stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_copy_whose_intent_is_unknown_is_left_alone() {
    let (fleet, running) = issued().await;
    stop(running).await;
    // As in a management cluster that was restored from a backup that is older than the intent.
    let finalizers = json!({"metadata": {"finalizers": null}});
    fleet.patch::<IssuedCertificate>(&fleet.management, "cluster-1", "istiod", finalizers).await;
    delete_intent(&fleet).await;
    fleet.gone("cluster-1", "istiod").await;
    let (copy_before, secret_before) = (copy(&fleet).await.unwrap(), fleet.cacerts(0).await);
    let running = fleet.run_all().await;
    tokio::time::sleep(HOUR * 6).await;
    let copy_after = copy(&fleet).await.unwrap();
    assert_eq!((copy_after.spec, copy_after.metadata), (copy_before.spec, copy_before.metadata));
    assert_eq!(fleet.cacerts(0).await, secret_before);
    assert_eq!(fleet.issuance_log.records().len(), 1);

    // The intent comes back, as another object.
    fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
    fleet.ready("cluster-1", "istiod").await;
    assert_eq!(fleet.cacerts(0).await.data, secret_before.data);
    assert_eq!(fleet.issuance_log.records().len(), 1);
    stop(running).await;
}
