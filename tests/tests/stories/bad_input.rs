//! Intents and signing CAs that are wrong: each is refused where people look, with what to do about it; nothing is made
//! or overwritten for it; corrected, it becomes a certificate without a restart.

use certmesh_api::certificates::{
    CertificateRotationState, IntermediateCertificateAuthority, IssuedCertificate, IssuedCertificateSpec,
    ObjectRef, RootCertificateAuthority,
};
use certmesh_api::names::annotations;
use certmesh_api::secrets;
use certmesh_apiserver::Cluster;
use certmesh_tests::forger::{Forger, new_key};
use certmesh_tests::{
    Fleet, HOME, HOUR, Inventory, ROOT_CA, condition, ensure_namespace, intent, signing_secret, stop,
};
use certmesh_x509::{CertificateAuthority, SerialNumber};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, PostParams};
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};
use std::time::Duration;

/// What exists in a remote cluster for an intent that is good: a request, a key, a Secret.
const MADE_FOR_AN_INTENT: [&str; 3] = ["secrets certmesh/", "secrets istio-system/", "certificaterequests"];

fn targets(names: &[&str]) -> Vec<ObjectRef> {
    names.iter().map(|name| ObjectRef::new("istio-system", *name)).collect()
}

/// An intent of this name, for a Secret of its own.
fn named(name: &str) -> IssuedCertificate {
    let mut wanted = intent("cluster-1", name);
    wanted.spec.issued_certificate_secret = Some(ObjectRef::new("istio-system", name));
    wanted
}

type SpoilSpec = fn(&mut IssuedCertificateSpec);

/// Name, what is wrong, the end of the message, and the part of it that names the value or the field.
const BAD_SPECS: [(&str, SpoilSpec, &str, &str); 15] = [
    ("no-hosts", |spec| spec.hosts.clear(), "change the intent", "spec.hosts"),
    (
        "bad-spiffe",
        |spec| spec.hosts = vec!["spiffe://Example/x?y".to_owned()],
        "change the intent",
        "spiffe://Example/x?y",
    ),
    (
        "bad-dns",
        |spec| spec.hosts = vec!["under_score.example".to_owned()],
        "change the intent",
        "under_score.example",
    ),
    ("twice", |spec| spec.hosts.push(spec.hosts[0].clone()), "change the intent", "istiod"),
    ("key-size", |spec| options(spec, 1000), "change the intent", "rsaKeySizeBytes is 1000"),
    ("no-ca", |spec| spec.gloo_mesh_ca = None, "change the intent", "glooMeshCa.signingCertificateSecret"),
    (
        "half-a-ca",
        |spec| spec.gloo_mesh_ca = Some(ca(HOME, "")),
        "change the intent",
        "needs both name and namespace",
    ),
    (
        "half-a-target",
        |spec| target(spec).namespace.clear(),
        "change the intent",
        "spec.issuedCertificateSecret",
    ),
    ("no-target-name", |spec| target(spec).name.clear(), "change the intent", "spec.issuedCertificateSecret"),
    ("long-org", |spec| organization(spec, &"o".repeat(51)), "change the intent", "orgName"),
    ("odd-org", |spec| organization(spec, "a\u{1b}[2Jb"), "change the intent", "orgName"),
    (
        "no-previous",
        |spec| step(spec, CertificateRotationState::AddingNewRoot),
        "change the intent",
        "previousGlooMeshCa",
    ),
    ("no-step", |spec| step(spec, CertificateRotationState::Verifying), "change the intent", "rotationState"),
    ("finished", |spec| step(spec, CertificateRotationState::Finished), "change the intent", "rotationState"),
    ("vault", |spec| vault(spec), "change the intent", "agentCa"),
];

fn ca(namespace: &str, name: &str) -> RootCertificateAuthority {
    RootCertificateAuthority { signing_certificate_secret: Some(ObjectRef::new(namespace, name)) }
}

fn options(spec: &mut IssuedCertificateSpec, rsa_key_size: u32) {
    let options = spec.cert_options.as_mut().unwrap();
    options.key_algorithm = None;
    options.rsa_key_size_bytes = rsa_key_size;
}

fn organization(spec: &mut IssuedCertificateSpec, name: &str) {
    name.clone_into(&mut spec.cert_options.as_mut().unwrap().org_name);
}

fn target(spec: &mut IssuedCertificateSpec) -> &mut ObjectRef {
    spec.issued_certificate_secret.as_mut().unwrap()
}

fn step(spec: &mut IssuedCertificateSpec, step: CertificateRotationState) {
    spec.rotation_state = step;
}

fn vault(spec: &mut IssuedCertificateSpec) {
    spec.gloo_mesh_ca = None;
    spec.agent_ca = Some(IntermediateCertificateAuthority::default());
}

#[tokio::test(start_paused = true)]
async fn an_intent_that_is_wrong_is_refused_and_once_corrected_it_is_served() {
    let names = BAD_SPECS.map(|(name, ..)| name);
    let fleet = Fleet::with_targets(1, &targets(&names)).await;
    let before = Inventory::of(&fleet.remotes[0]).only(&MADE_FOR_AN_INTENT);
    let running = fleet.run_all().await;
    for (name, spoil, ..) in BAD_SPECS {
        let mut wrong = named(name);
        spoil(&mut wrong.spec);
        fleet.create(&fleet.management, &wrong).await;
    }
    for (name, _, todo, value) in BAD_SPECS {
        let reason = if name == "vault" { "AgentCaUnsupported" } else { "InvalidSpec" };
        fleet.refused("cluster-1", name, reason, todo).await;
        let intent = fleet.get::<IssuedCertificate>(&fleet.management, "cluster-1", name).await.unwrap();
        let error = intent.status.unwrap().error;
        assert!(error.contains(value), "{name}: {error:?} names {value:?}");
        assert!(!error.contains('\u{1b}'), "{name}: {error:?}");
    }
    tokio::time::sleep(HOUR).await;
    let after = Inventory::of(&fleet.remotes[0]).only(&MADE_FOR_AN_INTENT);
    assert!(before.changes(&after).is_empty(), "nothing was made: {:?}", before.changes(&after));
    for name in names {
        fleet.replace(&fleet.management, named(name)).await;
    }
    for name in names {
        fleet.ready("cluster-1", name).await;
    }
    assert_eq!(fleet.issuance_log.records().len(), names.len());
    stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn what_the_schema_can_tell_the_api_server_refuses() {
    let fleet = Fleet::new(1).await;
    let client = fleet.management.client(Cluster::admin());
    let api = Api::<kube::api::DynamicObject>::namespaced_with(
        client,
        "cluster-1",
        &kube::core::ApiResource::erase::<IssuedCertificate>(&()),
    );
    let reference = json!({"name": "a", "namespace": "b"});
    let table: [(&str, Value); 9] = [
        (
            "both CAs",
            json!({"glooMeshCa": {"signingCertificateSecret": reference}, "agentCa": {"vault": {}}}),
        ),
        ("an unknown step", json!({"rotationState": "JUMPING"})),
        ("an unknown key", json!({"certOptions": {"keyAlgorithm": "ED25519"}})),
        ("a lifetime of seconds", json!({"certOptions": {"ttlSeconds": 59}})),
        ("a negative lifetime", json!({"certOptions": {"ttlDays": -1}})),
        ("an organization of 65", json!({"certOptions": {"orgName": "o".repeat(65)}})),
        ("65 hosts", json!({"hosts": vec!["a.example"; 65]})),
        ("an empty host", json!({"hosts": [""]})),
        ("hosts that are no list", json!({"hosts": "a.example"})),
    ];
    for (what, spec) in table {
        let object = json!({
            "apiVersion": "certificates.mesh.gloo.solo.io/v1", "kind": "IssuedCertificate",
            "metadata": {"name": "wrong"}, "spec": spec,
        });
        let object = serde_json::from_value(object).unwrap();
        match api.create(&PostParams::default(), &object).await {
            Err(kube::Error::Api(status)) => {
                assert_eq!((status.code, status.reason.as_str()), (422, "Invalid"), "{what}: {status:?}");
                assert!(status.message.contains("spec"), "{what}: {}", status.message);
            }
            other => panic!("{what}: {other:?}"),
        }
    }
}

type SpoilCa = fn(&Fleet, &mut Secret);

/// Name, what is wrong, the reason, and the end of the message.
const BAD_CAS: [(&str, SpoilCa, &str, &str); 12] = [
    ("no-key", |_, ca| remove(ca, secrets::CA_KEY), "CaNotWhole", "or tls.crt + tls.key + ca.crt"),
    ("no-root", |_, ca| remove(ca, secrets::ROOT_CERT), "CaNotWhole", "or tls.crt + tls.key + ca.crt"),
    ("empty", |_, ca| ca.data = None, "CaNotWhole", "or tls.crt + tls.key + ca.crt"),
    ("wrong-key", |_, ca| set(ca, secrets::CA_KEY, new_key().to_pem().as_bytes()), "CaNotWhole", ""),
    ("garbage-key", |_, ca| set(ca, secrets::CA_KEY, b"\xff\x1b[2J"), "CaNotWhole", ""),
    ("garbage", |_, ca| set(ca, secrets::CA_CERT, b"-----BEGIN CERTIFICATE-----\nxx"), "CaNotWhole", ""),
    ("expired", expired, "CaNotWhole", "put a valid CA in a new Secret and rotate to it"),
    ("a-leaf", a_leaf, "CaNotWhole", ""),
    ("no-depth", no_depth, "CaNotWhole", "or an intermediate with a pathLen of at least 1 all the way up"),
    ("other-root", other_root, "CaNotWhole", ""),
    (
        "nobody",
        |_, ca| ca.annotations_mut().clear(),
        "CaNotAllowed",
        "add cluster-1 to its annotation certmesh.dev/allow-clusters",
    ),
    ("others", others_only, "CaNotAllowed", "add cluster-1 to its annotation certmesh.dev/allow-clusters"),
];

fn remove(ca: &mut Secret, key: &str) {
    ca.data.as_mut().unwrap().remove(key);
}

fn set(ca: &mut Secret, key: &str, bytes: &[u8]) {
    ca.data.as_mut().unwrap().insert(key.to_owned(), ByteString(bytes.to_vec()));
}

fn expired(fleet: &Fleet, ca: &mut Secret) {
    let long_ago = fleet.clock.now() - jiff::SignedDuration::from_hours(24 * 365 * 20);
    let serial = SerialNumber::random().unwrap();
    let lifetime = CertificateAuthority::DEFAULT_ROOT_LIFETIME;
    let old = CertificateAuthority::self_signed_root(new_key(), "old", lifetime, &serial, long_ago).unwrap();
    ca.data = signing_secret("old", &old).data;
}

/// A CA's Secret around a certificate that a root made for this purpose.
fn below(fleet: &Fleet, ca: &mut Secret, make: impl FnOnce(&Forger, &certmesh_x509::PublicKey) -> Vec<u8>) {
    let (root, key) = (Forger::new(fleet.clock.now()), new_key());
    let certificate = make(&root, key.public_key());
    set(ca, secrets::CA_CERT, &certificate);
    set(ca, secrets::CERT_CHAIN, &certificate);
    set(ca, secrets::CA_KEY, key.to_pem().as_bytes());
    set(ca, secrets::ROOT_CERT, root.authority.roots().as_pem());
}

fn a_leaf(fleet: &Fleet, ca: &mut Secret) {
    below(fleet, ca, |root, key| root.leaf(key, "a.example", HOUR * 1000).to_pem().into_bytes());
}

fn no_depth(fleet: &Fleet, ca: &mut Secret) {
    below(fleet, ca, |root, key| root.intermediate(key, "a.example", HOUR * 1000).to_pem().into_bytes());
}

fn other_root(fleet: &Fleet, ca: &mut Secret) {
    set(ca, secrets::ROOT_CERT, Forger::new(fleet.clock.now()).authority.roots().as_pem());
}

fn others_only(_: &Fleet, ca: &mut Secret) {
    ca.annotations_mut().insert(annotations::ALLOW_CLUSTERS.to_owned(), "cluster-2, cluster-11".to_owned());
}

#[tokio::test(start_paused = true)]
async fn a_signing_ca_that_is_wrong_signs_nothing_and_once_corrected_it_does() {
    let names = BAD_CAS.map(|(name, ..)| name);
    let fleet = Fleet::with_targets(1, &targets(&names)).await;
    let before = Inventory::of(&fleet.remotes[0]).only(&MADE_FOR_AN_INTENT);
    let running = fleet.run_all().await;
    let good = fleet.new_root(certmesh_x509::KeyAlgorithm::EcdsaP256);
    for (name, spoil, ..) in BAD_CAS {
        let mut secret = signing_secret(name, &good);
        spoil(&fleet, &mut secret);
        fleet.create(&fleet.management, &secret).await;
        let mut wanted = named(name);
        wanted.spec.gloo_mesh_ca = Some(ca(HOME, name));
        fleet.create(&fleet.management, &wanted).await;
    }
    for (name, _, reason, todo) in BAD_CAS {
        fleet.refused("cluster-1", name, reason, todo).await;
        let intent = fleet.get::<IssuedCertificate>(&fleet.management, "cluster-1", name).await.unwrap();
        let error = intent.status.unwrap().error;
        assert!(error.contains(&format!("certmesh/{name}")), "{name}: {error:?} names the Secret");
        assert!(error.contains(": "), "{name}: {error:?} says what to do");
    }
    tokio::time::sleep(HOUR).await;
    let after = Inventory::of(&fleet.remotes[0]).only(&MADE_FOR_AN_INTENT);
    assert!(before.changes(&after).is_empty(), "nothing was made: {:?}", before.changes(&after));
    assert!(fleet.issuance_log.records().is_empty());
    for name in names {
        fleet.replace(&fleet.management, signing_secret(name, &good)).await;
    }
    for name in names {
        fleet.ready("cluster-1", name).await;
    }
    stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_ca_that_is_missing_is_waited_for() {
    let fleet = Fleet::new(1).await;
    let running = fleet.run_all().await;
    let mut wanted = intent("cluster-1", "istiod");
    wanted.spec.gloo_mesh_ca = Some(ca(HOME, "later"));
    fleet.create(&fleet.management, &wanted).await;
    let waiting = fleet.says("cluster-1", "istiod", "CaMissing").await.status.unwrap();
    assert!(waiting.error.ends_with("create it, or name another one in the spec"), "{}", waiting.error);
    assert!(condition(&waiting, "Reconciling").is_some(), "it may come by itself: {:?}", waiting.conditions);
    assert!(condition(&waiting, "Stalled").is_none());
    let events = fleet.events(&fleet.management, "cluster-1", "istiod").await;
    assert!(events.iter().any(|event| event.reason.as_deref() == Some("CaMissing")));
    tokio::time::sleep(HOUR * 6).await;
    fleet.create_root_ca("later", certmesh_x509::KeyAlgorithm::EcdsaP256).await;
    let begin = tokio::time::Instant::now();
    fleet.ready("cluster-1", "istiod").await;
    assert!(begin.elapsed() < Duration::from_secs(3), "at once: {:?}", begin.elapsed());
    stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_ca_outside_of_the_issuers_namespace_is_not_even_read() {
    let fleet = Fleet::new(1).await;
    ensure_namespace(&fleet.management, "elsewhere", None).await;
    let mut elsewhere = fleet.get::<Secret>(&fleet.management, HOME, ROOT_CA).await.unwrap();
    *elsewhere.meta_mut() = signing_secret(ROOT_CA, &Forger::new(fleet.clock.now()).authority).metadata;
    elsewhere.metadata.namespace = Some("elsewhere".to_owned());
    fleet.create(&fleet.management, &elsewhere).await;
    let running = fleet.run_all().await;
    let mut wanted = intent("cluster-1", "istiod");
    wanted.spec.gloo_mesh_ca = Some(ca("elsewhere", ROOT_CA));
    fleet.create(&fleet.management, &wanted).await;
    let todo = "move it there, or start the issuer with --allow-any-ca-namespace";
    fleet.refused("cluster-1", "istiod", "CaNotAllowed", todo).await;
    let named_right = json!({"spec": {"glooMeshCa": {"signingCertificateSecret": {"namespace": HOME}}}});
    fleet.patch::<IssuedCertificate>(&fleet.management, "cluster-1", "istiod", named_right).await;
    fleet.ready("cluster-1", "istiod").await;
    stop(running).await;
}
