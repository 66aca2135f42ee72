//! The intent is being deleted: copy, request and pending key go first, then the intent.

use certmesh_api::certificates::IssuedCertificate;
use certmesh_api::names::{annotations, finalizers};
use jiff::Timestamp;
use kube::ResourceExt;

use super::effect::Effect;
use super::mirror::Headline;
use super::{Observed, Remote, propagate};
use crate::examine::RequestFacts;
use crate::object::{Examined, ObjectVersion, annotation, name_of};
use crate::schedule::{self, AGENT_PATIENCE};

/// What is left to do before the intent may go.
#[derive(Default)]
pub(super) struct Retirement {
    pub(super) effects: Vec<Effect>,
    /// Why it takes long.
    pub(super) headline: Option<Headline>,
    pub(super) wake_at: Option<Timestamp>,
}

/// Deletes what is ours in the remote cluster. The agent, which alone may touch Secrets there, keeps the copy until it has
/// cleaned up after it; the intent is kept until the copy is gone.
pub(super) fn retire(now: Timestamp, observed: &Observed<'_>) -> Retirement {
    let intent = observed.intent.object;
    if !has_finalizer(intent) {
        return Retirement::default();
    }
    match observed.remote {
        Remote::Unregistered => release(observed, None),
        Remote::Unreachable { error } => {
            Retirement { headline: Some(unreachable(observed, error)), ..Retirement::default() }
        }
        Remote::Refused { error } => {
            let headline = super::cluster_refused(observed.cluster, error);
            Retirement { headline: Some(headline), ..Retirement::default() }
        }
        Remote::Connected { copy, request, .. } => match copy.map(|copy| copy.object) {
            Some(copy) if propagate::is_ours(observed, copy) => dismiss(now, observed, copy),
            Some(_) => release(observed, None),
            None => release(observed, request.and_then(|request| abandoned(observed, request))),
        },
    }
}

fn release(observed: &Observed<'_>, first: Option<Effect>) -> Retirement {
    let mut intent = observed.intent.object.clone();
    intent.metadata.managed_fields = None;
    intent.finalizers_mut().retain(|finalizer| finalizer != finalizers::INTENT);
    let release = Effect::ReleaseIntent(Box::new(intent));
    Retirement { effects: first.into_iter().chain([release]).collect(), ..Retirement::default() }
}

/// A request of this intent whose copy went without its agent.
fn abandoned(
    observed: &Observed<'_>,
    request: Examined<'_, certmesh_api::certificates::CertificateRequest, RequestFacts>,
) -> Option<Effect> {
    let intent = name_of(observed.intent.object);
    let is_ours = request.facts.need.as_ref().is_some_and(|need| need.intent == intent);
    is_ours.then(|| Effect::DeleteRequest(ObjectVersion::of(request.object)))
}

fn dismiss(now: Timestamp, observed: &Observed<'_>, copy: &IssuedCertificate) -> Retirement {
    if let Some(since) = &copy.metadata.deletion_timestamp {
        return await_agent(now, observed, since.0);
    }
    // The policy reaches the copy just before the deletion, which is of the version that has it: whoever made the copy
    // another's meanwhile keeps it.
    let policy = observed
        .intent
        .facts
        .deletes_secret
        .then(|| {
            let trust = annotation(copy, annotations::TRUST_FINGERPRINT).and_then(|text| text.parse().ok());
            let namespace = copy.namespace().unwrap_or_default();
            propagate::propagate(observed, &namespace, Some(copy), trust)
        })
        .flatten();
    let effect = policy.unwrap_or_else(|| Effect::DeleteCopy(ObjectVersion::of(copy)));
    Retirement { effects: vec![effect], ..Retirement::default() }
}

fn await_agent(now: Timestamp, observed: &Observed<'_>, since: Timestamp) -> Retirement {
    let patience = schedule::later(since, AGENT_PATIENCE);
    if now < patience {
        return Retirement { wake_at: Some(patience), ..Retirement::default() };
    }
    let message = format!(
        "the agent of cluster {} has not cleaned up after the copy yet: see whether it runs there; deregister the cluster if it is gone for good",
        observed.cluster
    );
    Retirement { headline: Some(Headline::waiting("WaitingForAgent", message)), ..Retirement::default() }
}

fn unreachable(observed: &Observed<'_>, error: &str) -> Headline {
    super::cluster_unreachable(observed.cluster, error)
}

fn has_finalizer(intent: &IssuedCertificate) -> bool {
    intent.finalizers().iter().any(|finalizer| finalizer == finalizers::INTENT)
}
