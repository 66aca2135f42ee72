//! The process dies before or after any write, and comes back. Every story ends as if nothing had happened.

use certmesh_api::certificates::IssuedCertificateState;
use certmesh_api::names::annotations;
use certmesh_workflow::{IssuanceDecision, IssuanceRecord};
use certmesh_x509::Certificate;

use crate::world::{Crash, World, copy_name, pki, spec};

/// Runs the story once for every write in it, dying before it, and once more, dying after it.
fn at_every_write(begin: impl Fn() -> World, story: impl Fn(&mut World), check: impl Fn(&World)) {
    let mut calm = begin();
    let before = calm.writes.len();
    story(&mut calm);
    check(&calm);
    let total = calm.writes.len();
    assert!(total > before, "the story writes something");
    for at in before..total {
        for after in [false, true] {
            let mut world = begin();
            world.crash = Some(Crash { at, after });
            story(&mut world);
            assert!(world.crash.is_none(), "write {at} was reached");
            check(&world);
        }
    }
}

/// Settles; a crash is followed by a restart.
fn settle(world: &mut World) {
    while world.try_settle().is_err() {}
}

fn is_finished_with(world: &World, delivered: usize) {
    assert_eq!(world.state(), IssuedCertificateState::Finished, "{:?}", world.writes);
    assert_eq!(world.agent_status().state, IssuedCertificateState::Finished);
    assert_eq!(world.delivered.len(), delivered, "{:?}", world.writes);
    assert_eq!(world.delivered.last(), Some(&world.issued_certificate().fingerprint()));
    assert!(world.request().is_none(), "the request is cleaned up");
    assert!(world.remote.secrets.get(&copy_name()).is_none(), "the pending key is cleaned up");
}

#[test]
fn on_the_way_to_the_first_certificate() {
    at_every_write(World::new, settle, |world| is_finished_with(world, 1));
}

#[test]
fn on_the_way_to_a_renewal_the_old_one_stays_in_place() {
    let begin = World::finished();
    let old = begin.issued_certificate();
    let story = |world: &mut World| {
        world.now = old.not_after() - crate::world::seconds(60);
        // The witness in `World::applied` fails the story if the Secret is ever gone or not whole.
        settle(world);
    };
    at_every_write(
        || begin.clone(),
        story,
        |world| {
            is_finished_with(world, 2);
            assert_ne!(world.issued_certificate(), old);
        },
    );
}

#[test]
fn on_the_way_to_another_spec() {
    let begin = World::finished();
    let story = |world: &mut World| {
        world.now += crate::world::seconds(3600);
        world.edit_intent(|intent| intent.spec.hosts = vec!["istiod.istio-system.svc".to_owned()]);
        settle(world);
    };
    at_every_write(
        || begin.clone(),
        story,
        |world| {
            is_finished_with(world, 2);
            let hosts: Vec<String> = world.issued_certificate().hosts().map(ToString::to_string).collect();
            assert_eq!(hosts, ["istiod.istio-system.svc"]);
        },
    );
}

#[test]
fn while_the_spec_changes_before_the_first_certificate() {
    let story = |world: &mut World| {
        // The request for the first spec is open when the second one comes.
        while world.request().is_none() {
            let _ = world.issuer_pass();
            let _ = world.agent_pass();
        }
        world.edit_intent(|intent| intent.spec.org = "Another".to_owned());
        settle(world);
    };
    at_every_write(World::new, story, |world| {
        assert_eq!(world.state(), IssuedCertificateState::Finished);
        assert!(world.issued_certificate().subject().to_string().ends_with("O=Another"));
        assert!(world.delivered.len() <= 2, "{:?}", world.writes);
    });
}

#[test]
fn on_the_way_through_a_refusal_and_a_retry() {
    let begin = World::finished();
    let authority = begin.authority.clone();
    let old = begin.issued_certificate();
    let story = |world: &mut World| {
        world.now = old.not_after() - crate::world::seconds(3600);
        world
            .management
            .secrets
            .edit(&crate::world::ca_name("ca-a"), |secret| secret.metadata.annotations = None);
        settle(world);
        world.put_ca("ca-a", &authority);
        for _ in 0..3 {
            world.now += crate::world::seconds(90);
            settle(world);
        }
    };
    at_every_write(
        || begin.clone(),
        story,
        |world| {
            is_finished_with(world, 2);
            let refused = |record: &&IssuanceRecord| record.decision == IssuanceDecision::Refused;
            assert!(world.issuance.iter().any(|record| refused(&record)), "{:?}", world.writes);
        },
    );
}

#[test]
fn on_the_way_out() {
    let begin = World::finished();
    let story = |world: &mut World| {
        world.delete_intent();
        settle(world);
    };
    at_every_write(
        || begin.clone(),
        story,
        |world| {
            assert!(world.management.certificates.iter().next().is_none(), "{:?}", world.writes);
            assert!(world.remote.certificates.iter().next().is_none());
            let notes = world.issued().expect("the Secret is kept").metadata.annotations.clone().unwrap();
            assert!(notes.contains_key(annotations::UNMANAGED_SINCE));
        },
    );
}

#[test]
fn on_the_way_out_with_the_secret() {
    let begin = || {
        let mut world = World::finished();
        world.annotate_intent(annotations::DELETION_POLICY, "Delete");
        world.settle();
        world.may_lose_secret = true;
        world
    };
    let story = |world: &mut World| {
        world.delete_intent();
        settle(world);
    };
    at_every_write(begin, story, |world| {
        assert!(world.management.certificates.iter().next().is_none(), "{:?}", world.writes);
        assert!(world.issued().is_none(), "{:?}", world.writes);
    });
}

#[test]
fn on_the_way_out_while_a_request_is_open() {
    let begin = || {
        let mut world = World::new();
        world.issuer_pass().unwrap();
        world.agent_pass().unwrap();
        world.delete_intent();
        world
    };
    at_every_write(begin, settle, |world| {
        assert!(world.management.certificates.iter().next().is_none(), "{:?}", world.writes);
        assert!(world.remote.certificates.iter().next().is_none());
        assert!(world.request().is_none());
        assert!(world.remote.secrets.get(&copy_name()).is_none());
    });
}

#[test]
fn on_the_way_to_another_trust() {
    let begin = World::finished();
    let new = pki::root("root-b", begin.now, 10 * pki::YEAR);
    let story = |world: &mut World| {
        world.put_ca("ca-b", &new);
        for step in crate::rotation::STEPS {
            world.edit_intent(|intent| crate::rotation::at(step, &mut intent.spec));
            settle(world);
        }
        world.edit_intent(|intent| {
            intent.spec = spec();
            intent.spec.gloo_mesh_ca = Some(crate::world::ca_ref("ca-b"));
        });
        settle(world);
    };
    at_every_write(
        || begin.clone(),
        story,
        |world| {
            is_finished_with(world, 4);
            let roots = certmesh_workflow::examine::issued(world.issued().unwrap()).content.unwrap().roots;
            let roots: Vec<_> = roots.certificates().iter().map(Certificate::fingerprint).collect();
            assert_eq!(roots, [new.certificate().fingerprint()]);
        },
    );
}
