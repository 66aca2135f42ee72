//! The steps of a root rotation, as an intent goes through them.

use certmesh_api::certificates::{CertificateRotationState, IssuedCertificateSpec, IssuedCertificateState};
use certmesh_workflow::examine::{self, RotationStep};
use certmesh_workflow::trust::Trust;
use certmesh_x509::CertificateAuthority;

use crate::world::{World, ca_ref, pki, seconds, spec};

pub const STEPS: [CertificateRotationState; 3] = [
    CertificateRotationState::AddingNewRoot,
    CertificateRotationState::PropagatingNewIntermediate,
    CertificateRotationState::DeletingOldRoot,
];

/// The spec at this step from `ca-a` to `ca-b`.
pub fn at(step: CertificateRotationState, spec: &mut IssuedCertificateSpec) {
    spec.rotation_state = step;
    spec.gloo_mesh_ca = Some(ca_ref("ca-b"));
    spec.previous_gloo_mesh_ca = Some(ca_ref("ca-a"));
}

fn rotating() -> (World, CertificateAuthority) {
    let mut world = World::finished();
    let new = pki::root("root-b", world.now, 10 * pki::YEAR);
    world.put_ca("ca-b", &new);
    (world, new)
}

/// The roots in the issued Secret in their order, and who signed the certificate.
fn in_place(world: &World, names: [(&str, &CertificateAuthority); 2]) -> (String, String) {
    let content = examine::issued(world.issued().unwrap()).content.unwrap();
    let name = |fingerprint| {
        names
            .iter()
            .find(|(_, ca)| ca.certificate().fingerprint() == fingerprint)
            .map_or("?", |(name, _)| name)
    };
    let roots = content.roots.certificates().iter().map(|root| name(root.fingerprint())).collect();
    (roots, name(content.path.root().fingerprint()).to_owned())
}

#[test]
fn each_step_has_its_roots_and_its_signer() {
    let (mut world, new) = rotating();
    let old = world.authority.clone();
    let names = [("a", &old), ("b", &new)];
    assert_eq!(in_place(&world, names), ("a".to_owned(), "a".to_owned()));
    for (step, roots, signer) in [
        (CertificateRotationState::AddingNewRoot, "ab", "a"),
        (CertificateRotationState::PropagatingNewIntermediate, "abb", "b"),
        (CertificateRotationState::DeletingOldRoot, "b", "b"),
        // Back again, as a rollback goes.
        (CertificateRotationState::PropagatingNewIntermediate, "babb", "b"),
    ] {
        world.edit_intent(|intent| at(step, &mut intent.spec));
        world.settle();
        assert_eq!(world.state(), IssuedCertificateState::Finished, "{step:?}");
        let found = in_place(&world, names);
        if roots == "babb" {
            // The answer is a, b, b; the old bytes b stay in front, the added root comes once, the doubled one again.
            assert_eq!(found, ("bab".to_owned(), signer.to_owned()));
            continue;
        }
        assert_eq!(found, (roots.to_owned(), signer.to_owned()), "{step:?}");
        assert_eq!(world.intent().status.as_ref().unwrap().observed_rotation_state, step);
    }
}

#[test]
fn the_report_is_about_what_is_in_place_and_not_about_what_is_wanted() {
    let (mut world, _) = rotating();
    let applied = |world: &World| {
        let status = world.agent_status();
        (status.applied_gloo_mesh_ca, status.observed_rotation_state)
    };
    world.edit_intent(|intent| at(STEPS[0], &mut intent.spec));
    world.settle();
    assert_eq!(applied(&world), (Some(ca_ref("ca-a")), STEPS[0]));
    world.edit_intent(|intent| at(STEPS[1], &mut intent.spec));
    world.issuer_pass().unwrap();
    world.agent_pass().unwrap();
    world.now += seconds(10);
    world.settle_agent();
    assert_eq!(world.agent_status().state, IssuedCertificateState::Requested);
    assert_eq!(applied(&world), (Some(ca_ref("ca-a")), STEPS[0]), "as long as it is only asked for");
    world.settle();
    assert_eq!(applied(&world), (Some(ca_ref("ca-b")), STEPS[1]));
}

#[test]
fn rolling_back_ends_where_it_began() {
    let (mut world, new) = rotating();
    let old = world.authority.clone();
    let names = [("a", &old), ("b", &new)];
    for (step, roots, signer) in [
        (CertificateRotationState::AddingNewRoot, "ab", "a"),
        (CertificateRotationState::PreviousCa, "a", "a"),
    ] {
        world.edit_intent(|intent| at(step, &mut intent.spec));
        world.settle();
        assert_eq!(in_place(&world, names), (roots.to_owned(), signer.to_owned()));
    }
    let delivered = world.delivered.len();
    world.edit_intent(|intent| intent.spec = spec());
    world.settle();
    assert_eq!(world.delivered.len(), delivered, "the same trust is not issued again");
}

#[test]
fn the_end_of_a_rotation_issues_nothing() {
    let (mut world, _) = rotating();
    for step in STEPS {
        world.edit_intent(|intent| at(step, &mut intent.spec));
        world.settle();
    }
    let delivered = world.delivered.len();
    world.edit_intent(|intent| {
        intent.spec = spec();
        intent.spec.gloo_mesh_ca = Some(ca_ref("ca-b"));
    });
    world.settle();
    assert_eq!(world.delivered.len(), delivered);
    let status = world.intent().status.clone().unwrap();
    assert_eq!(status.state, IssuedCertificateState::Finished);
    assert_eq!(status.observed_rotation_state, CertificateRotationState::NotRotating);
    assert_eq!(status.observed_generation, world.intent().metadata.generation.unwrap());
}

#[test]
fn old_bytes_stay_a_prefix_while_both_roots_are_there() {
    let (mut world, _) = rotating();
    let file = |world: &World| {
        let data = world.issued().unwrap().data.clone().unwrap();
        String::from_utf8(data["root-cert.pem"].0.clone()).unwrap()
    };
    let mut before = file(&world);
    for step in &STEPS[..2] {
        world.edit_intent(|intent| at(*step, &mut intent.spec));
        world.settle();
        let after = file(&world);
        assert!(after.starts_with(&before) && after.len() > before.len(), "{step:?}");
        before = after;
    }
}

#[test]
fn a_renewal_within_a_step_keeps_the_bytes_of_the_roots() {
    let (mut world, _) = rotating();
    for step in &STEPS[..2] {
        world.edit_intent(|intent| at(*step, &mut intent.spec));
        world.settle();
    }
    let before = world.issued().unwrap().data.clone().unwrap()["root-cert.pem"].clone();
    world.run_for(85 * 24 * 60 * 60);
    assert_eq!(world.delivered.len(), 4, "it was renewed");
    assert_eq!(world.issued().unwrap().data.clone().unwrap()["root-cert.pem"], before);
}

#[test]
fn a_step_without_the_ca_being_left_is_refused() {
    let (mut world, _) = rotating();
    world.edit_intent(|intent| {
        at(CertificateRotationState::AddingNewRoot, &mut intent.spec);
        intent.spec.previous_gloo_mesh_ca = None;
    });
    let delivered = world.delivered.len();
    world.settle();
    assert_eq!(world.delivered.len(), delivered);
    let status = world.intent().status.clone().unwrap();
    assert_eq!(status.state, IssuedCertificateState::Failed);
    assert!(status.error.contains("previousGlooMeshCa"), "{}", status.error);
}

#[test]
fn a_root_that_both_authorities_have_stays_trusted_while_one_follows_the_other() {
    let authority = pki::root("shared", crate::world::start(), 10 * pki::YEAR);
    for step in [RotationStep::AddingNewRoot, RotationStep::PropagatingNewIntermediate] {
        let trust = Trust::at_step(step, &authority, Some(&authority)).expect("both authorities");
        assert_eq!(&trust.root_set(), authority.roots().fingerprints(), "{step:?}");
    }
}
