//! What a cluster is: its objects by resource and key, one revision counter, one event log per resource.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use super::StoredObject;
use super::config::Limits;
use super::log::{Entry, EventLog};
use crate::meta::object_meta::Object;
use crate::resource::{GroupResource, Registry, ResourceDefinition};
use crate::status::{ApiStatus, StatusReason};

/// Objects of one resource and what happened to them.
#[derive(Clone, Default)]
pub(super) struct ResourceState {
    /// By key: `namespace/name`, or the name alone. Ordered as etcd orders them.
    pub(super) objects: BTreeMap<Arc<str>, Arc<StoredObject>>,
    pub(super) log: EventLog,
}

/// Everything a cluster holds, behind the store's lock. A clone shares the objects.
#[derive(Clone)]
pub(super) struct State {
    pub(super) revision: u64,
    pub(super) registry: Registry,
    resources: HashMap<GroupResource, ResourceState>,
    /// Which objects name an owner of this uid.
    dependents: HashMap<Box<str>, BTreeSet<(GroupResource, Arc<str>)>>,
    bytes: usize,
    limits: Limits,
}

/// `namespace/name`, or the name alone.
pub(super) fn object_key(namespace: Option<&str>, name: &str) -> String {
    match namespace {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.to_owned(),
    }
}

/// How the keys of a namespace begin; empty for all namespaces.
pub(super) fn key_prefix(namespace: Option<&str>) -> String {
    namespace.map(|n| format!("{n}/")).unwrap_or_default()
}

impl State {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            revision: 1,
            registry: Registry::new(),
            resources: HashMap::new(),
            dependents: HashMap::new(),
            bytes: 0,
            limits,
        }
    }

    /// The same, bounded by these limits from the next write on.
    pub(super) fn with_limits(&self, limits: Limits) -> Self {
        Self { limits, ..self.clone() }
    }

    pub(super) fn resource(&self, resource: &GroupResource) -> Option<&ResourceState> {
        self.resources.get(resource)
    }

    /// From now on the resource has a history; what came before is not known to have been nothing.
    pub(super) fn begin_history(&mut self, resource: &GroupResource) {
        let revision = self.revision;
        self.resources.entry(resource.clone()).or_insert_with(|| ResourceState {
            log: EventLog::beginning_at(revision),
            ..ResourceState::default()
        });
    }

    pub(super) fn object(&self, resource: &GroupResource, key: &str) -> Option<&Arc<StoredObject>> {
        self.resources.get(resource)?.objects.get(key)
    }

    /// The objects of a namespace, or of all.
    pub(super) fn objects<'s>(
        &'s self,
        resource: &GroupResource,
        prefix: &'s str,
    ) -> impl Iterator<Item = (&'s Arc<str>, &'s Arc<StoredObject>)> {
        let objects = self.resources.get(resource).map(|r| &r.objects);
        objects.into_iter().flat_map(move |objects| {
            objects
                .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
                .take_while(move |(key, _)| key.starts_with(prefix))
        })
    }

    /// Whether any object names an owner of this uid.
    pub(super) fn has_dependents(&self, owner: &str) -> bool {
        self.dependents.contains_key(owner)
    }

    /// The objects that name an owner of this uid.
    pub(super) fn dependents(&self, owner: &str) -> Vec<(GroupResource, Arc<str>)> {
        self.dependents.get(owner).into_iter().flatten().cloned().collect()
    }

    fn index_owners(&mut self, resource: &GroupResource, key: &Arc<str>, object: &StoredObject) {
        for owner in object.owners() {
            let of = self.dependents.entry(owner.into()).or_default();
            of.insert((resource.clone(), key.clone()));
        }
    }

    fn forget_owners(&mut self, resource: &GroupResource, key: &Arc<str>, object: &StoredObject) {
        for owner in object.owners() {
            if let Some(of) = self.dependents.get_mut(owner) {
                of.remove(&(resource.clone(), key.clone()));
                if of.is_empty() {
                    self.dependents.remove(owner);
                }
            }
        }
    }

    /// Writes an object, new or changed, at the next revision.
    pub(super) fn put(
        &mut self,
        definition: &ResourceDefinition,
        key: &str,
        object: Object,
    ) -> Result<Arc<StoredObject>, ApiStatus> {
        let revision = self.revision + 1;
        let object = Arc::new(StoredObject::new(object, definition, revision));
        let size = object.size();
        check_size(object.json().len(), self.limits.object_bytes)?;
        if self.bytes + size > self.limits.total_bytes {
            return Err(etcd_error("etcdserver: mvcc: database space exceeded"));
        }
        self.revision = revision;
        let resource = self.resources.entry(definition.internals.storage.clone()).or_default();
        let (key, previous) = match resource.objects.get_key_value(key) {
            Some((key, previous)) => (key.clone(), Some(previous.clone())),
            None => (Arc::from(key), None),
        };
        self.bytes += size;
        self.bytes -= previous.as_ref().map_or(0, |p| p.size());
        resource.objects.insert(key.clone(), object.clone());
        let entry = Entry {
            revision,
            key: key.clone(),
            object: object.clone(),
            previous: previous.clone(),
            deleted: false,
        };
        resource.log.push(entry, &self.limits);
        let storage = &definition.internals.storage;
        if let Some(previous) = previous {
            self.forget_owners(storage, &key, &previous);
        }
        self.index_owners(storage, &key, &object);
        Ok(object)
    }

    /// Removes an object; answers its last state, at the revision of the removal.
    pub(super) fn remove(&mut self, definition: &ResourceDefinition, key: &str) -> Option<Arc<StoredObject>> {
        let resource = self.resources.get_mut(&definition.internals.storage)?;
        let (key, previous) = resource.objects.remove_entry(key)?;
        self.revision += 1;
        self.bytes -= previous.size();
        let last = previous.shown_as(definition).object();
        let last = Arc::new(StoredObject::new(last, definition, self.revision));
        let entry = Entry {
            revision: self.revision,
            key: key.clone(),
            object: last.clone(),
            previous: Some(previous),
            deleted: true,
        };
        resource.log.push(entry, &self.limits);
        self.forget_owners(&definition.internals.storage, &key, &last);
        Some(last)
    }
}

/// The largest message that the real server's etcd client sends.
const ETCD_MESSAGE_BYTES: usize = 2 << 20;

/// Objects beyond the limit are refused by etcd; those that do not even fit a message, by its client.
fn check_size(bytes: usize, limit: usize) -> Result<(), ApiStatus> {
    if bytes <= limit {
        return Ok(());
    }
    if bytes <= ETCD_MESSAGE_BYTES {
        return Err(etcd_error("etcdserver: request is too large"));
    }
    Err(etcd_error(&format!(
        "rpc error: code = ResourceExhausted desc = trying to send message larger than max ({bytes} vs. {ETCD_MESSAGE_BYTES})"
    )))
}

/// Errors of the real server's storage come through without a reason.
fn etcd_error(message: &str) -> ApiStatus {
    ApiStatus::new(500, StatusReason::Unknown, message)
}
