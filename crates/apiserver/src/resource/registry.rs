//! Which resources one cluster serves now.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{GroupVersionResource, Origin, ResourceDefinition, built_in};

/// The resources by group, version and plural.
#[derive(Clone)]
pub(crate) struct Registry {
    definitions: BTreeMap<GroupVersionResource, Arc<ResourceDefinition>>,
    generation: u64,
}

impl Registry {
    /// The built-in resources, which all clusters of a process share.
    pub(crate) fn new() -> Self {
        let definitions = built_in::all().iter().map(|d| (d.id.clone(), d.clone())).collect();
        Self { definitions, generation: 1 }
    }

    pub(crate) fn get(&self, id: &GroupVersionResource) -> Option<&Arc<ResourceDefinition>> {
        self.definitions.get(id)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<ResourceDefinition>> {
        self.definitions.values()
    }

    /// Grows with every change.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Replaces what this CRD defines.
    pub(crate) fn replace(&mut self, crd: &str, definitions: Vec<ResourceDefinition>) {
        self.remove(crd);
        for definition in definitions {
            self.definitions.insert(definition.id.clone(), Arc::new(definition));
        }
        self.generation += 1;
    }

    /// How many resources this CRD defines.
    pub(crate) fn defined_by(&self, crd: &str) -> usize {
        let of = |d: &&Arc<ResourceDefinition>| matches!(&d.internals.origin, Origin::Custom { crd: c, .. } if **c == *crd);
        self.all().filter(of).count()
    }

    /// Removes what this CRD defines.
    pub(crate) fn remove(&mut self, crd: &str) {
        let before = self.definitions.len();
        self.definitions
            .retain(|_, d| !matches!(&d.internals.origin, Origin::Custom { crd: c, .. } if **c == *crd));
        if self.definitions.len() != before {
            self.generation += 1;
        }
    }
}
