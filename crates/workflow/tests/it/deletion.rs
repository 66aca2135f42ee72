//! Deleting an intent, and copies that others delete.

use certmesh_api::certificates::IssuedCertificateState;
use certmesh_api::conditions::RECONCILING;
use certmesh_api::names::{annotations, finalizers};
use certmesh_workflow::{ObjectVersion, agent};

use crate::world::{Crash, Link, World, copy_name, reason, seconds};

fn is_gone(world: &World) -> bool {
    world.management.certificates.iter().next().is_none()
}

fn note(world: &World) -> Option<String> {
    world.issued()?.metadata.annotations.as_ref()?.get(annotations::UNMANAGED_SINCE).cloned()
}

#[test]
fn the_secret_stays_with_a_note() {
    let mut world = World::finished();
    let before = world.issued_certificate();
    world.delete_intent();
    world.settle();
    assert!(is_gone(&world));
    assert_eq!(world.issued_certificate(), before);
    assert_eq!(note(&world).as_deref(), Some("2026-03-01T12:00:00Z"));
}

#[test]
fn the_note_tells_when_it_began() {
    let mut world = World::finished();
    world.delete_intent();
    world.settle_issuer();
    world.crash = Some(Crash { at: world.writes.len(), after: true });
    assert!(world.agent_pass().is_err(), "it dies after the note");
    world.now += seconds(3600);
    world.settle();
    assert!(is_gone(&world));
    assert_eq!(note(&world).as_deref(), Some("2026-03-01T12:00:00Z"));
}

#[test]
fn a_request_of_another_intent_stays_when_a_copy_is_gone() {
    let mut world = World::with_open_request();
    world.remote.certificates.remove(&copy_name());
    world.remote.requests.edit(&copy_name(), |request| {
        let notes = request.metadata.annotations.as_mut().unwrap();
        let other = notes[annotations::NEED].replace("cluster-1/istio", "cluster-1/other");
        notes.insert(annotations::NEED.to_owned(), other);
    });
    world.delete_intent();
    world.settle();
    assert!(is_gone(&world) && world.request().is_some());
}

#[test]
fn the_secret_goes_when_the_intent_says_so() {
    let mut world = World::finished();
    world.annotate_intent(annotations::DELETION_POLICY, "Delete");
    world.settle();
    world.may_lose_secret = true;
    world.delete_intent();
    world.settle();
    assert!(is_gone(&world) && world.issued().is_none());
}

#[test]
fn whoever_deletes_a_copy_by_mistake_loses_nothing() {
    for policy in [None, Some("Delete")] {
        let mut world = World::finished();
        if let Some(policy) = policy {
            world.annotate_intent(annotations::DELETION_POLICY, policy);
            world.settle();
        }
        let version = ObjectVersion::of(world.copy());
        world.remote.certificates.delete(&version, world.now).unwrap();
        world.settle_agent();
        assert!(note(&world).is_some(), "for the moment nobody renews it");
        world.settle();
        assert_ne!(world.copy().metadata.uid.as_deref(), Some(version.uid.as_str()), "there is a new copy");
        assert_eq!(note(&world), None, "and the note is taken back");
        assert_eq!(world.delivered.len(), 1, "the certificate is the same");
        assert_eq!(world.state(), IssuedCertificateState::Finished);
    }
}

#[test]
fn the_agent_deletes_request_and_key_before_it_lets_the_copy_go() {
    let mut world = World::with_open_request();
    world.delete_intent();
    world.settle_issuer();
    let kinds: Vec<String> = world.agent_decision().unwrap().effects.iter().map(crate::world::kind).collect();
    assert_eq!(kinds, ["DeleteRequest", "DeleteKey", "ReleaseCopy"]);
    world.settle();
    assert!(is_gone(&world));
}

#[test]
fn an_intent_waits_for_its_agent_and_says_so() {
    let mut world = World::finished();
    world.delete_intent();
    world.settle_issuer();
    assert!(world.copy().metadata.deletion_timestamp.is_some());
    assert_eq!(
        world.issuer_decision().unwrap().wake_at.map(|at| at.as_second() - world.now.as_second()),
        Some(30)
    );
    world.now += seconds(31);
    world.settle_issuer();
    assert_eq!(reason(&world.status(), RECONCILING), Some("WaitingForAgent"));
    assert!(!is_gone(&world));
}

#[test]
fn an_unreachable_cluster_is_waited_for_and_an_unregistered_one_is_not() {
    let mut world = World::finished();
    world.delete_intent();
    world.link = Link::Down;
    world.settle_issuer();
    assert!(!is_gone(&world));
    assert_eq!(reason(&world.status(), RECONCILING), Some("ClusterUnreachable"));
    world.link = Link::Gone;
    world.settle_issuer();
    assert!(is_gone(&world));
    assert!(world.remote.certificates.iter().next().is_some(), "the remote cluster is not touched");
}

#[test]
fn a_request_without_its_copy_is_cleaned_up_by_the_issuer() {
    let mut world = World::with_open_request();
    // Somebody forced the copy away; the agent never saw it go.
    world.remote.certificates.remove(&copy_name());
    world.delete_intent();
    world.settle();
    assert!(is_gone(&world) && world.request().is_none());
}

#[test]
fn anothers_copy_and_request_stay() {
    let mut world = World::new();
    let mut copy = crate::world::intent();
    copy.metadata = crate::world::pki::metadata(&copy_name());
    world.remote.certificates.create(&copy, world.now).unwrap();
    world.settle();
    world.delete_intent();
    world.settle();
    assert!(is_gone(&world));
    assert!(world.remote.certificates.get(&copy_name()).is_some());
}

#[test]
fn a_copy_whose_origin_was_wiped_is_still_let_go() {
    let mut world = World::finished();
    world.remote.certificates.edit(&copy_name(), |copy| copy.metadata.annotations = None);
    let version = ObjectVersion::of(world.copy());
    world.remote.certificates.delete(&version, world.now).unwrap();
    let decision = world.agent_decision().unwrap();
    assert!(matches!(decision.effects.as_slice(), [agent::Effect::ReleaseCopy(_)]), "{decision:?}");
}

#[test]
fn others_finalizers_are_kept() {
    let mut world = World::finished();
    let others = "example.com/theirs".to_owned();
    world.remote.certificates.edit(&copy_name(), |copy| {
        copy.metadata.finalizers.as_mut().unwrap().push(others.clone());
    });
    world.edit_intent(|intent| intent.metadata.finalizers.as_mut().unwrap().push(others.clone()));
    world.settle();
    world.delete_intent();
    world.settle();
    assert_eq!(world.copy().metadata.finalizers, Some(vec![others.clone()]));
    assert!(world.intent().metadata.finalizers.as_ref().unwrap().contains(&finalizers::INTENT.to_owned()));
    world.remote.certificates.edit(&copy_name(), |copy| copy.metadata.finalizers = None);
    world.settle();
    assert_eq!(world.intent().metadata.finalizers, Some(vec![others]));
}
