//! Clusters with everything installed: made once in a process, copied for every fleet.
//!
//! Each test, and each of a swarm's hundreds of runs, begins with the same CRDs and rights in the same few clusters. Making
//! and establishing them takes longer than many of the tests.

use crate::fleet::START;
use certmesh_api::certificates::ObjectRef;
use certmesh_api::manifests::Manifest;
use certmesh_apiserver::Cluster;
use certmesh_apiserver::resource::GroupVersionResource;
use certmesh_apiserver::store::{ObjectBody, Random, Store, StoreConfig, WriteOptions, seeded_random};
use certmesh_controllers::Clock;
use jiff::Timestamp;
use kube::ResourceExt;
use serde_json::json;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

type Key = (String, Vec<ObjectRef>);

static TEMPLATES: LazyLock<Mutex<HashMap<Key, Arc<Store>>>> = LazyLock::new(Mutex::default);

/// A cluster of this name as it is before anything runs in it.
pub(crate) struct Template {
    name: String,
    store: Arc<Store>,
}

impl Template {
    /// The cluster of this name with the namespaces of these targets and what `manifests` returns, which is asked once for
    /// each name and targets.
    pub(crate) fn of(name: &str, targets: Vec<ObjectRef>, manifests: impl FnOnce() -> Vec<Manifest>) -> Self {
        let mut templates = TEMPLATES.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (name.to_owned(), targets);
        let store = if let Some(store) = templates.get(&key) {
            Arc::clone(store)
        } else {
            let store = Arc::new(installed(name, &key.1, &manifests()));
            templates.insert(key, Arc::clone(&store));
            store
        };
        Self { name: name.to_owned(), store }
    }

    /// A new cluster of it, on this clock. Nobody asks how old what is installed is: it is of the time that tests begin at.
    pub(crate) fn cluster(&self, clock: &Clock) -> Cluster {
        let config = StoreConfig::new(clock.as_fn(), random(&self.name, "copy"));
        Cluster::with_store(&self.name, self.store.fork(config)).expect("a cluster")
    }
}

fn installed(name: &str, targets: &[ObjectRef], manifests: &[Manifest]) -> Store {
    let start = Timestamp::from_second(START).expect("a time in range");
    let store = Store::new(StoreConfig::new(Arc::new(move || start), random(name, "template")));
    for target in targets {
        let namespace = json!({"metadata": {"name": target.namespace}});
        install(&store, &GroupVersionResource::new("", "v1", "namespaces"), None, namespace);
    }
    for Manifest { resource, object } in manifests {
        let id = GroupVersionResource::new(&resource.group, &resource.version, &resource.plural);
        let object_as_json = serde_json::to_value(object).expect("an object is JSON");
        install(&store, &id, object.namespace().as_deref(), object_as_json);
    }
    store
}

/// Targets share namespaces, and so do Agent and RemoteIssuer.
fn install(store: &Store, id: &GroupVersionResource, namespace: Option<&str>, object: serde_json::Value) {
    let created = store.create(id, namespace, ObjectBody::from(object), &WriteOptions::default());
    match created {
        Err(status) if status.code != 409 => panic!("{id:?} cannot be installed: {status}"),
        _ => {}
    }
}

/// Every store of a cluster has numbers of its own, or uids would repeat.
fn random(cluster: &str, what: &str) -> Random {
    let mut hasher = DefaultHasher::new();
    (cluster, what).hash(&mut hasher);
    seeded_random(hasher.finish())
}
