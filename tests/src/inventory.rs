//! Everything that is in a cluster, to see what changed and to look for what must not be there.

use certmesh_apiserver::Cluster;
use certmesh_apiserver::store::ListOptions;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// All objects of a cluster at one moment, by `<plural>.<group> <namespace>/<name>`.
#[derive(Clone, Debug, PartialEq)]
pub struct Inventory(BTreeMap<String, Value>);

impl Inventory {
    /// Everything that is stored now, read behind RBAC's back.
    pub fn of(cluster: &Cluster) -> Self {
        let store = cluster.store();
        let mut objects = BTreeMap::new();
        for resource in store.resources() {
            // A resource that cannot be listed (a review, a subresource) stores nothing.
            let Ok(list) = store.list(&resource.id, None, &ListOptions::default()) else { continue };
            let plural = resource.group_resource();
            for item in list.items {
                let key = format!("{plural} {}/{}", item.namespace().unwrap_or_default(), item.name());
                objects.insert(key, item.value());
            }
        }
        Self(objects)
    }

    /// Without the objects whose key begins like this, such as `events.` or `secrets. certmesh/`.
    #[must_use]
    pub fn without(mut self, prefixes: &[&str]) -> Self {
        self.0.retain(|key, _| !prefixes.iter().any(|prefix| key.starts_with(prefix)));
        self
    }

    /// Only the objects whose key begins like this.
    #[must_use]
    pub fn only(mut self, prefixes: &[&str]) -> Self {
        self.0.retain(|key, _| prefixes.iter().any(|prefix| key.starts_with(prefix)));
        self
    }

    /// The objects by key.
    pub fn objects(&self) -> &BTreeMap<String, Value> {
        &self.0
    }

    /// The keys of objects that were created, changed or deleted between this moment and a later one.
    pub fn changes(&self, later: &Self) -> BTreeSet<String> {
        let keys = self.0.keys().chain(later.0.keys());
        keys.filter(|key| self.0.get(*key) != later.0.get(*key)).cloned().collect()
    }
}
