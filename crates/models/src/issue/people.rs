//! What people do to intents, and what an intruder does in a remote cluster.

use certmesh_api::certificates::{
    CertificateRequestState, CertificateRotationState, IssuedCertificate, IssuedCertificateState,
};
use certmesh_api::names::annotations;
use certmesh_x509::{Hosts, SigningRequest, SubjectName};
use k8s_openapi::ByteString;
use kube::ResourceExt;
use std::sync::LazyLock;

use super::objects::{Kind, Object, ca, host, json, new_intent};
use super::time::Moment;
use super::world::{Site, State};
use super::{IssueModel, pki, server};

/// What a person does to an intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Edit {
    /// Writes it.
    Create,
    /// Asks for the host with this number instead.
    Host(u8),
    /// Asks for a renewal.
    Renew,
    /// Deletes it.
    Delete,
    /// Names another CA, without a rotation.
    ReplaceTheRoot,
    /// Goes on to this step of a rotation to another root, once the one before is finished everywhere.
    Rotate(Rotation),
}

/// The steps of a rotation, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rotation {
    /// Both roots, the old signer.
    AddsTheRoot,
    /// Both roots, the new signer.
    Signs,
    /// The new root, the new signer.
    DropsTheOldRoot,
    /// No rotation any more.
    Ends,
}

/// What an intruder does in a remote cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Intrusion {
    /// Puts a request for its own key in the place of the agent's.
    SwapsTheKey,
    /// Deletes the request.
    DeletesTheRequest,
    /// Creates the request again that was there before.
    ReplaysTheRequest,
    /// Writes the answer to the request that was there before onto the one that is there now.
    ReplaysTheAnswer,
    /// Asks for another host in the copy.
    EditsTheCopy,
    /// Puts another cluster's request in the place of its own.
    TakesAnothersRequest,
    /// Writes the answer to another cluster's request onto its own.
    TakesAnothersAnswer,
    /// Deletes the copy.
    DeletesTheCopy,
    /// Deletes the pending key.
    DeletesTheKey,
    /// Deletes the issued Secret.
    DeletesTheSecret,
}

impl Intrusion {
    /// What it may do to one cluster from within.
    pub const AT_HOME: [Self; 5] = [
        Self::SwapsTheKey,
        Self::DeletesTheRequest,
        Self::ReplaysTheRequest,
        Self::ReplaysTheAnswer,
        Self::EditsTheCopy,
    ];
    /// What somebody does who only means to tidy up.
    pub const TIDYING: [Self; 4] =
        [Self::DeletesTheCopy, Self::DeletesTheRequest, Self::DeletesTheKey, Self::DeletesTheSecret];
    /// What it may do with what it saw in another cluster.
    pub const FROM_ABROAD: [Self; 2] = [Self::TakesAnothersRequest, Self::TakesAnothersAnswer];
}

/// The host that an intruder would like to be.
const FOREIGN_HOST: u8 = 9;

static INTRUDERS_REQUESTS: LazyLock<Vec<ByteString>> = LazyLock::new(|| {
    let subject = SubjectName::intermediate("Istio", "istio", "cluster").expect("a short name");
    let new = |site| {
        let hosts = Hosts::parse(&[host(site, FOREIGN_HOST)]).expect("a SPIFFE ID");
        let key = pki::key(site, u8::try_from(pki::INTRUDER).unwrap_or_default());
        ByteString(SigningRequest::create(key, &subject, &hosts).expect("a key of the pool signs").into())
    };
    (0..pki::CLUSTERS).map(new).collect()
});

impl IssueModel {
    /// The next edit of a cluster's intent, if it can be made now.
    pub(super) fn edit(&self, state: &mut State, number: usize) -> Option<()> {
        let site = &mut state.sites[number];
        let edit = *self.bounds.people.get(site.edits)?;
        let old = site.get(Kind::Intent);
        let is_being_deleted =
            old.is_some_and(|old| old.intent().object.metadata.deletion_timestamp.is_some());
        let is_possible = match edit {
            Edit::Create => old.is_none(),
            Edit::Host(_) | Edit::Renew | Edit::Delete | Edit::ReplaceTheRoot => {
                old.is_some() && !is_being_deleted
            }
            Edit::Rotate(_) => old.is_some_and(is_finished) && !is_being_deleted,
        };
        if !is_possible {
            return None;
        }
        site.edits += 1;
        let new = match (edit, old) {
            (Edit::Delete, Some(old)) => server::deleted(Kind::Intent, old, state.now),
            (_, Some(old)) => {
                let mut intent = old.intent().object.clone();
                apply(edit, number, &mut intent);
                server::replaced(Kind::Intent, old, &json(&intent))
            }
            (_, None) => {
                let uid = format!("intent-{}", site.intents);
                site.intents += 1;
                Some(server::created(Kind::Intent, &json(&new_intent(number)), &uid, state.now))
            }
        };
        self.store(state, number, Kind::Intent, new);
        Some(())
    }

    /// What an intruder does.
    pub(super) fn intrude(&self, state: &mut State, number: usize, intrusion: Intrusion) -> Option<()> {
        let another = state.sites.iter().enumerate().find(|(other, _)| *other != number);
        let another = another.and_then(|(_, other)| other.get(Kind::Request));
        let victim = Victim { site: &state.sites[number], number, another, now: state.now };
        let (kind, new) = victim.after(intrusion)?;
        if victim.site.get(kind) == new {
            return None;
        }
        let site = &mut state.sites[number];
        site.intrusions += 1;
        site.orphaned |= site.get(Kind::Copy).is_none();
        self.store(state, number, kind, new);
        Some(())
    }

    /// Whether an intruder may make use of a request that is gone.
    pub(super) fn remembers_requests(&self) -> bool {
        let replays =
            |it: &Intrusion| matches!(it, Intrusion::ReplaysTheRequest | Intrusion::ReplaysTheAnswer);
        self.bounds.intrusions > 0 && self.bounds.intruder.iter().any(replays)
    }
}

fn apply(edit: Edit, cluster: usize, intent: &mut IssuedCertificate) {
    match edit {
        Edit::Host(number) => intent.spec.hosts = vec![host(cluster, number)],
        Edit::Renew => {
            let nonce = intent.annotations().get(annotations::RENEW).map_or(1, |nonce| nonce.len() + 1);
            intent.annotations_mut().insert(annotations::RENEW.to_owned(), "x".repeat(nonce));
        }
        Edit::ReplaceTheRoot => intent.spec.gloo_mesh_ca = Some(ca(1)),
        Edit::Rotate(rotation) => {
            intent.spec.gloo_mesh_ca = Some(ca(1));
            intent.spec.previous_gloo_mesh_ca = (rotation != Rotation::Ends).then(|| ca(0));
            intent.spec.rotation_state = match rotation {
                Rotation::AddsTheRoot => CertificateRotationState::AddingNewRoot,
                Rotation::Signs => CertificateRotationState::PropagatingNewIntermediate,
                Rotation::DropsTheOldRoot => CertificateRotationState::DeletingOldRoot,
                Rotation::Ends => CertificateRotationState::NotRotating,
            };
        }
        Edit::Create | Edit::Delete => {}
    }
}

/// Whether what the intent asks for is said to be in place, as far as a person can see.
fn is_finished(intent: Object) -> bool {
    let spec = &intent.intent().object.spec;
    let generation = intent.intent().object.metadata.generation;
    intent.status().is_some_and(|status| {
        status.state == IssuedCertificateState::Finished
            && Some(status.observed_generation) == generation
            && status.observed_rotation_state == spec.rotation_state
    })
}

/// A cluster that an intruder is in.
struct Victim<'a> {
    site: &'a Site,
    number: usize,
    /// Another cluster's request.
    another: Option<Object>,
    now: Moment,
}

impl Victim<'_> {
    /// What is stored after the intrusion; nothing when it cannot be.
    fn after(&self, intrusion: Intrusion) -> Option<(Kind, Option<Object>)> {
        let request = self.site.get(Kind::Request);
        let new = match intrusion {
            Intrusion::SwapsTheKey => {
                let mut swapped = request?.request().object.clone();
                swapped.spec.certificate_signing_request = Some(INTRUDERS_REQUESTS[self.number].clone());
                server::replaced(Kind::Request, request?, &json(&swapped))
            }
            Intrusion::DeletesTheRequest => return self.deleted(Kind::Request),
            Intrusion::DeletesTheCopy => return self.deleted(Kind::Copy),
            Intrusion::DeletesTheKey => return self.deleted(Kind::Key),
            Intrusion::DeletesTheSecret => return self.deleted(Kind::Issued),
            Intrusion::ReplaysTheRequest if request.is_some() => return None,
            Intrusion::ReplaysTheRequest => {
                Some(server::created(Kind::Request, self.site.kept?.value(), "", self.now))
            }
            Intrusion::TakesAnothersRequest => match request {
                None => Some(server::created(Kind::Request, self.another?.value(), "", self.now)),
                Some(request) => server::replaced(Kind::Request, request, self.another?.value()),
            },
            Intrusion::ReplaysTheAnswer => Some(answered_as(request?, self.site.kept?)?),
            Intrusion::TakesAnothersAnswer => Some(answered_as(request?, self.another?)?),
            Intrusion::EditsTheCopy => {
                let copy = self.site.get(Kind::Copy)?;
                let mut edited = copy.copy().object.clone();
                edited.spec.hosts = vec![host(self.number, FOREIGN_HOST)];
                return Some((Kind::Copy, server::replaced(Kind::Copy, copy, &json(&edited))));
            }
        };
        Some((Kind::Request, new))
    }
}

impl Victim<'_> {
    fn deleted(&self, kind: Kind) -> Option<(Kind, Option<Object>)> {
        Some((kind, server::deleted(kind, self.site.get(kind)?, self.now)))
    }
}

/// The request with the certificate that another was answered with, as if it were its own.
fn answered_as(request: Object, another: Object) -> Option<Object> {
    let mut answer = another.request().object.status.clone()?;
    if answer.state != CertificateRequestState::Finished {
        return None;
    }
    let mut forged = request.request().object.clone();
    answer.observed_generation = forged.metadata.generation.unwrap_or_default();
    forged.status = Some(answer);
    Some(server::status_replaced(Kind::Request, request, &json(&forged)))
}
