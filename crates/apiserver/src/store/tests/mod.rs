//! Tests of the store as its callers see it.

mod built_ins;
mod custom_resources;
mod deletion;
mod eviction;
mod forks;
mod lists;
mod metadata;
mod namespaces;
mod properties;
mod updates;
mod watches;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::patch::{JSON_PATCH, MERGE_PATCH};

/// A store on a clock that stands still until it is moved.
struct Cluster {
    store: Store,
    seconds: Arc<AtomicI64>,
}

impl std::ops::Deref for Cluster {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

fn cluster() -> Cluster {
    cluster_with(|_| {})
}

/// A cluster without the objects that every namespace has, unless asked for.
fn cluster_with(change: impl FnOnce(&mut StoreConfig)) -> Cluster {
    let seconds = Arc::new(AtomicI64::new(1_700_000_000));
    let time = seconds.clone();
    let clock: Clock = Arc::new(move || {
        Timestamp::from_second(time.load(Ordering::Relaxed)).expect("a time of this century")
    });
    let mut config = StoreConfig::new(clock, seeded_random(7));
    config.default_service_accounts = false;
    change(&mut config);
    Cluster { store: Store::new(config), seconds }
}

impl Cluster {
    fn pass(&self, seconds: i64) {
        self.seconds.fetch_add(seconds, Ordering::Relaxed);
    }

    fn make(&self, resource: &GroupVersionResource, object: Value) -> Arc<StoredObject> {
        self.try_make(resource, object).unwrap_or_else(|e| panic!("{e}: {e:?}"))
    }

    fn try_make(
        &self,
        resource: &GroupVersionResource,
        object: Value,
    ) -> Result<Arc<StoredObject>, ApiStatus> {
        let namespace = namespace_of(&object, resource);
        let written = self.create(resource, namespace.as_deref(), object.into(), &WriteOptions::default())?;
        assert!(written.created);
        Ok(written.object)
    }

    fn put(&self, resource: &GroupVersionResource, object: Value) -> Result<Written, ApiStatus> {
        self.put_to(resource, object, Subresource::None)
    }

    fn put_to(
        &self,
        resource: &GroupVersionResource,
        object: Value,
        subresource: Subresource,
    ) -> Result<Written, ApiStatus> {
        let namespace = namespace_of(&object, resource);
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        self.update(
            resource,
            namespace.as_deref(),
            &name,
            subresource,
            object.into(),
            &WriteOptions::default(),
        )
    }

    fn merge(
        &self,
        resource: &GroupVersionResource,
        name: &str,
        patch: &Value,
    ) -> Result<Written, ApiStatus> {
        self.patched(resource, name, MERGE_PATCH, patch, Subresource::None)
    }

    fn patched(
        &self,
        resource: &GroupVersionResource,
        name: &str,
        media_type: &str,
        patch: &Value,
        subresource: Subresource,
    ) -> Result<Written, ApiStatus> {
        let patch = Patch::parse(media_type, patch.to_string().as_bytes())?;
        let namespace = self.scope_of(resource);
        self.patch(resource, namespace, name, subresource, &patch, &WriteOptions::default())
    }

    fn scope_of(&self, resource: &GroupVersionResource) -> Option<&'static str> {
        let scope = self.resource(resource).map(|d| d.scope);
        (scope == Some(crate::resource::Scope::Namespaced)).then_some("default")
    }

    fn look(&self, resource: &GroupVersionResource, name: &str) -> Result<Arc<StoredObject>, ApiStatus> {
        self.get(resource, self.scope_of(resource), name, &GetOptions::default())
    }

    fn drop(&self, resource: &GroupVersionResource, name: &str) -> Result<Deleted, ApiStatus> {
        self.delete(resource, self.scope_of(resource), name, &DeleteOptions::default())
    }

    fn names(&self, resource: &GroupVersionResource, options: &ListOptions) -> Vec<String> {
        let list = self.list(resource, None, options).unwrap();
        list.items.iter().map(|o| o.name().to_owned()).collect()
    }
}

/// The namespace of an object in a test: as given, else `default` for what lives in one.
fn namespace_of(object: &Value, resource: &GroupVersionResource) -> Option<String> {
    let cluster_scoped =
        ["namespaces", "clusterroles", "clusterrolebindings", "customresourcedefinitions", "worlds"];
    if cluster_scoped.contains(&&*resource.resource) {
        return None;
    }
    Some(object["metadata"]["namespace"].as_str().unwrap_or("default").to_owned())
}

fn gvr(group: &str, version: &str, resource: &str) -> GroupVersionResource {
    GroupVersionResource::new(group, version, resource)
}

fn secrets() -> GroupVersionResource {
    gvr("", "v1", "secrets")
}

fn config_maps() -> GroupVersionResource {
    gvr("", "v1", "configmaps")
}

fn namespaces() -> GroupVersionResource {
    gvr("", "v1", "namespaces")
}

fn pods() -> GroupVersionResource {
    gvr("", "v1", "pods")
}

fn crds() -> GroupVersionResource {
    gvr("apiextensions.k8s.io", "v1", "customresourcedefinitions")
}

fn things() -> GroupVersionResource {
    gvr("example.com", "v1", "things")
}

fn secret(name: &str) -> Value {
    json!({"metadata": {"name": name}, "data": {"a": "aGk="}})
}

fn config_map(name: &str, labels: &Value) -> Value {
    json!({"metadata": {"name": name, "labels": labels}, "data": {"a": "b"}})
}

fn pod(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "a", "image": "i"}]}})
}

/// A CRD with a status endpoint.
fn thing_crd(spec: &Value) -> Value {
    json!({
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing", "shortNames": ["th"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": spec,
                    "status": {"type": "object", "properties": {"state": {"type": "string"}}}
                }}}
            }]
        }
    })
}

fn thing_spec() -> Value {
    json!({"type": "object", "properties": {
        "n": {"type": "integer", "minimum": 0}, "s": {"type": "string", "default": "x"}
    }})
}

fn thing(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": name}, "spec": spec})
}

fn labels(selector: &str) -> ListOptions {
    ListOptions {
        label_selector: crate::selector::LabelSelector::parse(selector).unwrap(),
        ..ListOptions::default()
    }
}

fn fields(selector: &str) -> ListOptions {
    ListOptions {
        field_selector: crate::selector::FieldSelector::parse(selector).unwrap(),
        ..ListOptions::default()
    }
}

/// Code, reason and message of a refusal.
fn refusal<T: std::fmt::Debug>(result: Result<T, ApiStatus>) -> (u16, &'static str, String) {
    let status = result.unwrap_err();
    (status.code, status.reason.as_str(), status.message)
}
