//! What must never happen, one test for each rule, with the real issuer and agents on embedded clusters.

#![allow(clippy::unwrap_used, reason = "a story ends where it is surprised")]

use certmesh_api::certificates::{CertificateRequest, IssuedCertificate, ObjectRef};
use certmesh_api::names::annotations;
use certmesh_api::secrets;
use certmesh_apiserver::Cluster;
use certmesh_tests::forger::{csr, new_key};
use certmesh_tests::{
    CapturedLogs, Faults, Fleet, HOME, HOUR, Inventory, Overtaker, ROOT_CA, Witness, certificate_in, intent,
    signing_secret, stop,
};
use certmesh_x509::{Certificate, Hosts, KeyAlgorithm};
use futures::FutureExt;
use http::Method;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn target() -> ObjectRef {
    ObjectRef::new("istio-system", "cacerts")
}

async fn renew(fleet: &Fleet, nonce: &str) {
    let before = fleet.cacerts(0).await;
    fleet.annotate("cluster-1", "istiod", annotations::RENEW, nonce).await;
    fleet.renewed("cluster-1", "istiod", &before).await;
}

/// Every text under which a private key could be found: as a block, and its base64 wherever that is cut into lines.
fn traces_of(key_pem: &[u8]) -> Vec<String> {
    let pem = String::from_utf8(key_pem.to_vec()).unwrap();
    let base64: Vec<&str> = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let in_a_secret = serde_json::to_value(ByteString(key_pem.to_vec())).unwrap();
    let in_a_secret = in_a_secret.as_str().unwrap().to_owned();
    let longest = base64.iter().copied().max_by_key(|line| line.len()).unwrap();
    vec![longest.to_owned(), longest[8..40].to_owned(), in_a_secret[60..120].to_owned()]
}

#[tokio::test(start_paused = true)]
async fn never_1_a_private_key_outside_its_cluster_in_a_log_an_event_or_a_metric() {
    let logs = CapturedLogs::start();
    let fleet = Fleet::new(2).await;
    let running = fleet.run_all().await;
    let mut keys = Vec::new();
    for cluster in ["cluster-1", "cluster-2"] {
        fleet.create(&fleet.management, &intent(cluster, "istiod")).await;
        fleet.ready(cluster, "istiod").await;
    }
    renew(&fleet, "again").await;
    // A request that stays open, so that a pending key is there too; and one that is refused.
    let deny = json!({"metadata": {"annotations": {annotations::ALLOW_CLUSTERS: "nobody"}}});
    fleet.patch::<Secret>(&fleet.management, HOME, ROOT_CA, deny).await;
    fleet.annotate("cluster-1", "istiod", annotations::RENEW, "once more").await;
    tokio::time::sleep(HOUR).await;
    for (index, name) in [(0, "istiod"), (1, "cacerts")] {
        let (namespace, key) =
            if index == 0 { (HOME, secrets::PRIVATE_KEY) } else { ("istio-system", secrets::CA_KEY) };
        let secret = fleet.get::<Secret>(&fleet.remotes[index], namespace, name).await.unwrap();
        keys.push((index, secrets::data(&secret, key).unwrap().to_vec()));
    }
    keys.push((0, secrets::data(&fleet.cacerts(0).await, secrets::CA_KEY).unwrap().to_vec()));
    stop(running).await;

    let everywhere = |index: usize| {
        let mut texts = vec![("the log", logs.text()), ("the metrics", fleet.metrics.encode().unwrap())];
        let records = fleet.issuance_log.records();
        texts.push(("the issuance log", serde_json::to_string(&records).unwrap()));
        texts.push(("the management cluster", text_of(&Inventory::of(&fleet.management))));
        texts.push(("the other cluster", text_of(&Inventory::of(&fleet.remotes[1 - index]))));
        // In its own cluster a key is in Secrets and nowhere else.
        texts
            .push(("its own cluster", text_of(&Inventory::of(&fleet.remotes[index]).without(&["secrets "]))));
        texts
    };
    for (index, key) in keys {
        for (place, text) in everywhere(index) {
            assert!(text.len() > 100, "{place} has something in it");
            for trace in traces_of(&key) {
                assert!(!text.contains(&trace), "a key of cluster-{} is in {place}", index + 1);
            }
        }
    }
    // The signing CA's key is where it was put, and nowhere else.
    let ca = fleet.get::<Secret>(&fleet.management, HOME, ROOT_CA).await.unwrap();
    let ca_key = secrets::data(&ca, secrets::CA_KEY).unwrap();
    let mut places = vec![logs.text(), fleet.metrics.encode().unwrap()];
    places.push(serde_json::to_string(&fleet.issuance_log.records()).unwrap());
    places.push(text_of(&Inventory::of(&fleet.management).without(&["secrets "])));
    places.extend(fleet.remotes.iter().map(|remote| text_of(&Inventory::of(remote))));
    for (number, place) in places.iter().enumerate() {
        for trace in traces_of(ca_key) {
            assert!(!place.contains(&trace), "the CA's key is in place {number}");
        }
    }
    // No key of anybody's in what is written down as text.
    for text in &places[..3] {
        assert!(!text.contains("PRIVATE KEY-----"));
    }
}

fn text_of(inventory: &Inventory) -> String {
    serde_json::to_string(inventory.objects()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn never_2_a_signature_whose_identity_lifetime_or_ca_came_from_the_remote_side() {
    let fleet = Fleet::new(1).await;
    let remote = &fleet.remotes[0];
    let root = certificate_of_ca(&fleet, ROOT_CA).await;
    fleet.create_root_ca("other-ca", KeyAlgorithm::EcdsaP256).await;
    fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
    let wanted = Hosts::parse(&intent("cluster-1", "istiod").spec.hosts).unwrap();
    // Whoever rules the cluster answers every write of the agent and the issuer with edits of copy and request.
    let mallory = Arc::new(new_key());
    let signed = Arc::new(Mutex::new(Vec::new()));
    let meddle = {
        let (client, signed) = (remote.client(Cluster::admin()), Arc::clone(&signed));
        move |number: u32, _: Method, _: String| {
            let (client, mallory, signed) = (client.clone(), Arc::clone(&mallory), Arc::clone(&signed));
            async move {
                if number <= EDITED {
                    edit_all(&client, &mallory, &signed).await;
                }
            }
            .boxed()
        }
    };
    let faults = Faults::meddle(meddle);
    let issuer = fleet.run_issuer(&faults).await;
    let agent = fleet.run_agent(0, &faults).await;
    tokio::time::sleep(HOUR).await;
    agent.stop().await;
    issuer.stop().await;
    collect_answer(&remote.client(Cluster::admin()), &signed).await;
    let running = fleet.run_all().await;
    tokio::time::sleep(HOUR).await;
    fleet.ready("cluster-1", "istiod").await;
    stop(running).await;
    let mut certificates = signed.lock().unwrap().clone();
    certificates.push(certificate_in(&fleet.cacerts(0).await));
    for certificate in &certificates {
        assert!(certificate.identifies_exactly(&wanted), "{}", certificate.subject());
        assert!(
            certificate.subject().to_string().contains("CN=cluster-1/istiod"),
            "{}",
            certificate.subject()
        );
        assert_eq!(certificate.issuer(), root.subject());
        assert_eq!((certificate.is_ca(), certificate.path_length()), (true, Some(0)));
        let lifetime = certificate.not_after().as_second() - certificate.not_before().as_second();
        assert_eq!(lifetime, 365 * 24 * 3600 + 300);
    }
    // Whatever else was signed is in the issuance log, under the same CA.
    for record in fleet.issuance_log.records() {
        if record["decision"] == "signed" {
            assert_eq!(record["issuer"], root.subject().to_string());
            assert_eq!(record["lifetimeSeconds"], 365 * 24 * 3600);
        }
    }
}

/// Writes that are answered with edits. Each edit makes for more writes, so this has to end some time.
const EDITED: u32 = 100;

async fn certificate_of_ca(fleet: &Fleet, name: &str) -> Certificate {
    let secret = fleet.get::<Secret>(&fleet.management, HOME, name).await.unwrap();
    Certificate::from_pem(secrets::data(&secret, secrets::CA_CERT).unwrap()).unwrap()
}

/// Other hosts, another lifetime and another CA on the copy, another CSR in the request. Failures are no matter.
async fn edit_all(client: &Client, mallory: &certmesh_x509::PrivateKey, signed: &Mutex<Vec<Certificate>>) {
    collect_answer(client, signed).await;
    let evil = "spiffe://cluster-1.example/ns/istio-system/sa/admin";
    let copies = Api::<IssuedCertificate>::namespaced(client.clone(), HOME);
    let spec = json!({"spec": {
        "hosts": [evil],
        "certOptions": {"ttlDays": 36500, "orgName": "Mallory"},
        "glooMeshCa": {"signingCertificateSecret": {"name": "other-ca"}},
    }});
    let _ = copies.patch("istiod", &PatchParams::default(), &Patch::Merge(spec)).await;
    let requests = Api::<CertificateRequest>::namespaced(client.clone(), HOME);
    let pem = ByteString(csr(mallory, evil).into_bytes());
    let swap = json!({"spec": {"certificateSigningRequest": pem}});
    let _ = requests.patch("istiod", &PatchParams::default(), &Patch::Merge(swap)).await;
}

async fn collect_answer(client: &Client, signed: &Mutex<Vec<Certificate>>) {
    let requests = Api::<CertificateRequest>::namespaced(client.clone(), HOME);
    let Ok(Some(request)) = requests.get_opt("istiod").await else { return };
    let answer = request.status.and_then(|status| status.signed_certificate);
    signed.lock().unwrap().extend(answer.and_then(|pem| Certificate::from_pem(&pem.0).ok()));
}

#[tokio::test(start_paused = true)]
async fn never_3_a_secret_whose_parts_do_not_belong_together() {
    // The witness sees every version that was ever stored.
    let fleet = Fleet::new(1).await;
    let witness = Witness::of(&fleet.remotes[0], &target(), fleet.clock.clone());
    let running = fleet.run_all().await;
    let mut wanted = intent("cluster-1", "istiod");
    wanted.spec.cert_options.as_mut().unwrap().ttl_seconds = Some(3600);
    fleet.create(&fleet.management, &wanted).await;
    fleet.ready("cluster-1", "istiod").await;
    for change in [
        json!({"spec": {"hosts": ["spiffe://cluster-1.example/ns/istio-system/sa/other"]}}),
        json!({"spec": {"certOptions": {"keyAlgorithm": "ECDSA_P384"}}}),
        json!({"spec": {"certOptions": {"ttlSeconds": 1800}}}),
        json!({"metadata": {"annotations": {annotations::RENEW: "1"}}}),
    ] {
        // Past the brake, so that each change has its own certificate.
        tokio::time::sleep(Duration::from_secs(21 * 60)).await;
        let before = fleet.cacerts(0).await;
        fleet.patch::<IssuedCertificate>(&fleet.management, "cluster-1", "istiod", change).await;
        fleet.renewed("cluster-1", "istiod", &before).await;
    }
    tokio::time::sleep(HOUR * 3).await;
    fleet.delete::<IssuedCertificate>(&fleet.management, "cluster-1", "istiod").await;
    fleet.gone("cluster-1", "istiod").await;
    let certificates = witness.certificates().len();
    assert!((9..=13).contains(&certificates), "{certificates} certificates, each in a whole Secret");
    stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn never_4_the_old_certificate_gone_before_the_new_one_is_in_place() {
    // A missing Secret is a failure for the witness. Whoever is needed for the new one is missing for a while.
    let fleet = Fleet::new(1).await;
    let witness = Witness::of(&fleet.remotes[0], &target(), fleet.clock.clone());
    let running = fleet.run_all().await;
    fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
    fleet.ready("cluster-1", "istiod").await;
    stop(running).await;
    tokio::time::sleep(HOUR).await;
    fleet.annotate("cluster-1", "istiod", annotations::RENEW, "please").await;
    for _ in 0..3 {
        for party in 0..2 {
            let one = match party {
                0 => fleet.run_issuer(&Faults::default()).await,
                _ => fleet.run_agent(0, &Faults::default()).await,
            };
            let before = witness.certificates();
            tokio::time::sleep(HOUR).await;
            one.kill().await;
            assert!(witness.certificates().starts_with(&before));
        }
    }
    let running = fleet.run_all().await;
    tokio::time::sleep(HOUR).await;
    fleet.ready("cluster-1", "istiod").await;
    assert_eq!(witness.certificates().len(), 2, "the old one, then the new one, and never none");
    stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn never_5_more_than_one_certificate_for_a_need_or_a_need_without_a_cause() {
    let fleet = Fleet::new(1).await;
    let remote = &fleet.remotes[0];
    let witness = Witness::of(remote, &target(), fleet.clock.clone());
    let mut running = fleet.run_all().await;
    fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
    fleet.ready("cluster-1", "istiod").await;
    let no_causes = [
        (0, json!({"metadata": {"labels": {"team": "mesh"}}})),
        (0, json!({"metadata": {"annotations": {"example.com/note": "x"}}})),
        (
            0,
            json!({"metadata": {"annotations": {annotations::ADOPT: "true", annotations::REPLACE_ROOT: "true"}}}),
        ),
        (0, json!({"metadata": {"annotations": {annotations::DELETION_POLICY: "Delete"}}})),
        (0, json!({"spec": {"podBounceDirective": {"name": "bounce", "namespace": HOME}}})),
        (0, json!({"spec": {"certOptions": {"secretRotationGracePeriodRatio": 0.2}}})),
        (1, json!({"metadata": {"labels": {"team": "mesh"}}})),
        (1, json!({"metadata": {"annotations": {"example.com/note": "x"}}})),
        (2, json!({"metadata": {"labels": {"team": "mesh"}}})),
        (2, json!({"metadata": {"annotations": {"example.com/note": "x"}}})),
    ];
    for (place, patch) in no_causes {
        match place {
            0 => {
                fleet.patch::<IssuedCertificate>(&fleet.management, "cluster-1", "istiod", patch).await;
            }
            1 => {
                fleet.patch::<IssuedCertificate>(remote, HOME, "istiod", patch).await;
            }
            _ => {
                fleet.patch::<Secret>(remote, "istio-system", "cacerts", patch).await;
            }
        }
        tokio::time::sleep(HOUR).await;
        for controller in running {
            controller.kill().await;
        }
        running = fleet.run_all().await;
    }
    // The signing CA's Secret written anew with the same content is no other trust.
    let ca = fleet.get::<Secret>(&fleet.management, HOME, ROOT_CA).await.unwrap();
    fleet.delete::<Secret>(&fleet.management, HOME, ROOT_CA).await;
    tokio::time::sleep(HOUR).await;
    let mut again = ca.clone();
    again.metadata = ObjectMeta {
        name: ca.metadata.name.clone(),
        namespace: ca.metadata.namespace.clone(),
        annotations: ca.metadata.annotations.clone(),
        ..ObjectMeta::default()
    };
    fleet.create(&fleet.management, &again).await;
    tokio::time::sleep(HOUR).await;
    fleet.ready("cluster-1", "istiod").await;
    assert_eq!(witness.certificates().len(), 1);
    assert_eq!(fleet.issuance_log.records().len(), 1);

    // Every certificate after that has a need of its own.
    for nonce in ["1", "2", "3"] {
        renew(&fleet, nonce).await;
    }
    let records = fleet.issuance_log.records();
    let needs: BTreeSet<String> = records.iter().map(|record| record["need"].to_string()).collect();
    assert_eq!((needs.len(), witness.certificates().len(), records.len()), (4, 4, 4));
    stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn never_6_a_write_to_or_deletion_of_an_object_that_is_not_ours() {
    let fleet = Fleet::with_targets(2, &[target(), ObjectRef::new("istio-system", "theirs")]).await;
    let remote = &fleet.remotes[0];
    // Objects of others under every name that ours could have.
    for (namespace, name) in [(HOME, "taken-key"), ("istio-system", "theirs"), ("istio-system", "neighbour")]
    {
        fleet.create(remote, &opaque(namespace, name)).await;
    }
    let mut foreign_copy = intent(HOME, "taken-copy");
    foreign_copy.labels_mut().insert("owner".to_owned(), "somebody".to_owned());
    fleet.create(remote, &foreign_copy).await;
    let mut foreign_request = CertificateRequest::new("taken-request", CertificateRequest::default().spec);
    foreign_request.metadata.namespace = Some(HOME.to_owned());
    foreign_request.spec.certificate_signing_request =
        Some(ByteString(csr(&new_key(), "example.com").into_bytes()));
    fleet.create(remote, &foreign_request).await;
    let config = ConfigMap { metadata: opaque("istio-system", "config").metadata, ..ConfigMap::default() };
    fleet.create(remote, &config).await;
    let others = [
        "secrets certmesh/taken-key",
        "secrets istio-system/theirs",
        "secrets istio-system/neighbour",
        "issuedcertificates.certificates.mesh.gloo.solo.io certmesh/taken-copy",
        "configmaps istio-system/config",
    ];
    let before = Inventory::of(remote).only(&others);
    assert_eq!(before.objects().len(), others.len());
    let request_before = fleet.get::<CertificateRequest>(remote, HOME, "taken-request").await.unwrap();
    let management = ["secrets ", "namespaces", "customresourcedefinitions", "clusterroles", "roles"];
    let ours_before = Inventory::of(&fleet.management).only(&management);
    let second_before = Inventory::of(&fleet.remotes[1]).without(&["events"]);

    let running = fleet.run_all().await;
    for name in ["taken-key", "taken-copy", "taken-request", "fine"] {
        let mut wanted = intent("cluster-1", name);
        if name != "fine" {
            let target = wanted.spec.issued_certificate_secret.as_mut().unwrap();
            target.name = "theirs".to_owned();
        }
        fleet.create(&fleet.management, &wanted).await;
    }
    fleet.ready("cluster-1", "fine").await;
    fleet.says("cluster-1", "taken-copy", "CopyNotOurs").await;
    tokio::time::sleep(HOUR * 6).await;
    for name in ["taken-key", "taken-copy", "taken-request", "fine"] {
        fleet.delete::<IssuedCertificate>(&fleet.management, "cluster-1", name).await;
        fleet.gone("cluster-1", name).await;
    }
    tokio::time::sleep(HOUR).await;
    stop(running).await;
    assert_eq!(before.changes(&Inventory::of(remote).only(&others)), BTreeSet::new());
    // The issuer may say on a request why it waits; the request itself is its owner's.
    let request_after = fleet.get::<CertificateRequest>(remote, HOME, "taken-request").await.unwrap();
    assert_eq!(request_after.uid(), request_before.uid());
    assert_eq!(request_after.spec, request_before.spec);
    assert!(request_after.status.is_none_or(|status| status.signed_certificate.is_none()));
    assert_eq!(ours_before.changes(&Inventory::of(&fleet.management).only(&management)), BTreeSet::new());
    let second_after = Inventory::of(&fleet.remotes[1]).without(&["events"]);
    assert_eq!(
        second_before.changes(&second_after),
        BTreeSet::new(),
        "a cluster without intents is not touched"
    );
}

fn opaque(namespace: &str, name: &str) -> Secret {
    Secret {
        metadata: ObjectMeta {
            namespace: Some(namespace.to_owned()),
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([("password".to_owned(), ByteString(b"secret".to_vec()))])),
        ..Secret::default()
    }
}

#[tokio::test(start_paused = true)]
async fn never_7_a_write_decided_on_a_state_that_has_changed_since() {
    // Before each update and deletion somebody else changes that very object.
    let fleet = Fleet::new(1).await;
    let overtaker = Overtaker::default();
    let faults = overtaker.faults(&fleet.management, &fleet.remotes[0]);
    let issuer = fleet.run_issuer(&faults).await;
    let agent = fleet.run_agent(0, &faults).await;
    fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
    fleet.ready("cluster-1", "istiod").await;
    tokio::time::sleep(HOUR).await;
    renew(&fleet, "please").await;
    tokio::time::sleep(HOUR).await;
    let (lost, sent) = (overtaker.overtaken(), faults.sent());
    for verb in ["PUT", "DELETE"] {
        let of_verb = lost.keys().filter(|key| key.starts_with(verb)).count();
        assert!(of_verb >= 2, "{verb}: objects were changed at the last moment: {lost:?}");
    }
    for (object, numbers) in &lost {
        for number in numbers {
            let write = &sent[usize::try_from(*number).unwrap() - 1];
            assert_eq!(write.answer, Some(409), "{object}: a write that was overtaken loses");
        }
        let later = sent.iter().filter(|write| format!("{} {}", write.method, write.path) == *object);
        assert!(
            later.clone().any(|write| write.answer == Some(200)),
            "{object}: and wins on what it sees next"
        );
    }
    // Nobody's change was lost either.
    let secret = fleet.cacerts(0).await;
    let copy = fleet.get::<IssuedCertificate>(&fleet.remotes[0], HOME, "istiod").await.unwrap();
    let intent = fleet.get::<IssuedCertificate>(&fleet.management, "cluster-1", "istiod").await.unwrap();
    for (what, notes) in
        [("cacerts", secret.annotations()), ("copy", copy.annotations()), ("intent", intent.annotations())]
    {
        assert!(notes.keys().any(|key| key.starts_with("example.com/overtaken-")), "{what}: {notes:?}");
    }
    assert_eq!(
        fleet.issuance_log.records().iter().filter(|record| record["decision"] == "refused").count(),
        0
    );
    agent.stop().await;
    issuer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn never_8_a_root_set_in_a_live_cluster_replaced_without_a_persons_word() {
    let fleet = Fleet::new(1).await;
    let running = fleet.run_all().await;
    fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
    fleet.ready("cluster-1", "istiod").await;
    let before = fleet.cacerts(0).await;
    let other = fleet.new_root(KeyAlgorithm::EcdsaP256);
    // The CA's content is replaced, and even the issuer's memory of what it signed under is wiped.
    fleet.replace(&fleet.management, signing_secret(ROOT_CA, &other)).await;
    fleet.says("cluster-1", "istiod", "RootReplaced").await;
    let api = Api::<IssuedCertificate>::namespaced(fleet.management.client(Cluster::admin()), "cluster-1");
    let forget = Patch::Merge(json!({"status": {"trust": Value::Null}}));
    api.patch_status("istiod", &PatchParams::default(), &forget).await.unwrap();
    tokio::time::sleep(HOUR * 6).await;
    // The agent stands in the way, by what it has in place.
    let after = fleet.cacerts(0).await;
    assert_eq!(after.data, before.data);
    let says = fleet.says("cluster-1", "istiod", "WouldReplaceLiveRoot").await;
    let error = says.status.unwrap().error;
    assert!(error.ends_with("the annotation certmesh.dev/replace-root: \"true\" on the intent"), "{error}");
    // A person's word.
    fleet.annotate("cluster-1", "istiod", annotations::REPLACE_ROOT, "true").await;
    fleet.renewed("cluster-1", "istiod", &before).await;
    let replaced = fleet.cacerts(0).await;
    assert_eq!(secrets::data(&replaced, secrets::ROOT_CERT), Some(other.roots().as_pem()));
    stop(running).await;
}
