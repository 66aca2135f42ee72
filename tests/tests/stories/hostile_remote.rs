//! Whoever rules a remote cluster edits copies and requests as they like: nothing gets signed but a key under the
//! intent's identity, and what people read in the management cluster stays harmless.

use certmesh_api::certificates::{
    CertificateRequest, CertificateRequestState, IssuedCertificate, KeyAlgorithmName, ObjectRef,
};
use certmesh_api::names::{annotations, labels};
use certmesh_tests::edits::{
    EVIL, edits_of_a_copy, edits_that_disown_a_copy, novel, strings, unusable_requests,
};
use certmesh_tests::forger::{csr, new_key};
use certmesh_tests::{
    Faults, Fleet, HOME, HOUR, Kind, Witness, certificate_in, condition, intent, is_ready, reason, stop,
};
use certmesh_x509::{Certificate, Hosts};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use std::time::Duration;

/// A fleet whose agent has asked for a certificate that nobody has signed yet. Nothing is running.
async fn asked() -> Fleet {
    let fleet = Fleet::new(1).await;
    fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
    let issuer = fleet.run_issuer(&Faults::default()).await;
    fleet.announced(0, "istiod").await;
    issuer.kill().await;
    let agent = fleet.run_agent(0, &Faults::default()).await;
    fleet.request(0, "istiod").await;
    agent.kill().await;
    fleet
}

/// Lets the issuer answer the request, alone.
async fn answered(fleet: &Fleet) -> CertificateRequest {
    let issuer = fleet.run_issuer(&Faults::default()).await;
    let is_answered = |request: Option<&CertificateRequest>| {
        request
            .and_then(|request| request.status.as_ref())
            .is_some_and(|status| status.state != CertificateRequestState::Pending)
    };
    let request = fleet.wait(&fleet.remotes[0], HOME, "istiod", is_answered).await;
    issuer.stop().await;
    request.expect("a request")
}

async fn swap_csr(fleet: &Fleet, pem: &[u8]) {
    let patch = json!({"spec": {"certificateSigningRequest": ByteString(pem.to_vec())}});
    fleet.patch::<CertificateRequest>(&fleet.remotes[0], HOME, "istiod", patch).await;
}

fn decisions(fleet: &Fleet, decision: &str) -> Vec<Value> {
    let records = fleet.issuance_log.records();
    records.into_iter().filter(|record| record["decision"] == decision).collect()
}

#[tokio::test(start_paused = true)]
async fn edits_of_the_copy_are_undone_and_nothing_is_signed_for_them() {
    let fleet = Fleet::new(1).await;
    let remote = &fleet.remotes[0];
    let running = fleet.run_all().await;
    fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
    fleet.ready("cluster-1", "istiod").await;
    let before = fleet.cacerts(0).await;
    for edit in edits_of_a_copy() {
        // Not in the brake against storms, so that the agent would really ask.
        tokio::time::sleep(HOUR).await;
        let good = fleet.get::<IssuedCertificate>(remote, HOME, "istiod").await.unwrap();
        fleet.patch::<IssuedCertificate>(remote, HOME, "istiod", edit.clone()).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let copy = fleet.get::<IssuedCertificate>(remote, HOME, "istiod").await.unwrap();
        assert_eq!(copy.spec, good.spec, "{edit}");
        assert_eq!(copy.annotations(), good.annotations(), "{edit}");
        assert_eq!(copy.labels(), good.labels(), "{edit}");
        assert_eq!(fleet.cacerts(0).await.data, before.data, "{edit}");
        assert_eq!(fleet.issuance_log.records().len(), 1, "{edit}: nothing was signed or refused for it");
        let intent = fleet.get::<IssuedCertificate>(&fleet.management, "cluster-1", "istiod").await;
        assert!(is_ready(intent.as_ref()), "{edit}: {:?}", intent.unwrap().status);
    }
    stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_made_to_look_like_anothers_is_left_alone_and_the_intent_says_so() {
    let fleet = Fleet::new(1).await;
    let remote = &fleet.remotes[0];
    let running = fleet.run_all().await;
    fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
    fleet.ready("cluster-1", "istiod").await;
    let before = fleet.cacerts(0).await;
    for edit in edits_that_disown_a_copy() {
        fleet.patch::<IssuedCertificate>(remote, HOME, "istiod", edit.clone()).await;
        let intent = fleet.says("cluster-1", "istiod", "CopyNotOurs").await;
        let error = intent.status.unwrap().error;
        assert!(error.ends_with("delete it there, or rename the intent"), "{error}");
        fleet.warned("cluster-1", "istiod", "CopyNotOurs").await;
        tokio::time::sleep(HOUR).await;
        assert_eq!(fleet.cacerts(0).await.data, before.data, "{edit}");
        assert_eq!(fleet.issuance_log.records().len(), 1, "{edit}: nothing was signed");
        fleet.delete::<IssuedCertificate>(remote, HOME, "istiod").await;
        fleet.ready("cluster-1", "istiod").await;
        assert_eq!(fleet.cacerts(0).await.data, before.data, "a new copy finds the certificate it has");
    }
    stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_swapped_csr_gets_its_key_signed_under_the_intent_and_is_never_stored() {
    let fleet = asked().await;
    let remote = &fleet.remotes[0];
    let witness = Witness::of(remote, &ObjectRef::new("istio-system", "cacerts"), fleet.clock.clone());
    let mallory = new_key();
    swap_csr(&fleet, csr(&mallory, EVIL).as_bytes()).await;
    let request = answered(&fleet).await;
    let status = request.status.expect("an answer");
    let signed = Certificate::from_pem(&status.signed_certificate.expect("a certificate").0).unwrap();
    let wanted = intent("cluster-1", "istiod");
    assert_eq!(signed.public_key(), mallory.public_key(), "the key is all that a request contributes");
    assert!(signed.identifies_exactly(&Hosts::parse(&wanted.spec.hosts).unwrap()), "the intent's hosts");
    let subject = signed.subject().to_string();
    assert!(subject.contains("CN=cluster-1/istiod") && !subject.contains("allory"), "{subject}");
    assert_eq!((signed.is_ca(), signed.path_length()), (true, Some(0)));
    let lifetime = signed.not_after().as_second() - fleet.clock.now().as_second();
    assert!(lifetime <= 365 * 24 * 3600, "{lifetime} s");
    let record = &fleet.issuance_log.records()[0];
    assert_eq!(record["keyFingerprint"], mallory.public_key().fingerprint().to_string());

    let running = fleet.run_all().await;
    fleet.ready("cluster-1", "istiod").await;
    let stored = fleet.cacerts(0).await;
    assert_ne!(certificate_in(&stored).public_key(), mallory.public_key());
    assert_eq!(witness.certificates().len(), 1, "one certificate was delivered, and it was whole");
    assert_eq!(decisions(&fleet, "signed").len(), 2, "Mallory's key and the agent's");
    stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_csr_that_cannot_be_used_is_refused_and_the_agent_asks_again() {
    let fleet = asked().await;
    let honest = fleet.request(0, "istiod").await.spec.certificate_signing_request.unwrap().0;
    for (number, (what, pem, reason)) in unusable_requests(&honest).into_iter().enumerate() {
        if number > 0 {
            // The same open request again: whoever rules the cluster can make it look unanswered.
            let reset = json!({"status": {"state": "PENDING", "error": null, "observedGeneration": null}});
            status_patch::<CertificateRequest>(&fleet, reset).await;
        }
        swap_csr(&fleet, &pem).await;
        let status = answered(&fleet).await.status.unwrap();
        assert_eq!(status.state, CertificateRequestState::Failed, "{what}");
        assert!(status.signed_certificate.is_none(), "{what}");
        assert!(
            status.error.contains("the agent makes a"),
            "{what}: says what happens next: {}",
            status.error
        );
        let refused = decisions(&fleet, "refused");
        assert_eq!(refused.len(), number + 1, "{what}: one line in the issuance log");
        assert_eq!(refused[number]["reason"], reason, "{what}");
        fleet.warned("cluster-1", "istiod", reason).await;
    }
    assert!(decisions(&fleet, "signed").is_empty());
    let running = fleet.run_all().await;
    fleet.ready("cluster-1", "istiod").await;
    assert_eq!(decisions(&fleet, "signed").len(), 1);
    stop(running).await;
}

async fn status_patch<K: Kind>(fleet: &Fleet, patch: Value) {
    let api = Api::<K>::namespaced(fleet.remotes[0].client(certmesh_apiserver::Cluster::admin()), HOME);
    api.patch_status("istiod", &PatchParams::default(), &Patch::Merge(patch)).await.expect("a new status");
}

#[tokio::test(start_paused = true)]
async fn a_replayed_request_is_neither_signed_again_nor_stored() {
    let fleet = asked().await;
    let remote = &fleet.remotes[0];
    let old = answered(&fleet).await;
    let running = fleet.run_all().await;
    fleet.ready("cluster-1", "istiod").await;
    let first = fleet.cacerts(0).await;
    fleet.annotate("cluster-1", "istiod", annotations::RENEW, "please").await;
    fleet.renewed("cluster-1", "istiod", &first).await;
    let (signed, stored) = (fleet.issuance_log.records().len(), fleet.cacerts(0).await);
    assert_eq!(signed, 2);
    for state in [CertificateRequestState::Finished, CertificateRequestState::Pending] {
        replay(&fleet, &old, state).await;
        let gone = |found: Option<&CertificateRequest>| found.is_none();
        fleet.wait(remote, HOME, "istiod", gone).await;
        tokio::time::sleep(HOUR).await;
        assert_eq!(fleet.issuance_log.records().len(), signed, "{state:?}: nothing was signed or refused");
        assert_eq!(fleet.cacerts(0).await, stored, "{state:?}");
    }
    stop(running).await;

    // Without the agent, which would tidy up.
    let issuer = fleet.run_issuer(&Faults::default()).await;
    replay(&fleet, &old, CertificateRequestState::Pending).await;
    tokio::time::sleep(HOUR).await;
    let left = fleet.get::<CertificateRequest>(remote, HOME, "istiod").await.unwrap().status.unwrap();
    assert_eq!(left.state, CertificateRequestState::Pending);
    assert!(left.error.contains("another need"), "{}", left.error);
    assert_eq!(fleet.issuance_log.records().len(), signed);
    issuer.stop().await;
}

/// Creates a request anew as it was, with its annotations and its answer.
async fn replay(fleet: &Fleet, old: &CertificateRequest, state: CertificateRequestState) {
    let mut again = CertificateRequest::new("istiod", old.spec.clone());
    again.metadata.namespace = Some(HOME.to_owned());
    again.metadata.annotations = old.metadata.annotations.clone();
    again.metadata.labels = old.metadata.labels.clone();
    fleet.create(&fleet.remotes[0], &again).await;
    let mut status = old.status.clone().expect("an answered request");
    status.state = state;
    // The agent may have been faster.
    let api = Api::<CertificateRequest>::namespaced(
        fleet.remotes[0].client(certmesh_apiserver::Cluster::admin()),
        HOME,
    );
    let patch = Patch::Merge(json!({"status": status}));
    let _ = api.patch_status("istiod", &PatchParams::default(), &patch).await;
}

#[tokio::test(start_paused = true)]
async fn a_cluster_gets_nothing_signed_for_the_intent_of_another() {
    let fleet = Fleet::new(2).await;
    let mut of_two = intent("cluster-2", "istiod");
    of_two.spec.cert_options.as_mut().unwrap().key_algorithm = Some(KeyAlgorithmName::EcdsaP256);
    fleet.create(&fleet.management, &of_two).await;
    // The same name is no help: the intent of cluster-1 is another one.
    let mut of_one = intent("cluster-1", "gateway");
    of_one.spec.issued_certificate_secret = None;
    fleet.create(&fleet.management, &of_one).await;
    let issuer = fleet.run_issuer(&Faults::default()).await;
    let agent = fleet.run_agent(1, &Faults::default()).await;
    fleet.ready("cluster-2", "istiod").await;
    let need = fleet.get::<Secret>(&fleet.remotes[1], "istio-system", "cacerts").await.unwrap().annotations()
        [annotations::NEED]
        .clone();
    for name in ["istiod", "gateway"] {
        let mut stolen = CertificateRequest::new(name, CertificateRequest::default().spec);
        stolen.metadata.namespace = Some(HOME.to_owned());
        stolen.annotations_mut().insert(annotations::NEED.to_owned(), need.clone());
        stolen.labels_mut().insert(labels::AGENT.to_owned(), HOME.to_owned());
        let pem = csr(&new_key(), &of_two.spec.hosts[0]).into_bytes();
        stolen.spec.certificate_signing_request = Some(ByteString(pem));
        fleet.create(&fleet.remotes[0], &stolen).await;
        let says_why = |request: Option<&CertificateRequest>| {
            request.and_then(|request| request.status.as_ref()).is_some_and(|status| !status.error.is_empty())
        };
        let left = fleet.wait(&fleet.remotes[0], HOME, name, says_why).await.unwrap().status.unwrap();
        assert_eq!(left.state, CertificateRequestState::Pending, "{name}: {}", left.error);
        assert!(left.signed_certificate.is_none());
    }
    let records = fleet.issuance_log.records();
    assert!(records.iter().all(|record| record["cluster"] == "cluster-2"), "{records:?}");
    assert_eq!(records.len(), 1);
    agent.stop().await;
    issuer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_remote_status_says_is_escaped_and_cut_before_people_read_it() {
    let fleet = Fleet::new(1).await;
    let running = fleet.run_all().await;
    fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
    fleet.ready("cluster-1", "istiod").await;
    stop(running).await;
    let copy = fleet.get::<IssuedCertificate>(&fleet.remotes[0], HOME, "istiod").await.unwrap();
    let mut status = copy.status.unwrap();
    novel(&mut status);
    status_patch::<IssuedCertificate>(&fleet, json!({"status": status})).await;

    let issuer = fleet.run_issuer(&Faults::default()).await;
    let owned = |intent: Option<&IssuedCertificate>| intent.is_some_and(|intent| reason(intent) == "Owned");
    let intent = fleet.wait(&fleet.management, "cluster-1", "istiod", owned).await.unwrap();
    let mirrored = intent.status.unwrap();
    assert!(mirrored.error.starts_with("\\u{1b}[2J\\u{202e}all is well\\u{d}\\u{a}"), "{}", mirrored.error);
    assert!(condition(&mirrored, "Ready").is_some());
    assert!(mirrored.certificate.as_ref().unwrap().roots.len() <= 50);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let mut texts = Vec::new();
    strings(&serde_json::to_value(&mirrored).unwrap(), &mut texts);
    for event in fleet.events(&fleet.management, "cluster-1", "istiod").await {
        strings(&json!([event.note, event.reason, event.action]), &mut texts);
    }
    for text in texts {
        assert!(text.len() <= 1024, "{} bytes: {text}", text.len());
        assert!(!text.chars().any(|character| character.is_control() || character == '\u{202e}'), "{text:?}");
    }
    issuer.stop().await;
    let running = fleet.run_all().await;
    fleet.ready("cluster-1", "istiod").await;
    stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_made_to_look_unanswered_all_the_time_has_a_budget() {
    for (csr, decision) in [(None, "signed"), (Some(&b"garbage"[..]), "refused")] {
        let fleet = asked().await;
        if let Some(csr) = csr {
            swap_csr(&fleet, csr).await;
        }
        let issuer = fleet.run_issuer(&Faults::default()).await;
        let begin = tokio::time::Instant::now();
        let mut answers = 0;
        while answers < 600 && begin.elapsed() < Duration::from_secs(30) {
            let request = fleet.request(0, "istiod").await;
            if request.status.is_some_and(|status| status.state != CertificateRequestState::Pending) {
                answers += 1;
                status_patch::<CertificateRequest>(&fleet, json!({"status": {"state": "PENDING"}})).await;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let seconds = begin.elapsed().as_secs();
        let lines = u64::try_from(decisions(&fleet, decision).len()).unwrap();
        assert!(lines >= 500, "{lines} lines {decision}");
        assert!(lines <= 500 + 10 * (seconds + 1), "{lines} lines {decision} in {seconds} s");
        issuer.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_remote_status_that_changes_all_the_time_does_not_keep_the_management_cluster_busy() {
    let fleet = Fleet::new(2).await;
    let running = fleet.run_all().await;
    fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
    fleet.ready("cluster-1", "istiod").await;
    stop(running).await;
    let issuer = fleet.run_issuer(&Faults::default()).await;
    let agent = fleet.run_agent(1, &Faults::default()).await;
    let (before, begin) = (fleet.writes().values().sum::<u32>(), tokio::time::Instant::now());
    for number in 0..1200 {
        status_patch::<IssuedCertificate>(&fleet, json!({"status": {"error": format!("no {number}")}})).await;
        // The issuer has time to repeat each of them.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let written = fleet.writes().values().sum::<u32>() - before;
    let seconds = u32::try_from(begin.elapsed().as_secs()).unwrap();
    assert!((900..=1000 + 40 * (seconds + 1)).contains(&written), "{written} writes in {seconds} s");
    // Another cluster's word is heard meanwhile, and in the end this one's last word is too.
    fleet.create(&fleet.management, &intent("cluster-2", "istiod")).await;
    let limit = Duration::from_secs(3);
    fleet.wait_for(limit, &fleet.management, "cluster-2", "istiod", is_ready).await;
    let last = |intent: Option<&IssuedCertificate>| {
        intent.and_then(|intent| intent.status.as_ref()).is_some_and(|status| status.error == "no 1199")
    };
    fleet.wait(&fleet.management, "cluster-1", "istiod", last).await;
    agent.stop().await;
    issuer.stop().await;
}
