//! One virtual Kubernetes cluster: its objects and everything the API server decides about them.
//!
//! ```text
//!            create get list update patch delete watch authorize        (this module: the face)
//!                                   │
//!      admission: names, metadata, schema, defaults, generation, finalizers, namespaces
//!                                   │
//!            objects by resource and key  +  one event log per resource  (one revision counter)
//! ```
//!
//! Synchronous and deterministic: time and randomness come in through [`StoreConfig`], nothing happens between
//! calls, and two stores given the same calls hold the same bytes. Bounded: objects, event logs and their sum have
//! limits ([`Limits`]). Knows nothing of HTTP; async code learns of commits through [`Store::subscribe`].
//!
//! Writes are decided without the lock, on the object as read, and committed if it is still the same; else they are
//! decided again (the real server's *guaranteed update*).

mod authorize;
mod body;
mod bootstrap;
mod config;
mod continue_token;
mod controllers;
mod create;
mod custom_resources;
mod delete;
mod evict;
mod garbage;
mod list;
mod log;
mod namespaces;
mod object;
mod options;
mod state;
mod subscribers;
mod update;
mod watch;

#[cfg(test)]
mod tests;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde_json::Value;

use self::authorize::PolicyCache;
use self::controllers::Tasks;
use self::state::{State, object_key};
use self::subscribers::Subscribers;
use crate::patch::Patch;
use crate::rbac::{Attributes, Decision, Rule, UserInfo};
use crate::resource::{GroupResource, GroupVersionResource, ResourceDefinition, Verb};
use crate::status::ApiStatus;

pub use config::{Clock, Limits, Random, StoreConfig, seeded_random};
pub use list::{ListOptions, ObjectList, ResourceVersionMatch};
pub use object::{ObjectBody, StoredObject};
pub use options::{
    DeleteOptions, Deleted, FieldValidation, GetOptions, Preconditions, PropagationPolicy, Subresource,
    WriteOptions, Written,
};
pub use subscribers::{CommitCallback, Subscription};
pub use watch::{Bookmark, WatchCursor, WatchEvent, WatchOptions};

/// One virtual cluster. Cheap to share by `Arc`; all methods take `&self`.
pub struct Store {
    config: StoreConfig,
    state: RwLock<State>,
    subscribers: Subscribers,
    policy: PolicyCache,
    tasks: Tasks,
}

impl Store {
    /// An empty cluster: the default namespaces and roles, nothing else.
    pub fn new(config: StoreConfig) -> Self {
        let store = Self {
            state: RwLock::new(State::new(config.limits.clone())),
            subscribers: Subscribers::default(),
            policy: PolicyCache::default(),
            tasks: Tasks::default(),
            config,
        };
        store.bootstrap();
        store
    }

    /// A cluster that begins as this one is now, with a clock and randomness of its own. What is in it is shared until either
    /// changes it, so a thousand clusters that begin alike cost little more than one.
    #[must_use]
    pub fn fork(&self, config: StoreConfig) -> Self {
        let state = self.read().with_limits(config.limits.clone());
        Self {
            state: RwLock::new(state),
            subscribers: Subscribers::default(),
            policy: PolicyCache::default(),
            tasks: Tasks::default(),
            config,
        }
    }

    /// The clock the store was made with.
    pub fn clock(&self) -> &Clock {
        &self.config.clock
    }

    /// Every resource that is served now, in discovery order (group, version, plural).
    pub fn resources(&self) -> Vec<Arc<ResourceDefinition>> {
        self.read().registry.all().cloned().collect()
    }

    /// Changes whenever [`Self::resources`] does, so that discovery documents can be cached.
    pub fn resources_generation(&self) -> u64 {
        self.read().registry.generation()
    }

    /// One resource, if served.
    pub fn resource(&self, id: &GroupVersionResource) -> Option<Arc<ResourceDefinition>> {
        self.read().registry.get(id).cloned()
    }

    /// The newest revision: what a list at "most recent" would carry.
    pub fn revision(&self) -> u64 {
        self.read().revision
    }

    /// POST. `namespace` is that of the request path, none for cluster-scoped resources.
    pub fn create(
        &self,
        resource: &GroupVersionResource,
        namespace: Option<&str>,
        body: ObjectBody,
        options: &WriteOptions,
    ) -> Result<Written, ApiStatus> {
        let definition = self.served(resource, Verb::Create)?;
        let created = self.create_object(&definition, namespace, body, options);
        self.settle();
        created
    }

    /// GET of one object.
    pub fn get(
        &self,
        resource: &GroupVersionResource,
        namespace: Option<&str>,
        name: &str,
        options: &GetOptions,
    ) -> Result<Arc<StoredObject>, ApiStatus> {
        let state = self.read();
        let definition = served(&state, resource, Verb::Get)?;
        // Events are read past the real server's cache, by a reader with other words.
        let is_cached = &*definition.internals.storage.resource != "events";
        let parse = if is_cached { list::parse_resource_version_late } else { list::parse_resource_version };
        if let Some(version) = parse(options.resource_version.as_deref())? {
            list::not_from_the_future(version, state.revision)?;
        }
        let key = object_key(namespace, name);
        match state.object(&definition.internals.storage, &key) {
            Some(object) => Ok(object.shown_as(definition)),
            None => Err(ApiStatus::not_found(&definition.group_resource(), name)),
        }
    }

    /// GET of a collection. Without a namespace: all of them.
    pub fn list(
        &self,
        resource: &GroupVersionResource,
        namespace: Option<&str>,
        options: &ListOptions,
    ) -> Result<ObjectList, ApiStatus> {
        let state = self.read();
        let definition = served(&state, resource, Verb::List)?;
        list::list(&state, definition, namespace, options)
    }

    /// PUT of an object or its status.
    pub fn update(
        &self,
        resource: &GroupVersionResource,
        namespace: Option<&str>,
        name: &str,
        subresource: Subresource,
        body: ObjectBody,
        options: &WriteOptions,
    ) -> Result<Written, ApiStatus> {
        let definition = self.served(resource, Verb::Update)?;
        let updated = self.update_object(&definition, namespace, name, subresource, body, options);
        self.settle();
        updated
    }

    /// PATCH of an object or its status.
    pub fn patch(
        &self,
        resource: &GroupVersionResource,
        namespace: Option<&str>,
        name: &str,
        subresource: Subresource,
        patch: &Patch,
        options: &WriteOptions,
    ) -> Result<Written, ApiStatus> {
        let definition = self.served(resource, Verb::Patch)?;
        let patched = self.patch_object(&definition, namespace, name, subresource, patch, options);
        self.settle();
        patched
    }

    /// DELETE of one object.
    pub fn delete(
        &self,
        resource: &GroupVersionResource,
        namespace: Option<&str>,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Deleted, ApiStatus> {
        let definition = self.served(resource, Verb::Delete)?;
        let deleted = self.delete_object(&definition, namespace, name, options);
        self.settle();
        deleted
    }

    /// DELETE of a collection; answers the objects it was applied to.
    pub fn delete_collection(
        &self,
        resource: &GroupVersionResource,
        namespace: Option<&str>,
        selection: &ListOptions,
        options: &DeleteOptions,
    ) -> Result<ObjectList, ApiStatus> {
        let definition = self.served(resource, Verb::DeleteCollection)?;
        let list = self.list(resource, namespace, selection)?;
        let mut failure = None;
        for object in &list.items {
            match self.delete_object(&definition, object.namespace(), object.name(), options) {
                Ok(_) => {}
                // Somebody else was faster.
                Err(status) if status.code == 404 => {}
                Err(status) => {
                    failure = Some(status);
                    break;
                }
            }
        }
        self.settle();
        failure.map_or(Ok(list), Err)
    }

    /// POST pods/NAME/eviction: deletes the pod unless a PodDisruptionBudget forbids it (429).
    /// Answers the Status of the 201 response.
    pub fn evict(
        &self,
        namespace: &str,
        name: &str,
        eviction: &Value,
        options: &WriteOptions,
    ) -> Result<Value, ApiStatus> {
        let evicted = self.evict_pod(namespace, name, eviction, options);
        self.settle();
        evicted
    }

    /// Starts a watch. Events are then taken with [`Self::watch_next`]; the cursor holds no events, only its place.
    pub fn watch_start(
        &self,
        resource: &GroupVersionResource,
        namespace: Option<&str>,
        options: &WatchOptions,
    ) -> Result<WatchCursor, ApiStatus> {
        let state = self.read();
        let definition = served(&state, resource, Verb::Watch)?;
        watch::start(&state, definition, namespace, options)
    }

    /// The next events, at most `max`; empty when there are none yet (subscribe before asking, then wait).
    /// An error (410 Expired: the watcher fell behind the log) ends the watch and is sent as its ERROR event.
    pub fn watch_next(&self, cursor: &mut WatchCursor, max: usize) -> Result<Vec<WatchEvent>, ApiStatus> {
        watch::next(&self.read(), cursor, max)
    }

    /// A BOOKMARK at the cursor's place, for periodic sending; none if the watch did not ask for bookmarks or has
    /// events left to deliver.
    pub fn bookmark(&self, cursor: &WatchCursor) -> Option<WatchEvent> {
        watch::bookmark(&self.read(), cursor)
    }

    /// Registers a callback for every commit. It runs on the writer's thread: wake somebody and return.
    #[must_use = "dropping the subscription ends it"]
    pub fn subscribe(&self, callback: CommitCallback) -> Subscription {
        self.subscribers.add(callback)
    }

    /// Whether the stored RBAC objects allow this.
    pub fn authorize(&self, user: &UserInfo, attributes: &Attributes) -> Decision {
        self.policy.current(&self.state).authorize(user, attributes)
    }

    /// Every rule that applies to the user in this namespace or in the whole cluster.
    pub fn rules_for(&self, user: &UserInfo, namespace: &str) -> Vec<Rule> {
        self.policy.current(&self.state).rules_for(user, namespace)
    }

    // A poisoned lock means that a writer panicked; every commit is whole before it is visible, so the state is sound.

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The resource, if it is served and knows the verb.
    fn served(&self, id: &GroupVersionResource, verb: Verb) -> Result<Arc<ResourceDefinition>, ApiStatus> {
        served(&self.read(), id, verb).cloned()
    }

    /// The object as stored.
    fn stored(&self, storage: &GroupResource, key: &str) -> Option<Arc<StoredObject>> {
        self.read().object(storage, key).cloned()
    }

    /// The resource whose form objects are stored in: events have two, the core group's is stored.
    fn storage_definition(&self, definition: &Arc<ResourceDefinition>) -> Arc<ResourceDefinition> {
        let storage = &definition.internals.storage;
        if *storage == definition.group_resource() {
            return definition.clone();
        }
        let id = GroupVersionResource::new(&storage.group, "v1", &storage.resource);
        self.resource(&id).unwrap_or_else(|| definition.clone())
    }

    fn now(&self) -> jiff::Timestamp {
        (self.config.clock)()
    }

    fn random(&self) -> u64 {
        (self.config.random)()
    }
}

fn served<'s>(
    state: &'s State,
    id: &GroupVersionResource,
    verb: Verb,
) -> Result<&'s Arc<ResourceDefinition>, ApiStatus> {
    let definition = state.registry.get(id).ok_or_else(ApiStatus::resource_not_found)?;
    if definition.verbs.contains(&verb) {
        Ok(definition)
    } else {
        Err(ApiStatus::method_not_allowed_on_path())
    }
}
