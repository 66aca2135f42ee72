//! The shell around the decisions: a pass reads, then carries out one step after the other, each of which may be its last.

use std::collections::HashMap;
use std::sync::RwLock;

use certmesh_workflow::agent::{CreateRequest, RequestKey};
use k8s_openapi::ByteString;
use serde_json::Value;

use super::defect::Defect;
use super::objects::{Kind, Object, json};
use super::product::{Essence, Guard, Plan, Put, Sight, Step, Verb, plan};
use super::rules::{Rule, Write, is_asked_for};
use super::time::Moment;
use super::world::{Pass, Role, Seen, State};
use super::{IssueModel, pki, server};

/// A process at a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct At {
    /// The cluster.
    pub site: usize,
    /// Which of its processes.
    pub process: usize,
}

/// What was worked out before.
#[derive(Default)]
pub(super) struct Memo {
    plans: RwLock<HashMap<Sight, (Plan, Option<Moment>)>>,
    results: RwLock<HashMap<Doing, Option<Object>>>,
    pub(super) rests: RwLock<HashMap<super::rest::Start, bool>>,
}

/// A write, by all that its result follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Doing {
    plan: Plan,
    step: usize,
    site: usize,
    old: Option<Object>,
    now: Moment,
    made: Option<u8>,
    answered: Option<Object>,
}

/// Looks up, or works out and keeps.
pub(super) fn remembered<K: std::hash::Hash + Eq + Clone, V: Copy>(
    memo: &RwLock<HashMap<K, V>>,
    key: &K,
    work_out: impl FnOnce() -> V,
) -> V {
    if let Some(found) = memo.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(key) {
        return *found;
    }
    let value = work_out();
    memo.write().unwrap_or_else(std::sync::PoisonError::into_inner).insert(key.clone(), value);
    value
}

impl IssueModel {
    /// Reads what a pass of this process would read, and decides.
    pub(super) fn decided(&self, state: &State, at: At) -> (Plan, Option<Moment>) {
        let site = &state.sites[at.site];
        let process = &site.processes[at.process];
        let objects = Kind::ALL.map(|kind| {
            if !process.role.reads().contains(&kind) {
                None
            } else if self.is_cached(process.role, kind) {
                process.view(kind).object
            } else {
                site.get(kind)
            }
        });
        let sight = Sight { role: process.role, cluster: at.site, now: state.now, objects };
        remembered(&self.memo.plans, &sight, || plan(&sight, self.bounds.defect))
    }

    /// A pass begins, if there is anything to do.
    pub(super) fn begin(&self, state: &mut State, at: At) -> Option<()> {
        let (plan, _) = self.decided(state, at);
        if plan.steps().is_empty() {
            return None;
        }
        let site = &mut state.sites[at.site];
        let stored = site.stored;
        let process = &mut site.processes[at.process];
        let seen = Kind::ALL.map(|kind| match self.is_cached(process.role, kind) {
            true => process.view(kind).seen,
            false if stored[kind as usize].is_some() => Seen::Now,
            false => Seen::Another,
        });
        process.pass = Some(Pass { plan, next: 0, seen, made: None });
        Some(())
    }

    /// The next step of a pass; one that the server refuses is its last.
    pub(super) fn step(&self, state: &mut State, at: At) -> Option<()> {
        let pass = state.sites[at.site].processes[at.process].pass.clone()?;
        let goes_on = self.carried_out(state, at, &pass, &pass.plan.steps()[pass.next]);
        let process = &mut state.sites[at.site].processes[at.process];
        let pass = process.pass.as_mut()?;
        pass.next += 1;
        if !goes_on || pass.next == pass.plan.steps().len() {
            process.pass = None;
        }
        Some(())
    }

    /// Whether the pass goes on.
    fn carried_out(&self, state: &mut State, at: At, pass: &Pass, step: &Step) -> bool {
        let site = &state.sites[at.site];
        let intent = site.get(Kind::Intent);
        let is_as_decided = |decided_on: &Essence| intent.is_some_and(|it| Essence::of(it) == *decided_on);
        match step {
            Step::CheckIntent(decided_on) => is_as_decided(decided_on),
            Step::CheckNoIntent => intent.is_none(),
            Step::CheckCopy => {
                site.get(Kind::Copy).is_none() || pass.seen[Kind::Copy as usize] != Seen::Another
            }
            Step::Put(put) => self.write(state, at, pass, put, |_| match &put.verb {
                Verb::Create(body) | Verb::Replace(body) | Verb::ReplaceStatus(body) => body.clone(),
                Verb::Delete => Value::Null,
            }),
            Step::MakeKey(create) => {
                let number = site.names().new_key();
                made(state, at, number);
                let overwrites = self.has(Defect::OverwritesThePendingKey) && site_has_key(state, at);
                let verb = if overwrites { Verb::Replace(Value::Null) } else { Verb::Create(Value::Null) };
                self.write(state, at, pass, &Put::of(Kind::Key, verb), |site| {
                    json(create.secret(pki::key(site, number)).expose())
                })
            }
            Step::Ask(create) => {
                let put = Put::of(Kind::Request, Verb::Create(Value::Null));
                self.write(state, at, pass, &put, |site| self.request(create, site, pass.made))
            }
            Step::Sign { signing, decided_on } => {
                if decided_on.as_ref().is_some_and(|decided_on| !is_as_decided(decided_on)) {
                    return false;
                }
                let serial = site.names().new_serial();
                if !is_asked_for(intent, &signing.answer(serial).certificate) {
                    state.broken.note(Rule::SignedUnasked);
                }
                made(state, at, serial);
                true
            }
            Step::Answer { signing, guard } => {
                let serial = pass.made.unwrap_or_default();
                let guard = if self.has(Defect::NoVersions) { Guard::Nothing } else { *guard };
                let put = Put { guard, ..Put::of(Kind::Request, Verb::ReplaceStatus(Value::Null)) };
                self.write(state, at, pass, &put, |_| json(&signing.answer(serial).request))
            }
        }
    }

    fn request(&self, create: &CreateRequest, site: usize, made: Option<u8>) -> Value {
        let key = match &create.key {
            RequestKey::Stored(key) => key,
            RequestKey::JustMade => pki::key(site, made.unwrap_or_default()),
        };
        let mut request = json(&pki::request(create, key));
        if self.has(Defect::SendsTheKey) {
            request["metadata"]["annotations"]["key"] = Value::String(key.to_pem().to_string());
        }
        request
    }

    /// Brings a write to the server. Whether the pass goes on.
    fn write(
        &self,
        state: &mut State,
        at: At,
        pass: &Pass,
        put: &Put,
        body: impl FnOnce(usize) -> Value,
    ) -> bool {
        let (kind, site) = (put.kind, &state.sites[at.site]);
        let (before, seen) = (site.get(kind), pass.seen[kind as usize]);
        match reception(put, before, seen) {
            Reception::Taken => {}
            Reception::Needless => return true,
            Reception::Refused => return false,
        }
        let after = self.result(state, at, put, body);
        let write = Write {
            site,
            now: state.now,
            role: site.processes[at.process].role,
            kind,
            verb: &put.verb,
            seen,
            answered: put.answered,
            is_needed: put.is_needed,
            has_looked: pass.next > 0 && matches!(pass.plan.steps()[pass.next - 1], Step::CheckIntent(_)),
            before,
            after,
        };
        write.judge(&mut state.broken);
        let orphaned = write.makes_an_orphan();
        self.store(state, at.site, kind, after);
        let site = &mut state.sites[at.site];
        site.orphaned |= orphaned;
        // What a pass wrote itself is what it goes on with.
        if let Some(pass) = &mut site.processes[at.process].pass {
            pass.seen[kind as usize] = if after.is_some() { Seen::Now } else { Seen::Another };
        }
        true
    }

    /// What is stored after a write that is taken.
    fn result(&self, state: &State, at: At, put: &Put, body: impl FnOnce(usize) -> Value) -> Option<Object> {
        let (now, kind, site) = (state.now, put.kind, &state.sites[at.site]);
        let pass = site.processes[at.process].pass.as_ref()?;
        let old = site.get(kind);
        let stores_the_latest = put.answered.is_some() && self.has(Defect::StoresTheLatestAnswer);
        let latest = stores_the_latest.then(|| site.get(Kind::Request)).flatten();
        let doing = Doing {
            plan: pass.plan,
            step: pass.next,
            site: at.site,
            old,
            now,
            made: pass.made,
            answered: latest,
        };
        remembered(&self.memo.results, &doing, || {
            let mut body = body(at.site);
            if let Some(status) = latest.and_then(|request| request.request().object.status.as_ref()) {
                put_answer(&mut body, status.signed_certificate.as_ref());
            }
            match (&put.verb, old) {
                (Verb::Create(_), _) | (_, None) => Some(server::created(kind, &body, "", now)),
                (Verb::Replace(_), Some(old)) => server::replaced(kind, old, &body),
                (Verb::ReplaceStatus(_), Some(old)) => Some(server::status_replaced(kind, old, &body)),
                (Verb::Delete, Some(old)) => server::deleted(kind, old, now),
            }
        })
    }

    /// Stores an object or removes it, and tells the caches that do not lag.
    pub(super) fn store(&self, state: &mut State, site: usize, kind: Kind, new: Option<Object>) {
        let site = &mut state.sites[site];
        let old = site.get(kind);
        if old == new {
            return;
        }
        if kind == Kind::Request && self.remembers_requests() && new.is_none() {
            site.kept = old;
        }
        site.put(kind, new);
        for process in &mut site.processes {
            if self.is_cached(process.role, kind) && !self.bounds.lagging.contains(&(process.role, kind)) {
                process.hear(kind, new);
            }
        }
    }

    /// What is read live but may be old is as if it came from a cache.
    pub(super) fn is_cached(&self, role: Role, kind: Kind) -> bool {
        role.cached().contains(&kind) || self.bounds.lagging.contains(&(role, kind))
    }
}

/// What the server makes of a write.
enum Reception {
    Taken,
    /// What is to be deleted is gone, which is as good.
    Needless,
    Refused,
}

fn reception(put: &Put, stored: Option<Object>, seen: Seen) -> Reception {
    match (&put.verb, stored) {
        (Verb::Delete, None) => return Reception::Needless,
        (Verb::Create(_), Some(_)) | (Verb::Replace(_) | Verb::ReplaceStatus(_), None) => {
            return Reception::Refused;
        }
        _ => {}
    }
    let fits = match put.guard {
        Guard::Nothing => true,
        Guard::Uid => seen != Seen::Another,
        Guard::Version => seen == Seen::Now,
    };
    if fits { Reception::Taken } else { Reception::Refused }
}

fn made(state: &mut State, at: At, number: u8) {
    if let Some(pass) = &mut state.sites[at.site].processes[at.process].pass {
        pass.made = Some(number);
    }
}

fn site_has_key(state: &State, at: At) -> bool {
    state.sites[at.site].get(Kind::Key).is_some()
}

fn put_answer(body: &mut Value, certificate: Option<&ByteString>) {
    if let Some(certificate) = certificate {
        body["data"]["ca-cert.pem"] = json(certificate);
    }
}
