//! What must never happen, seen from outside the processes.

mod keys;

use super::{Disturbs, Story, cacerts};
use futures::FutureExt as _;

pub(super) const STORIES: &[Story] = &[Story {
    name: "never_1_a_private_key_outside_its_cluster_in_a_log_an_event_or_a_metric",
    disturbs: Disturbs::Everybody,
    targets: || cacerts(&["keys"]),
    tell: |mesh| keys::stay_where_they_are(mesh).boxed(),
}];
