//! Defects to be found: each is built into the shell, or into what the product is told.

use certmesh_api::certificates::CertificateRequestState;
use certmesh_workflow::examine::{
    self, AnswerFacts, CopyFacts, IntentFacts, IssuedFacts, PendingKeyFacts, RequestFacts,
};
use certmesh_workflow::need::Digest;

use super::objects::{Kind, Object};
use super::product::{Guard, Put, Sight, Step, Verb};
use super::rules::wanted_need;
use super::world::Role;

/// Built in to see whether the search finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Defect {
    /// The status is written before what it tells of is done.
    StatusBeforeEffects,
    /// The issued Secret is deleted, then made anew.
    DeletesTheOldSecretFirst,
    /// Updates name no resourceVersion.
    NoVersions,
    /// Deletions name no uid.
    NoUids,
    /// The intent is not looked at before something is signed for it.
    SignsFromTheCache,
    /// The intent is not looked at before a copy of it is made.
    CopiesFromTheCache,
    /// The copy is not looked for before its intent is let go.
    ReleasesFromTheCache,
    /// A pending key is written over the one that is there.
    OverwritesThePendingKey,
    /// The answer that is there when it is stored is stored, not the one that was judged.
    StoresTheLatestAnswer,
    /// Any key and request of ours is taken for one of the current need.
    IgnoresTheNeed,
    /// The need of a key is not read: each pass makes another.
    NewKeyInEachPass,
    /// An answered request is answered again.
    SignsAgain,
    /// What is signed is what the copy asks for.
    TrustsTheCopy,
    /// The request carries the private key.
    SendsTheKey,
    /// Pending keys are never deleted.
    LeavesKeysBehind,
    /// The copy is let go before its request and key are gone, and nobody looks again.
    ReleasesTheCopyTooEarly,
    /// What a certificate was issued for is not known any more.
    ForgetsWhatItIssuedFor,
    /// The roots in use are not looked at before they are replaced.
    ReplacesTheLiveRoot,
    /// A status is written in every pass.
    SaysItAgain,
    /// A copy is brought up to date by deleting it.
    DeletesCopiesToChangeThem,
}

impl Defect {
    /// Makes of the steps of a pass what a shell with this defect does.
    pub(super) fn spoil(self, sight: &Sight, steps: &mut Vec<Step>) {
        let role = sight.role;
        match self {
            Self::StatusBeforeEffects if steps.last().is_some_and(is_status) => steps.rotate_right(1),
            Self::DeletesTheOldSecretFirst => delete_first(steps),
            Self::NoVersions => drop_guards(steps, Guard::Version),
            Self::NoUids => drop_guards(steps, Guard::Uid),
            Self::SignsFromTheCache => steps.iter_mut().for_each(|step| {
                if let Step::Sign { decided_on, .. } = step {
                    *decided_on = None;
                }
            }),
            Self::CopiesFromTheCache => steps.retain(|step| !matches!(step, Step::CheckIntent(_))),
            Self::ReleasesFromTheCache => steps.retain(|step| !matches!(step, Step::CheckCopy)),
            Self::LeavesKeysBehind => steps.retain(|step| !is_deletion_of_a_key(step)),
            Self::ReleasesTheCopyTooEarly if role == Role::Agent && steps.iter().any(is_release) => {
                steps.retain(is_release);
            }
            Self::SaysItAgain if role == Role::Agent => steps.extend(said_again(sight)),
            Self::DeletesCopiesToChangeThem if role == Role::Issuer => {
                if let Some(at) = steps.iter().position(is_release) {
                    steps[at] = Step::Put(Put { guard: Guard::Uid, ..Put::of(Kind::Copy, Verb::Delete) });
                }
            }
            _ => {}
        }
    }
}

/// The status of an intent or a copy.
fn is_status(step: &Step) -> bool {
    matches!(step, Step::Put(Put { kind: Kind::Intent | Kind::Copy, verb: Verb::ReplaceStatus(_), .. }))
}

fn is_deletion_of_a_key(step: &Step) -> bool {
    matches!(step, Step::Put(Put { kind: Kind::Key, verb: Verb::Delete, .. }))
}

/// The status that is there.
fn said_again(sight: &Sight) -> Option<Step> {
    let copy = sight.objects[Kind::Copy as usize]?;
    copy.status()?;
    Some(Step::put(Kind::Copy, Verb::ReplaceStatus(copy.value().clone())))
}

fn is_release(step: &Step) -> bool {
    matches!(step, Step::Put(Put { kind: Kind::Copy, verb: Verb::Replace(_), .. }))
}

fn delete_first(steps: &mut Vec<Step>) {
    let at = steps.iter().position(|step| matches!(step, Step::Put(put) if put.answered.is_some()));
    let Some(at) = at else { return };
    let Step::Put(put) = &mut steps[at] else { return };
    if let Verb::Replace(body) = &put.verb {
        put.verb = Verb::Create(body.clone());
        put.guard = Guard::Nothing;
        let deletion = Put { guard: Guard::Uid, ..Put::of(Kind::Issued, Verb::Delete) };
        steps.insert(at, Step::Put(deletion));
    }
}

fn drop_guards(steps: &mut [Step], kind: Guard) {
    let puts = steps.iter_mut().filter_map(|step| match step {
        Step::Put(put) if put.guard == kind => Some(put),
        _ => None,
    });
    puts.for_each(|put| put.guard = Guard::Nothing);
}

/// What the product is told of objects when it is not what is in them.
#[derive(Default)]
pub(super) struct Inputs {
    intent: Option<IntentFacts>,
    copy: Option<CopyFacts>,
    request: Option<RequestFacts>,
    answer: Option<AnswerFacts>,
    key: Option<PendingKeyFacts>,
    issued: Option<IssuedFacts>,
}

impl Inputs {
    pub(super) fn of(defect: Option<Defect>, sight: &Sight) -> Self {
        let [_, copy, request, key, issued] = sight.objects;
        let mut inputs = Self::default();
        match defect {
            Some(Defect::IgnoresTheNeed) => {
                let need = copy.and_then(|copy| wanted_need(copy, issued));
                inputs.answer = request.map(|request| request.answered().facts.clone());
                inputs.key = key.map(|key| key.key().facts.clone());
                if let (Some(answer), Some(key), Some(need)) = (&mut inputs.answer, &mut inputs.key, need) {
                    answer.request.need = Some(need.clone());
                    key.need = Some(need);
                }
            }
            Some(Defect::NewKeyInEachPass) => {
                inputs.key = key.map(|key| PendingKeyFacts { need: None, ..key.key().facts.clone() });
            }
            Some(Defect::SignsAgain) => {
                inputs.request = request.map(|request| RequestFacts {
                    state: CertificateRequestState::Pending,
                    ..request.request().facts.clone()
                });
            }
            Some(Defect::TrustsTheCopy) => {
                inputs.intent = copy.map(|copy| examine::intent(copy.copy().object));
            }
            Some(Defect::ReplacesTheLiveRoot) => {
                inputs.copy = copy.map(|copy| copy.copy().facts.clone());
                if let Some(copy) = &mut inputs.copy {
                    copy.intent.replace_root = true;
                }
            }
            Some(Defect::ForgetsWhatItIssuedFor) => {
                inputs.issued = issued.map(|issued| issued.issued().facts.clone());
                if let Some(need) = inputs.issued.as_mut().and_then(|issued| issued.need.as_mut()) {
                    need.spec = Digest::of(b"something else");
                }
            }
            _ => {}
        }
        inputs
    }

    pub(super) fn intent(&self, intent: Object) -> &IntentFacts {
        self.intent.as_ref().unwrap_or(intent.intent().facts)
    }

    pub(super) fn copy(&self, copy: Object) -> &CopyFacts {
        self.copy.as_ref().unwrap_or(copy.copy().facts)
    }

    pub(super) fn request(&self, request: Object) -> &RequestFacts {
        self.request.as_ref().unwrap_or(request.request().facts)
    }

    pub(super) fn answer(&self, request: Object) -> &AnswerFacts {
        self.answer.as_ref().unwrap_or(request.answered().facts)
    }

    pub(super) fn issued(&self, issued: Object) -> &IssuedFacts {
        self.issued.as_ref().unwrap_or(issued.issued().facts)
    }

    pub(super) fn key(&self, key: Object) -> &PendingKeyFacts {
        self.key.as_ref().unwrap_or(key.key().facts)
    }
}
