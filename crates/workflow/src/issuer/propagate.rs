//! The copy of an intent in the remote cluster: written whole, and edits of it are undone.

use std::collections::BTreeMap;

use certmesh_api::certificates::{IssuedCertificate, ObjectRef};
use certmesh_api::names::{annotations, finalizers, labels};
use certmesh_x509::Fingerprint;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;

use super::Observed;
use super::effect::Effect;
use crate::object::{annotation, name_of};

/// Annotations that say something about the copy itself. An intent cannot set them.
const OF_THE_COPY: [&str; 4] = [
    annotations::INTENT,
    annotations::INTENT_UID,
    annotations::INTENT_GENERATION,
    annotations::TRUST_FINGERPRINT,
];

/// Whether an object at the copy's name is a copy of this intent: it names the intent, or the intent's uid, so that an edit
/// of one of them is undone and does not disown it. A cluster that is registered again, or a restored management cluster,
/// finds its own by the name. One whose annotations were all wiped is told by our label and finalizer.
pub(super) fn is_ours(observed: &Observed<'_>, copy: &IssuedCertificate) -> bool {
    let intent = observed.intent.object;
    let named = annotation(copy, annotations::INTENT);
    let uid = annotation(copy, annotations::INTENT_UID);
    named == Some(name_of(intent).to_string().as_str())
        || uid.is_some() && uid == intent.metadata.uid.as_deref()
        || (named, uid) == (None, None) && has_label(observed, copy) && has_finalizer(copy)
}

fn has_label(observed: &Observed<'_>, copy: &IssuedCertificate) -> bool {
    copy.labels().get(labels::CLUSTER).map(String::as_str) == Some(observed.cluster.as_str())
}

/// Makes the copy what it should be.
pub(super) fn propagate(
    observed: &Observed<'_>,
    agent_namespace: &str,
    copy: Option<&IssuedCertificate>,
    trust: Option<Fingerprint>,
) -> Option<Effect> {
    let Some(copy) = copy else {
        let new = IssuedCertificate {
            metadata: new_metadata(observed, agent_namespace),
            ..IssuedCertificate::default()
        };
        return Some(Effect::CreateCopy(Box::new(restored(observed, new, trust))));
    };
    // Whoever deletes a copy gets a new one when it is gone.
    if copy.metadata.deletion_timestamp.is_some() || is_true(observed, copy, trust) {
        return None;
    }
    Some(Effect::UpdateCopy(Box::new(restored(observed, copy.clone(), trust))))
}

fn new_metadata(observed: &Observed<'_>, agent_namespace: &str) -> ObjectMeta {
    ObjectMeta {
        name: observed.intent.object.metadata.name.clone(),
        namespace: Some(agent_namespace.to_owned()),
        ..ObjectMeta::default()
    }
}

fn is_true(observed: &Observed<'_>, copy: &IssuedCertificate, trust: Option<Fingerprint>) -> bool {
    let notes = notes(observed, trust);
    let ours = copy.annotations().iter().filter(|(key, _)| key.starts_with(annotations::PREFIX));
    copy.spec == observed.intent.object.spec
        && ours.eq(notes.iter())
        && has_label(observed, copy)
        && (!needs_finalizer(copy) || has_finalizer(copy))
}

fn restored(
    observed: &Observed<'_>,
    mut copy: IssuedCertificate,
    trust: Option<Fingerprint>,
) -> IssuedCertificate {
    copy.spec = observed.intent.object.spec.clone();
    copy.metadata.managed_fields = None;
    let label = (labels::CLUSTER.to_owned(), observed.cluster.to_string());
    copy.labels_mut().extend([label]);
    let annotations = copy.annotations_mut();
    annotations.retain(|key, _| !key.starts_with(annotations::PREFIX));
    annotations.extend(notes(observed, trust));
    if needs_finalizer(&copy) && !has_finalizer(&copy) {
        copy.finalizers_mut().push(finalizers::COPY.to_owned());
    }
    copy
}

/// Our annotations on the copy: the intent's, and what the copy is of.
///
/// `deletion-policy` comes along only when the intent is being deleted: whoever deletes a copy by mistake must not lose the
/// certificate with it.
fn notes(observed: &Observed<'_>, trust: Option<Fingerprint>) -> BTreeMap<String, String> {
    let intent = observed.intent.object;
    let is_deleted = intent.metadata.deletion_timestamp.is_some();
    let mut notes: BTreeMap<String, String> = intent
        .annotations()
        .iter()
        .filter(|(key, _)| key.starts_with(annotations::PREFIX) && !OF_THE_COPY.contains(&key.as_str()))
        .filter(|(key, _)| is_deleted || *key != annotations::DELETION_POLICY)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let own = [
        (annotations::INTENT, Some(name_of(intent).to_string())),
        (annotations::INTENT_UID, Some(intent.uid().unwrap_or_default())),
        (annotations::INTENT_GENERATION, Some(intent.metadata.generation.unwrap_or_default().to_string())),
        (annotations::TRUST_FINGERPRINT, trust.map(|trust| trust.to_string())),
    ];
    notes.extend(own.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
    notes
}

/// The agent cleans up after a copy that names a Secret. Nobody would release one that names none.
fn needs_finalizer(copy: &IssuedCertificate) -> bool {
    copy.spec.issued_certificate_secret.is_some()
}

fn has_finalizer(copy: &IssuedCertificate) -> bool {
    copy.finalizers().iter().any(|finalizer| finalizer == finalizers::COPY)
}

/// What people read of a copy that is another's.
pub(super) fn not_ours(name: &ObjectRef, cluster: &str) -> String {
    format!(
        "IssuedCertificate {name} in cluster {cluster} is not a copy of this intent, so it is left alone: delete it there, or rename the intent"
    )
}
