//! Defects of the shell that the simulator found, each told again step by step.

use certmesh_api::certificates::ObjectRef;
use certmesh_api::names::annotations;
use serde_json::json;

use crate::cluster::{HOME, ISTIO, Kind, to_value};
use crate::invariants::endings::everything_is_finished_or_rightly_stalled;
use crate::keys::Authority;
use crate::plan::Plan;
use crate::process::Actor;
use crate::world::{REPLICAS, World};

fn intent() -> ObjectRef {
    ObjectRef::new("cluster-1", "istio")
}

fn copy() -> ObjectRef {
    ObjectRef::new(HOME, "istio")
}

/// A world with one cluster in which nothing goes wrong by itself, its watches begun.
fn calm() -> World {
    let mut world = World::new(&Plan { clusters: 1, faulty: false, ..Plan::of(1) });
    world.install_authorities();
    pass(&mut world, 1);
    world
}

/// Everybody does what there is to do for so many seconds.
fn pass(world: &mut World, seconds: i64) {
    let end = world.clock.micros() + seconds * 1_000_000;
    while world.step() {}
    while world.next_due().is_some_and(|due| due < end) && world.wait() {
        while world.step() {}
    }
    world.clock.pass(end - world.clock.micros());
    while world.step() {}
}

fn exists(world: &World, site: usize, name: &ObjectRef) -> bool {
    world.clusters[site].get(Kind::IssuedCertificate, &name.namespace, &name.name).is_some()
}

fn delete_intent(world: &mut World) {
    assert!(world.remove(Actor::User, 0, Kind::IssuedCertificate, &intent()));
}

#[test]
fn an_intent_is_finished_and_deleted_without_a_trace() {
    let mut world = calm();
    world.create_intent(&intent());
    pass(&mut world, 10);
    assert_eq!(everything_is_finished_or_rightly_stalled(&world), Ok(()));
    assert!(exists(&world, 1, &copy()));
    delete_intent(&mut world);
    pass(&mut world, 10);
    assert!(!exists(&world, 0, &intent()) && !exists(&world, 1, &copy()));
    assert_eq!(world.witness.violations, []);
}

/// The watch of the copies lagged for more than the five seconds that a pass waits for it. The issuer saw no copy, so it let
/// the intent go: the copy, its request and its key stayed in the remote cluster for ever. (Seed 21.)
#[test]
fn an_intent_is_kept_while_its_copy_has_not_been_seen_yet() {
    let mut world = calm();
    world.held.push((0, 1, Kind::IssuedCertificate));
    world.create_intent(&intent());
    pass(&mut world, 10);
    assert!(exists(&world, 1, &copy()));
    delete_intent(&mut world);
    pass(&mut world, 60);
    assert!(exists(&world, 0, &intent()), "the copy is still there");
    world.held.clear();
    pass(&mut world, 120);
    assert!(!exists(&world, 0, &intent()) && !exists(&world, 1, &copy()));
    assert_eq!(world.witness.violations, []);
}

/// A replica whose watch of the intents lagged saw that the copy was gone, and made it again, of an intent that was gone too:
/// nobody would ever clean up after it. (Seed 440.)
#[test]
fn no_copy_is_made_of_an_intent_that_is_gone() {
    let mut world = calm();
    world.create_intent(&intent());
    pass(&mut world, 10);
    world.held.push((0, 0, Kind::IssuedCertificate));
    (world.processes[0].leads, world.processes[1].leads) = (false, true);
    pass(&mut world, 10);
    delete_intent(&mut world);
    pass(&mut world, 10);
    assert!(!exists(&world, 0, &intent()) && !exists(&world, 1, &copy()));
    (world.processes[0].leads, world.processes[1].leads) = (true, false);
    pass(&mut world, 60);
    assert!(!exists(&world, 1, &copy()), "there is nothing that it could be a copy of");
}

/// Somebody's Secret stood where ours was to be. It was deleted after the agent had read it and before the first list of the
/// watch of that name: an empty list woke nobody, and the certificate stayed stalled for ever. (Seed 7733.)
#[test]
fn a_secret_that_is_gone_before_its_watch_begins_stands_in_nobodys_way() {
    let mut world = calm();
    let target = ObjectRef::new(ISTIO, "cacerts");
    let foreign = to_value(&Authority::RootC.secret(&target));
    assert!(world.create(Actor::Other, 1, Kind::Secret, &target, foreign));
    world.held.push((REPLICAS, 1, Kind::Secret));
    world.create_intent(&intent());
    pass(&mut world, 10);
    let stalled = |world: &World| everything_is_finished_or_rightly_stalled(world);
    assert!(world.clusters[0].all(Kind::IssuedCertificate)[0].value().to_string().contains("SecretNotOurs"));
    assert!(world.remove(Actor::Other, 1, Kind::Secret, &target));
    pass(&mut world, 10);
    assert!(stalled(&world).is_err(), "nobody can have told the agent yet");
    world.held.clear();
    pass(&mut world, 10);
    assert_eq!(stalled(&world), Ok(()));
    assert!(world.clusters[1].get(Kind::Secret, &target.namespace, &target.name).is_some());
    assert_eq!(world.witness.violations, []);
}

/// Somebody made a copy another intent's; the issuer, whose watch of the copies lagged, deleted it after its own intent.
/// (Seed 1078383.)
#[test]
fn a_copy_that_was_made_anothers_is_not_deleted() {
    let mut world = calm();
    world.create_intent(&intent());
    pass(&mut world, 10);
    world.held.push((0, 1, Kind::IssuedCertificate));
    world.edit(Actor::Other, 1, Kind::IssuedCertificate, &copy(), |copy| {
        copy["metadata"]["annotations"] = json!({(annotations::INTENT): "cluster-9/istio"});
    });
    delete_intent(&mut world);
    pass(&mut world, 60);
    assert!(exists(&world, 1, &copy()));
    world.held.clear();
    pass(&mut world, 60);
    assert!(exists(&world, 1, &copy()));
    assert_eq!(world.witness.violations, []);
}
