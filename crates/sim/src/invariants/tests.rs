//! Each invariant fires.

use certmesh_api::certificates::{
    CertificateRequest, CertificateRequestSpec, CertificateRequestState, CertificateRequestStatus,
    IssuedCertificate, IssuedCertificateState, IssuedCertificateStatus, ObjectRef,
};
use certmesh_api::names::{annotations, finalizers, labels};
use certmesh_controllers::ApiVerb;
use certmesh_workflow::need::{Digest, Need};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::OF_WRITES;
use crate::clock::VirtualClock;
use crate::cluster::{HOME, ISTIO, Kind, to_value};
use crate::keys::{Authority, metadata};
use crate::process::Actor;
use crate::witness::{CopyMade, History, IntentVersion, Object, Write, content};

fn at_home() -> ObjectRef {
    ObjectRef::new(HOME, "istio")
}

fn target() -> ObjectRef {
    ObjectRef::new(ISTIO, "cacerts")
}

fn write(actor: Actor, kind: Kind, name: ObjectRef, verb: ApiVerb) -> Write {
    let site = usize::from(kind != Kind::IssuedCertificate || matches!(actor, Actor::Agent(_)));
    let clock = VirtualClock::new().now();
    Write { step: 9, clock, actor, since: 5, site, kind, name, verb, before: None, after: None, taken: true }
}

/// The names of the invariants that do not hold for a write.
fn broken(write: &Write, history: &History) -> Vec<&'static str> {
    OF_WRITES.iter().filter(|one| (one.holds)(write, history).is_err()).map(|one| one.name).collect()
}

fn assert_fires(name: &str, write: &Write, history: &History) {
    let broken = broken(write, history);
    assert!(broken.contains(&name), "{name} does not fire, but {broken:?}");
}

fn whole(authority: Authority, need: Option<&Need>) -> Secret {
    let mut secret = authority.secret(&target());
    secret.metadata.uid = Some("uid".to_owned());
    secret.metadata.resource_version = Some("1".to_owned());
    secret.labels_mut().insert(labels::AGENT.to_owned(), HOME.to_owned());
    let notes = [
        (annotations::ISSUED_FOR, Some("cluster-1/istio".to_owned())),
        (annotations::NEED, need.map(ToString::to_string)),
    ];
    secret
        .annotations_mut()
        .extend(notes.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
    secret
}

fn need(spec: &str) -> Need {
    Need {
        intent: ObjectRef::new("cluster-1", "istio"),
        uid: Digest::of(b"uid"),
        spec: Digest::of(spec.as_bytes()),
        trust: certmesh_x509::Fingerprint::of(b"trust"),
        renew: None,
        replaces: None,
    }
}

/// An agent puts the second Secret in the place of the first.
fn delivery(before: Option<Secret>, after: Secret) -> Write {
    let body = to_value(&after);
    let secret = |secret: Secret| Object::Secret(Box::new(secret));
    Write {
        before: before.map(secret),
        after: Some(secret(after)),
        ..write(Actor::Agent(1), Kind::Secret, target(), ApiVerb::Update(body))
    }
}

fn left_by_agent(secret: &Secret) -> History {
    History { left_by_agent: [((1, target()), content(secret))].into(), ..History::default() }
}

#[test]
fn a_key_that_leaves_its_cluster() {
    let body = json!({"status": {"error": "-----BEGIN EC PRIVATE KEY-----"}});
    let write = write(Actor::Issuer(0), Kind::IssuedCertificate, at_home(), ApiVerb::UpdateStatus(body));
    assert_fires("private_key_stays_in_its_cluster", &write, &History::default());
    assert!(super::keys::text_holds_no_key("MHcCAQEEIabc").is_err());
    assert_eq!(super::keys::text_holds_no_key("no PRIVATE KEY in here"), Ok(()));
}

fn answered(csr: &[u8]) -> Write {
    let pem = |pem: &str| Some(ByteString(pem.as_bytes().to_vec()));
    let certificate = Authority::IntermediateA.certificate().to_pem();
    let request = CertificateRequest {
        metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
            uid: Some("uid".to_owned()),
            generation: Some(1),
            ..metadata(&at_home())
        },
        spec: CertificateRequestSpec { certificate_signing_request: Some(ByteString(csr.to_vec())) },
        status: Some(CertificateRequestStatus {
            state: CertificateRequestState::Finished,
            signed_certificate: pem(&certificate),
            signing_root_ca: pem(Authority::RootA.root_pem()),
            cert_chain: pem(&certificate),
            ..CertificateRequestStatus::default()
        }),
    };
    let verb = ApiVerb::UpdateStatus(to_value(&request));
    Write {
        after: Some(Object::Request(Box::new(request))),
        ..write(Actor::Issuer(0), Kind::CertificateRequest, at_home(), verb)
    }
}

#[test]
fn a_signature_that_no_intent_asks_for_without_proof_twice_and_with_a_known_number() {
    let mut history = History::default();
    history.forged.insert(b"forged".to_vec());
    history.answered.insert((1, "uid".to_owned(), 1));
    history.serials.insert("09".to_owned(), certmesh_x509::Fingerprint::of(b"another"));
    let write = answered(b"forged");
    for name in
        ["signature_is_of_the_intent", "key_was_proven", "request_is_answered_once", "serial_is_unique"]
    {
        assert_fires(name, &write, &history);
    }
    assert!(
        !broken(&write, &history).contains(&"child_ends_with_its_parent"),
        "the intermediate ends before its root"
    );
    let lost = History { signatures: 3, answers: 1, lost_answers: 1, ..History::default() };
    assert!(super::signing::issuance_is_bounded_by_needs(&lost).is_err());
}

#[test]
fn a_child_that_outlives_its_parent() {
    let mut write = answered(b"");
    let Some(Object::Request(request)) = &mut write.after else { panic!("a request") };
    let status = request.status.as_mut().unwrap();
    // Its issuer is missing: nobody can tell.
    status.signing_root_ca = None;
    assert_fires("child_ends_with_its_parent", &write, &History::default());
}

#[test]
fn a_secret_that_is_not_whole_or_gone() {
    let good = whole(Authority::RootA, None);
    let mut bad = good.clone();
    bad.data.as_mut().unwrap().remove("root-cert.pem");
    assert_fires("secret_is_whole", &delivery(None, bad), &History::default());
    let delete = ApiVerb::Delete { uid: "uid".to_owned(), resource_version: None };
    let gone = Write {
        before: Some(Object::Secret(Box::new(good))),
        ..write(Actor::Agent(1), Kind::Secret, target(), delete)
    };
    assert_fires("old_certificate_stays_until_the_new_one_is_in_place", &gone, &History::default());
}

#[test]
fn roots_that_are_swapped_or_written_in_other_bytes() {
    let (old, new) = (whole(Authority::RootA, None), whole(Authority::RootB, None));
    assert_fires("root_set_is_never_swapped", &delivery(Some(old.clone()), new), &History::default());
    let mut other = whole(Authority::IntermediateA, None);
    let pem = format!("# roots\n{}", Authority::RootA.root_pem());
    other.data.as_mut().unwrap().insert("root-cert.pem".to_owned(), ByteString(pem.into_bytes()));
    assert_fires("bundle_bytes_stay", &delivery(Some(old), other), &History::default());
}

#[test]
fn a_second_delivery_for_a_need_and_one_without_a_cause() {
    let old = whole(Authority::RootA, Some(&need("a")));
    let again = delivery(Some(old.clone()), whole(Authority::IntermediateA, Some(&need("a"))));
    let mut history = left_by_agent(&old);
    history.delivered.insert((1, target(), need("a").to_string()));
    assert_fires("one_delivery_for_each_need", &again, &history);
    assert_fires("need_has_a_cause", &again, &history);
    let mut young = delivery(Some(old.clone()), whole(Authority::IntermediateA, Some(&need("b"))));
    young.clock = Authority::RootA.certificate().not_before();
    assert_fires("storm_brake_holds", &young, &left_by_agent(&old));
}

#[test]
fn a_request_that_comes_back_at_once() {
    let mut request = CertificateRequest { metadata: metadata(&at_home()), ..CertificateRequest::default() };
    request.annotations_mut().insert(annotations::NEED.to_owned(), "need".to_owned());
    let verb = ApiVerb::Create(to_value(&request));
    let write = Write {
        after: Some(Object::Request(Box::new(request))),
        ..write(Actor::Agent(1), Kind::CertificateRequest, at_home(), verb)
    };
    let asked = [((1, at_home()), ("need".to_owned(), 4, write.clock))].into();
    assert_fires("retries_back_off", &write, &History { asked, ..History::default() });
}

#[test]
fn a_write_to_what_is_anothers_or_that_takes_anothers_marks_off() {
    let mut foreign = whole(Authority::RootA, None);
    foreign.metadata.labels = Some([("team".to_owned(), "other".to_owned())].into());
    let write = delivery(Some(foreign), whole(Authority::IntermediateA, None));
    assert_fires("writes_only_what_is_ours", &write, &History::default());
    assert_fires("others_marks_stay", &write, &History::default());
}

fn copy(finalizer: Option<&str>) -> IssuedCertificate {
    let mut copy = IssuedCertificate { metadata: metadata(&at_home()), ..IssuedCertificate::default() };
    copy.metadata.finalizers = finalizer.map(|finalizer| vec![finalizer.to_owned()]);
    copy.metadata.uid = Some("uid".to_owned());
    copy.metadata.resource_version = Some("1".to_owned());
    copy
}

#[test]
fn a_copy_that_goes_before_its_key() {
    let released = Write {
        before: Some(Object::Certificate(Box::new(copy(Some(finalizers::COPY))))),
        ..write(Actor::Agent(1), Kind::IssuedCertificate, at_home(), ApiVerb::Update(to_value(&copy(None))))
    };
    let history = History { pending: [(1, at_home())].into(), ..History::default() };
    assert_fires("nothing_is_left_behind", &released, &history);
    assert!(!broken(&released, &History::default()).contains(&"nothing_is_left_behind"));
}

/// But what another leader made while the pass was under way could not be seen.
#[test]
fn an_intent_that_goes_before_its_copy() {
    let name = ObjectRef::new("cluster-1", "istio");
    let released = Write {
        since: 10,
        step: 20,
        before: Some(Object::Certificate(Box::new(copy(Some(finalizers::INTENT))))),
        ..write(Actor::Issuer(0), Kind::IssuedCertificate, name, ApiVerb::Update(to_value(&copy(None))))
    };
    let complains = |by, step| {
        let made = CopyMade { of: "cluster-1/istio".to_owned(), by, step };
        let history = History { copies: [((1, at_home()), made)].into(), ..History::default() };
        broken(&released, &history).contains(&"nothing_is_left_behind")
    };
    assert!(complains(Actor::Issuer(0), 15), "made by the same process");
    assert!(complains(Actor::Issuer(1), 5), "made before the pass began");
    assert!(complains(Actor::Other, 15), "made by nobody who leads");
    assert!(!complains(Actor::Issuer(1), 15));
}

#[test]
fn a_write_without_a_version_and_one_that_changes_nothing() {
    let body = json!({"metadata": {"name": "istio"}});
    let blind = write(Actor::Agent(1), Kind::Secret, target(), ApiVerb::Update(body));
    assert_fires("write_names_the_version_it_was_decided_on", &blind, &History::default());
    let same = whole(Authority::RootA, None);
    assert_fires("no_write_says_the_same_again", &delivery(Some(same.clone()), same), &History::default());
}

fn reported(actor: Actor, status: IssuedCertificateStatus) -> Write {
    let mut object = copy(None);
    object.spec.issued_certificate_secret = Some(target());
    object.status = Some(status);
    let verb = ApiVerb::UpdateStatus(Value::Null);
    let name = ObjectRef::new("cluster-1", "istio");
    Write {
        after: Some(Object::Certificate(Box::new(object))),
        ..write(actor, Kind::IssuedCertificate, name, verb)
    }
}

#[test]
fn a_report_that_is_untrue_about_another_or_too_long() {
    let finished =
        || IssuedCertificateStatus { state: IssuedCertificateState::Finished, ..Default::default() };
    assert_fires("status_tells_what_is", &reported(Actor::Agent(1), finished()), &History::default());
    assert_fires("report_is_about_this_intent", &reported(Actor::Issuer(0), finished()), &History::default());
    let long = IssuedCertificateStatus { error: "x".repeat(2000), ..Default::default() };
    assert_fires("what_a_cluster_says_is_bounded", &reported(Actor::Issuer(0), long), &History::default());
}

/// An honest delivery breaks nothing.
#[test]
fn what_is_right_is_not_complained_of() {
    let intent = IssuedCertificate::default();
    let version = IntentVersion { step: 1, intent: Some(intent) };
    let history = History {
        intents: [(ObjectRef::new("cluster-1", "istio"), vec![version])].into(),
        ..History::default()
    };
    let good = delivery(None, whole(Authority::RootA, Some(&need("a"))));
    assert_eq!(broken(&good, &history), Vec::<&str>::new());
}
