//! Whoever rules a remote cluster, or has stolen the issuer's token for it, writes answers of their own: the agent
//! stores none that is not exactly the certificate that it asked for.

use certmesh_api::certificates::{CertificateRequest, IssuedCertificate, ObjectRef};
use certmesh_apiserver::Cluster;
use certmesh_tests::forger::Forger;
use certmesh_tests::forgeries::{FORGERIES, Forgery, Scene};
use certmesh_tests::{Faults, Fleet, HOME, Witness, intent, reason, signing_secret};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn no_forged_answer_is_ever_stored() {
    let fleet = Fleet::new(1).await;
    let remote = &fleet.remotes[0];
    let now = fleet.clock.now();
    let mut wanted = intent("cluster-1", "istiod");
    let scene =
        Scene { right: Forger::new(now), mallory: Forger::new(now), host: wanted.spec.hosts[0].clone() };
    fleet.create(&fleet.management, &signing_secret("stolen-ca", &scene.right.authority)).await;
    let ca = wanted.spec.gloo_mesh_ca.as_mut().unwrap();
    ca.signing_certificate_secret = Some(ObjectRef::new(HOME, "stolen-ca"));
    fleet.create(&fleet.management, &wanted).await;
    let issuer = fleet.run_issuer(&Faults::default()).await;
    fleet.announced(0, "istiod").await;
    issuer.kill().await;

    let witness = Witness::of(remote, &ObjectRef::new("istio-system", "cacerts"), fleet.clock.clone());
    let agent = fleet.run_agent(0, &Faults::default()).await;
    for (what, reason, forgery) in FORGERIES {
        answer_with(&fleet, &scene, forgery).await;
        let says = |copy: Option<&IssuedCertificate>| copy.is_some_and(|copy| is_waiting(copy, reason));
        fleet.wait(remote, HOME, "istiod", says).await;
        assert!(fleet.get::<Secret>(remote, "istio-system", "cacerts").await.is_none(), "{what}");
    }

    // What stays unusable becomes a failure with a back-off; the real issuer then answers the next request.
    tokio::time::sleep(Duration::from_secs(5 * 60)).await;
    let issuer = fleet.run_issuer(&Faults::default()).await;
    fleet.ready("cluster-1", "istiod").await;
    let signed = fleet.issuance_log.records();
    let delivered: Vec<_> = witness.certificates().iter().map(ToString::to_string).collect();
    assert_eq!(delivered.len(), 1);
    assert_eq!(signed.len(), 1, "{signed:?}");
    assert_eq!(signed[0]["certificateFingerprint"], delivered[0].as_str());
    agent.stop().await;
    issuer.stop().await;
}

fn is_waiting(copy: &IssuedCertificate, wanted: &str) -> bool {
    reason(copy) == wanted && copy.status.as_ref().is_some_and(|status| !status.error.is_empty())
}

async fn answer_with(fleet: &Fleet, scene: &Scene, forgery: Forgery) {
    let remote = &fleet.remotes[0];
    let request = fleet.request(0, "istiod").await;
    let status = scene.forge(&request, forgery);
    let api = Api::<CertificateRequest>::namespaced(remote.client(Cluster::admin()), HOME);
    let patch = Patch::Merge(json!({"status": status}));
    api.patch_status("istiod", &PatchParams::default(), &patch).await.expect("a forged answer");
}
