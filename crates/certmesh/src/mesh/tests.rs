//! Connections that must succeed, and those that must not.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use certmesh_api::secrets;
use certmesh_x509::{
    CertificateAuthority, Hosts, IntermediateParameters, KeyAlgorithm, PrivateKey, SerialNumber, SpiffeId,
    SubjectName,
};
use jiff::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret};

use super::{Endpoint, ProbeError, Traffic, Workload, WorkloadError, connect};

const DAY: Duration = Duration::from_hours(24);

pub(crate) fn root(organization: &str) -> CertificateAuthority {
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let serial = SerialNumber::random().unwrap();
    CertificateAuthority::self_signed_root(key, organization, DAY * 100, &serial, Timestamp::now()).unwrap()
}

/// `cacerts` of an intermediate under one root, that trusts some roots.
pub(crate) fn cacerts(
    root: &CertificateAuthority,
    cluster: &str,
    trusted: &[&CertificateAuthority],
) -> Secret {
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let parameters = IntermediateParameters {
        subject: SubjectName::intermediate("Istio", "istio", cluster).unwrap(),
        hosts: Hosts::parse(&["spiffe://cluster.local/ns/istio-system/sa/istiod"]).unwrap(),
        lifetime: DAY,
    };
    let serial = SerialNumber::random().unwrap();
    let certificate =
        root.sign_intermediate(&parameters, key.public_key(), &serial, Timestamp::now()).unwrap().to_pem();
    let roots = trusted.iter().map(|root| root.certificate().to_pem()).collect::<String>();
    let data = BTreeMap::from([
        (secrets::CA_CERT, certificate.clone()),
        (secrets::CA_KEY, key.to_pem().to_string()),
        (secrets::CERT_CHAIN, certificate),
        (secrets::ROOT_CERT, roots),
    ]);
    let data = data.into_iter().map(|(name, text)| (name.to_owned(), ByteString(text.into_bytes())));
    Secret { data: Some(data.collect()), ..Secret::default() }
}

fn id(name: &str) -> SpiffeId {
    format!("spiffe://cluster.local/ns/shop/sa/{name}").parse().unwrap()
}

fn workload(cacerts: &Secret, name: &str) -> Workload {
    Workload::issue(cacerts, id(name), Timestamp::now()).unwrap()
}

#[tokio::test]
async fn two_intermediates_of_one_root_accept_each_other() {
    let root = root("Example");
    let first = workload(&cacerts(&root, "cluster-1", &[&root]), "frontend");
    let second = workload(&cacerts(&root, "cluster-2", &[&root]), "backend");
    let endpoint = Endpoint::listen(second.clone()).await.unwrap();
    connect(&first, second.id(), endpoint.address()).await.unwrap();
    let endpoint = Endpoint::listen(first.clone()).await.unwrap();
    connect(&second, first.id(), endpoint.address()).await.unwrap();
}

#[tokio::test]
async fn each_side_refuses_what_its_own_roots_do_not_cover() {
    let (ours, theirs) = (root("Ours"), root("Theirs"));
    let stranger = workload(&cacerts(&theirs, "cluster-2", &[&theirs]), "backend");
    let endpoint = Endpoint::listen(stranger.clone()).await.unwrap();
    let client = workload(&cacerts(&ours, "cluster-1", &[&ours]), "frontend");
    let refused = connect(&client, stranger.id(), endpoint.address()).await;
    assert!(matches!(refused, Err(ProbeError::Handshake(_))), "{refused:?}");
    // A client that trusts both roots accepts the server, which does not accept the client.
    let client = workload(&cacerts(&ours, "cluster-1", &[&ours, &theirs]), "frontend");
    let refused = connect(&client, stranger.id(), endpoint.address()).await;
    assert!(matches!(refused, Err(ProbeError::Refused(_))), "{refused:?}");
}

#[tokio::test]
async fn a_good_certificate_of_another_name_is_refused() {
    let root = root("Example");
    let client = workload(&cacerts(&root, "cluster-1", &[&root]), "frontend");
    let endpoint =
        Endpoint::listen(workload(&cacerts(&root, "cluster-2", &[&root]), "imposter")).await.unwrap();
    let refused = connect(&client, &id("backend"), endpoint.address()).await;
    assert!(matches!(refused, Err(ProbeError::OtherServer { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_secret_whose_parts_do_not_belong_together_issues_nothing() {
    let root = root("Example");
    let good = cacerts(&root, "cluster-1", &[&root]);
    let other = cacerts(&root, "cluster-2", &[&root]);
    let mut mixed = good.clone();
    let key = other.data.unwrap()[secrets::CA_KEY].clone();
    mixed.data.as_mut().unwrap().insert(secrets::CA_KEY.to_owned(), key);
    let refused = Workload::issue(&mixed, id("frontend"), Timestamp::now()).err();
    assert!(matches!(refused, Some(WorkloadError::Material(_))), "{refused:?}");
    let refused = Workload::issue(&Secret::default(), id("frontend"), Timestamp::now()).err();
    assert!(matches!(refused, Some(WorkloadError::Missing(_))), "{refused:?}");
}

#[tokio::test]
async fn traffic_counts_what_happens_while_certificates_change() {
    let (root, stranger) = (root("Example"), root("Stranger"));
    let listen = async |cluster: &str, name: &str| {
        Arc::new(Endpoint::listen(workload(&cacerts(&root, cluster, &[&root]), name)).await.unwrap())
    };
    let endpoints = [listen("cluster-1", "frontend").await, listen("cluster-2", "backend").await];
    let traffic = Traffic::start(&endpoints);
    for _ in 0..10 {
        endpoints[0].replace(workload(&cacerts(&root, "cluster-1", &[&root]), "frontend"));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let tally = traffic.tally();
    assert!(tally.accepted > 0 && tally.failed == 0, "{tally:?}");
    // A certificate that the others do not trust shows at once.
    endpoints[0].replace(workload(&cacerts(&stranger, "cluster-1", &[&stranger]), "frontend"));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let tally = traffic.finish().await;
    assert!(tally.failed > 0 && tally.first_failure.is_some(), "{tally:?}");
}
