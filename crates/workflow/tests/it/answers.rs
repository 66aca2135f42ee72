//! What the agent makes of an answer to its request.

use certmesh_api::certificates::{
    CertificateRequestState, CertificateRequestStatus, IssuedCertificateState, IssuedCertificateStatus,
};
use certmesh_api::conditions::{RECONCILING, STALLED};
use certmesh_api::names::annotations;
use certmesh_workflow::ObjectVersion;
use certmesh_x509::{Certificate, CertificateAuthority, PublicKey, SigningRequest};
use k8s_openapi::ByteString;

use crate::world::{HOST, Shelf, Stored, World, copy_name, pki, reason, seconds};

/// The key that the open request is about.
fn requested_key(world: &World) -> PublicKey {
    let csr = world.request().unwrap().spec.certificate_signing_request.clone().unwrap();
    SigningRequest::from_pem(&csr.0).unwrap().public_key().clone()
}

fn sign(world: &World, authority: &CertificateAuthority, hosts: &[&str], life: u64) -> Certificate {
    pki::intermediate_for(authority, &requested_key(world), hosts, life, world.now)
}

/// A good answer, for tests to spoil.
fn good(world: &World) -> CertificateRequestStatus {
    let certificate = sign(world, &world.authority, &[HOST], 90 * pki::DAY);
    answer(&certificate, &[&certificate], world.authority.certificate())
}

fn answer(certificate: &Certificate, chain: &[&Certificate], root: &Certificate) -> CertificateRequestStatus {
    let bytes = |pem: String| Some(ByteString(pem.into_bytes()));
    CertificateRequestStatus {
        observed_generation: 1,
        error: String::new(),
        state: CertificateRequestState::Finished,
        signed_certificate: bytes(certificate.to_pem()),
        signing_root_ca: bytes(root.to_pem()),
        cert_chain: bytes(Certificate::write_chain(chain.iter().copied())),
    }
}

fn give(world: &mut World, status: CertificateRequestStatus) {
    world.remote.requests.edit_status(&copy_name(), |request| request.status = Some(status));
}

fn agent_status_after(world: &mut World, answer: CertificateRequestStatus) -> IssuedCertificateStatus {
    give(world, answer);
    world.settle_agent();
    world.agent_status()
}

#[test]
fn a_good_answer_is_put_in_place() {
    let mut world = World::with_open_request();
    let answer = good(&world);
    let status = agent_status_after(&mut world, answer);
    assert_eq!(status.state, IssuedCertificateState::Finished);
    assert_eq!(world.issued_certificate().public_key(), world.made_keys[0].public_key());
}

type Spoil = fn(&World) -> CertificateRequestStatus;

const MISMATCHES: &[(&str, &str, Spoil)] = &[
    ("about an earlier version of the request", "AnswerOutdated", |world| CertificateRequestStatus {
        observed_generation: 0,
        ..good(world)
    }),
    ("no certificate", "AnswerUnusable", |world| CertificateRequestStatus {
        signed_certificate: None,
        ..good(world)
    }),
    ("no chain", "AnswerUnusable", |world| CertificateRequestStatus { cert_chain: None, ..good(world) }),
    ("no roots", "AnswerUnusable", |world| CertificateRequestStatus { signing_root_ca: None, ..good(world) }),
    ("a chain that starts with something else", "AnswerUnusable", |world| {
        let certificate = sign(world, &world.authority, &[HOST], pki::DAY);
        answer(&certificate, &[world.authority.certificate()], world.authority.certificate())
    }),
    ("a chain that does not lead to the roots", "AnswerUnusable", |world| {
        let other = pki::root("root-a", world.now, pki::YEAR);
        let certificate = sign(world, &world.authority, &[HOST], pki::DAY);
        answer(&certificate, &[&certificate], other.certificate())
    }),
    ("a leaf instead of a CA", "AnswerUnusable", |world| {
        let leaf = pki::leaf(&world.authority, &requested_key(world), HOST, world.now);
        answer(&leaf, &[&leaf], world.authority.certificate())
    }),
    ("a CA that may sign further CAs", "AnswerUnusable", |world| {
        // Only a root of ours has no pathLen.
        let root = world.authority.certificate();
        answer(root, &[root], root)
    }),
    ("another's key", "AnswerForAnotherKey", |world| {
        let certificate =
            pki::intermediate_for(&world.authority, pki::key().public_key(), &[HOST], pki::DAY, world.now);
        answer(&certificate, &[&certificate], world.authority.certificate())
    }),
    ("other hosts", "AnswerForOtherHosts", |world| {
        let certificate = sign(world, &world.authority, &["evil.example"], pki::DAY);
        answer(&certificate, &[&certificate], world.authority.certificate())
    }),
    ("more hosts", "AnswerForOtherHosts", |world| {
        let certificate = sign(world, &world.authority, &[HOST, "evil.example"], pki::DAY);
        answer(&certificate, &[&certificate], world.authority.certificate())
    }),
    ("another root", "AnswerUnderOtherTrust", |world| {
        let other = pki::root("other", world.now, pki::YEAR);
        let certificate = sign(world, &other, &[HOST], pki::DAY);
        answer(&certificate, &[&certificate], other.certificate())
    }),
    ("one root more", "AnswerUnderOtherTrust", |world| {
        let other = pki::root("other", world.now, pki::YEAR);
        let mut answer = good(world);
        let both = world.authority.certificate().to_pem() + &other.certificate().to_pem();
        answer.signing_root_ca = Some(ByteString(both.into_bytes()));
        answer
    }),
    ("a longer life", "AnswerLivesTooLong", |world| {
        let certificate = sign(world, &world.authority, &[HOST], 91 * pki::DAY);
        answer(&certificate, &[&certificate], world.authority.certificate())
    }),
    ("a life that is over", "AnswerExpired", |world| {
        let then = world.now - seconds(50);
        let key = requested_key(world);
        let certificate = pki::intermediate_for(&world.authority, &key, &[HOST], 40, then);
        answer(&certificate, &[&certificate], world.authority.certificate())
    }),
];

#[test]
fn a_mismatch_is_first_a_wait_and_after_five_minutes_a_failure() {
    for (name, expected, spoil) in MISMATCHES {
        let mut world = World::with_open_request();
        let answer = spoil(&world);
        let status = agent_status_after(&mut world, answer);
        assert_eq!(status.state, IssuedCertificateState::Requested, "{name}");
        assert_eq!(reason(&status, RECONCILING), Some(*expected), "{name}: {}", status.error);
        assert!(world.issued().is_none(), "{name}");
        let patience = world.agent_decision().unwrap().wake_at;
        assert_eq!(patience, Some(world.now + seconds(300)), "{name}: nobody else would end the waiting");
        world.now += seconds(299);
        world.settle_agent();
        assert_eq!(world.agent_status(), status, "{name}: nothing new in the meantime");
        world.now += seconds(1);
        world.settle_agent();
        let status = world.agent_status();
        assert_eq!(status.state, IssuedCertificateState::Failed, "{name}");
        assert_eq!(reason(&status, STALLED), Some(*expected), "{name}");
        assert_eq!(status.attempts, 1, "{name}");
        assert!(world.delivered.is_empty(), "{name}");
        // The next attempt gets a good answer.
        world.run_for(180);
        assert_eq!(world.state(), IssuedCertificateState::Finished, "{name}");
        assert_eq!(world.delivered.len(), 1, "{name}");
        assert_eq!(world.agent_status().attempts, 0, "{name}");
    }
}

#[test]
fn a_mismatch_ends_when_the_copy_catches_up() {
    let mut world = World::with_open_request();
    let answer = good(&world);
    // The agent's copy is behind: it still names another trust, and so does its request.
    let wrong = pki::root("other", world.now, pki::YEAR);
    let certificate = sign(&world, &wrong, &[HOST], pki::DAY);
    give(&mut world, self::answer(&certificate, &[&certificate], wrong.certificate()));
    world.settle_agent();
    assert_eq!(reason(&world.agent_status(), RECONCILING), Some("AnswerUnderOtherTrust"));
    give(&mut world, answer);
    world.settle_agent();
    assert_eq!(world.agent_status().state, IssuedCertificateState::Finished);
}

#[test]
fn an_answer_from_the_future_is_waited_for_up_to_an_hour() {
    for (ahead, ends_well) in [(20 * 60, true), (2 * 3600, false)] {
        let mut world = World::with_open_request();
        let now = world.now;
        world.now += seconds(ahead);
        let answer = good(&world);
        world.now = now;
        let status = agent_status_after(&mut world, answer);
        assert_eq!(status.state, IssuedCertificateState::Requested);
        assert_eq!(reason(&status, "ClockSkew"), Some("NotYetValid"));
        let end_of_the_wait = world.now + seconds((ahead - 300).min(3600));
        assert_eq!(world.agent_decision().unwrap().wake_at, Some(end_of_the_wait), "{ahead} s ahead");
        world.now = end_of_the_wait;
        world.settle_agent();
        let status = world.agent_status();
        let expected =
            if ends_well { IssuedCertificateState::Finished } else { IssuedCertificateState::Failed };
        assert_eq!(status.state, expected, "{ahead} s ahead: {}", status.error);
        assert_eq!(reason(&status, "ClockSkew"), None);
        assert_eq!(reason(&status, STALLED), (!ends_well).then_some("ClockSkew"));
    }
}

#[test]
fn an_answer_is_good_until_the_very_second_in_which_it_ends() {
    for (age, delivered) in [(40, 1), (41, 0)] {
        let mut world = World::with_open_request();
        let (key, made) = (requested_key(&world), world.now - seconds(age));
        let certificate = pki::intermediate_for(&world.authority, &key, &[HOST], 40, made);
        let answer = answer(&certificate, &[&certificate], world.authority.certificate());
        give(&mut world, answer);
        world.agent_pass().unwrap();
        assert_eq!(world.delivered.len(), delivered, "{age} s old: {}", world.agent_status().error);
    }
}

#[test]
fn a_quick_answer_leaves_no_trace_of_the_waiting() {
    let mut world = World::with_open_request();
    assert!(!world.agent_pass().unwrap().0);
    let decision = world.agent_decision().unwrap();
    assert_eq!(decision.wake_at, Some(world.now + seconds(5)));
    world.now += seconds(5);
    world.settle_agent();
    let status = world.agent_status();
    assert_eq!(status.state, IssuedCertificateState::Requested);
    assert_eq!(reason(&status, RECONCILING), Some("AwaitingSignature"));
    assert_eq!(status.error, "");
}

#[test]
fn what_the_issuer_waits_for_is_said_at_once() {
    let mut world = World::with_open_request();
    let status = CertificateRequestStatus { error: "the CA is on holiday".into(), ..Default::default() };
    let status = agent_status_after(&mut world, status);
    assert_eq!(status.state, IssuedCertificateState::Requested);
    assert_eq!(status.error, "the CA is on holiday");
}

fn refusal() -> CertificateRequestStatus {
    CertificateRequestStatus {
        observed_generation: 1,
        state: CertificateRequestState::Failed,
        error: "no, because".into(),
        ..Default::default()
    }
}

#[test]
fn a_refusal_is_tried_again_after_a_minute_doubling_to_an_hour() {
    let mut world = World::with_open_request();
    let keys = world.made_keys.len();
    for attempt in 1..=9 {
        let status = agent_status_after(&mut world, refusal());
        assert_eq!((status.state, status.attempts), (IssuedCertificateState::Failed, attempt));
        assert_eq!(status.error, "no, because");
        let due = status.next_attempt_at.unwrap().0;
        let nominal = (60_i64 << (attempt - 1)).min(3600);
        let delay = due.as_second() - world.now.as_second();
        assert!((nominal * 4 / 5..=nominal * 6 / 5 + 1).contains(&delay), "attempt {attempt}: {delay} s");
        let request = world.request().unwrap().metadata.uid.clone();
        world.now = due - seconds(1);
        world.settle_agent();
        assert_eq!(world.request().unwrap().metadata.uid, request, "not before it is due");
        assert_eq!(world.agent_decision().unwrap().wake_at, Some(due));
        world.now = due;
        world.settle_agent();
        assert_ne!(world.request().unwrap().metadata.uid, request);
        let status = world.agent_status();
        assert_eq!((status.state, status.next_attempt_at), (IssuedCertificateState::Requested, None));
        assert_eq!(status.attempts, attempt);
    }
    assert_eq!(world.made_keys.len(), keys, "the same key for the same need");
}

/// The clock of a cluster was three days ahead when an attempt failed; then it was set right. The next attempt was due in
/// three days.
#[test]
fn a_clock_that_is_set_back_does_not_put_off_the_next_attempt() {
    let mut world = World::with_open_request();
    world.agent_skew = 3 * 86_400;
    let failed = agent_status_after(&mut world, refusal());
    assert_eq!(failed.attempts, 1);
    world.agent_skew = 0;
    world.settle_agent();
    let status = world.agent_status();
    let delay = status.next_attempt_at.unwrap().0.as_second() - world.now.as_second();
    assert!((48..=73).contains(&delay), "{delay} s");
    assert_eq!(status.attempts, 1, "it is the same failure");
}

#[test]
fn a_refused_need_that_changes_is_tried_at_once() {
    let mut world = World::with_open_request();
    agent_status_after(&mut world, refusal());
    world.edit_intent(|intent| intent.spec.org = "Another".into());
    world.settle();
    assert_eq!(world.state(), IssuedCertificateState::Finished);
    assert_eq!(world.agent_status().attempts, 0);
    assert_eq!(world.made_keys.len(), 2, "another need has another key");
}

#[test]
fn a_failure_is_counted_once_whenever_the_pass_was_cut_off() {
    // The status could not be written after the new request was made: the old one is still there.
    let mut world = World::with_open_request();
    let failed = agent_status_after(&mut world, refusal());
    world.now = failed.next_attempt_at.as_ref().unwrap().0;
    world.settle_agent();
    world.remote.certificates.edit_status(&copy_name(), |copy| copy.status = Some(failed.clone()));
    let status = agent_status_after(&mut world, refusal());
    assert_eq!(status.attempts, 2, "the second request's failure is another one");
    assert!(status.next_attempt_at > failed.next_attempt_at);
}

#[test]
fn a_key_that_was_lost_is_made_again_with_its_request() {
    let mut world = World::with_open_request();
    world.settle_issuer();
    world.remote.secrets.remove(&copy_name());
    world.settle();
    assert_eq!(world.state(), IssuedCertificateState::Finished);
    assert_eq!(world.made_keys.len(), 2);
    assert_eq!(world.issued_certificate().public_key(), world.made_keys[1].public_key());
    assert_eq!(world.delivered.len(), 1);
}

#[test]
fn a_request_that_was_lost_is_made_again_with_the_same_key() {
    let mut world = World::with_open_request();
    world.remote.requests.remove(&copy_name());
    world.settle();
    assert_eq!(world.state(), IssuedCertificateState::Finished);
    assert_eq!(world.made_keys.len(), 1);
}

/// The failures that the open request says went before it.
fn attempt(world: &World) -> Option<String> {
    let notes = world.request().unwrap().metadata.annotations.clone().unwrap();
    notes.get(annotations::ATTEMPT).cloned()
}

/// A back-off that began anew with every request that somebody deletes would be none.
#[test]
fn failures_are_not_forgotten_while_an_answer_is_awaited_nor_when_a_request_is_deleted_by_hand() {
    let mut world = World::with_open_request();
    assert_eq!(attempt(&world), None, "nothing failed before the first");
    for failures in 1..=3 {
        let failed = agent_status_after(&mut world, refusal());
        assert_eq!(failed.attempts, failures);
        world.now = failed.next_attempt_at.unwrap().0;
        world.settle_agent();
        world.now += seconds(5);
        world.settle_agent();
        let waiting = world.agent_status();
        assert_eq!(reason(&waiting, RECONCILING), Some("AwaitingSignature"));
        assert_eq!(waiting.attempts, failures);
        world.remote.requests.remove(&copy_name());
        world.settle_agent();
        assert_eq!(attempt(&world), Some(failures.to_string()));
    }
    assert_eq!(world.made_keys.len(), 1);
}

/// Whoever finalizes an object decides when its name is free; until then it is neither used nor made again.
#[test]
fn what_is_being_deleted_is_waited_for() {
    fn delete<K: Stored>(shelf: &mut Shelf<K>, now: jiff::Timestamp) {
        let theirs = vec!["example.com/theirs".to_owned()];
        shelf.edit(&copy_name(), |object| object.meta_mut().finalizers = Some(theirs));
        let version = ObjectVersion::of(shelf.get(&copy_name()).unwrap());
        shelf.delete(&version, now).unwrap();
    }
    fn let_go<K: Stored>(shelf: &mut Shelf<K>) {
        shelf.edit(&copy_name(), |object| object.meta_mut().finalizers = None);
        assert!(shelf.get(&copy_name()).is_none());
    }
    for (what, keys) in [("key", 2), ("request", 1)] {
        let mut world = World::with_open_request();
        world.settle_issuer();
        let now = world.now;
        match what {
            "key" => delete(&mut world.remote.secrets, now),
            _ => delete(&mut world.remote.requests, now),
        }
        let decision = world.agent_decision().unwrap();
        assert!(decision.is_empty(), "{what}: {decision:?}");
        assert_eq!(decision.wake_at, Some(now + seconds(60)), "{what}");
        match what {
            "key" => let_go(&mut world.remote.secrets),
            _ => let_go(&mut world.remote.requests),
        }
        world.settle();
        assert_eq!(world.state(), IssuedCertificateState::Finished, "{what}");
        assert_eq!(world.made_keys.len(), keys, "{what}");
    }
}

#[test]
fn anothers_objects_at_our_names_are_left_alone() {
    for what in ["key", "request"] {
        let mut world = World::new();
        world.settle_issuer();
        if what == "key" {
            let secret = pki::secret(&copy_name(), &[("private-key", "mine")]);
            world.remote.secrets.create(&secret, world.now).unwrap();
        } else {
            let mut request =
                certmesh_api::certificates::CertificateRequest::new("istio", Default::default());
            request.metadata.namespace = Some(copy_name().namespace);
            world.remote.requests.create(&request, world.now).unwrap();
        }
        world.settle_agent();
        let status = world.agent_status();
        assert_eq!(reason(&status, STALLED), Some("NameTaken"), "{what}");
        assert!(status.error.contains("certmesh/istio"), "{}", status.error);
        assert_eq!(world.writes.iter().filter(|write| write.starts_with("agent")).count(), 1, "{what}");
    }
}

#[test]
fn the_agent_waits_for_the_issuer_to_name_a_trust() {
    let mut world = World::empty();
    world.management.secrets.remove(&crate::world::ca_name("ca-a"));
    world.create_intent(&crate::world::intent());
    world.settle();
    assert!(world.made_keys.is_empty(), "no key before it is known that somebody could sign");
    let status = world.agent_status();
    assert_eq!(status.state, IssuedCertificateState::Pending);
    assert_eq!(reason(&status, RECONCILING), Some("TrustUnknown"));
    assert_eq!(world.status().state, IssuedCertificateState::Pending);
    assert_eq!(reason(&world.status(), RECONCILING), Some("CaMissing"));
    assert!(
        world.copy().metadata.annotations.as_ref().unwrap().get(annotations::TRUST_FINGERPRINT).is_none()
    );
    let authority = world.authority.clone();
    world.put_ca("ca-a", &authority);
    world.settle();
    assert_eq!(world.state(), IssuedCertificateState::Finished);
}
