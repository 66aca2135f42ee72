//! A remote cluster that lies gets nothing signed but its own key under the intent's identity.

use certmesh_api::certificates::{
    CertificateRequest, CertificateRequestSpec, CertificateRequestState, IssuedCertificateState,
};
use certmesh_api::names::annotations;
use certmesh_workflow::IssuanceDecision;
use certmesh_x509::{Certificate, Hosts, KeyAlgorithm, PrivateKey, PublicKey, SigningRequest, SubjectName};
use k8s_openapi::ByteString;

use crate::world::{HOST, World, ca_ref, copy_name, pki, seconds};

fn csr(key: &PrivateKey, hosts: &[&str]) -> ByteString {
    let subject = SubjectName::intermediate("Evil", "root", "admin").unwrap();
    let csr = SigningRequest::create(key, &subject, &Hosts::parse(hosts).unwrap()).unwrap();
    ByteString(csr.into_bytes())
}

/// The certificate that the request was answered with.
fn signed(world: &World) -> Certificate {
    let status = world.request().unwrap().status.clone().unwrap();
    assert_eq!(status.state, CertificateRequestState::Finished, "{}", status.error);
    Certificate::from_pem(&status.signed_certificate.unwrap().0).unwrap()
}

/// What every certificate of this intent has, whoever asked and however.
fn is_the_intents(certificate: &Certificate, key: &PublicKey, world: &World) {
    assert_eq!(certificate.public_key(), key);
    assert_eq!(certificate.subject().to_string(), "CN=cluster-1/istio,OU=istio,O=Istio");
    let hosts: Vec<String> = certificate.hosts().map(ToString::to_string).collect();
    assert_eq!(hosts, [HOST]);
    assert!(certificate.is_ca() && certificate.path_length() == Some(0));
    assert_eq!(certificate.issuer(), world.authority.certificate().subject());
    let life = certificate.not_after().as_second() - world.now.as_second();
    assert_eq!(life, 90 * 24 * 3600);
}

#[test]
fn other_hosts_and_another_subject_in_the_request_are_ignored() {
    let mut world = World::with_open_request();
    let key = pki::key();
    world.remote.requests.edit(&copy_name(), |request| {
        let hosts = ["evil.example", "spiffe://cluster.local/ns/kube-system/sa/admin"];
        request.spec.certificate_signing_request = Some(csr(&key, &hosts));
    });
    world.settle_issuer();
    is_the_intents(&signed(&world), key.public_key(), &world);
}

#[test]
fn an_edited_copy_changes_nothing_that_is_signed() {
    let mut world = World::with_open_request();
    world.remote.certificates.edit(&copy_name(), |copy| {
        copy.spec.hosts = vec!["evil.example".to_owned()];
        copy.spec.gloo_mesh_ca = Some(ca_ref("another"));
        let options = copy.spec.cert_options.as_mut().unwrap();
        options.ttl_days = 36_500;
        options.org_name = "Evil".to_owned();
        options.key_algorithm = None;
    });
    let key = world.made_keys[0].public_key().clone();
    world.settle_issuer();
    is_the_intents(&signed(&world), &key, &world);
    assert_eq!(world.copy().spec, world.intent().spec, "and the edit is undone");
    world.settle();
    assert_eq!(world.state(), IssuedCertificateState::Finished);
}

#[test]
fn a_swapped_request_is_answered_for_the_key_in_it_and_delivered_to_nobody() {
    let mut world = World::with_open_request();
    let thief = pki::key();
    world.remote.requests.edit(&copy_name(), |request| {
        request.spec.certificate_signing_request = Some(csr(&thief, &[HOST]));
    });
    world.settle_issuer();
    is_the_intents(&signed(&world), thief.public_key(), &world);
    world.settle();
    // The agent sees that the request is not about its key, and makes another.
    assert_eq!(world.state(), IssuedCertificateState::Finished);
    assert_eq!(world.issued_certificate().public_key(), world.made_keys[0].public_key());
    assert_eq!(world.delivered.len(), 1);
}

#[test]
fn a_request_swapped_after_its_answer_is_not_signed_again() {
    let mut world = World::with_open_request();
    world.settle_issuer();
    let first = signed(&world);
    let thief = pki::key();
    world.remote.requests.edit(&copy_name(), |request| {
        request.spec.certificate_signing_request = Some(csr(&thief, &[HOST]));
    });
    world.settle_issuer();
    assert_eq!(signed(&world), first);
    assert_eq!(world.issuance.len(), 1);
}

#[test]
fn an_old_request_that_is_played_again_waits_for_ever() {
    let mut world = World::with_open_request();
    let old = world.request().unwrap().clone();
    world.settle();
    world.now += seconds(3600);
    world.edit_intent(|intent| intent.spec.org = "Another".to_owned());
    world.settle();
    world.issuance.clear();
    let replayed = CertificateRequest { status: None, ..old };
    world.remote.requests.create(&replayed, world.now).unwrap();
    world.settle_issuer();
    world.now += seconds(60);
    world.settle_issuer();
    let status = world.request().unwrap().status.clone().unwrap();
    assert_eq!(status.state, CertificateRequestState::Pending);
    assert!(status.error.contains("another need"), "{}", status.error);
    assert!(world.issuance.is_empty());
    world.settle();
    assert!(world.request().is_none(), "the agent, if it is honest, cleans up");
}

#[test]
fn a_forged_need_gets_the_intents_certificate_or_none() {
    type Forge = fn(&str) -> String;
    let forgeries: &[(&str, bool, Forge)] = &[
        ("replaces something else", true, |need| {
            need.replace("replaces=-", &format!("replaces={}", "1".repeat(64)))
        }),
        ("another intent", false, |need| need.replace("cluster-1/istio", "cluster-1/other")),
        ("another cluster", false, |need| need.replace("cluster-1/", "cluster-2/")),
        ("another spec", false, |need| need.replace("spec=", "spec=0").replace("0 trust", " trust")),
        ("more than there is", false, |need| format!("{need} more=1")),
        ("garbage", false, |_| "\u{1b}[31m".repeat(1000)),
        ("nothing", false, |_| String::new()),
    ];
    for (name, is_signed, forge) in forgeries {
        let mut world = World::with_open_request();
        world.remote.requests.edit(&copy_name(), |request| {
            let notes = request.metadata.annotations.as_mut().unwrap();
            let forged = forge(&notes[annotations::NEED]);
            notes.insert(annotations::NEED.to_owned(), forged);
        });
        world.now += seconds(6);
        world.settle_issuer();
        let state = world.request().unwrap().status.clone().unwrap().state;
        assert_eq!(state == CertificateRequestState::Finished, *is_signed, "{name}");
        if *is_signed {
            let key = world.made_keys[0].public_key().clone();
            is_the_intents(&signed(&world), &key, &world);
        }
        assert!(
            world.issuance.iter().all(|record| record.need.len() <= 1024 && !record.need.contains('\u{1b}'))
        );
    }
}

#[test]
fn a_status_that_the_cluster_wrote_itself_is_no_certificate() {
    let mut world = World::with_open_request();
    let own_root = pki::root("root-a", world.now, pki::YEAR);
    let key = world.made_keys[0].public_key().clone();
    let forged = pki::intermediate_for(&own_root, &key, &[HOST], pki::DAY, world.now);
    world.remote.requests.edit_status(&copy_name(), |request| {
        request.status = Some(certmesh_api::certificates::CertificateRequestStatus {
            observed_generation: 1,
            state: CertificateRequestState::Finished,
            signed_certificate: Some(ByteString(forged.to_pem().into_bytes())),
            cert_chain: Some(ByteString(forged.to_pem().into_bytes())),
            signing_root_ca: Some(ByteString(own_root.certificate().to_pem().into_bytes())),
            ..Default::default()
        });
    });
    world.settle();
    assert!(world.issued().is_none(), "another root than the one that the issuer announced");
}

#[test]
fn a_request_of_its_own_making_gets_the_intents_certificate_for_its_own_key() {
    let mut world = World::finished();
    world.now += seconds(3600);
    let need = world.issued().unwrap().metadata.annotations.as_ref().unwrap()[annotations::NEED].clone();
    let key = pki::key();
    let mut request = CertificateRequest::new(
        "istio",
        CertificateRequestSpec { certificate_signing_request: Some(csr(&key, &["evil.example"])) },
    );
    request.metadata.namespace = Some(copy_name().namespace);
    request.metadata.annotations = Some([(annotations::NEED.to_owned(), need)].into());
    world.remote.requests.create(&request, world.now).unwrap();
    world.settle_issuer();
    is_the_intents(&signed(&world), key.public_key(), &world);
    world.settle();
    assert_eq!(world.delivered.len(), 1, "the agent does not take what it did not ask for");
}

#[test]
fn another_kind_of_key_than_the_intents_is_not_signed() {
    for algorithm in [KeyAlgorithm::Rsa2048, KeyAlgorithm::EcdsaP384] {
        let mut world = World::with_open_request();
        let key = PrivateKey::generate(algorithm).unwrap();
        world.remote.requests.edit(&copy_name(), |request| {
            request.spec.certificate_signing_request = Some(csr(&key, &[HOST]));
        });
        world.settle_issuer();
        let refused =
            |record: &certmesh_workflow::IssuanceRecord| record.decision == IssuanceDecision::Refused;
        assert!(world.issuance.iter().all(refused) && world.issuance.len() == 1, "{algorithm}");
    }
}
