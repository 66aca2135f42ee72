//! Whoever rules a remote cluster edits copies and requests as they like: nothing gets signed but a key under the
//! intent's identity, and what people read in the management cluster stays harmless. That answers and repetitions have a
//! budget (hundreds of them, then ten a second) is told in one process, on a virtual clock.

use super::hostile_answer::announced;
use super::{Disturbs, Story, cacerts};
use crate::mesh::{HOME, Mesh, Versions, whole};
use certmesh_api::certificates::{CertificateRequest, CertificateRequestState, IssuedCertificate};
use certmesh_api::names::{annotations, labels};
use certmesh_tests::edits::{
    EVIL, edits_of_a_copy, edits_that_disown_a_copy, novel, strings, unusable_requests,
};
use certmesh_tests::forger::{csr, new_key};
use certmesh_tests::reason;
use certmesh_x509::{Certificate, Hosts};
use futures::FutureExt as _;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use std::time::Duration;

/// The cluster that somebody else rules.
const CLUSTER: &str = "cluster-2";
const INDEX: usize = 1;

pub(super) const STORIES: &[Story] = &[
    Story {
        name: "edits_of_the_copy_are_undone_and_nothing_is_signed_for_them",
        disturbs: Disturbs::Cluster(INDEX),
        targets: || cacerts(&["edited"]),
        tell: |mesh| edited(mesh).boxed(),
    },
    Story {
        name: "a_swapped_csr_gets_its_key_signed_under_the_intent_and_is_never_stored_nor_signed_again",
        disturbs: Disturbs::Cluster(INDEX),
        targets: || cacerts(&["swapped"]),
        tell: |mesh| swapped(mesh).boxed(),
    },
    Story {
        name: "a_csr_that_cannot_be_used_is_refused_and_the_agent_asks_again",
        disturbs: Disturbs::Cluster(INDEX),
        targets: || cacerts(&["unusable"]),
        tell: |mesh| unusable(mesh).boxed(),
    },
    Story {
        name: "a_cluster_gets_nothing_signed_for_the_intent_of_another",
        disturbs: Disturbs::Cluster(INDEX),
        targets: || cacerts(&["stolen"]),
        tell: |mesh| stolen(mesh).boxed(),
    },
    Story {
        name: "what_a_remote_status_says_is_escaped_and_cut_before_people_read_it",
        disturbs: Disturbs::Cluster(INDEX),
        targets: || cacerts(&["novel"]),
        tell: |mesh| escaped(mesh).boxed(),
    },
];

async fn edited(mesh: &Mesh) {
    let remote = &mesh.remotes[INDEX];
    mesh.ask(CLUSTER, "edited").await;
    mesh.ready(CLUSTER, "edited").await;
    let before = mesh.issued(INDEX, "edited").await;
    for edit in edits_of_a_copy() {
        let good = remote.get::<IssuedCertificate>(HOME, "edited").await.expect("a copy");
        remote.patch::<IssuedCertificate>(HOME, "edited", edit.clone()).await;
        let is_undone = |copy: Option<&IssuedCertificate>| {
            copy.is_some_and(|copy| {
                copy.spec == good.spec
                    && copy.annotations() == good.annotations()
                    && copy.labels() == good.labels()
            })
        };
        mesh.wait(remote, HOME, "edited", is_undone).await;
    }
    mesh.ready(CLUSTER, "edited").await;
    for edit in edits_that_disown_a_copy() {
        remote.patch::<IssuedCertificate>(HOME, "edited", edit).await;
        let error = mesh.says(CLUSTER, "edited", "CopyNotOurs").await.status.expect("a status").error;
        assert!(error.ends_with("delete it there, or rename the intent"), "{error}");
        mesh.told(CLUSTER, "edited", "Warning", "CopyNotOurs").await;
        remote.delete::<IssuedCertificate>(HOME, "edited").await;
        mesh.says(CLUSTER, "edited", "Issued").await;
    }
    assert_eq!(mesh.issued(INDEX, "edited").await.data, before.data);
    assert_eq!(mesh.records(CLUSTER, "edited").len(), 1, "nothing was signed or refused for an edit");
}

/// The agent has asked for a certificate and is gone; the issuer has no time to answer.
async fn asked(mesh: &Mesh, name: &str) -> CertificateRequest {
    mesh.kill(CLUSTER);
    mesh.ask(CLUSTER, name).await;
    announced(mesh, name).await;
    mesh.pause_issuer();
    mesh.start_program(CLUSTER);
    let is_there = |request: Option<&CertificateRequest>| request.is_some();
    let request = mesh.wait(&mesh.remotes[INDEX], HOME, name, is_there).await;
    mesh.kill(CLUSTER);
    request.expect("a request")
}

async fn swap_csr(mesh: &Mesh, name: &str, pem: &[u8]) {
    let patch = json!({"spec": {"certificateSigningRequest": ByteString(pem.to_vec())}});
    mesh.remotes[INDEX].patch::<CertificateRequest>(HOME, name, patch).await;
}

/// The request once the issuer, which goes on now, has answered.
async fn answered(mesh: &Mesh, name: &str) -> CertificateRequest {
    mesh.go_on();
    let is_answered = |request: Option<&CertificateRequest>| {
        let status = request.and_then(|request| request.status.as_ref());
        status.is_some_and(|status| status.state != CertificateRequestState::Pending)
    };
    mesh.wait(&mesh.remotes[INDEX], HOME, name, is_answered).await.expect("a request")
}

async fn swapped(mesh: &Mesh) {
    let remote = &mesh.remotes[INDEX];
    let issued = Versions::from_now(remote.api::<Secret>("swapped")).await;
    asked(mesh, "swapped").await;
    let mallory = new_key();
    swap_csr(mesh, "swapped", csr(&mallory, EVIL).as_bytes()).await;
    let old = answered(mesh, "swapped").await;
    let answer = old.status.clone().expect("an answer").signed_certificate.expect("a certificate");
    let signed = Certificate::from_pem(&answer.0).expect("a certificate");
    let hosts = Hosts::parse(&certmesh_tests::intent(CLUSTER, "swapped").spec.hosts).expect("hosts");
    assert_eq!(signed.public_key(), mallory.public_key(), "the key is all that a request contributes");
    assert!(signed.identifies_exactly(&hosts), "the intent's hosts");
    let subject = signed.subject().to_string();
    assert!(subject.contains("CN=cluster-2/swapped") && !subject.contains("allory"), "{subject}");
    assert_eq!((signed.is_ca(), signed.path_length()), (true, Some(0)));
    let lifetime = signed.not_after().as_second() - jiff::Timestamp::now().as_second();
    assert!(lifetime <= 365 * 24 * 3600, "{lifetime} s");

    mesh.start_program(CLUSTER);
    mesh.ready(CLUSTER, "swapped").await;
    for version in issued.of("cacerts").await {
        assert_ne!(whole(version.object()).0.public_key(), mallory.public_key());
    }
    let mallorys = json!(mallory.public_key().fingerprint().to_string());
    let records = mesh.records(CLUSTER, "swapped");
    let of_mallory = records.iter().filter(|record| record["keyFingerprint"] == mallorys).count();
    assert_eq!(of_mallory, 1, "{records:?}");

    // Another need. As it was, with its annotations and its answer, the old request is neither stored nor signed again.
    mesh.renew(INDEX, "swapped", "please").await;
    let (stored, decided) = (mesh.issued(INDEX, "swapped").await, mesh.records(CLUSTER, "swapped").len());
    for state in [CertificateRequestState::Finished, CertificateRequestState::Pending] {
        let mut again = CertificateRequest::new("swapped", old.spec.clone());
        again.metadata.annotations.clone_from(&old.metadata.annotations);
        again.metadata.labels.clone_from(&old.metadata.labels);
        let replayed = remote.create(HOME, &again).await;
        let mut status = old.status.clone().expect("an answer");
        status.state = state;
        let patch = Patch::Merge(json!({"status": status}));
        // The agent may have been faster.
        let _ = remote
            .api::<CertificateRequest>(HOME)
            .patch_status("swapped", &PatchParams::default(), &patch)
            .await;
        let is_gone = |request: Option<&CertificateRequest>| {
            request.is_none_or(|request| request.uid() != replayed.uid())
        };
        mesh.wait(remote, HOME, "swapped", is_gone).await;
        assert_eq!(mesh.issued(INDEX, "swapped").await, stored, "{state:?}");
        assert_eq!(mesh.records(CLUSTER, "swapped").len(), decided, "{state:?}");
    }
}

async fn unusable(mesh: &Mesh) {
    let honest = asked(mesh, "unusable").await.spec.certificate_signing_request.expect("a request").0;
    for (number, (what, pem, reason)) in unusable_requests(&honest).into_iter().enumerate() {
        swap_csr(mesh, "unusable", &pem).await;
        if number > 0 {
            // The same open request again: whoever rules the cluster can make it look unanswered.
            let reset = json!({"status": {"state": "PENDING", "error": null, "observedGeneration": null}});
            mesh.remotes[INDEX].patch_status::<CertificateRequest>(HOME, "unusable", reset).await;
        }
        let status = answered(mesh, "unusable").await.status.expect("an answer");
        assert_eq!(status.state, CertificateRequestState::Failed, "{what}");
        assert!(status.signed_certificate.is_none(), "{what}");
        assert!(status.error.contains("the agent makes a"), "{what}: says what is next: {}", status.error);
        // An answer to the honest request may have been decided, and lost against the swap.
        let mut records = mesh.records(CLUSTER, "unusable");
        records.retain(|record| record["decision"] == "refused");
        assert_eq!(records.len(), number + 1, "{what}: one line in the issuance log");
        assert_eq!(records[number]["reason"], reason, "{what}");
        mesh.told(CLUSTER, "unusable", "Warning", reason).await;
    }
    // That the agent's next request gets a certificate takes a minute of back-off, unless the intent changes.
    mesh.start_program(CLUSTER);
    mesh.annotate(CLUSTER, "unusable", annotations::RENEW, "please").await;
    mesh.ready(CLUSTER, "unusable").await;
    whole(&mesh.issued(INDEX, "unusable").await);
}

async fn stolen(mesh: &Mesh) {
    mesh.ask("cluster-1", "stolen").await;
    mesh.ready("cluster-1", "stolen").await;
    let need = mesh.issued(0, "stolen").await.annotations()[annotations::NEED].clone();
    let mut request = CertificateRequest::new("stolen", CertificateRequest::default().spec);
    request.annotations_mut().insert(annotations::NEED.to_owned(), need);
    request.labels_mut().insert(labels::AGENT.to_owned(), HOME.to_owned());
    let pem = csr(&new_key(), &certmesh_tests::intent("cluster-1", "stolen").spec.hosts[0]);
    request.spec.certificate_signing_request = Some(ByteString(pem.into_bytes()));
    // The agent there would tidy up.
    mesh.kill(CLUSTER);
    let remote = &mesh.remotes[INDEX];
    remote.create(HOME, &request).await;
    let says_why = |request: Option<&CertificateRequest>| {
        let status = request.and_then(|request| request.status.as_ref());
        status.is_some_and(|status| !status.error.is_empty())
    };
    let left = mesh.wait(remote, HOME, "stolen", says_why).await.expect("a request");
    let status = left.status.expect("a status");
    assert_eq!(status.state, CertificateRequestState::Pending, "{}", status.error);
    assert!(status.signed_certificate.is_none());
    assert!(mesh.records(CLUSTER, "stolen").is_empty());
    assert_eq!(mesh.records("cluster-1", "stolen").len(), 1);
}

async fn escaped(mesh: &Mesh) {
    mesh.ask(CLUSTER, "novel").await;
    mesh.ready(CLUSTER, "novel").await;
    let before = mesh.issued(INDEX, "novel").await;
    mesh.kill(CLUSTER);
    let remote = &mesh.remotes[INDEX];
    let copy = remote.get::<IssuedCertificate>(HOME, "novel").await.expect("a copy");
    let mut status = copy.status.expect("a status");
    novel(&mut status);
    remote.patch_status::<IssuedCertificate>(HOME, "novel", json!({"status": status})).await;
    let is_owned =
        |intent: Option<&IssuedCertificate>| intent.is_some_and(|intent| reason(intent) == "Owned");
    let intent = mesh.until(CLUSTER, "novel", is_owned).await.expect("an intent");
    let mirrored = intent.status.expect("a status");
    assert!(mirrored.error.starts_with("\\u{1b}[2J\\u{202e}all is well\\u{d}\\u{a}"), "{}", mirrored.error);
    assert!(mirrored.certificate.as_ref().expect("a summary").roots.len() <= 50);
    // Events come a moment later.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut texts = Vec::new();
    strings(&serde_json::to_value(&mirrored).expect("JSON"), &mut texts);
    for event in mesh.events(CLUSTER, "novel").await {
        strings(&json!([event.note, event.reason, event.action]), &mut texts);
    }
    for text in texts {
        assert!(text.len() <= 1024, "{} bytes: {text}", text.len());
        assert!(!text.chars().any(|character| character.is_control() || character == '\u{202e}'), "{text:?}");
    }
    mesh.start_program(CLUSTER);
    mesh.ready(CLUSTER, "novel").await;
    assert_eq!(mesh.issued(INDEX, "novel").await, before);
}
