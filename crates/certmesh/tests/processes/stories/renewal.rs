//! Certificates renew before they end. A year of them is told in one process, on a virtual clock.

use super::{Disturbs, Story, cacerts};
use crate::mesh::{Mesh, intent, whole};
use futures::FutureExt as _;

pub(super) const STORIES: &[Story] = &[Story {
    name: "a_certificate_of_a_minute_renews_by_itself",
    disturbs: Disturbs::Nobody,
    targets: || cacerts(&["renewed"]),
    tell: |mesh| renewed(mesh).boxed(),
}];

async fn renewed(mesh: &Mesh) {
    let mut wanted = intent("cluster-1", "renewed");
    wanted.spec.cert_options.as_mut().expect("options").ttl_seconds = Some(60);
    mesh.management.create("cluster-1", &wanted).await;
    mesh.ready("cluster-1", "renewed").await;
    let before = mesh.issued(0, "renewed").await;
    mesh.renewed("cluster-1", "renewed", &before).await;
    let (first, roots) = whole(&before);
    let (second, same_roots) = whole(&mesh.issued(0, "renewed").await);
    assert!(second.not_after() > first.not_after());
    assert_eq!(roots.fingerprints(), same_roots.fingerprints());
}
