//! From an intent to a certificate in place, and on to its renewal.

use certmesh_api::certificates::IssuedCertificateState;
use certmesh_api::conditions::READY;
use certmesh_x509::Certificate;

use k8s_openapi::ByteString;

use crate::world::{HOST, World, reason, target};

#[test]
fn an_intent_becomes_a_certificate_in_ten_writes() {
    let world = World::finished();
    assert_eq!(
        world.writes,
        [
            "issuer AddFinalizer",
            "issuer CreateCopy",
            "agent CreateKey",
            "agent CreateRequest",
            "issuer Sign",
            "agent StoreIssued",
            "agent DeleteRequest",
            "agent DeleteKey",
            "agent CopyStatus",
            "issuer IntentStatus",
        ]
    );
    let certificate = world.issued_certificate();
    let names: Vec<String> = certificate.hosts().map(ToString::to_string).collect();
    assert_eq!(names, [HOST]);
    assert_eq!(certificate.subject().to_string(), "CN=cluster-1/istio,OU=istio,O=Istio");
    let status = world.intent().status.clone().unwrap();
    assert_eq!(status.state, IssuedCertificateState::Finished);
    assert_eq!(reason(&status, READY), Some("Issued"));
    assert_eq!(status.certificate.unwrap().fingerprint, certificate.fingerprint().to_string());
    assert_eq!(status.trust.unwrap().roots, [world.authority.certificate().fingerprint().to_string()]);
    assert!(world.request().is_none());
}

#[test]
fn a_finished_certificate_costs_nothing_until_its_renewal() {
    let mut world = World::finished();
    let (writes, first) = (world.writes.len(), world.issued_certificate());
    world.run_for(70 * 24 * 60 * 60);
    assert_eq!(world.writes.len(), writes, "{:?}", &world.writes[writes..]);
    world.run_for(15 * 24 * 60 * 60);
    let second = world.issued_certificate();
    assert_ne!(first, second);
    assert_eq!(world.delivered, [&first, &second].map(Certificate::fingerprint));
    assert_eq!(world.writes.len(), writes + 8, "{:?}", &world.writes[writes..]);
    assert!(second.not_before() < first.not_after());
}

#[test]
fn an_unchanged_root_set_keeps_its_bytes() {
    let mut world = World::finished();
    // The same root as a person would have it: a comment, other line ends.
    let pem = world.authority.certificate().to_pem().replace('\n', "\r\n");
    let by_hand = format!("# the root of cluster.local\r\n{pem}");
    world.remote.secrets.edit(&target(), |secret| {
        secret
            .data
            .as_mut()
            .unwrap()
            .insert("root-cert.pem".into(), ByteString(by_hand.clone().into_bytes()));
    });
    world.run_for(85 * 24 * 60 * 60);
    assert_eq!(world.delivered.len(), 2, "it was renewed");
    let file = world.issued().unwrap().data.as_ref().unwrap()["root-cert.pem"].0.clone();
    assert_eq!(String::from_utf8(file).unwrap(), by_hand);
}
