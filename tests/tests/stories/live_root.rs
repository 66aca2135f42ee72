//! The roots that a living cluster trusts are never swapped without a person's word.

use certmesh_api::certificates::{
    CertificateRotationState, IssuedCertificate, ObjectRef, RootCertificateAuthority,
};
use certmesh_api::names::{annotations, well_known};
use certmesh_api::secrets;
use certmesh_apiserver::Cluster;
use certmesh_tests::{Fleet, HOME, HOUR, ROOT_CA, certificate_in, condition, intent, signing_secret, stop};
use certmesh_x509::{CertificateAuthority, KeyAlgorithm, TrustBundle};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use serde_json::{Value, json};

async fn roots_in_a_config_map(fleet: &Fleet, cluster: &Cluster, name: &ObjectRef, pem: &[u8]) {
    let config_map = ConfigMap {
        metadata: ObjectMeta {
            namespace: Some(name.namespace.clone()),
            name: Some(name.name.clone()),
            ..ObjectMeta::default()
        },
        data: Some([(well_known::ISTIO_CA_ROOT_CERT_KEY.to_owned(), text(pem))].into()),
        ..ConfigMap::default()
    };
    fleet.create(cluster, &config_map).await;
}

fn root_file(secret: &Secret) -> &[u8] {
    secrets::data(secret, secrets::ROOT_CERT).expect("root-cert.pem")
}

/// The root of the fleet's CA, as its Secret has it.
async fn fleet_root(fleet: &Fleet) -> Vec<u8> {
    root_file(&fleet.get::<Secret>(&fleet.management, HOME, ROOT_CA).await.expect("the CA's Secret")).to_vec()
}

#[tokio::test(start_paused = true)]
async fn a_first_certificate_under_another_root_than_the_one_in_use_waits_for_a_person() {
    let fleet = Fleet::new(1).await;
    let remote = &fleet.remotes[0];
    let in_use = fleet.new_root(KeyAlgorithm::EcdsaP256);
    let name = ObjectRef::new("istio-system", well_known::ISTIO_CA_ROOT_CERT);
    roots_in_a_config_map(&fleet, remote, &name, in_use.roots().as_pem()).await;
    let running = fleet.run_all().await;
    fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
    let todo = "accept the downtime with the annotation certmesh.dev/replace-root: \"true\" on the intent";
    fleet.refused("cluster-1", "istiod", "WouldReplaceLiveRoot", todo).await;
    tokio::time::sleep(HOUR * 6).await;
    assert!(fleet.get::<Secret>(remote, "istio-system", "cacerts").await.is_none(), "nothing is stored");
    assert_eq!(fleet.issuance_log.records().len(), 1, "what was signed is kept, and no more asked for");

    fleet.annotate("cluster-1", "istiod", annotations::REPLACE_ROOT, "true").await;
    fleet.ready("cluster-1", "istiod").await;
    assert_eq!(root_file(&fleet.cacerts(0).await), fleet_root(&fleet).await);
    assert_eq!(fleet.issuance_log.records().len(), 1, "the certificate that waited is used");
    stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_first_certificate_that_keeps_the_root_in_use_is_stored() {
    let fleet = Fleet::new(1).await;
    let name = ObjectRef::new("istio-system", well_known::ISTIO_CA_ROOT_CERT);
    roots_in_a_config_map(&fleet, &fleet.remotes[0], &name, &fleet_root(&fleet).await).await;
    let running = fleet.run_all().await;
    fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
    fleet.ready("cluster-1", "istiod").await;
    stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_pin_in_the_agents_namespace_refuses_every_other_root() {
    let fleet = Fleet::new(1).await;
    let remote = &fleet.remotes[0];
    let pinned = fleet.new_root(KeyAlgorithm::EcdsaP256);
    let name = ObjectRef::new(HOME, well_known::TRUST_ANCHORS);
    roots_in_a_config_map(&fleet, remote, &name, pinned.roots().as_pem()).await;
    let running = fleet.run_all().await;
    let mut wanted = intent("cluster-1", "istiod");
    // Whoever has the management cluster can say this; they cannot write the pin.
    wanted.annotations_mut().insert(annotations::REPLACE_ROOT.to_owned(), "true".to_owned());
    fleet.create(&fleet.management, &wanted).await;
    fleet.refused("cluster-1", "istiod", "RootNotAllowed", "if it is yours, add it there").await;
    tokio::time::sleep(HOUR).await;
    assert!(fleet.get::<Secret>(remote, "istio-system", "cacerts").await.is_none());

    // The agent does not watch the pin; it looks again with its next pass.
    let both = [pinned.roots().as_pem(), &fleet_root(&fleet).await].concat();
    let data = json!({"data": {well_known::ISTIO_CA_ROOT_CERT_KEY: String::from_utf8(both).unwrap()}});
    fleet.patch::<ConfigMap>(remote, HOME, well_known::TRUST_ANCHORS, data).await;
    tokio::time::sleep(HOUR).await;
    fleet.ready("cluster-1", "istiod").await;
    stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_ca_secret_whose_root_was_replaced_signs_nothing_and_what_is_in_place_stays() {
    let fleet = Fleet::new(1).await;
    let running = fleet.run_all().await;
    fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
    fleet.ready("cluster-1", "istiod").await;
    let before = fleet.cacerts(0).await;
    tokio::time::sleep(HOUR).await;
    let old = fleet.get::<Secret>(&fleet.management, HOME, ROOT_CA).await.unwrap();
    let other = fleet.new_root(KeyAlgorithm::EcdsaP256);
    fleet.replace(&fleet.management, signing_secret(ROOT_CA, &other)).await;
    let says = fleet.says("cluster-1", "istiod", "RootReplaced").await;
    let status = says.status.unwrap();
    assert!(status.error.ends_with("put the new CA in a new Secret and rotate"), "{}", status.error);
    assert_eq!(condition(&status, "Stalled").unwrap().message, status.error);
    assert_eq!(condition(&status, "Ready").unwrap().status, "True", "what is in place is still good");
    fleet.warned("cluster-1", "istiod", "RootReplaced").await;

    // Neither a person's wish for a renewal nor the end of the certificate's life gets anything signed.
    fleet.annotate("cluster-1", "istiod", annotations::RENEW, "please").await;
    tokio::time::sleep(HOUR * 6).await;
    let signed = fleet.issuance_log.records().into_iter().filter(|record| record["decision"] == "signed");
    assert_eq!(signed.count(), 1);
    assert_eq!(fleet.cacerts(0).await.data, before.data);

    // The CA is put back: work goes on by itself, at the latest after the longest back-off.
    fleet.replace(&fleet.management, old).await;
    tokio::time::sleep(HOUR * 2).await;
    fleet.renewed("cluster-1", "istiod", &before).await;
    let after = fleet.cacerts(0).await;
    assert_eq!(root_file(&after), root_file(&before));
    stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn another_ca_in_the_spec_is_no_rotation() {
    let fleet = Fleet::new(1).await;
    let running = fleet.run_all().await;
    fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
    fleet.ready("cluster-1", "istiod").await;
    let before = fleet.cacerts(0).await;
    fleet.create_root_ca("other-ca", KeyAlgorithm::EcdsaP256).await;
    let rename = json!({"spec": {"glooMeshCa": {"signingCertificateSecret": {"name": "other-ca"}}}});
    fleet.patch::<IssuedCertificate>(&fleet.management, "cluster-1", "istiod", rename).await;
    fleet.says("cluster-1", "istiod", "RootReplaced").await;
    tokio::time::sleep(HOUR * 6).await;
    assert_eq!(fleet.cacerts(0).await.data, before.data);
    let signed = fleet.issuance_log.records().into_iter().filter(|record| record["decision"] == "signed");
    assert_eq!(signed.count(), 1);
    stop(running).await;
}

/// The intent, its CAs and its step in a rotation from `root-ca` to `new-ca`.
fn at_step(step: CertificateRotationState) -> Value {
    let ca = |name: &str| RootCertificateAuthority {
        signing_certificate_secret: Some(ObjectRef::new(HOME, name)),
    };
    json!({"spec": {"glooMeshCa": ca("new-ca"), "previousGlooMeshCa": ca(ROOT_CA), "rotationState": step}})
}

#[tokio::test(start_paused = true)]
async fn the_bytes_of_the_bundle_change_with_the_set_of_roots_and_at_no_other_time() {
    let fleet = Fleet::new(1).await;
    let running = fleet.run_all().await;
    let new: CertificateAuthority = fleet.create_root_ca("new-ca", KeyAlgorithm::EcdsaP384).await;
    fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
    fleet.ready("cluster-1", "istiod").await;
    let (a, b) = (fleet_root(&fleet).await, new.roots().as_pem().to_vec());
    assert_eq!(root_file(&fleet.cacerts(0).await), a);
    let steps = [
        (CertificateRotationState::AddingNewRoot, [&a[..], &b[..]].concat()),
        (CertificateRotationState::PropagatingNewIntermediate, [&a[..], &b[..], &b[..]].concat()),
        (CertificateRotationState::DeletingOldRoot, b.clone()),
    ];
    for (step, bundle) in steps {
        let before = certificate_in(&fleet.cacerts(0).await).fingerprint();
        let patch = at_step(step);
        let changed = fleet.patch::<IssuedCertificate>(&fleet.management, "cluster-1", "istiod", patch).await;
        let generation = changed.metadata.generation;
        fleet.ready("cluster-1", "istiod").await;
        let stored = fleet.cacerts(0).await;
        assert_eq!(text(root_file(&stored)), text(&bundle), "{step:?} at generation {generation:?}");
        assert_ne!(
            certificate_in(&stored).fingerprint(),
            before,
            "{step:?}: another trust, a new certificate"
        );

        fleet.annotate("cluster-1", "istiod", annotations::RENEW, &format!("{step:?}")).await;
        fleet.renewed("cluster-1", "istiod", &stored).await;
        let renewed = fleet.cacerts(0).await;
        assert_ne!(certificate_in(&renewed).fingerprint(), certificate_in(&stored).fingerprint(), "{step:?}");
        assert_eq!(text(root_file(&renewed)), text(&bundle), "{step:?}: the same set, the same bytes");
    }
    stop(running).await;
}

fn text(pem: &[u8]) -> String {
    String::from_utf8_lossy(pem).into_owned()
}

#[tokio::test(start_paused = true)]
async fn bytes_that_somebody_else_gave_the_same_set_of_roots_stay_at_a_renewal() {
    let fleet = Fleet::new(1).await;
    let remote = &fleet.remotes[0];
    let running = fleet.run_all().await;
    fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
    fleet.ready("cluster-1", "istiod").await;
    let before = fleet.cacerts(0).await;
    let mut commented = b"# the root of our mesh\n".to_vec();
    commented.extend_from_slice(root_file(&before));
    assert!(TrustBundle::from_pem(&commented).is_ok());
    let patch = json!({"data": {secrets::ROOT_CERT: ByteString(commented.clone())}});
    fleet.patch::<Secret>(remote, "istio-system", "cacerts", patch).await;
    tokio::time::sleep(HOUR).await;
    assert_eq!(
        certificate_in(&fleet.cacerts(0).await).fingerprint(),
        certificate_in(&before).fingerprint(),
        "a comment is no reason for a new certificate"
    );
    fleet.annotate("cluster-1", "istiod", annotations::RENEW, "please").await;
    fleet.renewed("cluster-1", "istiod", &before).await;
    assert_eq!(text(root_file(&fleet.cacerts(0).await)), text(&commented));
    stop(running).await;
}
