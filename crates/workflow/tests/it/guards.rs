//! A live root is never swapped by accident, a Secret that is another's is never touched.

use certmesh_api::certificates::{
    CertificateRequestState, CertificateRequestStatus, IssuedCertificateState, ObjectRef,
};
use certmesh_api::conditions::{READY, STALLED};
use certmesh_api::names::{annotations, labels, secret_types, well_known};
use certmesh_api::secrets::ROOT_CERT;
use certmesh_x509::{Certificate, CertificateAuthority};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use crate::world::{AGENT_NAMESPACE, World, copy_name, intent, pki, reason, seconds, target};

fn other_root(world: &World) -> CertificateAuthority {
    pki::root("istiod", world.now, pki::YEAR)
}

fn live_roots(world: &mut World, namespace: &str, roots: &[&Certificate]) {
    let pem = Certificate::write_chain(roots.iter().copied());
    live_roots_file(world, namespace, &pem);
}

fn live_roots_file(world: &mut World, namespace: &str, pem: &str) {
    let name = ObjectRef::new(namespace, well_known::ISTIO_CA_ROOT_CERT);
    world.remote.config_maps.remove(&name);
    let map = pki::config_map(&name, &[(well_known::ISTIO_CA_ROOT_CERT_KEY, pem)]);
    world.remote.config_maps.create(&map, world.now).unwrap();
}

fn pin(world: &mut World, files: &[(&str, &str)]) {
    let name = ObjectRef::new(AGENT_NAMESPACE, well_known::TRUST_ANCHORS);
    world.remote.config_maps.create(&pki::config_map(&name, files), world.now).unwrap();
}

#[track_caller]
fn is_stalled(world: &World, expected: &str) {
    for status in [world.agent_status(), world.status()] {
        assert_eq!(status.state, IssuedCertificateState::Failed);
        assert_eq!(reason(&status, STALLED), Some(expected), "{}", status.error);
        assert!(!status.error.is_empty());
    }
}

#[test]
fn the_first_certificate_must_carry_every_root_in_use() {
    let roots_in_use: &[(&str, fn(&World) -> Vec<Certificate>, bool)] = &[
        ("the CA's own", |world| vec![world.authority.certificate().clone()], true),
        ("another", |world| vec![other_root(world).certificate().clone()], false),
        (
            "both",
            |world| vec![world.authority.certificate().clone(), other_root(world).certificate().clone()],
            false,
        ),
    ];
    for (name, roots, is_stored) in roots_in_use {
        let mut world = World::new();
        let roots = roots(&world);
        live_roots(&mut world, "istio-system", &roots.iter().collect::<Vec<_>>());
        world.settle();
        assert_eq!(world.issued().is_some(), *is_stored, "{name}");
        if !is_stored {
            is_stalled(&world, "WouldReplaceLiveRoot");
            assert!(world.status().error.contains("rotate from it"), "{}", world.status().error);
        }
    }
}

#[test]
fn a_root_in_use_anywhere_in_the_cluster_counts() {
    let mut world = World::new();
    let own = world.authority.certificate().clone();
    let other = other_root(&world);
    live_roots(&mut world, "istio-system", &[&own]);
    live_roots(&mut world, "shop", &[other.certificate()]);
    world.settle();
    is_stalled(&world, "WouldReplaceLiveRoot");
    assert!(world.status().error.contains("shop/istio-ca-root-cert"), "{}", world.status().error);
}

#[test]
fn roots_in_use_that_cannot_be_read_are_no_permission() {
    let mut world = World::new();
    live_roots_file(&mut world, "istio-system", "no PEM");
    world.settle();
    is_stalled(&world, "WouldReplaceLiveRoot");
}

#[test]
fn a_person_may_accept_the_downtime_or_migrate() {
    let stalled = || {
        let mut world = World::new();
        let other = other_root(&world);
        live_roots(&mut world, "istio-system", &[other.certificate()]);
        world.settle();
        (world, other)
    };
    let (mut world, _) = stalled();
    world.annotate_intent(annotations::REPLACE_ROOT, "true");
    world.settle();
    assert_eq!(world.state(), IssuedCertificateState::Finished);
    assert_eq!(world.made_keys.len(), 1, "the answer that is there is used");

    let (mut world, other) = stalled();
    world.annotate_intent(annotations::REPLACE_ROOT, "yes");
    world.settle();
    is_stalled(&world, "WouldReplaceLiveRoot");
    let both = [world.authority.certificate().clone(), other.certificate().clone()];
    live_roots(&mut world, "istio-system", &both[..1].iter().collect::<Vec<_>>());
    world.settle();
    assert_eq!(world.state(), IssuedCertificateState::Finished, "the root in use has changed");
}

#[test]
fn a_root_that_fits_nothing_beside_it_is_damage_and_not_in_use() {
    // Somebody wrote another root into our Secret: its chain leads nowhere, so nobody can have loaded it.
    let mut world = World::finished();
    let before = world.issued_certificate();
    let other = other_root(&world).certificate().to_pem();
    world.now += seconds(3600);
    world.remote.secrets.edit(&target(), |secret| {
        let file = secret.data.as_mut().unwrap().get_mut(ROOT_CERT).unwrap();
        *file = ByteString(other.into_bytes());
    });
    world.settle();
    assert_eq!(world.state(), IssuedCertificateState::Finished, "{:?}", world.status().error);
    assert_ne!(world.issued_certificate(), before);
}

#[test]
fn a_spoilt_secret_without_a_record_of_its_roots_hides_no_root_in_use() {
    let mut world = World::finished();
    let other = other_root(&world);
    live_roots(&mut world, "istio-system", &[other.certificate()]);
    world.remote.secrets.edit(&target(), |secret| {
        secret.data.as_mut().unwrap().remove(ROOT_CERT);
        secret.metadata.annotations.as_mut().unwrap().remove(annotations::ROOTS);
    });
    world.now += seconds(3600);
    world.settle();
    is_stalled(&world, "WouldReplaceLiveRoot");
}

#[test]
fn a_pin_allows_no_other_root() {
    let mut world = World::new();
    let own = world.authority.certificate().to_pem();
    let other = other_root(&world).certificate().to_pem();
    pin(&mut world, &[("mine.pem", &other), ("theirs.pem", &own)]);
    world.settle();
    assert_eq!(world.state(), IssuedCertificateState::Finished, "it is one of the pinned");

    for (name, files) in [
        ("another root", vec![("mine.pem", other.as_str())]),
        ("nothing at all", vec![]),
        ("something unreadable", vec![("a.pem", own.as_str()), ("b.pem", "no PEM")]),
    ] {
        let mut world = World::new();
        // Whatever stands in the intent: a stolen management cluster writes that.
        world.annotate_intent(annotations::REPLACE_ROOT, "true");
        pin(&mut world, &files);
        world.settle();
        is_stalled(&world, "RootNotAllowed");
        assert!(world.issued().is_none(), "{name}");
        assert!(world.status().error.contains(well_known::TRUST_ANCHORS), "{name}");
    }
}

#[test]
fn failures_are_not_forgotten_when_a_good_answer_is_not_put_in_place() {
    let mut world = World::with_open_request();
    world.remote.requests.edit_status(&copy_name(), |request| {
        request.status = Some(CertificateRequestStatus {
            observed_generation: 1,
            state: CertificateRequestState::Failed,
            ..CertificateRequestStatus::default()
        });
    });
    world.settle_agent();
    assert_eq!(world.agent_status().attempts, 1);
    pin(&mut world, &[]);
    world.now = world.agent_status().next_attempt_at.unwrap().0;
    world.settle();
    is_stalled(&world, "RootNotAllowed");
    assert_eq!(world.agent_status().attempts, 1);
}

/// Somebody else's Secret where the certificate is to go.
fn with_foreign_secret(edit: impl FnOnce(&mut Secret, &World)) -> World {
    let mut world = World::new();
    let authority = world.authority.clone();
    let mut secret = pki::ca_secret(&target(), &authority);
    secret.metadata.annotations = None;
    edit(&mut secret, &world);
    world.remote.secrets.create(&secret, world.now).unwrap();
    world
}

#[test]
fn a_secret_that_is_anothers_is_left_as_it_is() {
    let foreign: &[(&str, fn(&mut Secret, &World))] = &[
        ("nobody's", |_, _| {}),
        ("another agent's", |secret, _| {
            secret.metadata.labels = Some([(labels::AGENT.to_owned(), "elsewhere".to_owned())].into());
            secret.metadata.annotations =
                Some([(annotations::ISSUED_FOR.to_owned(), "cluster-1/istio".to_owned())].into());
        }),
        ("another intent's", |secret, _| {
            secret.metadata.labels = Some([(labels::AGENT.to_owned(), AGENT_NAMESPACE.to_owned())].into());
            secret.metadata.annotations =
                Some([(annotations::ISSUED_FOR.to_owned(), "cluster-1/other".to_owned())].into());
        }),
    ];
    for (name, edit) in foreign {
        let mut world = with_foreign_secret(edit);
        let before = world.issued().cloned();
        world.settle();
        is_stalled(&world, "SecretNotOurs");
        assert!(world.status().error.contains("certmesh.dev/adopt"), "{name}");
        assert_eq!(world.issued().cloned(), before, "{name}");
        assert!(world.made_keys.is_empty(), "{name}: no key in vain");
        world.delete_intent();
        world.settle();
        assert_eq!(world.issued().cloned(), before, "{name}: not even a note on it");
    }
}

#[test]
fn a_person_may_have_it_taken_over() {
    let mut world = with_foreign_secret(|secret, _| {
        secret.type_ = Some("Opaque".to_owned());
        secret.metadata.labels = Some([("team".to_owned(), "mesh".to_owned())].into());
        secret.metadata.annotations = Some([("note".to_owned(), "by hand".to_owned())].into());
    });
    world.annotate_intent(annotations::ADOPT, "true");
    world.settle();
    assert_eq!(world.state(), IssuedCertificateState::Finished);
    let secret = world.issued().unwrap();
    assert_eq!(secret.type_.as_deref(), Some("Opaque"), "a type cannot be changed");
    assert_eq!(secret.metadata.labels.as_ref().unwrap()["team"], "mesh");
    assert_eq!(secret.metadata.annotations.as_ref().unwrap()["note"], "by hand");
    assert_eq!(secret.metadata.annotations.as_ref().unwrap()[annotations::ISSUED_FOR], "cluster-1/istio");
    world.run_for(3600);
    assert_eq!(world.delivered.len(), 1);
}

#[test]
fn what_cannot_be_taken_over_is_told_with_the_way_out() {
    let obstacles: &[(&str, &str, fn(&mut Secret, &World))] = &[
        ("kubernetes.io/tls", "kubernetes.io/tls", |secret, _| {
            secret.type_ = Some(secret_types::TLS.to_owned());
        }),
        ("immutable", "immutable", |secret, _| secret.immutable = Some(true)),
        ("tls.crt", "tls.crt", |secret, _| {
            secret.data.as_mut().unwrap().insert("tls.crt".to_owned(), Default::default());
        }),
        ("istio-generated", "rotating from that CA", |secret, _| {
            secret.data.as_mut().unwrap().insert("istio-generated".to_owned(), Default::default());
        }),
    ];
    for (name, told, edit) in obstacles {
        let mut world = with_foreign_secret(edit);
        world.annotate_intent(annotations::ADOPT, "true");
        let before = world.issued().cloned();
        world.settle();
        is_stalled(&world, "CannotAdopt");
        assert!(world.status().error.contains(told), "{name}: {}", world.status().error);
        assert_eq!(world.issued().cloned(), before, "{name}");
    }
}

#[test]
fn what_is_taken_over_keeps_its_roots_in_the_new_set() {
    let foreign_root = |secret: &mut Secret, world: &World| {
        let other = other_root(world);
        *secret = pki::ca_secret(&target(), &other);
        secret.metadata.annotations = None;
    };
    let mut world = with_foreign_secret(foreign_root);
    world.annotate_intent(annotations::ADOPT, "true");
    world.settle();
    is_stalled(&world, "WouldReplaceLiveRoot");
    world.annotate_intent(annotations::REPLACE_ROOT, "true");
    world.settle();
    assert_eq!(world.state(), IssuedCertificateState::Finished);

    let mut world = with_foreign_secret(|secret, _| {
        secret.data.as_mut().unwrap().insert("root-cert.pem".to_owned(), Default::default());
    });
    world.annotate_intent(annotations::ADOPT, "true");
    world.settle();
    is_stalled(&world, "WouldReplaceLiveRoot");
}

#[test]
fn a_secret_of_ours_that_nobody_can_write_is_told() {
    let mut world = World::finished();
    world.remote.secrets.edit(&target(), |secret| secret.immutable = Some(true));
    world.settle();
    assert_eq!(reason(&world.agent_status(), READY), Some("Issued"), "as long as nothing is to be written");
    world.now = world.issued_certificate().not_after() - seconds(60);
    world.settle();
    is_stalled(&world, "CannotStore");
    assert_eq!(reason(&world.status(), READY), Some("CannotStore"), "what is in place is still good");
}

#[test]
fn of_two_copies_one_has_the_better_claim() {
    let mut world = World::new();
    world.settle_issuer();
    // A second copy for the same Secret, made later.
    let mut second = world.copy().clone();
    second.metadata.name = Some("another".to_owned());
    let notes = second.metadata.annotations.as_mut().unwrap();
    notes.insert(annotations::INTENT.to_owned(), "cluster-1/another".to_owned());
    second.metadata.finalizers = None;
    world.remote.certificates.create(&second, world.now + seconds(5)).unwrap();
    world.settle();
    assert_eq!(world.state(), IssuedCertificateState::Finished, "the oldest wins");
    let status = |world: &World| {
        let name = ObjectRef::new(AGENT_NAMESPACE, "another");
        world.remote.certificates.get(&name).unwrap().status.clone().unwrap()
    };
    assert_eq!(reason(&status(&world), STALLED), Some("SecretClaimed"));
    assert!(status(&world).error.contains("certmesh/istio"), "{}", status(&world).error);

    // A copy that is being deleted claims nothing.
    let mut leaving = world.clone();
    leaving.remote.secrets.remove(&target());
    let version = certmesh_workflow::ObjectVersion::of(leaving.copy());
    leaving.remote.certificates.delete(&version, leaving.now).unwrap();
    let other = ObjectRef::new(AGENT_NAMESPACE, "another");
    let decision = leaving.decide_for(leaving.remote.certificates.get(&other).unwrap());
    assert!(!decision.effects.is_empty(), "the other one goes on: {decision:?}");

    // The Secret's word counts more than age.
    world.remote.secrets.edit(&target(), |secret| {
        let notes = secret.metadata.annotations.as_mut().unwrap();
        notes.insert(annotations::ISSUED_FOR.to_owned(), "cluster-1/another".to_owned());
    });
    world.settle();
    assert_eq!(reason(&world.agent_status(), STALLED), Some("SecretClaimed"));
    assert_ne!(reason(&status(&world), STALLED), Some("SecretClaimed"));
}

#[test]
fn copies_that_name_no_secret_or_no_intent_are_left_alone() {
    let mut world = World::empty();
    let mut sidecar = intent();
    sidecar.spec.issued_certificate_secret = None;
    world.create_intent(&sidecar);
    world.settle();
    assert!(world.copy().metadata.finalizers.as_ref().is_none_or(Vec::is_empty), "nobody would release it");
    assert!(world.writes.iter().all(|write| write.starts_with("issuer")), "{:?}", world.writes);
    let mut by_hand = intent();
    by_hand.metadata.namespace = Some(AGENT_NAMESPACE.to_owned());
    by_hand.metadata.name = Some("by-hand".to_owned());
    world.remote.certificates.create(&by_hand, world.now).unwrap();
    world.settle();
    assert!(world.writes.iter().all(|write| write.starts_with("issuer")), "{:?}", world.writes);
}

#[test]
fn a_directive_is_named_for_people_to_restart() {
    let mut world = World::empty();
    let mut with_directive = intent();
    with_directive.spec.pod_bounce_directive = Some(ObjectRef::new(AGENT_NAMESPACE, "restart-istiod"));
    world.create_intent(&with_directive);
    world.settle();
    let status = world.status();
    assert_eq!(status.state, IssuedCertificateState::Finished);
    let message = &status.conditions[0].message;
    assert!(message.contains("certmesh/restart-istiod by hand"), "{message}");
    let warnings = world.events.iter().filter(|event| event.reason == "RestartPods").count();
    assert_eq!(warnings, 1);
}

#[test]
fn a_spec_that_cannot_be_met_is_told_by_both() {
    type Edit = fn(&mut certmesh_api::certificates::IssuedCertificateSpec);
    let bad: &[(&str, &str, Edit)] = &[
        ("no hosts", "InvalidSpec", |spec| spec.hosts.clear()),
        ("bad_host", "InvalidSpec", |spec| spec.hosts.push("bad_host".into())),
        ("rsaKeySizeBytes", "InvalidSpec", |spec| {
            let options = spec.cert_options.as_mut().unwrap();
            options.key_algorithm = None;
            options.rsa_key_size_bytes = 1100;
        }),
        ("51 characters", "InvalidSpec", |spec| spec.org = "x".repeat(51)),
        ("ttlSeconds", "InvalidSpec", |spec| spec.cert_options.as_mut().unwrap().ttl_seconds = Some(59)),
        ("names no CA", "InvalidSpec", |spec| spec.gloo_mesh_ca = None),
        ("Vault", "AgentCaUnsupported", |spec| {
            spec.gloo_mesh_ca = None;
            spec.agent_ca = Some(Default::default());
        }),
        ("VERIFYING", "InvalidSpec", |spec| {
            spec.rotation_state = certmesh_api::certificates::CertificateRotationState::Verifying;
        }),
        ("both name and namespace", "InvalidSpec", |spec| {
            spec.issued_certificate_secret = Some(ObjectRef::new("", "cacerts"));
        }),
    ];
    for (told, expected, edit) in bad {
        let mut world = World::empty();
        let mut intent = intent();
        edit(&mut intent.spec);
        world.create_intent(&intent);
        world.settle();
        is_stalled(&world, expected);
        let errors = [world.agent_status().error, world.status().error];
        assert!(errors.iter().all(|error| error.contains(told)), "{told}: {errors:?}");
        assert!(world.made_keys.is_empty());
        // Mended, it goes on by itself.
        world.edit_intent(|intent| intent.spec = crate::world::spec());
        world.settle();
        assert_eq!(world.state(), IssuedCertificateState::Finished, "{told}");
    }
}

#[test]
fn a_target_that_is_the_pending_key_is_refused() {
    let mut world = World::empty();
    let mut intent = intent();
    intent.spec.issued_certificate_secret = Some(ObjectRef::new(AGENT_NAMESPACE, "istio"));
    world.create_intent(&intent);
    world.settle();
    is_stalled(&world, "InvalidSpec");
    assert!(world.status().error.contains("certmesh/istio"), "{}", world.status().error);
}
