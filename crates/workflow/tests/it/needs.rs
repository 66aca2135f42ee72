//! When a new certificate is needed, and when not.

use certmesh_api::certificates::{CommonCertOptions, IssuedCertificateState, KeyAlgorithmName, ObjectRef};
use certmesh_api::conditions::{READY, RECONCILING, STALLED};
use certmesh_api::names::{annotations, secret_types};
use certmesh_workflow::agent::Effect;
use certmesh_workflow::need::{Digest, InvalidNeed, Need, NeedReason};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use crate::world::{World, ca_ref, copy_name, pki, reason, seconds, target};

/// The certificate is in place and older than the storm brake.
fn settled() -> World {
    let mut world = World::finished();
    world.now += seconds(3600);
    world
}

fn edit_secret(world: &mut World, edit: impl FnOnce(&mut Secret)) {
    world.remote.secrets.edit(&target(), edit);
}

fn file(world: &mut World, key: &str, content: &str) {
    edit_secret(world, |secret| {
        secret.data.get_or_insert_default().insert(key.to_owned(), ByteString(content.as_bytes().to_vec()));
    });
}

fn options(world: &mut World, edit: impl FnOnce(&mut CommonCertOptions)) {
    world.edit_intent(|intent| edit(intent.spec.cert_options.as_mut().unwrap()));
}

/// The reason with which the agent asks for a new key after the issuer has seen the change.
fn reason_after(world: &mut World) -> Option<NeedReason> {
    world.settle_issuer();
    world.agent_decision().unwrap().effects.iter().find_map(|effect| match effect {
        Effect::CreateKey(create) => Some(create.reason),
        _ => None,
    })
}

type Change = fn(&mut World);

const NEEDS: &[(&str, NeedReason, Change)] = &[
    ("the Secret was deleted", NeedReason::SecretMissing, |world| {
        drop(world.remote.secrets.remove(&target()))
    }),
    ("a file is missing", NeedReason::SecretIncomplete, |world| {
        edit_secret(world, |secret| drop(secret.data.as_mut().unwrap().remove("cert-chain.pem")));
    }),
    ("a file is not readable", NeedReason::SecretIncomplete, |world| file(world, "ca-cert.pem", "no PEM")),
    ("the key is not readable", NeedReason::SecretIncomplete, |world| file(world, "ca-key.pem", "no PEM")),
    ("istiod would read tls.crt instead", NeedReason::SecretIncomplete, |world| file(world, "tls.crt", "x")),
    ("nobody knows what it was issued for", NeedReason::SecretIncomplete, |world| {
        edit_secret(world, |secret| {
            drop(secret.metadata.annotations.as_mut().unwrap().remove(annotations::NEED))
        });
    }),
    ("the key is another's", NeedReason::KeyMismatch, |world| {
        file(world, "ca-key.pem", &pki::key().to_pem())
    }),
    ("the chain starts with something else", NeedReason::ChainInvalid, |world| {
        let root = world.authority.certificate().to_pem();
        file(world, "cert-chain.pem", &root);
    }),
    ("the CA itself was put in its place", NeedReason::ChainInvalid, |world| {
        let authority = world.authority.clone();
        file(world, "ca-cert.pem", &authority.certificate().to_pem());
        file(world, "cert-chain.pem", &authority.certificate().to_pem());
        file(world, "ca-key.pem", &authority.key().to_pem());
    }),
    ("a root was added by hand", NeedReason::ChainInvalid, |world| {
        let other = pki::root("other", world.now, pki::YEAR);
        let roots = world.authority.certificate().to_pem() + &other.certificate().to_pem();
        file(world, "root-cert.pem", &roots);
    }),
    ("other hosts", NeedReason::SpecChanged, |world| {
        world.edit_intent(|intent| intent.spec.hosts.push("istiod.istio-system.svc".to_owned()));
    }),
    ("another organization", NeedReason::SpecChanged, |world| {
        options(world, |options| options.org_name = "Another".to_owned());
    }),
    ("another key", NeedReason::SpecChanged, |world| {
        options(world, |options| options.key_algorithm = Some(KeyAlgorithmName::EcdsaP384));
    }),
    ("the same CA in another Secret", NeedReason::SpecChanged, |world| {
        world.put_ca("ca-b", &world.authority.clone());
        world.edit_intent(|intent| intent.spec.gloo_mesh_ca = Some(ca_ref("ca-b")));
    }),
    ("another lifetime", NeedReason::SpecChanged, |world| options(world, |options| options.ttl_days = 30)),
    ("a root is being added", NeedReason::TrustChanged, |world| {
        let new = pki::root("root-b", world.now, pki::YEAR);
        world.put_ca("ca-b", &new);
        world.edit_intent(|intent| {
            crate::rotation::at(crate::rotation::STEPS[0], &mut intent.spec);
        });
    }),
    ("a person asks", NeedReason::RenewalRequested, |world| world.annotate_intent(annotations::RENEW, "1")),
    ("the end is near", NeedReason::Expiring, |world| world.now += seconds(85 * 24 * 3600)),
    ("it is over", NeedReason::Expiring, |world| world.now += seconds(95 * 24 * 3600)),
];

#[test]
fn each_reason_fires_and_ends_in_a_new_certificate() {
    for (name, expected, change) in NEEDS {
        let mut world = settled();
        // Some of these are faults of the Secret itself.
        change(&mut world);
        assert_eq!(reason_after(&mut world), Some(*expected), "{name}");
        world.settle();
        assert_eq!(world.agent_status().state, IssuedCertificateState::Finished, "{name}");
        assert_eq!(world.delivered.len(), 2, "{name}: {:?}", world.writes);
        assert_eq!(reason_after(&mut world), None, "{name} is over");
    }
}

/// A backup tool puts back what it saw while the first certificate was on its way: key, request and answer, just when the
/// renewal is due.
#[test]
fn what_is_left_of_an_earlier_need_is_not_used_for_the_next_one() {
    let mut world = World::with_open_request();
    world.settle_issuer();
    let (key, request) =
        (world.remote.secrets.get(&copy_name()).unwrap().clone(), world.request().unwrap().clone());
    world.settle();
    let first = world.issued_certificate();
    world.now += seconds(85 * 24 * 3600);
    world.remote.secrets.create(&key, world.now).unwrap();
    world.remote.requests.create(&request, world.now).unwrap();
    world.remote.requests.edit_status(&copy_name(), |again| again.status.clone_from(&request.status));
    world.agent_pass().unwrap();
    assert_eq!(world.made_keys.len(), 2, "{:?}", world.writes);
    let asked = world.request().unwrap().metadata.annotations.clone().unwrap();
    let replaces = format!("replaces={}", first.fingerprint());
    assert!(asked[annotations::NEED].ends_with(&replaces), "{asked:?}");
    world.settle();
    assert_eq!(world.delivered.len(), 2);
    assert_ne!(world.issued_certificate().public_key(), first.public_key());
}

#[test]
fn a_certificate_that_ends_with_its_ca_is_good_until_the_very_second() {
    let mut world = World::empty();
    let authority = pki::root("root-a", world.now, 30 * pki::DAY);
    world.put_ca("ca-a", &authority);
    world.create_intent(&crate::world::intent());
    world.settle();
    let end = world.issued_certificate().not_after();
    for (after, ready, stalled) in
        [(-1, Some("Issued"), None), (0, Some("Issued"), None), (1, None, Some("CertificateExpired"))]
    {
        world.now = end + seconds(after);
        world.settle_agent();
        let status = world.agent_status();
        assert_eq!((reason(&status, READY), reason(&status, STALLED)), (ready, stalled), "{after}");
    }
    world.now += seconds(3600);
    world.settle_agent();
    assert_eq!(reason(&world.agent_status(), STALLED), Some("CertificateExpired"));
}

#[test]
fn each_object_says_what_it_is_and_points_at_itself() {
    let mut world = World::new();
    world.settle_issuer();
    let decision = world.agent_decision().unwrap();
    let [Effect::CreateKey(create), Effect::CreateRequest(ask)] = &decision.effects[..] else {
        panic!("{decision:?}")
    };
    assert_eq!(create.secret(&pki::key()).name(), copy_name());
    assert_eq!(format!("{:?}", ask.key), "JustMade");
    world.settle_agent();
    let kind = world.remote.secrets.get(&copy_name()).unwrap().type_.clone();
    assert_eq!(kind.as_deref(), Some(secret_types::GENERATED_PRIVATE_KEY));

    let request = world.remote.requests.remove(&copy_name()).unwrap();
    let decision = world.agent_decision().unwrap();
    let [Effect::CreateRequest(ask)] = &decision.effects[..] else { panic!("{decision:?}") };
    let public_key = world.made_keys[0].public_key();
    assert_eq!(
        format!("{:?}", ask.key),
        format!("Stored({public_key:?})"),
        "of a key only what anybody may see"
    );

    world.remote.requests.create(&request, world.now).unwrap();
    world.settle_issuer();
    let decision = world.agent_decision().unwrap();
    let Some(Effect::StoreIssued(store)) = decision.effects.first() else { panic!("{decision:?}") };
    assert_eq!(store.secret.name(), target());
    assert_eq!(store.secret.expose().type_.as_deref(), Some(secret_types::ISSUED_CERTIFICATE));
}

#[test]
fn people_read_the_reason_by_its_name() {
    for (expected, found) in [
        ("SecretMissing", NeedReason::SecretMissing),
        ("SecretAdopted", NeedReason::SecretAdopted),
        ("SecretIncomplete", NeedReason::SecretIncomplete),
        ("KeyMismatch", NeedReason::KeyMismatch),
        ("ChainInvalid", NeedReason::ChainInvalid),
        ("NotYetValid", NeedReason::NotYetValid),
        ("SpecChanged", NeedReason::SpecChanged),
        ("TrustChanged", NeedReason::TrustChanged),
        ("RenewalRequested", NeedReason::RenewalRequested),
        ("Expiring", NeedReason::Expiring),
    ] {
        assert_eq!((found.as_str(), found.to_string().as_str()), (expected, expected));
    }
}

#[test]
fn a_need_is_about_one_intent_that_has_a_namespace_and_a_name() {
    let rest = |intent: &str| {
        let (digest, fingerprint) = (Digest::of(b"one"), certmesh_x509::Fingerprint::of(b"one"));
        format!("intent={intent} uid={digest} spec={digest} trust={fingerprint} renew=- replaces=-")
    };
    let need: Need = rest("cluster-1/istio").parse().unwrap();
    assert_eq!(need.intent, ObjectRef::new("cluster-1", "istio"));
    assert_eq!(format!("{:?}", need.uid), format!("Digest({})", need.uid));
    for intent in
        ["", "/", "cluster-1", "/istio", "cluster-1/", "cluster-1/istio/", "cluster-1/istio/two", "//"]
    {
        assert_eq!(rest(intent).parse::<Need>(), Err(InvalidNeed), "{intent:?}");
    }
}

#[test]
fn the_first_reason_in_the_chain_names_the_need() {
    for (first, second) in NEEDS.windows(2).map(|pair| (pair[0], pair[1])) {
        if first.1 == second.1 {
            continue;
        }
        let mut world = settled();
        // The later one first: some of the earlier ones take the Secret away.
        second.2(&mut world);
        first.2(&mut world);
        assert_eq!(reason_after(&mut world), Some(first.1), "{} before {}", first.0, second.0);
    }
}

#[test]
fn what_no_certificate_follows_from_is_no_reason() {
    let changes: &[(&str, Change)] = &[
        ("nothing", |_| {}),
        ("a directive", |world| {
            world.edit_intent(|intent| {
                intent.spec.pod_bounce_directive = Some(ObjectRef::new("certmesh", "restart"));
            });
        }),
        ("another grace ratio", |world| {
            options(world, |options| options.secret_rotation_grace_period_ratio = 0.2);
        }),
        ("the deprecated twin of the CA reference", |world| {
            world.edit_intent(|intent| {
                intent.spec.signing_certificate_secret =
                    intent.spec.gloo_mesh_ca.take().unwrap().signing_certificate_secret;
            });
        }),
        ("the organization in the deprecated field", |world| {
            world.edit_intent(|intent| intent.spec.org = "Istio".to_owned());
        }),
        ("another's label on the Secret", |world| {
            edit_secret(world, |secret| {
                drop(secret.metadata.labels.as_mut().unwrap().insert("team".to_owned(), "mesh".to_owned()));
            });
        }),
    ];
    for (name, change) in changes {
        let mut world = settled();
        change(&mut world);
        assert_eq!(reason_after(&mut world), None, "{name}");
        world.settle();
        assert_eq!(world.delivered.len(), 1, "{name}");
        assert_eq!(world.state(), IssuedCertificateState::Finished, "{name}");
    }
}

#[test]
fn an_intent_that_was_made_again_finds_its_own() {
    let mut world = settled();
    let again = world.intent().clone();
    world.management.certificates.remove(&crate::world::intent_name());
    let mut new = crate::world::intent();
    new.spec = again.spec;
    world.create_intent(&new);
    assert_ne!(world.intent().metadata.uid, again.metadata.uid);
    world.settle();
    assert_eq!(world.delivered.len(), 1, "another uid alone is no reason: {:?}", world.writes);
    assert_eq!(world.state(), IssuedCertificateState::Finished);
    assert_eq!(world.status().observed.unwrap().intent_uid, world.intent().metadata.uid.clone().unwrap());
}

#[test]
fn the_storm_brake_holds_but_for_a_trust_and_a_person() {
    for (name, expected, change) in NEEDS {
        let mut world = World::finished();
        change(&mut world);
        let exempt = matches!(
            expected,
            NeedReason::SecretMissing | NeedReason::TrustChanged | NeedReason::RenewalRequested
        );
        // A certificate that cannot be read has no age, and one that is old is not young.
        let ageless = ["a file is not readable", "the end is near", "it is over"].contains(name);
        let found = reason_after(&mut world);
        if exempt || ageless {
            assert_eq!(found, Some(*expected), "{name}");
            continue;
        }
        assert_eq!(found, None, "{name}");
        world.settle();
        let status = world.agent_status();
        assert_eq!(status.state, IssuedCertificateState::Pending, "{name}");
        assert_eq!(reason(&status, RECONCILING), Some(expected.as_str()), "{name}");
        assert_eq!(world.delivered.len(), 1, "{name}");
        world.run_for(11 * 60);
        assert_eq!(world.delivered.len(), 2, "{name}: after ten minutes");
    }
}

/// The clocks of the issuer and of a cluster were three days ahead, and then set right: the certificate in place was valid in
/// three days, its intent said Ready, and whoever changed the intent had to wait as long, since it counted as young.
#[test]
fn a_certificate_that_begins_in_the_future_is_replaced() {
    let changes: [Change; 2] =
        [|_| (), |world| options(world, |options| options.org_name = "Another".to_owned())];
    for change in changes {
        let mut world = World::empty();
        world.now += seconds(3 * 86_400);
        world.create_intent(&crate::world::intent());
        world.settle();
        assert_eq!(world.delivered.len(), 1);
        world.now -= seconds(3 * 86_400);
        change(&mut world);
        assert_eq!(reason_after(&mut world), Some(NeedReason::NotYetValid));
        world.settle();
        assert_eq!(world.delivered.len(), 2, "{:?}", world.writes);
        assert_eq!(reason_after(&mut world), None);
        let status = world.agent_status();
        assert_eq!(reason(&status, READY), Some("Issued"));
        assert!(status.certificate.unwrap().not_before.0 <= world.now);
    }
}

#[test]
fn a_short_life_has_a_short_brake() {
    let mut world = World::empty();
    let mut intent = crate::world::intent();
    intent.spec.cert_options.as_mut().unwrap().ttl_seconds = Some(300);
    world.create_intent(&intent);
    world.settle();
    options(&mut world, |options| options.org_name = "Another".to_owned());
    world.run_for(99);
    assert_eq!(world.delivered.len(), 1);
    world.run_for(2);
    assert_eq!(world.delivered.len(), 2, "a third of five minutes is over");
}

#[test]
fn a_short_lived_certificate_is_renewed_again_and_again() {
    let mut world = World::empty();
    let mut intent = crate::world::intent();
    intent.spec.cert_options.as_mut().unwrap().ttl_seconds = Some(600);
    world.create_intent(&intent);
    for _ in 0..60 {
        world.run_for(60);
        let certificate = world.issued_certificate();
        assert!(world.now <= certificate.not_after(), "it is never over");
        assert_eq!(reason(&world.status(), READY), Some("Issued"));
    }
    assert!((6..=8).contains(&world.delivered.len()), "{} in an hour", world.delivered.len());
}

#[test]
fn a_nonce_asks_once() {
    let mut world = settled();
    world.annotate_intent(annotations::RENEW, "first");
    world.settle();
    assert_eq!(world.delivered.len(), 2);
    world.run_for(24 * 3600);
    assert_eq!(world.delivered.len(), 2, "the same nonce again is no reason");
    world
        .edit_intent(|intent| drop(intent.metadata.annotations.as_mut().unwrap().remove(annotations::RENEW)));
    world.settle();
    assert_eq!(world.delivered.len(), 2, "a nonce taken back is no reason");
    world.annotate_intent(annotations::RENEW, "second");
    world.settle();
    assert_eq!(world.delivered.len(), 3);
    let notes = world.issued().unwrap().metadata.annotations.clone().unwrap();
    assert_eq!(notes[annotations::RENEW], "second");
}

#[test]
fn a_certificate_that_ends_with_its_ca_warns_instead_of_renewing() {
    let mut world = World::empty();
    let authority = pki::root("root-a", world.now, 30 * pki::DAY);
    world.put_ca("ca-a", &authority);
    world.authority = authority;
    world.create_intent(&crate::world::intent());
    world.settle();
    let status = world.status();
    assert_eq!(status.certificate.as_ref().unwrap().renew_at, None);
    for (day, expected) in [(19, None), (21, Some("Warning")), (28, Some("Critical")), (31, Some("Expired"))]
    {
        world.run_until(crate::world::start() + seconds(day * 24 * 3600));
        assert_eq!(reason(&world.status(), "CAExpiring"), expected, "day {day}");
        assert_eq!(world.delivered.len(), 1, "day {day}");
    }
    let warned = world.events.iter().filter(|event| event.reason == "CAExpiring").count();
    assert_eq!(warned, 3, "each change is told once: {:?}", world.events);
    let status = world.status();
    assert_eq!(status.state, IssuedCertificateState::Failed);
    assert_eq!(reason(&status, READY), None, "it is over");
    assert!(status.error.contains("in a new Secret and rotate"), "{}", status.error);
}
