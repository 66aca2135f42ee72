//! What stays when an intent goes.

use super::{Disturbs, Story, cacerts};
use crate::mesh::{HOME, Mesh};
use certmesh_api::certificates::IssuedCertificate;
use certmesh_api::names::annotations;
use futures::FutureExt as _;
use kube::ResourceExt as _;

pub(super) const STORIES: &[Story] = &[Story {
    name: "a_deleted_intent_leaves_the_certificate_in_place",
    disturbs: Disturbs::Nobody,
    targets: || cacerts(&["deleted"]),
    tell: |mesh| deleted(mesh).boxed(),
}];

async fn deleted(mesh: &Mesh) {
    mesh.ask("cluster-1", "deleted").await;
    mesh.ready("cluster-1", "deleted").await;
    let before = mesh.issued(0, "deleted").await;
    mesh.management.delete::<IssuedCertificate>("cluster-1", "deleted").await;
    mesh.until("cluster-1", "deleted", |intent| intent.is_none()).await;
    let copy = mesh.remotes[0].get::<IssuedCertificate>(HOME, "deleted").await;
    assert!(copy.is_none(), "the copy is gone");
    let after = mesh.issued(0, "deleted").await;
    assert_eq!(after.data, before.data, "the certificate stays");
    assert!(after.annotations().contains_key(annotations::UNMANAGED_SINCE));
}
