//! Processes that are killed at any moment. In one process a kill can be placed before and after each single write; here
//! it falls where it falls.

use super::{Disturbs, Story, cacerts};
use crate::mesh::{Mesh, whole};
use futures::FutureExt as _;
use std::time::Duration;

pub(super) const STORIES: &[Story] = &[Story {
    name: "killed_at_any_moment_and_started_again_they_finish",
    disturbs: Disturbs::Everybody,
    targets: || cacerts(&["killed"]),
    tell: |mesh| killed(mesh).boxed(),
}];

async fn killed(mesh: &Mesh) {
    mesh.ask("cluster-1", "killed").await;
    for moment in 0..12 {
        // Starting takes a process about 50 ms; a pass about 10.
        tokio::time::sleep(Duration::from_millis(40 + 23 * moment)).await;
        mesh.restart_all();
    }
    mesh.ready("cluster-1", "killed").await;
    whole(&mesh.issued(0, "killed").await);
    assert!(mesh.is_clean(0, "killed").await, "request and pending key are gone");
}
