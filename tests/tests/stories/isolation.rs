//! What happens to one cluster delays no other; the intents of the one that cannot be reached say so, and go on by
//! themselves when it comes back.

use certmesh_api::certificates::IssuedCertificate;
use certmesh_api::multicluster::KubernetesCluster;
use certmesh_api::names::annotations;
use certmesh_tests::{Faults, Fleet, HOME, HOUR, LinkState, intent, is_ready, reason, stop};
use http::StatusCode;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use serde_json::json;
use std::time::Duration;

const WAYS_TO_FAIL: [LinkState; 6] = [
    LinkState::Silent,
    LinkState::Cut,
    LinkState::Answers(StatusCode::FORBIDDEN),
    LinkState::Answers(StatusCode::UNAUTHORIZED),
    LinkState::Answers(StatusCode::SERVICE_UNAVAILABLE),
    LinkState::Garbage,
];

#[tokio::test(start_paused = true)]
async fn a_cluster_that_cannot_be_reached_from_the_start_delays_no_other() {
    for failure in WAYS_TO_FAIL {
        let fleet = Fleet::new(2).await;
        fleet.links[0].set(failure);
        for cluster in ["cluster-1", "cluster-2"] {
            fleet.create(&fleet.management, &intent(cluster, "istiod")).await;
        }
        let issuer = fleet.run_issuer(&Faults::default()).await;
        let agents =
            [fleet.run_agent(0, &Faults::default()).await, fleet.run_agent(1, &Faults::default()).await];
        let limit = Duration::from_secs(3);
        fleet.wait_for(limit, &fleet.management, "cluster-2", "istiod", is_ready).await;
        unreachable_is_said(&fleet, failure).await;
        let cluster = fleet.get::<KubernetesCluster>(&fleet.management, HOME, "cluster-1").await.unwrap();
        let report = &cluster.status.as_ref().unwrap().status[0];
        assert_eq!(report.state, "FAILED", "{failure:?}: {}", report.message);
        assert!(report.message.ends_with("the network and the token"), "{}", report.message);
        comes_back(&fleet, failure).await;
        for agent in agents {
            agent.stop().await;
        }
        issuer.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_lost_on_the_way_delays_no_other() {
    for failure in WAYS_TO_FAIL {
        let fleet = Fleet::new(2).await;
        let running = fleet.run_all().await;
        for cluster in ["cluster-1", "cluster-2"] {
            fleet.create(&fleet.management, &intent(cluster, "istiod")).await;
            fleet.ready(cluster, "istiod").await;
        }
        fleet.links[0].set(failure);
        let before = fleet.get::<Secret>(&fleet.remotes[1], "istio-system", "cacerts").await.unwrap();
        for cluster in ["cluster-1", "cluster-2"] {
            fleet.annotate(cluster, "istiod", annotations::RENEW, "please").await;
        }
        let begin = tokio::time::Instant::now();
        fleet.renewed("cluster-2", "istiod", &before).await;
        assert!(begin.elapsed() < Duration::from_secs(3), "{failure:?}: {:?}", begin.elapsed());
        unreachable_is_said(&fleet, failure).await;
        let still = fleet.get::<IssuedCertificate>(&fleet.management, "cluster-1", "istiod").await.unwrap();
        let ready = still.status.as_ref().unwrap().conditions.iter().find(|found| found.type_ == "Ready");
        assert_eq!(ready.unwrap().status, "True", "{failure:?}: the certificate in place is still good");
        let before = fleet.cacerts(0).await;
        fleet.links[0].set(LinkState::Up);
        tokio::time::sleep(Duration::from_secs(180)).await;
        fleet.renewed("cluster-1", "istiod", &before).await;
        for controller in running {
            controller.stop().await;
        }
    }
}

/// The intent says within two minutes that its cluster cannot be reached, and what was tried.
async fn unreachable_is_said(fleet: &Fleet, failure: LinkState) {
    let says = |intent: Option<&IssuedCertificate>| {
        intent.is_some_and(|intent| reason(intent) == "ClusterUnreachable")
    };
    let limit = Duration::from_secs(120);
    let intent = fleet.wait_for(limit, &fleet.management, "cluster-1", "istiod", says).await.unwrap();
    let error = intent.status.unwrap().error;
    assert!(error.starts_with("cluster cluster-1 cannot be reached, trying again: "), "{failure:?}: {error}");
    let events = fleet.events(&fleet.management, "cluster-1", "istiod").await;
    let is_said = events.iter().any(|event| event.reason.as_deref() == Some("ClusterUnreachable"));
    assert!(is_said, "{failure:?}: there is an event");
}

/// The link works again: at most three minutes later the certificate is there.
async fn comes_back(fleet: &Fleet, failure: LinkState) {
    fleet.links[0].set(LinkState::Up);
    let limit = Duration::from_secs(180);
    fleet.wait_for(limit, &fleet.management, "cluster-1", "istiod", is_ready).await;
    let events = fleet.events(&fleet.management, "cluster-1", "istiod").await;
    let ready = events.iter().any(|event| event.reason.as_deref() == Some("Issued"));
    assert!(ready, "{failure:?}: people are told that it works again");
}

#[tokio::test(start_paused = true)]
async fn a_link_that_flaps_costs_no_certificate() {
    let fleet = Fleet::new(1).await;
    let running = fleet.run_all().await;
    fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
    fleet.ready("cluster-1", "istiod").await;
    let before = fleet.cacerts(0).await;
    for round in 0..60_u64 {
        let failure = WAYS_TO_FAIL[usize::try_from(round).unwrap() % WAYS_TO_FAIL.len()];
        fleet.links[0].set(failure);
        tokio::time::sleep(Duration::from_secs(7 * (round % 9))).await;
        fleet.links[0].set(LinkState::Up);
        tokio::time::sleep(Duration::from_secs(11 * (round % 5))).await;
    }
    tokio::time::sleep(HOUR).await;
    fleet.ready("cluster-1", "istiod").await;
    assert_eq!(fleet.cacerts(0).await, before);
    assert_eq!(fleet.issuance_log.records().len(), 1);
    stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn one_cluster_under_two_names_is_refused() {
    let fleet = Fleet::new(1).await;
    let running = fleet.run_all().await;
    fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
    fleet.ready("cluster-1", "istiod").await;
    fleet.register("twin", "cluster-1").await;
    let says_no = |cluster: Option<&KubernetesCluster>| {
        let status = cluster.and_then(|cluster| cluster.status.as_ref());
        status.is_some_and(|status| status.status.iter().any(|report| report.state == "INVALID"))
    };
    let twin = fleet.wait(&fleet.management, HOME, "twin", says_no).await.unwrap();
    let message = &twin.status.as_ref().unwrap().status[0].message;
    assert_eq!(message, "the cluster is already registered as cluster-1: deregister that name first");
    // An intent of the twin would fight for the copy of the same name.
    fleet.create(&fleet.management, &intent("twin", "istiod")).await;
    let said = |intent: Option<&IssuedCertificate>| {
        intent.and_then(|intent| intent.status.as_ref()).is_some_and(|status| !status.error.is_empty())
    };
    let refused = fleet.wait(&fleet.management, "twin", "istiod", said).await.unwrap();
    assert!(refused.status.unwrap().error.ends_with(message));
    tokio::time::sleep(HOUR).await;
    let copy = fleet.get::<IssuedCertificate>(&fleet.remotes[0], HOME, "istiod").await.unwrap();
    assert_eq!(copy.annotations()[annotations::INTENT], "cluster-1/istiod");
    assert_eq!(fleet.issuance_log.records().len(), 1);

    // Whoever connects first after a restart, the name that the cluster was bound to first keeps it.
    let mut running = running;
    for _ in 0..5 {
        for controller in running {
            controller.stop().await;
        }
        running = fleet.run_all().await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let twin = fleet.get::<KubernetesCluster>(&fleet.management, HOME, "twin").await.unwrap();
        assert_eq!(twin.status.unwrap().status[0].state, "INVALID");
    }
    fleet.ready("cluster-1", "istiod").await;

    // Deregistered as cluster-1, it may be the twin.
    fleet.delete::<KubernetesCluster>(&fleet.management, HOME, "cluster-1").await;
    let accepted = |cluster: Option<&KubernetesCluster>| {
        let status = cluster.and_then(|cluster| cluster.status.as_ref());
        status.is_some_and(|status| status.status.iter().any(|report| report.state == "ACCEPTED"))
    };
    fleet.wait(&fleet.management, HOME, "twin", accepted).await;
    // The copy there still is cluster-1's: left alone.
    fleet.says("twin", "istiod", "CopyNotOurs").await;
    stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn another_cluster_behind_a_registered_name_is_refused() {
    let fleet = Fleet::new(2).await;
    let running = fleet.run_all().await;
    fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
    fleet.ready("cluster-1", "istiod").await;
    fleet.delete::<KubernetesCluster>(&fleet.management, HOME, "cluster-2").await;
    // The kubeconfig of cluster-1 now leads to what was cluster-2.
    let kubeconfig = json!({"data": {"kubeconfig": k8s_openapi::ByteString(b"cluster-2".to_vec())}});
    fleet.patch::<Secret>(&fleet.management, HOME, "cluster-1", kubeconfig).await;
    let says_no = |cluster: Option<&KubernetesCluster>| {
        let status = cluster.and_then(|cluster| cluster.status.as_ref());
        status.is_some_and(|status| status.status.iter().any(|report| report.state == "INVALID"))
    };
    let refused = fleet.wait(&fleet.management, HOME, "cluster-1", says_no).await.unwrap();
    let message = &refused.status.as_ref().unwrap().status[0].message;
    assert!(message.starts_with("the cluster is not the one registered"), "{message}");
    assert!(message.ends_with("deregister and register it again"), "{message}");
    tokio::time::sleep(HOUR).await;
    assert!(fleet.get::<IssuedCertificate>(&fleet.remotes[1], HOME, "istiod").await.is_none());
    stop(running).await;
}
