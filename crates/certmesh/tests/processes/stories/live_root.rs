//! The roots that a living cluster trusts are never swapped without a person's word.

use super::{Disturbs, Story, cacerts};
use crate::mesh::{HOME, Mesh, ROOT_CA, intent, metadata, new_root, whole};
use certmesh_api::certificates::{CertificateRotationState, IssuedCertificate};
use certmesh_api::names::{annotations, well_known};
use certmesh_api::secrets;
use certmesh_tests::wrong_input::ca;
use certmesh_tests::{condition, signing_secret};
use futures::FutureExt as _;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::ResourceExt as _;
use serde_json::json;
use std::time::Duration;

pub(super) const STORIES: &[Story] = &[
    Story {
        name: "a_first_certificate_under_another_root_than_the_one_in_use_waits_for_a_person",
        disturbs: Disturbs::Nobody,
        targets: || cacerts(&["live-root"]),
        tell: |mesh| other_root_in_use(mesh).boxed(),
    },
    Story {
        name: "a_pin_in_the_agents_namespace_refuses_every_other_root",
        disturbs: Disturbs::Cluster(2),
        targets: || cacerts(&["pinned"]),
        tell: |mesh| pinned(mesh).boxed(),
    },
    Story {
        name: "a_ca_secret_whose_root_was_replaced_signs_nothing_and_what_is_in_place_stays",
        disturbs: Disturbs::Nobody,
        targets: || cacerts(&["replaced-root"]),
        tell: |mesh| replaced(mesh).boxed(),
    },
    Story {
        name: "another_ca_in_the_spec_is_no_rotation",
        disturbs: Disturbs::Nobody,
        targets: || cacerts(&["renamed-ca"]),
        tell: |mesh| renamed(mesh).boxed(),
    },
    Story {
        name: "the_bytes_of_the_bundle_change_with_the_set_of_roots_and_at_no_other_time",
        disturbs: Disturbs::Nobody,
        targets: || cacerts(&["rotated"]),
        tell: |mesh| bytes_of_the_bundle(mesh).boxed(),
    },
    Story {
        name: "bytes_that_somebody_else_gave_the_same_set_of_roots_stay_at_a_renewal",
        disturbs: Disturbs::Nobody,
        targets: || cacerts(&["commented"]),
        tell: |mesh| commented(mesh).boxed(),
    },
];

/// Long enough for a pass that would do what must not be done.
const A_WHILE: Duration = Duration::from_secs(3);

fn roots_in_a_config_map(name: &str, pem: &[u8]) -> ConfigMap {
    let data = [(well_known::ISTIO_CA_ROOT_CERT_KEY.to_owned(), text(pem))].into();
    ConfigMap { metadata: metadata(name), data: Some(data), ..ConfigMap::default() }
}

fn root_file(secret: &Secret) -> String {
    text(secrets::data(secret, secrets::ROOT_CERT).expect("root-cert.pem"))
}

fn text(pem: &[u8]) -> String {
    String::from_utf8_lossy(pem).into_owned()
}

async fn other_root_in_use(mesh: &Mesh) {
    let remote = &mesh.remotes[0];
    let in_use = roots_in_a_config_map(well_known::ISTIO_CA_ROOT_CERT, new_root().roots().as_pem());
    remote.create("live-root", &in_use).await;
    mesh.ask("cluster-1", "live-root").await;
    let todo = "accept the downtime with the annotation certmesh.dev/replace-root: \"true\" on the intent";
    mesh.refused("cluster-1", "live-root", "WouldReplaceLiveRoot", todo).await;
    tokio::time::sleep(A_WHILE).await;
    assert!(remote.cacerts("live-root").await.is_none(), "nothing is stored");
    assert_eq!(mesh.records("cluster-1", "live-root").len(), 1, "what was signed is kept");

    mesh.annotate("cluster-1", "live-root", annotations::REPLACE_ROOT, "true").await;
    mesh.ready("cluster-1", "live-root").await;
    assert_eq!(root_file(&mesh.issued(0, "live-root").await), text(mesh.root.roots().as_pem()));
    assert_eq!(mesh.records("cluster-1", "live-root").len(), 1, "the certificate that waited is used");
}

async fn pinned(mesh: &Mesh) {
    let remote = &mesh.remotes[2];
    let pinned = new_root();
    let pin = roots_in_a_config_map(well_known::TRUST_ANCHORS, pinned.roots().as_pem());
    remote.create(HOME, &pin).await;
    let mut wanted = intent("cluster-3", "pinned");
    // Whoever has the management cluster can say this; they cannot write the pin.
    wanted.annotations_mut().insert(annotations::REPLACE_ROOT.to_owned(), "true".to_owned());
    mesh.management.create("cluster-3", &wanted).await;
    mesh.refused("cluster-3", "pinned", "RootNotAllowed", "if it is yours, add it there").await;
    tokio::time::sleep(A_WHILE).await;
    assert!(remote.cacerts("pinned").await.is_none());

    // The agent does not watch the pin; it looks again with its next pass, which a wish brings about.
    let both = format!("{}{}", text(pinned.roots().as_pem()), text(mesh.root.roots().as_pem()));
    let data = json!({"data": {well_known::ISTIO_CA_ROOT_CERT_KEY: both}});
    remote.patch::<ConfigMap>(HOME, well_known::TRUST_ANCHORS, data).await;
    mesh.annotate("cluster-3", "pinned", annotations::RENEW, "please").await;
    mesh.ready("cluster-3", "pinned").await;
    remote.delete::<ConfigMap>(HOME, well_known::TRUST_ANCHORS).await;
}

fn signed(mesh: &Mesh, name: &str) -> usize {
    let records = mesh.records("cluster-1", name);
    records.iter().filter(|record| record["decision"] == "signed").count()
}

async fn replaced(mesh: &Mesh) {
    let old = signing_secret("unsteady-ca", &new_root());
    mesh.management.create(HOME, &old).await;
    let mut wanted = intent("cluster-1", "replaced-root");
    wanted.spec.gloo_mesh_ca = Some(ca(HOME, "unsteady-ca"));
    mesh.management.create("cluster-1", &wanted).await;
    mesh.ready("cluster-1", "replaced-root").await;
    let before = mesh.issued(0, "replaced-root").await;

    mesh.management.replace(HOME, signing_secret("unsteady-ca", &new_root())).await;
    let says = mesh.says("cluster-1", "replaced-root", "RootReplaced").await;
    let status = says.status.expect("a status");
    assert!(status.error.ends_with("put the new CA in a new Secret and rotate"), "{}", status.error);
    assert_eq!(condition(&status, "Stalled").expect("a person has to act").message, status.error);
    let ready = condition(&status, "Ready").expect("a headline");
    assert_eq!(ready.status, "True", "what is in place is still good");
    mesh.told("cluster-1", "replaced-root", "Warning", "RootReplaced").await;

    // A person's wish for a renewal gets nothing signed.
    mesh.annotate("cluster-1", "replaced-root", annotations::RENEW, "please").await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(signed(mesh, "replaced-root"), 1);
    assert_eq!(mesh.issued(0, "replaced-root").await.data, before.data);

    // The CA is put back, and a person asks again.
    mesh.management.replace(HOME, old).await;
    mesh.annotate("cluster-1", "replaced-root", annotations::RENEW, "again").await;
    mesh.renewed("cluster-1", "replaced-root", &before).await;
    assert_eq!(root_file(&mesh.issued(0, "replaced-root").await), root_file(&before));
}

async fn renamed(mesh: &Mesh) {
    mesh.ask("cluster-1", "renamed-ca").await;
    mesh.ready("cluster-1", "renamed-ca").await;
    let before = mesh.issued(0, "renamed-ca").await;
    mesh.management.create(HOME, &signing_secret("another-ca", &new_root())).await;
    let rename = json!({"spec": {"glooMeshCa": ca(HOME, "another-ca")}});
    mesh.management.patch::<IssuedCertificate>("cluster-1", "renamed-ca", rename).await;
    mesh.says("cluster-1", "renamed-ca", "RootReplaced").await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(mesh.issued(0, "renamed-ca").await.data, before.data);
    assert_eq!(signed(mesh, "renamed-ca"), 1);
}

async fn bytes_of_the_bundle(mesh: &Mesh) {
    let new = new_root();
    mesh.management.create(HOME, &signing_secret("new-ca", &new)).await;
    mesh.ask("cluster-1", "rotated").await;
    mesh.ready("cluster-1", "rotated").await;
    let (a, b) = (text(mesh.root.roots().as_pem()), text(new.roots().as_pem()));
    assert_eq!(root_file(&mesh.issued(0, "rotated").await), a);
    for (step, bundle) in [
        (CertificateRotationState::AddingNewRoot, format!("{a}{b}")),
        (CertificateRotationState::PropagatingNewIntermediate, format!("{a}{b}{b}")),
        (CertificateRotationState::DeletingOldRoot, b.clone()),
    ] {
        let before = mesh.issued(0, "rotated").await;
        let spec = json!({"spec": {
            "glooMeshCa": ca(HOME, "new-ca"), "previousGlooMeshCa": ca(HOME, ROOT_CA), "rotationState": step,
        }});
        mesh.management.patch::<IssuedCertificate>("cluster-1", "rotated", spec).await;
        mesh.renewed("cluster-1", "rotated", &before).await;
        assert_eq!(root_file(&mesh.issued(0, "rotated").await), bundle, "{step:?}: another trust");
        mesh.renew(0, "rotated", &format!("{step:?}")).await;
        assert_eq!(
            root_file(&mesh.issued(0, "rotated").await),
            bundle,
            "{step:?}: the same set, the same bytes"
        );
    }
}

async fn commented(mesh: &Mesh) {
    mesh.ask("cluster-1", "commented").await;
    mesh.ready("cluster-1", "commented").await;
    let before = mesh.issued(0, "commented").await;
    let commented = format!("# the root of our mesh\n{}", root_file(&before));
    let patch = json!({"data": {secrets::ROOT_CERT: ByteString(commented.clone().into_bytes())}});
    mesh.remotes[0].patch::<Secret>("commented", "cacerts", patch).await;
    tokio::time::sleep(A_WHILE).await;
    let after = mesh.issued(0, "commented").await;
    assert_eq!(
        whole(&after).0.fingerprint(),
        whole(&before).0.fingerprint(),
        "a comment is no reason for a new certificate"
    );
    mesh.renew(0, "commented", "please").await;
    assert_eq!(root_file(&mesh.issued(0, "commented").await), commented);
}
