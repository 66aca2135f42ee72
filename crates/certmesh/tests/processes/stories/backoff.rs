//! What is refused says when it is tried again; what a person corrects is tried at once. The whole back-off (a minute,
//! doubling to an hour, kept over restarts, jittered) and the brake (one certificate in ten minutes for a Secret that is
//! spoiled all the time) take hours: they are told in one process, on a virtual clock.

use super::{Disturbs, Story, cacerts};
use crate::mesh::{HOME, Mesh, intent, new_root, whole};
use certmesh_api::certificates::{CertificateRequest, IssuedCertificate, ObjectRef};
use certmesh_api::names::annotations;
use certmesh_tests::signing_secret;
use futures::FutureExt as _;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// More than what a correction takes, and less than half the shortest back-off.
const AT_ONCE: Duration = Duration::from_secs(20);

pub(super) const STORIES: &[Story] = &[
    Story {
        name: "a_refusal_says_when_it_is_tried_again_and_a_correction_is_tried_at_once",
        disturbs: Disturbs::Nobody,
        targets: || cacerts(&["refused"]),
        tell: |mesh| refused(mesh).boxed(),
    },
    Story {
        name: "a_secret_that_is_deleted_all_the_time_does_not_make_a_storm_of_requests",
        disturbs: Disturbs::Nobody,
        targets: || cacerts(&["swept"]),
        tell: |mesh| swept(mesh).boxed(),
    },
];

async fn allow(mesh: &Mesh, clusters: &str) {
    let patch = json!({"metadata": {"annotations": {annotations::ALLOW_CLUSTERS: clusters}}});
    mesh.management.patch::<Secret>(HOME, "moody-ca", patch).await;
}

fn decisions(mesh: &Mesh, decision: &str) -> Vec<Value> {
    let records = mesh.records("cluster-1", "refused");
    records.into_iter().filter(|record| record["decision"] == decision).collect()
}

async fn refused(mesh: &Mesh) {
    mesh.management.create(HOME, &signing_secret("moody-ca", &new_root())).await;
    let mut wanted = intent("cluster-1", "refused");
    let ca = wanted.spec.gloo_mesh_ca.as_mut().expect("a CA");
    ca.signing_certificate_secret = Some(ObjectRef::new(HOME, "moody-ca"));
    mesh.management.create("cluster-1", &wanted).await;
    mesh.ready("cluster-1", "refused").await;
    let before = mesh.issued(0, "refused").await;

    allow(mesh, "cluster-7").await;
    mesh.says("cluster-1", "refused", "CaNotAllowed").await;
    mesh.annotate("cluster-1", "refused", annotations::RENEW, "please").await;
    let asked = jiff::Timestamp::now();
    let is_counted = |intent: Option<&IssuedCertificate>| {
        intent.and_then(|intent| intent.status.as_ref()).is_some_and(|status| status.attempts == 1)
    };
    let status = mesh.until("cluster-1", "refused", is_counted).await.expect("an intent").status;
    let next = status.expect("a status").next_attempt_at.expect("a next attempt").0;
    let delay = next.duration_since(asked).as_secs();
    // A minute, give or take a fifth, from when it was refused.
    assert!((45..=90).contains(&delay), "tried again in {delay} s");
    assert_eq!(decisions(mesh, "refused").len(), 1);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(decisions(mesh, "refused").len(), 1, "not tried again before that");
    assert_eq!(mesh.issued(0, "refused").await, before, "what is in place stays");

    // Another lifetime, still refused: tried now.
    let begin = Instant::now();
    let shorter = json!({"spec": {"certOptions": {"ttlDays": 30}}});
    mesh.management.patch::<IssuedCertificate>("cluster-1", "refused", shorter).await;
    while decisions(mesh, "refused").len() < 2 {
        assert!(begin.elapsed() < AT_ONCE, "a corrected intent is tried at once");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // A CA that may sign for this cluster, and the next wish comes true.
    let begin = Instant::now();
    allow(mesh, "cluster-1").await;
    mesh.annotate("cluster-1", "refused", annotations::RENEW, "again").await;
    mesh.renewed("cluster-1", "refused", &before).await;
    assert!(begin.elapsed() < AT_ONCE, "{:?}", begin.elapsed());
    assert_eq!(decisions(mesh, "signed").len(), 2);
    assert!(mesh.is_clean(0, "refused").await, "request and pending key are gone");
}

async fn swept(mesh: &Mesh) {
    const DELETIONS: usize = 5;
    let remote = &mesh.remotes[0];
    mesh.ask("cluster-1", "swept").await;
    mesh.ready("cluster-1", "swept").await;
    for _ in 0..DELETIONS {
        remote.delete::<Secret>("swept", "cacerts").await;
        mesh.wait::<Secret>(remote, "swept", "cacerts", |secret| secret.is_some()).await;
    }
    let is_gone = |request: Option<&CertificateRequest>| request.is_none();
    mesh.wait(remote, HOME, "swept", is_gone).await;
    mesh.ready("cluster-1", "swept").await;
    whole(&mesh.issued(0, "swept").await);
    let signed = mesh.records("cluster-1", "swept").len();
    assert_eq!(signed, 1 + DELETIONS, "one for each deletion: without it istiod would make itself a root");
}
