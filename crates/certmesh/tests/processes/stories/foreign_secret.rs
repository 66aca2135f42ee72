//! A Secret that somebody else made where ours should go.

use super::{Disturbs, Story, cacerts};
use crate::mesh::{Mesh, metadata, whole};
use certmesh_api::names::annotations;
use certmesh_api::secrets;
use certmesh_x509::{
    Certificate, CertificateAuthority, Hosts, IntermediateParameters, KeyAlgorithm, PrivateKey, SerialNumber,
    SubjectName,
};
use futures::FutureExt as _;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use std::time::Duration;

pub(super) const STORIES: &[Story] = &[Story {
    name: "a_secret_that_is_not_ours_is_left_until_handed_over",
    disturbs: Disturbs::Nobody,
    targets: || cacerts(&["foreign"]),
    tell: |mesh| foreign(mesh).boxed(),
}];

async fn foreign(mesh: &Mesh) {
    let remote = &mesh.remotes[0];
    let before = remote.create("foreign", &by_hand(&mesh.root)).await;
    mesh.ask("cluster-1", "foreign").await;
    mesh.says("cluster-1", "foreign", "SecretNotOurs").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(remote.cacerts("foreign").await.as_ref(), Some(&before), "not one byte of it changed");

    mesh.annotate("cluster-1", "foreign", annotations::ADOPT, "true").await;
    mesh.ready("cluster-1", "foreign").await;
    let after = mesh.issued(0, "foreign").await;
    assert_eq!(after.metadata.uid, before.metadata.uid, "changed, not replaced");
    assert_ne!(whole(&after).0.fingerprint(), whole(&before).0.fingerprint());
}

/// A `cacerts` as people make them, under the root of the mesh: taking it over does not change whom anybody trusts.
fn by_hand(root: &CertificateAuthority) -> Secret {
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).expect("a key");
    let parameters = IntermediateParameters {
        subject: SubjectName::intermediate("Istio", "by hand", "cluster-1").expect("a subject"),
        hosts: Hosts::parse(&["spiffe://cluster-1.example/ns/foreign/sa/istiod"]).expect("a host"),
        lifetime: Duration::from_secs(24 * 3600),
    };
    let serial = SerialNumber::random().expect("a serial number");
    let certificate: Certificate = root
        .sign_intermediate(&parameters, key.public_key(), &serial, jiff::Timestamp::now())
        .expect("a certificate");
    let pem = certificate.to_pem().into_bytes();
    let files = [
        (secrets::CA_CERT, pem.clone()),
        (secrets::CA_KEY, key.to_pem().as_bytes().to_vec()),
        (secrets::CERT_CHAIN, pem),
        (secrets::ROOT_CERT, root.roots().as_pem().to_vec()),
    ];
    let data = files.into_iter().map(|(name, bytes)| (name.to_owned(), ByteString(bytes))).collect();
    Secret { metadata: metadata("cacerts"), data: Some(data), ..Secret::default() }
}
