//! A Secret that is not ours is never touched; a person can hand it over; what is ours is repaired when somebody spoils it.

use certmesh_api::certificates::IssuedCertificate;
use certmesh_api::names::{annotations, secret_types};
use certmesh_api::secrets;
use certmesh_tests::forger::{Forger, new_key};
use certmesh_tests::{Fleet, HOME, HOUR, ROOT_CA, Running, certificate_in, intent, is_ready, stop};
use certmesh_x509::{Certificate, PrivateKey, TrustBundle, verify_chain};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

const TARGET: (&str, &str) = ("istio-system", "cacerts");

/// A `cacerts` that somebody else made by hand, under roots of their choice.
fn by_hand(forger: &Forger, roots: &TrustBundle) -> Secret {
    let key = new_key();
    let host = "spiffe://cluster-1.example/ns/istio-system/sa/by-hand";
    let certificate = forger.intermediate(key.public_key(), host, HOUR * 1000).to_pem().into_bytes();
    let files = [
        (secrets::CA_CERT, certificate.clone()),
        (secrets::CA_KEY, key.to_pem().as_bytes().to_vec()),
        (secrets::CERT_CHAIN, certificate),
        (secrets::ROOT_CERT, roots.as_pem().to_vec()),
    ];
    let mut secret = Secret {
        metadata: ObjectMeta {
            namespace: Some(TARGET.0.to_owned()),
            name: Some(TARGET.1.to_owned()),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".to_owned()),
        data: Some(files.map(|(name, bytes)| (name.to_owned(), ByteString(bytes))).into()),
        ..Secret::default()
    };
    secret.labels_mut().insert("team".to_owned(), "mesh".to_owned());
    secret.annotations_mut().insert("example.com/ticket".to_owned(), "42".to_owned());
    secret
}

/// A Secret made by hand under the very root of the fleet's CA, and what runs.
async fn foreign(spoil: impl FnOnce(&mut Secret)) -> (Fleet, Secret, Vec<Running>) {
    let fleet = Fleet::new(1).await;
    let ca = fleet.get::<Secret>(&fleet.management, HOME, ROOT_CA).await.expect("the CA's Secret");
    let roots = secrets::data(&ca, secrets::ROOT_CERT).expect("the CA's roots");
    let roots = TrustBundle::from_pem(roots).expect("a bundle");
    let mut secret = by_hand(&Forger::new(fleet.clock.now()), &roots);
    spoil(&mut secret);
    let secret = fleet.create(&fleet.remotes[0], &secret).await;
    let running = fleet.run_all().await;
    fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
    (fleet, secret, running)
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_not_ours_is_left_as_it_is_until_a_person_hands_it_over() {
    let (fleet, before, running) = foreign(|_| {}).await;
    let todo = "take it over with the annotation certmesh.dev/adopt: \"true\" on the intent";
    fleet.refused("cluster-1", "istiod", "SecretNotOurs", todo).await;
    tokio::time::sleep(HOUR * 6).await;
    assert_eq!(fleet.cacerts(0).await, before, "not one byte of it changed");
    assert!(fleet.issuance_log.records().is_empty(), "nothing was even asked for");

    fleet.annotate("cluster-1", "istiod", annotations::ADOPT, "true").await;
    fleet.ready("cluster-1", "istiod").await;
    let after = fleet.cacerts(0).await;
    assert_eq!(after.metadata.uid, before.metadata.uid, "changed, not replaced");
    assert_eq!(after.type_.as_deref(), Some("Opaque"), "its type stays");
    assert_eq!(after.labels()["team"], "mesh");
    assert_eq!(after.annotations()["example.com/ticket"], "42");
    assert_eq!(after.annotations()[annotations::ISSUED_FOR], "cluster-1/istiod");
    assert_ne!(certificate_in(&after).fingerprint(), certificate_in(&before).fingerprint());
    assert_eq!(
        secrets::data(&after, secrets::ROOT_CERT),
        secrets::data(&before, secrets::ROOT_CERT),
        "the root set is the same, so its bytes are"
    );
    stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_secret_with_other_labels_of_ours_is_still_not_ours() {
    // Issued for another intent, and by another agent: neither is enough.
    for (agent, issued_for) in [("certmesh", "cluster-1/gateway"), ("another", "cluster-1/istiod")] {
        let (fleet, before, running) = foreign(|secret| {
            secret.labels_mut().insert(certmesh_api::names::labels::AGENT.to_owned(), agent.to_owned());
            secret.annotations_mut().insert(annotations::ISSUED_FOR.to_owned(), issued_for.to_owned());
        })
        .await;
        let todo = "take it over with the annotation certmesh.dev/adopt: \"true\" on the intent";
        fleet.refused("cluster-1", "istiod", "SecretNotOurs", todo).await;
        tokio::time::sleep(HOUR).await;
        assert_eq!(fleet.cacerts(0).await, before);
        stop(running).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_hold_a_certificate_is_not_taken_over() {
    type Spoil = fn(&mut Secret);
    let table: [(&str, Spoil, &str); 4] = [
        (
            "kubernetes.io/tls",
            |secret| {
                secret.type_ = Some(secret_types::TLS.to_owned());
                for key in [secrets::TLS_CERT, secrets::TLS_KEY] {
                    secret.data.as_mut().unwrap().insert(key.to_owned(), ByteString(b"x".to_vec()));
                }
            },
            "back it up, delete it, or name another Secret",
        ),
        (
            "immutable",
            |secret| secret.immutable = Some(true),
            "back it up, delete it, or name another Secret",
        ),
        (
            "tls.crt",
            |secret| {
                secret.data.as_mut().unwrap().insert(secrets::TLS_CERT.to_owned(), ByteString(b"x".to_vec()));
            },
            "back it up and remove that key, or name another Secret",
        ),
        (
            "istio-generated",
            |secret| {
                let key = secrets::ISTIO_GENERATED.to_owned();
                secret.data.as_mut().unwrap().insert(key, ByteString(Vec::new()));
            },
            "migrate by rotating from that CA, or back it up and delete it",
        ),
    ];
    for (what, spoil, todo) in table {
        let (fleet, before, running) = foreign(spoil).await;
        fleet.annotate("cluster-1", "istiod", annotations::ADOPT, "true").await;
        fleet.refused("cluster-1", "istiod", "CannotAdopt", todo).await;
        tokio::time::sleep(HOUR).await;
        assert_eq!(fleet.cacerts(0).await, before, "{what}");
        assert!(fleet.issuance_log.records().is_empty(), "{what}");
        // The way out that the message names.
        fleet.delete::<Secret>(&fleet.remotes[0], TARGET.0, TARGET.1).await;
        fleet.ready("cluster-1", "istiod").await;
        stop(running).await;
    }
}

#[tokio::test(start_paused = true)]
async fn taking_over_does_not_replace_a_root_in_use_by_accident() {
    let fleet = Fleet::new(1).await;
    let forger = Forger::new(fleet.clock.now());
    let before = fleet.create(&fleet.remotes[0], &by_hand(&forger, forger.authority.roots())).await;
    let running = fleet.run_all().await;
    fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
    fleet.annotate("cluster-1", "istiod", annotations::ADOPT, "true").await;
    let todo = "accept the downtime with the annotation certmesh.dev/replace-root: \"true\" on the intent";
    fleet.refused("cluster-1", "istiod", "WouldReplaceLiveRoot", todo).await;
    tokio::time::sleep(HOUR).await;
    assert_eq!(fleet.cacerts(0).await, before);

    fleet.annotate("cluster-1", "istiod", annotations::REPLACE_ROOT, "true").await;
    fleet.ready("cluster-1", "istiod").await;
    assert_eq!(fleet.cacerts(0).await.annotations()[annotations::ISSUED_FOR], "cluster-1/istiod");
    stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn of_two_intents_that_name_one_secret_the_second_is_told_so() {
    let fleet = Fleet::new(1).await;
    let running = fleet.run_all().await;
    fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
    fleet.ready("cluster-1", "istiod").await;
    let before = fleet.cacerts(0).await;
    fleet.create(&fleet.management, &intent("cluster-1", "also")).await;
    let todo = "name another Secret in one of the two intents";
    fleet.refused("cluster-1", "also", "SecretClaimed", todo).await;
    // Even a person's word for the second one does not take it from the first.
    fleet.annotate("cluster-1", "also", annotations::ADOPT, "true").await;
    tokio::time::sleep(HOUR).await;
    assert_eq!(fleet.cacerts(0).await, before);
    let first = fleet.get::<IssuedCertificate>(&fleet.management, "cluster-1", "istiod").await;
    assert!(is_ready(first.as_ref()), "the first is not disturbed");
    assert_eq!(fleet.issuance_log.records().len(), 1);

    // Once the first lets go, the second gets it, since a person said so.
    fleet.delete::<IssuedCertificate>(&fleet.management, "cluster-1", "istiod").await;
    fleet.ready("cluster-1", "also").await;
    assert_eq!(fleet.cacerts(0).await.annotations()[annotations::ISSUED_FOR], "cluster-1/also");
    stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn two_intents_made_at_once_do_not_fight_over_a_secret() {
    let fleet = Fleet::new(1).await;
    for name in ["b", "a"] {
        fleet.create(&fleet.management, &intent("cluster-1", name)).await;
    }
    let running = fleet.run_all().await;
    tokio::time::sleep(HOUR).await;
    assert_eq!(fleet.issuance_log.records().len(), 1, "one certificate, for one of them");
    let owner = fleet.cacerts(0).await.annotations()[annotations::ISSUED_FOR].clone();
    let (winner, loser) = if owner == "cluster-1/a" { ("a", "b") } else { ("b", "a") };
    fleet.ready("cluster-1", winner).await;
    fleet.refused("cluster-1", loser, "SecretClaimed", "name another Secret in one of the two intents").await;
    stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn an_issued_secret_that_somebody_spoils_is_repaired_with_a_new_certificate() {
    let fleet = Fleet::new(1).await;
    let remote = &fleet.remotes[0];
    let running = fleet.run_all().await;
    fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
    fleet.ready("cluster-1", "istiod").await;
    let files = |name: &str, bytes: &[u8]| json!({"data": {name: ByteString(bytes.to_vec())}});
    let forger = Forger::new(fleet.clock.now());
    let stranger = by_hand(&forger, forger.authority.roots());
    let in_stranger = |name: &str| secrets::data(&stranger, name).unwrap().to_vec();
    let edits = [
        ("another key", files(secrets::CA_KEY, new_key().to_pem().as_bytes())),
        ("no key", json!({"data": {secrets::CA_KEY: null}})),
        ("an empty chain", files(secrets::CERT_CHAIN, b"")),
        ("another chain", files(secrets::CERT_CHAIN, &in_stranger(secrets::CERT_CHAIN))),
        ("another certificate", files(secrets::CA_CERT, &in_stranger(secrets::CA_CERT))),
        ("garbage", files(secrets::CA_CERT, b"\xff\x00")),
        ("another root", files(secrets::ROOT_CERT, &in_stranger(secrets::ROOT_CERT))),
        ("a tls.crt that istiod would read", files(secrets::TLS_CERT, &in_stranger(secrets::CA_CERT))),
        ("no record of the need", json!({"metadata": {"annotations": {annotations::NEED: null}}})),
    ];
    for (_, edit) in edits {
        let good = fleet.cacerts(0).await;
        tokio::time::sleep(HOUR).await;
        fleet.patch::<Secret>(remote, TARGET.0, TARGET.1, edit).await;
        let repaired = |secret: Option<&Secret>| secret.is_some_and(|secret| is_whole(secret, &fleet, &good));
        fleet.wait(remote, TARGET.0, TARGET.1, repaired).await;
        fleet.ready("cluster-1", "istiod").await;
    }
    // A Secret that is gone is not braked: an istiod that starts without one makes itself a root.
    let good = fleet.cacerts(0).await;
    fleet.delete::<Secret>(remote, TARGET.0, TARGET.1).await;
    let again = |secret: Option<&Secret>| secret.is_some_and(|secret| is_whole(secret, &fleet, &good));
    fleet.wait_for(Duration::from_secs(5), remote, TARGET.0, TARGET.1, again).await;
    stop(running).await;
}

/// Whether a Secret is whole again, under the same roots, and holds another certificate than before.
fn is_whole(secret: &Secret, fleet: &Fleet, before: &Secret) -> bool {
    let file = |name: &str| secrets::data(secret, name).unwrap_or_default();
    let parsed = (
        Certificate::from_pem(file(secrets::CA_CERT)),
        PrivateKey::from_pem(file(secrets::CA_KEY)),
        TrustBundle::from_pem(file(secrets::ROOT_CERT)),
    );
    let (Ok(certificate), Ok(key), Ok(roots)) = parsed else { return false };
    key.public_key() == certificate.public_key()
        && file(secrets::CERT_CHAIN) == file(secrets::CA_CERT)
        && secrets::data(secret, secrets::TLS_CERT).is_none()
        && verify_chain(&certificate, &[], &roots, fleet.clock.now()).is_ok()
        && Some(file(secrets::ROOT_CERT)) == secrets::data(before, secrets::ROOT_CERT)
        && certificate.fingerprint() != certificate_in(before).fingerprint()
        && secret.data.as_ref().map(BTreeMap::len) == Some(4)
}
