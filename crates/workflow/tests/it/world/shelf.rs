//! Objects of one kind, with the preconditions of a Kubernetes API server.

use std::collections::BTreeMap;

use certmesh_api::certificates::ObjectRef;
use certmesh_workflow::ObjectVersion;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub trait Stored: Resource<DynamicType = ()> + Clone + Serialize + DeserializeOwned {}

impl<K: Resource<DynamicType = ()> + Clone + Serialize + DeserializeOwned> Stored for K {}

/// A write that the server does not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    AlreadyExists,
    NotFound,
    Conflict,
}

#[derive(Clone)]
pub struct Shelf<K> {
    objects: BTreeMap<ObjectRef, K>,
    writes: u64,
}

impl<K> Default for Shelf<K> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), writes: 0 }
    }
}

impl<K: Stored> Shelf<K> {
    pub fn get(&self, name: &ObjectRef) -> Option<&K> {
        self.objects.get(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = &K> {
        self.objects.values()
    }

    pub fn create(&mut self, object: &K, now: Timestamp) -> Result<K, Refused> {
        let name = name_of(object);
        if self.objects.contains_key(&name) {
            return Err(Refused::AlreadyExists);
        }
        let mut object = with_status(object, None);
        self.writes += 1;
        let kind = K::kind(&()).to_lowercase();
        let meta = object.meta_mut();
        meta.uid = Some(format!("{kind}-{}-{}", self.writes, now.as_second()));
        meta.creation_timestamp = Some(Time(now));
        meta.generation = Some(1);
        Ok(self.put(name, object))
    }

    /// PUT of the object: uid and resourceVersion must match, the status stays, a changed spec counts.
    pub fn replace(&mut self, object: &K) -> Result<K, Refused> {
        let name = name_of(object);
        let stored = self.checked(&name, object)?.clone();
        let mut object = with_status(object, json(&stored).get("status").cloned());
        let changed = json(&object).get("spec") != json(&stored).get("spec");
        let old = stored.meta();
        let meta = object.meta_mut();
        meta.generation = old.generation.map(|generation| generation + i64::from(changed));
        meta.creation_timestamp.clone_from(&old.creation_timestamp);
        meta.deletion_timestamp.clone_from(&old.deletion_timestamp);
        let is_released = meta.deletion_timestamp.is_some() && object.finalizers().is_empty();
        if is_released {
            self.objects.remove(&name);
            return Ok(object);
        }
        Ok(self.put(name, object))
    }

    /// PUT of the status: nothing else changes.
    pub fn replace_status(&mut self, object: &K) -> Result<K, Refused> {
        let name = name_of(object);
        let stored = self.checked(&name, object)?.clone();
        let object = with_status(&stored, json(object).get("status").cloned());
        Ok(self.put(name, object))
    }

    /// DELETE with a uid precondition.
    pub fn delete(&mut self, version: &ObjectVersion, now: Timestamp) -> Result<(), Refused> {
        let stored = self.objects.get(&version.name).ok_or(Refused::NotFound)?;
        if stored.uid().as_deref() != Some(version.uid.as_str()) {
            return Err(Refused::Conflict);
        }
        if stored.finalizers().is_empty() {
            self.objects.remove(&version.name);
        } else {
            let mut stored = stored.clone();
            stored.meta_mut().deletion_timestamp.get_or_insert(Time(now));
            self.put(version.name.clone(), stored);
        }
        Ok(())
    }

    /// Somebody else's edit, without any precondition.
    pub fn edit(&mut self, name: &ObjectRef, edit: impl FnOnce(&mut K)) {
        let mut object = self.objects.get(name).unwrap_or_else(|| panic!("{name} exists")).clone();
        edit(&mut object);
        let result = self.replace(&object);
        assert!(result.is_ok(), "{name}: {result:?}", result = result.err());
    }

    /// Somebody else's edit of the status.
    pub fn edit_status(&mut self, name: &ObjectRef, edit: impl FnOnce(&mut K)) {
        let mut object = self.objects.get(name).unwrap_or_else(|| panic!("{name} exists")).clone();
        edit(&mut object);
        self.replace_status(&object).map_err(|refused| format!("{refused:?}")).unwrap();
    }

    pub fn remove(&mut self, name: &ObjectRef) -> Option<K> {
        self.objects.remove(name)
    }

    fn checked(&self, name: &ObjectRef, object: &K) -> Result<&K, Refused> {
        let stored = self.objects.get(name).ok_or(Refused::NotFound)?;
        let same = stored.uid() == object.uid() && stored.resource_version() == object.resource_version();
        if same { Ok(stored) } else { Err(Refused::Conflict) }
    }

    fn put(&mut self, name: ObjectRef, mut object: K) -> K {
        self.writes += 1;
        object.meta_mut().resource_version = Some(self.writes.to_string());
        self.objects.insert(name, object.clone());
        object
    }
}

pub fn name_of(object: &impl ResourceExt) -> ObjectRef {
    ObjectRef::new(object.namespace().unwrap_or_default(), object.name_any())
}

fn json<K: Serialize>(object: &K) -> Value {
    serde_json::to_value(object).unwrap()
}

/// The object as a server gives it back: times in whole seconds, this status.
fn with_status<K: Stored>(object: &K, status: Option<Value>) -> K {
    let mut value = json(object);
    let fields = value.as_object_mut().unwrap();
    match status {
        Some(status) => fields.insert("status".to_owned(), status),
        None => fields.remove("status"),
    };
    serde_json::from_value(value).unwrap()
}
