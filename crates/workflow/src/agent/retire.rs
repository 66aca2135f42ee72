//! The copy is being deleted: nothing of a request stays, the issued Secret does.

use certmesh_api::certificates::IssuedCertificate;
use certmesh_api::names::{annotations, finalizers};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;

use super::effect::{Effect, ReleaseCopy, UpdateIssued};
use super::{Decision, Observed, reason};
use crate::examine::Origin;
use crate::object::{ObjectVersion, SealedSecret};
use crate::schedule;

/// Cleans up, then lets the copy go. Without `cacerts` an istiod makes itself a root at its next restart, so the Secret is
/// kept unless the intent says `certmesh.dev/deletion-policy: Delete`.
///
/// A copy whose origin somebody removed has no Secret that could be told to be its own.
pub(super) fn retire(now: Timestamp, observed: &Observed<'_>) -> Decision {
    let copy = observed.copy.object;
    if !has_finalizer(copy) {
        return Decision::default();
    }
    let mut effects = leftovers(observed);
    effects.extend(observed.copy.facts.origin.as_ref().and_then(|origin| farewell(now, observed, origin)));
    effects.push(Effect::ReleaseCopy(ReleaseCopy { copy: Box::new(without_finalizer(copy)) }));
    Decision { effects, ..Decision::default() }
}

/// Request and pending key, if they are ours and still there.
pub(super) fn leftovers(observed: &Observed<'_>) -> Vec<Effect> {
    let is_ours = |made_by: &Option<String>| made_by.as_deref() == Some(observed.agent_namespace);
    let request = observed.request.filter(|request| {
        is_ours(&request.facts.request.made_by) && request.object.metadata.deletion_timestamp.is_none()
    });
    let key = observed
        .key
        .filter(|key| is_ours(&key.facts.made_by) && key.object.metadata.deletion_timestamp.is_none());
    let request = request.map(|request| Effect::DeleteRequest(ObjectVersion::of(request.object)));
    let key = key.map(|key| Effect::DeleteKey(ObjectVersion::of(key.object)));
    request.into_iter().chain(key).collect()
}

fn farewell(now: Timestamp, observed: &Observed<'_>, origin: &Origin) -> Option<Effect> {
    let issued = observed.issued.filter(|_| reason::is_ours(observed, origin))?;
    if observed.copy.facts.intent.deletes_secret {
        let is_gone = issued.object.metadata.deletion_timestamp.is_some();
        return (!is_gone).then(|| Effect::DeleteIssued(ObjectVersion::of(issued.object)));
    }
    let since = schedule::whole(now).to_string();
    (!issued.facts.unmanaged).then(|| Effect::MarkUnmanaged(noted(issued.object, Some(since))))
}

/// Takes back what a deleted copy has said, now that another one is there.
pub(super) fn reclaim(observed: &Observed<'_>) -> Option<Effect> {
    let issued = observed.issued.filter(|issued| issued.facts.unmanaged)?;
    Some(Effect::MarkManaged(noted(issued.object, None)))
}

fn noted(secret: &Secret, unmanaged_since: Option<String>) -> UpdateIssued {
    let mut secret = secret.clone();
    secret.metadata.managed_fields = None;
    let notes = secret.metadata.annotations.get_or_insert_default();
    match unmanaged_since {
        Some(since) => notes.insert(annotations::UNMANAGED_SINCE.to_owned(), since),
        None => notes.remove(annotations::UNMANAGED_SINCE),
    };
    UpdateIssued { secret: SealedSecret::new(secret) }
}

fn has_finalizer(copy: &IssuedCertificate) -> bool {
    copy.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == finalizers::COPY)
}

fn without_finalizer(copy: &IssuedCertificate) -> IssuedCertificate {
    let mut copy = copy.clone();
    copy.metadata.managed_fields = None;
    if let Some(all) = &mut copy.metadata.finalizers {
        all.retain(|finalizer| finalizer != finalizers::COPY);
    }
    copy
}
