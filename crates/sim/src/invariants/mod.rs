//! What must never happen. Each is a small function, asked at every write, with a test that shows it fire.

pub(crate) mod deliveries;
pub(crate) mod endings;
pub(crate) mod keys;
pub(crate) mod ownership;
pub(crate) mod reports;
pub(crate) mod secrets;
pub(crate) mod signing;
#[cfg(test)]
mod tests;
pub(crate) mod versions;

use certmesh_api::names::annotations;
use kube::ResourceExt;

use crate::witness::{History, Write};

/// Something that must hold for every write.
pub(crate) struct Invariant {
    pub(crate) name: &'static str,
    pub(crate) holds: fn(&Write, &History) -> Result<(), String>,
}

macro_rules! invariants {
    ($($module:ident::$name:ident),* $(,)?) => {
        &[$(Invariant { name: stringify!($name), holds: $module::$name }),*]
    };
}

/// All of them.
pub(crate) const OF_WRITES: &[Invariant] = invariants![
    keys::private_key_stays_in_its_cluster,
    signing::signature_is_of_the_intent,
    signing::key_was_proven,
    signing::serial_is_unique,
    signing::child_ends_with_its_parent,
    signing::request_is_answered_once,
    secrets::secret_is_whole,
    secrets::old_certificate_stays_until_the_new_one_is_in_place,
    secrets::root_set_is_never_swapped,
    secrets::bundle_bytes_stay,
    deliveries::one_delivery_for_each_need,
    deliveries::need_has_a_cause,
    deliveries::storm_brake_holds,
    deliveries::retries_back_off,
    ownership::writes_only_what_is_ours,
    ownership::others_marks_stay,
    ownership::nothing_is_left_behind,
    versions::write_names_the_version_it_was_decided_on,
    versions::no_write_says_the_same_again,
    reports::status_tells_what_is,
    reports::report_is_about_this_intent,
    reports::what_a_cluster_says_is_bounded,
];

/// The need that an object says it is for.
pub(crate) fn need_of(object: &impl ResourceExt) -> &str {
    object.annotations().get(annotations::NEED).map_or("", String::as_str)
}

/// Fails with this message unless it holds.
pub(crate) fn ensure(holds: bool, message: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(message()) }
}
