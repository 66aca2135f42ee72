//! Everybody else: people who edit intents and CAs, others who write in remote clusters, intruders; and the machines' own
//! mishaps.

mod intruder;
mod machines;
mod others;
pub(crate) mod people;
pub(crate) mod repair;

use certmesh_api::certificates::{CertificateRequest, ObjectRef};
use certmesh_controllers::{ApiRequest, ApiVerb};
use serde_json::{Value, json};

use crate::cluster::{Cluster, HOME, Kind, named};
use crate::faults::Family;
use crate::process::Actor;
use crate::world::World;

/// What everybody else remembers.
#[derive(Default)]
pub(crate) struct Memory {
    /// Requests that an intruder has seen.
    pub(crate) requests: Vec<CertificateRequest>,
    /// Counts nonces, keys, names.
    pub(crate) counter: u64,
}

impl Memory {
    fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }
}

impl World {
    /// Something from outside happens.
    pub(crate) fn something_happens(&mut self, family: Family) {
        let what = match family {
            Family::Crash => Some(self.a_process_crashes()),
            Family::Expiry => Some(self.a_watch_expires()),
            Family::Partition => Some(self.a_link_changes()),
            Family::Clock => Some(self.a_clock_is_set()),
            Family::Pause => Some(self.a_process_pauses()),
            Family::Time => Some(self.time_flies()),
            Family::Intent => self.an_intent_is_edited(),
            Family::Deletion => self.an_intent_comes_or_goes(),
            Family::Authority => self.an_authority_changes(),
            Family::Rotation => self.a_rotation_goes_on(),
            Family::Secret => self.somebody_touches_a_secret(),
            Family::Leftover => self.somebody_touches_a_leftover(),
            Family::Intruder => self.an_intruder_acts(),
            Family::ReplyLost | Family::Refusal | Family::Lag => None,
        };
        if let Some(what) = what {
            self.say(|| format!("!! {what}"));
            self.faults.note(self.step, what);
        }
    }

    /// A remote cluster.
    fn some_site(&self, purpose: u64) -> usize {
        self.random(purpose).usize(1..self.clusters.len())
    }

    /// One of these.
    fn one_of<T: Clone>(&self, purpose: u64, all: &[T]) -> Option<T> {
        let mut rng = self.random(purpose);
        (!all.is_empty()).then(|| all[rng.usize(..all.len())].clone())
    }

    fn names(&self, site: usize, kind: Kind, namespace: Option<&str>) -> Vec<ObjectRef> {
        let all = self.clusters[site].all(kind);
        let name = |object: &std::sync::Arc<certmesh_apiserver::store::StoredObject>| {
            ObjectRef::new(object.namespace().unwrap_or_default(), object.name())
        };
        all.iter().map(name).filter(|name| namespace.is_none_or(|wanted| name.namespace == wanted)).collect()
    }

    /// The intents that there are.
    pub(crate) fn intents(&self) -> Vec<ObjectRef> {
        self.names(0, Kind::IssuedCertificate, None)
    }

    fn write(&mut self, actor: Actor, site: usize, kind: Kind, name: &ObjectRef, verb: ApiVerb) -> bool {
        let (namespace, name) = (name.namespace.clone(), name.name.clone());
        let request = ApiRequest { verb, kind: kind.name(), namespace, name };
        self.apply(actor, self.step, site, &request).is_ok()
    }

    /// Creates an object.
    pub(crate) fn create(
        &mut self,
        actor: Actor,
        site: usize,
        kind: Kind,
        name: &ObjectRef,
        object: Value,
    ) -> bool {
        self.write(actor, site, kind, name, ApiVerb::Create(object))
    }

    /// Edits an object, whoever it belongs to.
    pub(crate) fn edit(
        &mut self,
        actor: Actor,
        site: usize,
        kind: Kind,
        name: &ObjectRef,
        edit: impl FnOnce(&mut Value),
    ) -> bool {
        let Some(mut object) = read(&self.clusters[site], kind, name) else { return false };
        edit(&mut object);
        self.write(actor, site, kind, name, ApiVerb::Update(object))
    }

    /// Edits an object's status.
    pub(crate) fn edit_status(
        &mut self,
        actor: Actor,
        site: usize,
        kind: Kind,
        name: &ObjectRef,
        edit: impl FnOnce(&mut Value),
    ) -> bool {
        let Some(mut object) = read(&self.clusters[site], kind, name) else { return false };
        edit(&mut object);
        self.write(actor, site, kind, name, ApiVerb::UpdateStatus(object))
    }

    /// Deletes an object.
    pub(crate) fn remove(&mut self, actor: Actor, site: usize, kind: Kind, name: &ObjectRef) -> bool {
        let Some(object) = self.clusters[site].get(kind, &name.namespace, &name.name) else { return false };
        let uid = object.uid().to_owned();
        self.write(actor, site, kind, name, ApiVerb::Delete { uid, resource_version: None })
    }
}

/// An object as JSON.
pub(crate) fn read(cluster: &Cluster, kind: Kind, name: &ObjectRef) -> Option<Value> {
    Some(cluster.get(kind, &name.namespace, &name.name)?.value())
}

/// Sets an annotation, or takes it away.
fn annotate(object: &mut Value, key: &str, value: Option<&str>) {
    let annotations = &mut object["metadata"]["annotations"];
    if !annotations.is_object() {
        *annotations = json!({});
    }
    match (value, annotations.as_object_mut()) {
        (Some(value), Some(all)) => drop(all.insert(key.to_owned(), json!(value))),
        (None, Some(all)) => drop(all.shift_remove(key)),
        (_, None) => {}
    }
}

/// A name in the agents' and issuers' namespace.
fn at_home(name: &str) -> ObjectRef {
    ObjectRef::new(HOME, name)
}

/// An object of a kind with a name and nothing else.
fn empty(kind: Kind, name: &ObjectRef) -> Value {
    let mut object = named(name);
    object["kind"] = json!(kind.name());
    let group = matches!(kind, Kind::IssuedCertificate | Kind::CertificateRequest);
    let version =
        if group { format!("{}/v1", certmesh_api::names::CERTIFICATES_GROUP) } else { "v1".to_owned() };
    object["apiVersion"] = json!(version);
    object
}
