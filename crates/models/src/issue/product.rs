//! The product's decisions: what a pass of issuer or agent does when it sees this. Asked once for each thing that can be seen.
//!
//! ```text
//!   (who, when, objects) ──workflow::issuer::decide · workflow::agent::decide──▶ effects, status
//!                                                                                  │ as the shell carries them out
//!                                                                                  ▼
//!                                              Plan: steps, each one request to an API server, status last
//! ```

use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use certmesh_api::certificates::ObjectRef;
use certmesh_workflow::agent::{self, CreateKey, CreateRequest};
use certmesh_workflow::examine::Answer;
use certmesh_workflow::issuer::{self, Authority, Remote, Settings};
use certmesh_workflow::{Examined, ObjectVersion};
use serde_json::Value;

use super::defect::{Defect, Inputs};
use super::objects::{Kind, NAMESPACE, Object, UID, VERSION, json};
use super::pki::{self, Names, Signing};
use super::rules::wanted_need;
use super::time::Moment;
use super::world::Role;

/// What a pass sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sight {
    pub(super) role: Role,
    pub(super) cluster: usize,
    pub(super) now: Moment,
    pub(super) objects: [Option<Object>; Kind::ALL.len()],
}

/// The rest of a pass. Two are equal when they do the same.
#[derive(Clone, Copy)]
pub(super) struct Plan(&'static Entry);

struct Entry {
    number: usize,
    steps: Vec<Step>,
    /// Keys and serial numbers in what it is going to write.
    names: Names,
}

/// One request to an API server, with what is done before it.
pub(super) enum Step {
    /// Reads the intent: the pass ends when it is not what was decided on.
    CheckIntent(Essence),
    /// Reads the intent: the pass ends when there is one.
    CheckNoIntent,
    /// Reads the copy: the pass ends when there is another than the one that was seen.
    CheckCopy,
    Put(Put),
    MakeKey(Box<CreateKey>),
    Ask(Box<CreateRequest>),
    /// Reads the intent, and signs if it is what was decided on.
    Sign {
        signing: Arc<Signing>,
        decided_on: Option<Essence>,
    },
    /// Writes the answer that was signed.
    Answer {
        signing: Arc<Signing>,
        guard: Guard,
    },
}

/// What an intent must still be for the issuer to go on: all but status and finalizers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Essence(String);

impl Essence {
    pub(super) fn of(intent: Object) -> Self {
        let metadata = &intent.value()["metadata"];
        let fields = ["uid", "generation", "deletionTimestamp", "annotations"];
        Self(fields.map(|field| metadata.get(field).map(Value::to_string).unwrap_or_default()).join(" "))
    }
}

/// A write.
pub(super) struct Put {
    pub(super) kind: Kind,
    pub(super) verb: Verb,
    pub(super) guard: Guard,
    /// Of an issued Secret: the request whose answer is in it.
    pub(super) answered: Option<Object>,
    /// Of a deletion: that the copy which was decided on needs what is deleted.
    pub(super) is_needed: bool,
}

impl Put {
    /// A write without a condition.
    pub(super) fn of(kind: Kind, verb: Verb) -> Self {
        Self { kind, verb, guard: Guard::Nothing, answered: None, is_needed: false }
    }
}

/// What is done to an object.
#[derive(Clone, Debug)]
pub(super) enum Verb {
    Create(Value),
    Replace(Value),
    ReplaceStatus(Value),
    Delete,
}

/// What a write is conditional on, by what the product wrote into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    Nothing,
    Uid,
    Version,
}

static PLANS: LazyLock<Mutex<HashMap<String, Plan>>> = LazyLock::new(Mutex::default);

impl Plan {
    fn of(steps: Vec<Step>) -> Self {
        let text: Vec<String> = steps.iter().map(|step| format!("{step:?}")).collect();
        let mut plans = PLANS.lock().unwrap_or_else(PoisonError::into_inner);
        let number = plans.len();
        *plans.entry(text.join("\n")).or_insert_with(|| {
            let names = steps.iter().map(Step::names).fold(Names::default(), Names::and);
            Self(Box::leak(Box::new(Entry { number, steps, names })))
        })
    }

    pub(super) fn steps(self) -> &'static [Step] {
        &self.0.steps
    }

    /// The objects of which it matters to the rest of it whether they are still what was seen.
    pub(super) fn needs(self, next: usize) -> [bool; Kind::ALL.len()] {
        let mut needs = [false; Kind::ALL.len()];
        for step in &self.0.steps[next..] {
            match step {
                Step::Put(put) if put.guard != Guard::Nothing => needs[put.kind as usize] = true,
                Step::Answer { .. } => needs[Kind::Request as usize] = true,
                Step::CheckCopy => needs[Kind::Copy as usize] = true,
                _ => {}
            }
        }
        needs
    }

    pub(super) fn uses_what_it_made(self, next: usize) -> bool {
        self.0.steps[next..].iter().any(|step| match step {
            Step::Answer { .. } => true,
            Step::Ask(create) => matches!(create.key, agent::RequestKey::JustMade),
            _ => false,
        })
    }

    pub(super) fn names(self) -> Names {
        self.0.names
    }
}

impl Step {
    fn names(&self) -> Names {
        match self {
            Self::Put(Put {
                kind,
                verb: Verb::Create(body) | Verb::Replace(body) | Verb::ReplaceStatus(body),
                ..
            }) => Object::of(*kind, body.clone()).names(),
            Self::Ask(create) => match &create.key {
                agent::RequestKey::Stored(key) => pki::names_of_key(key.public_key()),
                agent::RequestKey::JustMade => Names::default(),
            },
            _ => Names::default(),
        }
    }
}

/// The product's answer to a sight, and when it wants to look again.
pub(super) fn plan(sight: &Sight, defect: Option<Defect>) -> (Plan, Option<Moment>) {
    let (mut steps, wake_at) = match sight.role {
        Role::Issuer => issuer_steps(sight, defect),
        Role::Agent => agent_steps(sight, defect),
    };
    if let Some(defect) = defect {
        defect.spoil(sight, &mut steps);
    }
    (Plan::of(steps), wake_at.map(Moment::of))
}

fn issuer_steps(sight: &Sight, defect: Option<Defect>) -> (Vec<Step>, Option<jiff::Timestamp>) {
    let [intent, copy, request, ..] = sight.objects;
    let cluster = pki::cluster_name(sight.cluster);
    let Some(intent) = intent else {
        let answer = request.and_then(|request| issuer::answer_unclaimed(cluster, request.request()));
        let steps = answer
            .into_iter()
            .flat_map(|effect| std::iter::once(Step::CheckNoIntent).chain(issuer_effect(effect, sight)));
        return (steps.collect(), None);
    };
    let settings = Settings { namespace: NAMESPACE.to_owned(), allows_foreign_ca_namespaces: false };
    let inputs = Inputs::of(defect, sight);
    let wanted = inputs.intent(intent).wanted.as_ref();
    let mut needed = wanted.into_iter().flat_map(|wanted| wanted.authorities.needed());
    let (signer, other) = (needed.next(), needed.next());
    let authority =
        |name: Option<&ObjectRef>| name.and_then(pki::authority).map_or(Authority::Missing, Authority::Found);
    let observed = issuer::Observed {
        settings: &settings,
        cluster,
        intent: Examined { object: intent.intent().object, facts: inputs.intent(intent) },
        remote: Remote::Connected {
            agent_namespace: NAMESPACE,
            copy: copy.map(Object::copy),
            request: request
                .map(|request| Examined { object: request.request().object, facts: inputs.request(request) }),
        },
        signer: authority(signer),
        other: authority(other),
        exhausted_until: None,
        reports_exhausted_until: None,
    };
    let decision = issuer::decide(sight.now.timestamp(), &observed);
    let mut steps = Vec::new();
    if decision.effects.iter().any(|effect| matches!(effect, issuer::Effect::ReleaseIntent(_))) {
        steps.push(Step::CheckCopy);
    }
    steps.extend(decision.effects.into_iter().flat_map(|effect| issuer_effect(effect, sight)));
    steps.extend(decision.status.map(|status| {
        let mut changed = intent.intent().object.clone();
        changed.status = Some(status);
        Step::put(Kind::Intent, Verb::ReplaceStatus(json(&changed)))
    }));
    (steps, decision.wake_at)
}

/// How the issuer's shell carries out an effect.
fn issuer_effect(effect: issuer::Effect, sight: &Sight) -> Vec<Step> {
    use issuer::Effect;
    let seen = sight.objects[Kind::Intent as usize].map(Essence::of);
    match effect {
        Effect::AddFinalizer(intent) | Effect::ReleaseIntent(intent) => {
            vec![Step::put(Kind::Intent, Verb::Replace(json(&intent)))]
        }
        Effect::CreateCopy(copy) => {
            let check = seen.map(Step::CheckIntent);
            check.into_iter().chain([Step::put(Kind::Copy, Verb::Create(json(&copy)))]).collect()
        }
        Effect::UpdateCopy(copy) => vec![Step::put(Kind::Copy, Verb::Replace(json(&copy)))],
        Effect::DeleteCopy(version) => vec![Step::delete(Kind::Copy, &version, true)],
        Effect::DeleteRequest(version) => vec![Step::delete(Kind::Request, &version, false)],
        Effect::Sign(sign) => {
            let request = sight.objects[Kind::Request as usize].expect("a request is what is signed");
            let signing = Arc::new(Signing::new(*sign, request, sight.cluster, sight.now));
            let guard = guard_of(&json(&signing.answer(0).request));
            let answer = Step::Answer { signing: Arc::clone(&signing), guard };
            vec![Step::Sign { signing, decided_on: seen }, answer]
        }
        Effect::RefuseRequest(answer) | Effect::DeferRequest(answer) => {
            vec![Step::put(Kind::Request, Verb::ReplaceStatus(json(&answer.request)))]
        }
    }
}

fn agent_steps(sight: &Sight, defect: Option<Defect>) -> (Vec<Step>, Option<jiff::Timestamp>) {
    let [_, copy, request, key, issued] = sight.objects;
    let Some(copy) = copy else { return (Vec::new(), None) };
    let inputs = Inputs::of(defect, sight);
    let observed = agent::Observed {
        agent_namespace: NAMESPACE,
        copy: Examined { object: copy.copy().object, facts: inputs.copy(copy) },
        rival: None,
        issued: issued
            .map(|issued| Examined { object: issued.issued().object, facts: inputs.issued(issued) }),
        unreadable: None,
        key: key.map(|key| Examined { object: key.key().object, facts: inputs.key(key) }),
        request: request
            .map(|request| Examined { object: request.answered().object, facts: inputs.answer(request) }),
        live_roots: &[],
        trust_anchors: None,
    };
    let decision = agent::decide(sight.now.timestamp(), &observed);
    let mut steps: Vec<Step> =
        decision.effects.into_iter().map(|effect| agent_effect(effect, request)).collect();
    mark_what_is_needed(sight, &mut steps);
    steps.extend(decision.status.map(|status| {
        let mut changed = copy.copy().object.clone();
        changed.status = Some(status);
        Step::put(Kind::Copy, Verb::ReplaceStatus(json(&changed)))
    }));
    (steps, decision.wake_at)
}

/// How the agent's shell carries out an effect.
fn agent_effect(effect: agent::Effect, request: Option<Object>) -> Step {
    use agent::Effect;
    match effect {
        Effect::CreateKey(create) => Step::MakeKey(Box::new(create)),
        Effect::CreateRequest(create) => Step::Ask(Box::new(create)),
        Effect::StoreIssued(store) => {
            let body = json(store.secret.expose());
            let verb = match store.write {
                agent::Write::Create => Verb::Create(body),
                agent::Write::Update => Verb::Replace(body),
            };
            match Step::put(Kind::Issued, verb) {
                Step::Put(put) => Step::Put(Put { answered: request, ..put }),
                step => step,
            }
        }
        Effect::DeleteRequest(version) => Step::delete(Kind::Request, &version, false),
        Effect::DeleteKey(version) => Step::delete(Kind::Key, &version, false),
        Effect::MarkUnmanaged(update) | Effect::MarkManaged(update) => {
            Step::put(Kind::Issued, Verb::Replace(json(update.secret.expose())))
        }
        Effect::DeleteIssued(version) => Step::delete(Kind::Issued, &version, true),
        Effect::ReleaseCopy(release) => Step::put(Kind::Copy, Verb::Replace(json(&release.copy))),
    }
}

impl Step {
    /// A write that is conditional on what the product put into it.
    pub(super) fn put(kind: Kind, verb: Verb) -> Self {
        let guard = match &verb {
            Verb::Create(_) | Verb::Delete => Guard::Nothing,
            Verb::Replace(body) | Verb::ReplaceStatus(body) => guard_of(body),
        };
        Self::Put(Put { guard, ..Put::of(kind, verb) })
    }

    /// A deletion that is conditional on what the product names.
    fn delete(kind: Kind, version: &ObjectVersion, names_its_version: bool) -> Self {
        let guard = match (version.uid == UID, names_its_version && version.resource_version == VERSION) {
            (_, true) => Guard::Version,
            (true, false) => Guard::Uid,
            (false, false) => Guard::Nothing,
        };
        Self::Put(Put { guard, ..Put::of(kind, Verb::Delete) })
    }
}

fn guard_of(body: &Value) -> Guard {
    if body["metadata"]["resourceVersion"] == VERSION { Guard::Version } else { Guard::Nothing }
}

/// Marks the deletions of what the copy that was seen needs. Once a certificate is in place, it needs nothing any more.
fn mark_what_is_needed(sight: &Sight, steps: &mut [Step]) {
    let [_, copy, request, key, issued] = sight.objects;
    let copy = copy.filter(|copy| copy.copy().object.metadata.deletion_timestamp.is_none());
    let need = copy.and_then(|copy| wanted_need(copy, issued));
    let is_of_the_need =
        |object: Option<Object>| need.is_some() && object.and_then(Object::need) == need.as_ref();
    for step in steps {
        match step {
            Step::Put(put) if put.answered.is_some() => return,
            Step::Put(put) if matches!(put.verb, Verb::Delete) => {
                put.is_needed = match put.kind {
                    Kind::Key => is_of_the_need(key),
                    Kind::Request => is_of_the_need(request) && holds_an_answer_for(request, key),
                    _ => false,
                };
            }
            _ => {}
        }
    }
}

fn holds_an_answer_for(request: Option<Object>, key: Option<Object>) -> bool {
    let (Some(request), Some(key)) = (request, key) else { return false };
    match (&request.answered().facts.answer, &key.key().facts.key) {
        (Answer::Signed(signed), Ok(key)) => signed.certificate().public_key() == key.public_key(),
        _ => false,
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CheckIntent(decided_on) => write!(f, "CheckIntent {decided_on:?}"),
            Self::CheckNoIntent => f.write_str("CheckNoIntent"),
            Self::CheckCopy => f.write_str("CheckCopy"),
            Self::Put(Put { kind, verb, guard, answered, is_needed }) => {
                write!(f, "{kind:?} {guard:?} {answered:?} {is_needed} {verb:?}")
            }
            Self::MakeKey(create) => write!(f, "{create:?}"),
            Self::Ask(create) => write!(f, "{create:?}"),
            Self::Sign { signing, decided_on } => write!(f, "Sign {} {decided_on:?}", signing.over),
            Self::Answer { signing, guard } => write!(f, "Answer {} {guard:?}", signing.over),
        }
    }
}

impl PartialEq for Plan {
    fn eq(&self, other: &Self) -> bool {
        self.0.number == other.0.number
    }
}

impl Eq for Plan {}

impl Hash for Plan {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.number.hash(state);
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plan {}", self.0.number)
    }
}
