//! What is said about a certificate is true, is about this intent, and is fit to be shown.

use certmesh_api::certificates::{IssuedCertificateState, IssuedCertificateStatus, ObjectRef};
use certmesh_controllers::ApiVerb;
use kube::ResourceExt;

use super::ensure;
use crate::cluster::Kind;
use crate::witness::{History, Object, Write};

/// 1 KiB a string.
const LONGEST: usize = 1024;

fn status(write: &Write) -> Option<&IssuedCertificateStatus> {
    let is_status = matches!(write.verb, ApiVerb::UpdateStatus(_));
    let taken = write.taken && is_status && write.kind == Kind::IssuedCertificate;
    write.after.as_ref().filter(|_| taken)?.certificate()?.status.as_ref()
}

/// The certificate that an agent reports was in the Secret at some time since its pass began.
pub(crate) fn status_tells_what_is(write: &Write, history: &History) -> Result<(), String> {
    let Some(status) = status(write).filter(|_| write.is_by_agent()) else { return Ok(()) };
    let Some(copy) = write.after.as_ref().and_then(Object::certificate) else { return Ok(()) };
    let (Some(said), Some(target)) = (&status.certificate, &copy.spec.issued_certificate_secret) else {
        return ensure(status.state != IssuedCertificateState::Finished, || {
            format!("{} is reported as finished without a certificate", write.name)
        });
    };
    // Who edits the copy between decision and report makes the report one about another Secret.
    if history.touched.get(&write.site).is_some_and(|step| *step >= write.since) {
        return Ok(());
    }
    let held = history.held_since(&(write.site, target.clone()), write.since, &said.fingerprint);
    ensure(held, || format!("{} is reported to hold a certificate that it does not hold", write.name))
}

/// What an intent's status says of a certificate, its agent has said about this very intent.
pub(crate) fn report_is_about_this_intent(write: &Write, history: &History) -> Result<(), String> {
    let Some(status) = status(write).filter(|_| write.site == 0 && write.is_by_issuer()) else {
        return Ok(());
    };
    let Some(intent) = write.after.as_ref().and_then(Object::certificate) else { return Ok(()) };
    let says_something = status.certificate.is_some() || status.state == IssuedCertificateState::Finished;
    let uid = intent.uid().unwrap_or_default();
    let reported = |site: usize| history.reported.contains(&(site, uid.clone()));
    ensure(!says_something || site_of(&write.name).is_some_and(reported), || {
        format!("the status of {} tells of a certificate that nobody reported for it", write.name)
    })
}

fn site_of(intent: &ObjectRef) -> Option<usize> {
    intent.namespace.strip_prefix("cluster-")?.parse().ok()
}

/// Nothing that a remote cluster says is longer than 1 KiB, has control characters, or fills a list.
pub(crate) fn what_a_cluster_says_is_bounded(write: &Write, _: &History) -> Result<(), String> {
    let Some(status) = status(write).filter(|_| write.site == 0 && write.is_by_issuer()) else {
        return Ok(());
    };
    let summary = status.certificate.as_ref();
    let texts = [
        Some(&status.error),
        summary.map(|summary| &summary.issuer),
        summary.map(|summary| &summary.serial_number),
    ];
    let conditions = status.conditions.iter().flat_map(|condition| [&condition.message, &condition.reason]);
    let harmful = texts
        .into_iter()
        .flatten()
        .chain(conditions)
        .find(|text| text.len() > LONGEST || text.chars().any(char::is_control));
    ensure(harmful.is_none(), || format!("the status of {} repeats {harmful:?}", write.name))?;
    let many = summary.is_some_and(|summary| summary.roots.len() > 50) || status.conditions.len() > 50;
    ensure(!many, || format!("the status of {} repeats a list that is too long", write.name))
}
