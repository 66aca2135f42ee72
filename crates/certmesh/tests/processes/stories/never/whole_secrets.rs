//! Every version of an issued Secret is whole, none is missing, and each has a cause.

use crate::mesh::{HOME, Mesh, Version, Versions, whole};
use certmesh_api::certificates::IssuedCertificate;
use certmesh_api::names::annotations;
use certmesh_x509::Fingerprint;
use k8s_openapi::api::core::v1::Secret;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

/// The certificates that were in place, in order, without repeats. Fails on a version that was not whole, and on a
/// deletion.
async fn certificates(issued: &Versions<Secret>) -> Vec<Fingerprint> {
    let versions = issued.of("cacerts").await;
    let mut certificates: Vec<Fingerprint> = versions
        .iter()
        .map(|version| match version {
            Version::Stored(secret) => whole(secret).0.fingerprint(),
            Version::Deleted(_) => panic!("the issued Secret was gone"),
        })
        .collect();
    certificates.dedup();
    certificates
}

pub(super) async fn parts(mesh: &Mesh) {
    let issued = Versions::from_now(mesh.remotes[0].api::<Secret>("parts")).await;
    mesh.ask("cluster-1", "parts").await;
    mesh.ready("cluster-1", "parts").await;
    let changes = [
        json!({"hosts": ["spiffe://cluster-1.example/ns/istio-system/sa/other"]}),
        json!({"certOptions": {"keyAlgorithm": "ECDSA_P384"}}),
        json!({"certOptions": {"ttlSeconds": 1800}}),
        json!({}),
    ];
    let number = changes.len();
    for (nonce, spec) in changes.into_iter().enumerate() {
        let before = mesh.issued(0, "parts").await;
        // A person's wish, or the brake would hold up the second change.
        let wish = json!({"annotations": {annotations::RENEW: nonce.to_string()}});
        let change = json!({"metadata": wish, "spec": spec});
        mesh.management.patch::<IssuedCertificate>("cluster-1", "parts", change).await;
        mesh.renewed("cluster-1", "parts", &before).await;
    }
    mesh.management.delete::<IssuedCertificate>("cluster-1", "parts").await;
    mesh.until("cluster-1", "parts", |intent| intent.is_none()).await;
    assert_eq!(certificates(&issued).await.len(), 1 + number, "each in a whole Secret");
}

pub(super) async fn old_and_new(mesh: &Mesh) {
    // Whoever is needed for the new one is missing for a while.
    let issued = Versions::from_now(mesh.remotes[2].api::<Secret>("old-and-new")).await;
    mesh.ask("cluster-3", "old-and-new").await;
    mesh.ready("cluster-3", "old-and-new").await;
    let before = mesh.issued(2, "old-and-new").await;
    mesh.kill("cluster-3");
    mesh.annotate("cluster-3", "old-and-new", annotations::RENEW, "please").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    mesh.pause_issuer();
    mesh.start_program("cluster-3");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(certificates(&issued).await, [whole(&before).0.fingerprint()], "without the issuer");
    mesh.kill("cluster-3");
    mesh.go_on();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(certificates(&issued).await.len(), 1, "without the agent");
    mesh.start_program("cluster-3");
    mesh.renewed("cluster-3", "old-and-new", &before).await;
    assert_eq!(certificates(&issued).await.len(), 2, "the old one, then the new one, and never none");
}

pub(super) async fn needs(mesh: &Mesh) {
    let remote = &mesh.remotes[0];
    let issued = Versions::from_now(remote.api::<Secret>("needs")).await;
    mesh.ask("cluster-1", "needs").await;
    mesh.ready("cluster-1", "needs").await;
    let note = json!({"metadata": {"annotations": {"example.com/note": "x"}, "labels": {"team": "mesh"}}});
    let no_causes = [
        note.clone(),
        json!({"metadata": {"annotations": {annotations::ADOPT: "true", annotations::REPLACE_ROOT: "true"}}}),
        json!({"metadata": {"annotations": {annotations::DELETION_POLICY: "Delete"}}}),
        json!({"spec": {"podBounceDirective": {"name": "bounce", "namespace": HOME}}}),
        json!({"spec": {"certOptions": {"secretRotationGracePeriodRatio": 0.2}}}),
    ];
    for patch in no_causes {
        mesh.management.patch::<IssuedCertificate>("cluster-1", "needs", patch).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    remote.patch::<IssuedCertificate>(HOME, "needs", note.clone()).await;
    remote.patch::<Secret>("needs", "cacerts", note).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    mesh.ready("cluster-1", "needs").await;
    assert_eq!(certificates(&issued).await.len(), 1);
    assert_eq!(mesh.records("cluster-1", "needs").len(), 1);

    // Every certificate after that has a need of its own.
    for nonce in ["1", "2", "3"] {
        mesh.renew(0, "needs", nonce).await;
    }
    let records = mesh.records("cluster-1", "needs");
    let needs: BTreeSet<String> = records.iter().map(|record| record["need"].to_string()).collect();
    assert_eq!((needs.len(), certificates(&issued).await.len(), records.len()), (4, 4, 4));
}
