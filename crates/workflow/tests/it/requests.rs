//! What the issuer makes of a request: one decision each, in the order of the chain.

use certmesh_api::certificates::{
    CertificateRequestState, CertificateRequestStatus, IssuedCertificateState, KeyAlgorithmName,
};
use certmesh_api::conditions::{RECONCILING, STALLED};
use certmesh_api::names::annotations;
use certmesh_workflow::{IssuanceDecision, Severity, TokenBucket};
use certmesh_x509::{
    Certificate, CertificateAuthority, Hosts, KeyAlgorithm, PrivateKey, SigningRequest, SubjectName,
};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use crate::world::{World, ca_name, copy_name, pki, reason, seconds, start};

fn answer(world: &World) -> CertificateRequestStatus {
    world.request().unwrap().status.clone().unwrap_or_default()
}

fn csr(key: &PrivateKey) -> String {
    let subject = SubjectName::intermediate("Istio", "istio", "cluster-1").unwrap();
    SigningRequest::create(key, &subject, &Hosts::parse(&["a.example"]).unwrap()).unwrap()
}

fn put_csr(world: &mut World, content: impl Into<Vec<u8>>) {
    world.remote.requests.edit(&copy_name(), |request| {
        request.spec.certificate_signing_request = Some(ByteString(content.into()));
    });
}

fn edit_ca(world: &mut World, edit: impl FnOnce(&mut Secret)) {
    world.management.secrets.edit(&ca_name("ca-a"), edit);
}

/// The end of the last whole line is changed: a part of the signature, whatever the length of the line after it.
fn with_a_bad_signature(csr: &str) -> String {
    let mut lines: Vec<String> = csr.lines().map(str::to_owned).collect();
    let at = lines.len() - 3;
    let end = lines[at].split_off(56);
    lines[at].extend(end.chars().map(|letter| if letter == 'A' { 'B' } else { 'A' }));
    lines.join("\n") + "\n"
}

type Change = fn(&mut World);

/// What, the reason, a word of the message, how it comes about after the request was made.
const REFUSALS: &[(&str, &str, &str, Change)] = &[
    ("more than 16 KiB", "RequestUnreadable", "16 KiB", |world| put_csr(world, "x".repeat(16 * 1024 + 1))),
    ("no PEM", "RequestUnreadable", "0 PEM blocks", |world| put_csr(world, "hello")),
    ("nothing", "RequestUnreadable", "0 PEM blocks", |world| put_csr(world, "")),
    ("two blocks", "RequestUnreadable", "2 PEM blocks", |world| put_csr(world, csr(&pki::key()).repeat(2))),
    ("a block of another kind", "RequestUnreadable", "CERTIFICATE block", |world| {
        let certificate = world.authority.certificate().to_pem();
        put_csr(world, certificate);
    }),
    ("garbage in the block", "RequestUnreadable", "malformed", |world| {
        put_csr(world, "-----BEGIN CERTIFICATE REQUEST-----\nYWJj\n-----END CERTIFICATE REQUEST-----\n");
    }),
    ("a signature that is not its key's", "KeyNotProven", "does not verify", |world| {
        put_csr(world, with_a_bad_signature(&csr(&pki::key())));
    }),
    ("another kind of key", "WrongKeyKind", "ECDSA-P384", |world| {
        put_csr(world, csr(&PrivateKey::generate(KeyAlgorithm::EcdsaP384).unwrap()));
    }),
    ("a CA outside of the issuer's namespace", "CaNotAllowed", "elsewhere", |world| {
        world.settings.namespace = "elsewhere".to_owned();
    }),
    ("a CA for nobody", "CaNotAllowed", "allow-clusters", |world| {
        edit_ca(world, |secret| secret.metadata.annotations = None);
    }),
    ("a CA for others", "CaNotAllowed", "cluster-1", |world| {
        edit_ca(world, |secret| {
            let notes = secret.metadata.annotations.as_mut().unwrap();
            notes.insert(annotations::ALLOW_CLUSTERS.to_owned(), "cluster-10, cluster-2".to_owned());
        });
    }),
    ("a CA without its key", "CaNotWhole", "ca-key.pem", |world| {
        edit_ca(world, |secret| drop(secret.data.as_mut().unwrap().remove("ca-key.pem")));
    }),
    ("a CA with another's key", "CaNotWhole", "does not belong", |world| {
        let key = pki::key().to_pem().as_bytes().to_vec();
        edit_ca(world, |secret| {
            drop(secret.data.as_mut().unwrap().insert("ca-key.pem".into(), ByteString(key)))
        });
    }),
    ("a CA that is over", "CaNotWhole", "valid only from", |world| {
        world.now += seconds(11 * 365 * 24 * 3600)
    }),
    ("a CA that has not begun", "CaNotWhole", "valid only from", |world| world.now -= seconds(7200)),
    ("another root in the CA's Secret", "RootReplaced", "put the new CA in a new Secret", |world| {
        let other = pki::root("root-a", world.now, 10 * pki::YEAR);
        world.put_ca("ca-a", &other);
    }),
];

/// A renewal is asked for; the issuer has not seen the request.
fn with_renewal() -> World {
    let mut world = World::finished();
    world.now += seconds(3600);
    world.annotate_intent(annotations::RENEW, "1");
    world.settle_issuer();
    world.agent_pass().unwrap();
    assert!(world.request().is_some());
    world.writes.clear();
    world.events.clear();
    world.issuance.clear();
    world
}

#[test]
fn each_refusal_is_told_everywhere_and_signs_nothing() {
    for (name, expected, told, change) in REFUSALS {
        let mut world = with_renewal();
        let in_place = world.issued_certificate();
        change(&mut world);
        world.settle_issuer();
        let answer = answer(&world);
        assert_eq!(answer.state, CertificateRequestState::Failed, "{name}");
        assert!(answer.error.contains(told), "{name}: {}", answer.error);
        assert_eq!(answer.signed_certificate, None, "{name}");
        assert_eq!(Some(answer.observed_generation), world.request().unwrap().metadata.generation, "{name}");
        let status = world.status();
        assert_eq!(status.state, IssuedCertificateState::Failed, "{name}");
        assert_eq!(reason(&status, STALLED), Some(*expected), "{name}");
        assert_eq!(status.error, answer.error, "{name}");
        let warnings: Vec<&str> = world
            .events
            .iter()
            .filter(|event| event.severity == Severity::Warning)
            .map(|event| event.reason.as_str())
            .collect();
        assert_eq!(warnings, [*expected], "{name}");
        let records: Vec<_> = world.issuance.iter().map(|record| (record.decision, record.reason)).collect();
        assert_eq!(records, [(IssuanceDecision::Refused, Some(*expected))], "{name}");
        assert_eq!(world.writes, ["issuer RefuseRequest", "issuer IntentStatus"], "{name}");
        assert_eq!(world.issued_certificate(), in_place, "{name}");
    }
}

#[test]
fn the_first_refusal_in_the_chain_wins() {
    for (first, second) in REFUSALS.windows(2).map(|pair| (pair[0], pair[1])) {
        if first.1 == second.1 {
            continue;
        }
        let mut world = with_renewal();
        second.3(&mut world);
        first.3(&mut world);
        world.settle_issuer();
        let reasons: Vec<_> = world.issuance.iter().map(|record| record.reason).collect();
        assert_eq!(reasons, [Some(first.1)], "{} before {}", first.0, second.0);
    }
}

#[test]
fn a_refusal_ends_when_its_cause_does() {
    for (name, _, _, change) in REFUSALS {
        let mut world = with_renewal();
        let authority = world.authority.clone();
        let before = (world.now, world.settings.clone());
        change(&mut world);
        world.settle_issuer();
        (world.now, world.settings) = before;
        world.put_ca("ca-a", &authority);
        world.run_for(300);
        assert_eq!(world.state(), IssuedCertificateState::Finished, "{name}: {:?}", world.status().error);
        assert_eq!(world.delivered.len(), 2, "{name}");
    }
}

/// What, the reason, whether it is said on the intent too.
const WAITS: &[(&str, &str, bool, Change)] = &[
    ("another need", "AnotherNeed", false, |world| {
        world.remote.requests.edit(&copy_name(), |request| {
            let notes = request.metadata.annotations.as_mut().unwrap();
            let other = notes[annotations::NEED].replace("renew=", "renew=-").replace("=-", "=");
            notes.insert(
                annotations::NEED.to_owned(),
                other.replace("intent=cluster-1/", "intent=cluster-2/"),
            );
        });
    }),
    ("no need at all", "AnotherNeed", false, |world| {
        world.remote.requests.edit(&copy_name(), |request| request.metadata.annotations = None);
    }),
    ("no CA", "CaMissing", true, |world| drop(world.management.secrets.remove(&ca_name("ca-a")))),
    ("a CA that cannot be read", "CaUnreadable", true, |world| world.ca_error = Some("etcd is away")),
    ("no budget", "BudgetSpent", false, |world| world.exhausted_until = Some(world.now + seconds(20))),
];

#[test]
fn each_wait_is_told_and_signs_nothing() {
    for (name, expected, on_intent, change) in WAITS {
        let mut world = with_renewal();
        change(&mut world);
        world.settle_issuer();
        if *on_intent {
            assert_eq!(reason(&world.status(), RECONCILING), Some(*expected), "{name}");
            assert_eq!(
                world.status().state,
                IssuedCertificateState::Finished,
                "what is in place is in place"
            );
        } else {
            assert!(world.writes.is_empty(), "{name} passes by itself as a rule: {:?}", world.writes);
            assert_eq!(world.issuer_decision().unwrap().wake_at, Some(world.now + seconds(5)), "{name}");
            world.now += seconds(5);
            world.settle_issuer();
            assert_eq!(reason(&world.status(), RECONCILING), None, "{name}");
        }
        let answer = answer(&world);
        assert_eq!(answer.state, CertificateRequestState::Pending, "{name}");
        assert!(!answer.error.is_empty(), "{name}");
        assert!(world.issuance.is_empty(), "{name}");
        assert!(world.issuer_decision().unwrap().is_empty(), "{name}: it is said once");
    }
}

#[test]
fn a_refusal_costs_as_much_as_a_signature() {
    let mut world = with_renewal();
    put_csr(&mut world, "garbage");
    world.exhausted_until = Some(world.now + seconds(20));
    world.settle_issuer();
    let refused = |world: &World| {
        world.issuance.iter().filter(|record| record.decision == IssuanceDecision::Refused).count()
    };
    assert_eq!(refused(&world), 0, "no line in the log until the budget allows one");
    assert_eq!(reason(&world.status(), STALLED), Some("RequestUnreadable"), "said all the same");
    world.now += seconds(21);
    world.exhausted_until = None;
    world.settle_issuer();
    assert_eq!(refused(&world), 1);
}

#[test]
fn a_spent_budget_is_a_wait_until_it_is_earned() {
    let mut world = with_renewal();
    world.exhausted_until = Some(world.now + seconds(20));
    world.now += seconds(10);
    world.settle_issuer();
    assert!(answer(&world).error.contains("10 a second"), "{}", answer(&world).error);
    assert_eq!(world.issuer_decision().unwrap().wake_at, world.exhausted_until);
    world.now += seconds(10);
    world.settle();
    assert_eq!(world.delivered.len(), 2);
}

#[test]
fn what_a_cluster_says_too_often_is_repeated_later() {
    let mut world = World::finished();
    let before = world.status();
    world.remote.certificates.edit_status(&copy_name(), |copy| {
        copy.status.as_mut().unwrap().error = "look at me".to_owned();
    });
    world.reports_exhausted_until = Some(world.now + seconds(1));
    let decision = world.issuer_decision().unwrap();
    assert!(decision.is_empty() && decision.wake_at == world.reports_exhausted_until, "{decision:?}");
    world.settle_issuer();
    assert_eq!(world.status(), before);
    world.now += seconds(1);
    world.settle_issuer();
    assert_eq!(world.status().error, "look at me");
}

#[test]
fn five_hundred_at_once_then_ten_a_second() {
    let mut bucket = TokenBucket::of_answers();
    for taken in 0..500 {
        assert_eq!(bucket.exhausted_until(start()), None, "after {taken}");
        bucket.take(start());
    }
    let next = bucket.exhausted_until(start()).expect("the burst is over");
    assert_eq!(next, start() + jiff::SignedDuration::from_millis(100));
    let mut signed = 0;
    for tenth in 0..600 {
        let now = start() + jiff::SignedDuration::from_millis(tenth * 50);
        if bucket.exhausted_until(now).is_none() {
            bucket.take(now);
            signed += 1;
        }
    }
    assert!((298..=300).contains(&signed), "{signed} in 30 s");
    assert_eq!(bucket.exhausted_until(start() + seconds(3600)), None);
}

#[test]
fn a_request_that_is_answered_is_not_answered_again() {
    for edit_spec in [false, true] {
        let mut world = with_renewal();
        world.settle_issuer();
        assert_eq!(answer(&world).state, CertificateRequestState::Finished);
        if edit_spec {
            put_csr(&mut world, csr(&pki::key()));
        }
        world.settle_issuer();
        let signed =
            world.issuance.iter().filter(|record| record.decision == IssuanceDecision::Signed).count();
        assert_eq!(signed, 1);
    }
}

#[test]
fn the_issuance_log_says_who_got_what() {
    let mut world = World::with_open_request();
    world.settle();
    let certificate = world.issued_certificate();
    let record = &world.issuance[0];
    let json = serde_json::to_value(record).unwrap();
    assert_eq!(json["decision"], "signed");
    assert_eq!(json["cluster"], "cluster-1");
    assert_eq!(json["object"], "certmesh/istio");
    assert_eq!(json["serialNumber"], certificate.serial_number().to_string());
    assert_eq!(json["certificateFingerprint"], certificate.fingerprint().to_string());
    assert_eq!(json["keyFingerprint"], certificate.public_key().fingerprint().to_string());
    assert_eq!(json["issuer"], world.authority.certificate().subject().to_string());
    assert_eq!(json["lifetimeSeconds"], 90 * 24 * 3600);
    assert!(json["need"].as_str().unwrap().starts_with("intent=cluster-1/istio uid="), "{json}");
    assert!(json["uid"].as_str().is_some_and(|uid| !uid.is_empty()));
    assert_eq!(json["time"], "2026-03-01T12:00:00Z");
    assert!(json.get("reason").is_none());
}

#[test]
fn the_issuance_log_says_which_ca_could_not_sign() {
    let mut world = World::with_open_request();
    world.now = world.authority.certificate().not_after();
    world.settle_issuer();
    let [record] = &world.issuance[..] else { panic!("{:?}", world.issuance) };
    let json = serde_json::to_value(record).unwrap();
    assert_eq!(json["decision"], "refused");
    assert_eq!(json["reason"], "CannotSign");
    assert_eq!(json["issuer"], world.authority.certificate().subject().to_string());
    assert!(json.get("serialNumber").is_none(), "{json}");
}

#[test]
fn a_ca_secret_may_gain_or_lose_roots_but_never_swap_them() {
    let world = World::empty();
    let (a, b, c) =
        (&world.authority, &pki::root("b", start(), pki::YEAR), &pki::root("c", start(), pki::YEAR));
    for (name, before, after, signer, is_signed) in [
        ("nothing new", vec![a], vec![a], a, true),
        ("a root more", vec![a], vec![a, b], a, true),
        ("a root less", vec![a, b], vec![a], a, true),
        ("the other of two", vec![a, b], vec![b], b, true),
        ("another signer that was trusted before", vec![a, b], vec![a, b], b, true),
        ("one more and one less", vec![a, b], vec![a, c], a, false),
        ("a root more, which signs", vec![a], vec![a, b], b, false),
        ("another", vec![a], vec![b], b, false),
    ] {
        let mut world = world.clone();
        let put = |world: &mut World, signer: &CertificateAuthority, roots: &[&CertificateAuthority]| {
            let mut secret = pki::ca_secret(&ca_name("ca-a"), signer);
            let roots = Certificate::write_chain(roots.iter().map(|root| root.certificate()));
            secret.data.as_mut().unwrap().insert("root-cert.pem".into(), ByteString(roots.into_bytes()));
            world.management.secrets.remove(&ca_name("ca-a"));
            world.management.secrets.create(&secret, world.now).unwrap();
        };
        put(&mut world, a, &before);
        world.create_intent(&crate::world::intent());
        world.settle();
        put(&mut world, signer, &after);
        world.now += seconds(3600);
        world.annotate_intent(annotations::RENEW, "1");
        world.settle();
        assert_eq!(world.delivered.len(), 1 + usize::from(is_signed), "{name}: {}", world.status().error);
        let refused = (!is_signed).then_some("RootReplaced");
        assert_eq!(reason(&world.status(), STALLED), refused, "{name}");
    }
}

#[test]
fn a_certificate_ends_with_its_ca() {
    let mut world = World::empty();
    let short = pki::root("root-a", world.now, 20 * pki::DAY);
    world.put_ca("ca-a", &short);
    world.create_intent(&crate::world::intent());
    world.settle();
    assert_eq!(world.issued_certificate().not_after(), short.certificate().not_after());
    assert_eq!(world.issuance[0].lifetime_seconds, Some(20 * 24 * 3600));
}

#[test]
fn a_request_whose_intent_nobody_knows_is_told_so_once() {
    use certmesh_workflow::{Examined, examine, issuer};
    let mut world = World::with_open_request();
    let say = |world: &World| {
        let request = world.request().unwrap();
        let facts = examine::request(request);
        issuer::answer_unclaimed(&world.cluster, Examined { object: request, facts: &facts })
    };
    let Some(issuer::Effect::DeferRequest(answer)) = say(&world) else { panic!("it is told") };
    assert!(answer.record.is_none());
    let error = answer.request.status.clone().unwrap().error;
    assert!(error.contains("cluster-1/istio"), "{error}");
    world.remote.requests.replace_status(&answer.request).unwrap();
    assert!(say(&world).is_none());
}

#[test]
fn the_kinds_of_ca_secret_are_all_read() {
    let world = World::empty();
    let certificate = world.authority.certificate().to_pem();
    let key = world.authority.key().to_pem().to_string();
    for files in [
        vec![("root-cert.pem", certificate.as_str()), ("key.pem", &key)],
        vec![("tls.crt", &certificate), ("tls.key", &key), ("ca.crt", &certificate)],
        vec![("tls.crt", &certificate), ("tls.key", &key)],
        vec![("ca-cert.pem", &certificate), ("ca-key.pem", &key), ("root-cert.pem", &certificate)],
    ] {
        let mut world = world.clone();
        world.management.secrets.remove(&ca_name("ca-a"));
        let mut secret = pki::secret(&ca_name("ca-a"), &files);
        secret.metadata.annotations =
            Some([(annotations::ALLOW_CLUSTERS.to_owned(), "cluster-1".to_owned())].into());
        world.management.secrets.create(&secret, world.now).unwrap();
        world.create_intent(&crate::world::intent());
        world.settle();
        assert_eq!(world.state(), IssuedCertificateState::Finished, "{files:?}");
    }
}

#[test]
fn an_rsa_intent_gets_an_rsa_certificate() {
    let mut world = World::empty();
    let mut intent = crate::world::intent();
    let options = intent.spec.cert_options.as_mut().unwrap();
    options.key_algorithm = Some(KeyAlgorithmName::Rsa);
    options.rsa_key_size_bytes = 256;
    world.create_intent(&intent);
    world.settle();
    assert_eq!(world.issued_certificate().public_key().algorithm(), Some(KeyAlgorithm::Rsa2048));
}
