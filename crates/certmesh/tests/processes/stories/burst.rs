//! Many certificates at once, none of which is left waiting. That nobody sleeps meanwhile is told in one process, where
//! only sleeping takes time.

use super::{Disturbs, Story};
use crate::mesh::{Mesh, intent, whole};
use certmesh_api::certificates::ObjectRef;
use certmesh_api::names::annotations;
use futures::FutureExt as _;
use futures::future::join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use std::time::{Duration, Instant};

const CERTIFICATES: usize = 40;
/// Enough for a busy machine, and less than the first delay of anything that is tried again (a minute).
const LIMIT: Duration = Duration::from_secs(45);

pub(super) const STORIES: &[Story] = &[Story {
    name: "no_certificate_of_a_burst_is_left_waiting",
    disturbs: Disturbs::Nobody,
    targets: || (0..CERTIFICATES).map(|number| ObjectRef::new("burst", name(number))).collect(),
    tell: |mesh| burst(mesh).boxed(),
}];

fn name(number: usize) -> String {
    format!("burst-{number}")
}

async fn burst(mesh: &Mesh) {
    let began = Instant::now();
    let asking = (0..CERTIFICATES).map(|number| async move {
        let mut wanted = intent("cluster-1", &name(number));
        wanted.spec.issued_certificate_secret = Some(ObjectRef::new("burst", name(number)));
        mesh.management.create("cluster-1", &wanted).await;
    });
    join_all(asking).await;
    for number in 0..CERTIFICATES {
        mesh.ready("cluster-1", &name(number)).await;
    }
    let took = began.elapsed();
    assert!(took < LIMIT, "{took:?} for {CERTIFICATES} certificates");
    for number in 0..CERTIFICATES {
        let secret = mesh.remotes[0].get::<Secret>("burst", &name(number)).await.expect("an issued Secret");
        whole(&secret);
        assert!(!secret.annotations().contains_key(annotations::UNMANAGED_SINCE));
        assert_eq!(mesh.records("cluster-1", &name(number)).len(), 1, "one certificate for each need");
    }
}
