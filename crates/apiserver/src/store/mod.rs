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

mod config;
mod list;
mod object;
mod options;
mod watch;

use std::sync::Arc;

use serde_json::Value;

use crate::patch::Patch;
use crate::rbac::{Attributes, Decision, UserInfo};
use crate::resource::{GroupResource, GroupVersionResource, ResourceDefinition};
use crate::status::ApiStatus;

pub use config::{Clock, Limits, Random, StoreConfig, seeded_random};
pub use list::{ListOptions, ObjectList, ResourceVersionMatch};
pub use object::{ObjectBody, StoredObject};
pub use options::{
    DeleteOptions, Deleted, FieldValidation, GetOptions, Preconditions, PropagationPolicy, Subresource,
    WriteOptions, Written,
};
pub use watch::{Bookmark, WatchCursor, WatchEvent, WatchOptions};

/// One virtual cluster. Cheap to share by `Arc`; all methods take `&self`.
pub struct Store {
    config: StoreConfig,
}

/// Keeps a callback of [`Store::subscribe`] registered until dropped.
pub struct Subscription {
    _private: (),
}

/// Called after each commit, outside the store's lock, with the resource that changed and the new revision.
pub type CommitCallback = Arc<dyn Fn(&GroupResource, u64) + Send + Sync>;

fn unfinished() -> ApiStatus {
    ApiStatus::internal("this verb is not served yet")
}

impl Store {
    /// An empty cluster: the default namespaces and roles, nothing else.
    pub fn new(config: StoreConfig) -> Self {
        Self { config }
    }

    /// The clock the store was made with.
    pub fn clock(&self) -> &Clock {
        &self.config.clock
    }

    /// Every resource that is served now, in discovery order (group, version, plural).
    pub fn resources(&self) -> Vec<Arc<ResourceDefinition>> {
        Vec::new()
    }

    /// Changes whenever [`Self::resources`] does, so that discovery documents can be cached.
    pub fn resources_generation(&self) -> u64 {
        0
    }

    /// One resource, if served.
    pub fn resource(&self, _id: &GroupVersionResource) -> Option<Arc<ResourceDefinition>> {
        None
    }

    /// The newest revision: what a list at "most recent" would carry.
    pub fn revision(&self) -> u64 {
        0
    }

    /// POST. `namespace` is that of the request path, none for cluster-scoped resources.
    pub fn create(
        &self,
        _resource: &GroupVersionResource,
        _namespace: Option<&str>,
        _body: ObjectBody,
        _options: &WriteOptions,
    ) -> Result<Written, ApiStatus> {
        Err(unfinished())
    }

    /// GET of one object.
    pub fn get(
        &self,
        _resource: &GroupVersionResource,
        _namespace: Option<&str>,
        _name: &str,
        _options: &GetOptions,
    ) -> Result<Arc<StoredObject>, ApiStatus> {
        Err(unfinished())
    }

    /// GET of a collection. Without a namespace: all of them.
    pub fn list(
        &self,
        _resource: &GroupVersionResource,
        _namespace: Option<&str>,
        _options: &ListOptions,
    ) -> Result<ObjectList, ApiStatus> {
        Err(unfinished())
    }

    /// PUT of an object or its status.
    pub fn update(
        &self,
        _resource: &GroupVersionResource,
        _namespace: Option<&str>,
        _name: &str,
        _subresource: Subresource,
        _body: ObjectBody,
        _options: &WriteOptions,
    ) -> Result<Written, ApiStatus> {
        Err(unfinished())
    }

    /// PATCH of an object or its status.
    pub fn patch(
        &self,
        _resource: &GroupVersionResource,
        _namespace: Option<&str>,
        _name: &str,
        _subresource: Subresource,
        _patch: &Patch,
        _options: &WriteOptions,
    ) -> Result<Written, ApiStatus> {
        Err(unfinished())
    }

    /// DELETE of one object.
    pub fn delete(
        &self,
        _resource: &GroupVersionResource,
        _namespace: Option<&str>,
        _name: &str,
        _options: &DeleteOptions,
    ) -> Result<Deleted, ApiStatus> {
        Err(unfinished())
    }

    /// DELETE of a collection; answers the objects it was applied to.
    pub fn delete_collection(
        &self,
        _resource: &GroupVersionResource,
        _namespace: Option<&str>,
        _selection: &ListOptions,
        _options: &DeleteOptions,
    ) -> Result<ObjectList, ApiStatus> {
        Err(unfinished())
    }

    /// POST pods/NAME/eviction: deletes the pod unless a PodDisruptionBudget forbids it (429).
    /// Answers the Status of the 201 response.
    pub fn evict(
        &self,
        _namespace: &str,
        _name: &str,
        _eviction: &Value,
        _options: &WriteOptions,
    ) -> Result<Value, ApiStatus> {
        Err(unfinished())
    }

    /// Starts a watch. Events are then taken with [`Self::watch_next`]; the cursor holds no events, only its place.
    pub fn watch_start(
        &self,
        _resource: &GroupVersionResource,
        _namespace: Option<&str>,
        _options: &WatchOptions,
    ) -> Result<WatchCursor, ApiStatus> {
        Err(unfinished())
    }

    /// The next events, at most `max`; empty when there are none yet (subscribe before asking, then wait).
    /// An error (410 Expired: the watcher fell behind the log) ends the watch and is sent as its ERROR event.
    pub fn watch_next(&self, _cursor: &mut WatchCursor, _max: usize) -> Result<Vec<WatchEvent>, ApiStatus> {
        Err(unfinished())
    }

    /// A BOOKMARK at the cursor's place, for periodic sending; none if the watch did not ask for bookmarks or has
    /// events left to deliver.
    pub fn bookmark(&self, _cursor: &WatchCursor) -> Option<WatchEvent> {
        None
    }

    /// Registers a callback for every commit. It runs on the writer's thread: wake somebody and return.
    #[must_use = "dropping the subscription ends it"]
    pub fn subscribe(&self, _callback: CommitCallback) -> Subscription {
        Subscription { _private: () }
    }

    /// Whether the stored RBAC objects allow this.
    pub fn authorize(&self, _user: &UserInfo, _attributes: &Attributes) -> Decision {
        Decision::Denied { reason: String::new() }
    }
}
