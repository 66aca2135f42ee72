//! What must never happen, seen from outside the processes. In one process each rule is tried harder: with an edit or a
//! crash at every single write, and over hours.

mod keys;
mod others;
mod trust;
mod whole_secrets;

use super::{Disturbs, Story, cacerts};
use futures::FutureExt as _;

pub(super) const STORIES: &[Story] = &[
    Story {
        name: "never_2_a_signature_whose_identity_lifetime_or_ca_came_from_the_remote_side",
        disturbs: Disturbs::Cluster(1),
        targets: || cacerts(&["meddled"]),
        tell: |mesh| trust::from_the_remote_side(mesh).boxed(),
    },
    Story {
        name: "never_3_a_secret_whose_parts_do_not_belong_together",
        disturbs: Disturbs::Nobody,
        targets: || cacerts(&["parts"]),
        tell: |mesh| whole_secrets::parts(mesh).boxed(),
    },
    Story {
        name: "never_4_the_old_certificate_gone_before_the_new_one_is_in_place",
        disturbs: Disturbs::Cluster(2),
        targets: || cacerts(&["old-and-new"]),
        tell: |mesh| whole_secrets::old_and_new(mesh).boxed(),
    },
    Story {
        name: "never_5_more_than_one_certificate_for_a_need_or_a_need_without_a_cause",
        disturbs: Disturbs::Nobody,
        targets: || cacerts(&["needs"]),
        tell: |mesh| whole_secrets::needs(mesh).boxed(),
    },
    Story {
        name: "never_6_a_write_to_or_deletion_of_an_object_that_is_not_ours",
        disturbs: Disturbs::Nobody,
        targets: || cacerts(&["theirs", "taken-copy"]),
        tell: |mesh| others::objects(mesh).boxed(),
    },
    Story {
        name: "never_7_a_write_decided_on_a_state_that_has_changed_since",
        disturbs: Disturbs::Nobody,
        targets: || cacerts(&["overtaken"]),
        tell: |mesh| others::changes(mesh).boxed(),
    },
    Story {
        name: "never_8_a_root_set_in_a_live_cluster_replaced_without_a_persons_word",
        disturbs: Disturbs::Nobody,
        targets: || cacerts(&["forgetful"]),
        tell: |mesh| trust::replaced(mesh).boxed(),
    },
    Story {
        name: "never_1_a_private_key_outside_its_cluster_in_a_log_an_event_or_a_metric",
        disturbs: Disturbs::Everybody,
        targets: || cacerts(&["keys"]),
        tell: |mesh| keys::stay_where_they_are(mesh).boxed(),
    },
];
