//! Keeps what examining an object found for as long as the object stays the same version.

use certmesh_api::certificates::ObjectRef;
use kube::ResourceExt;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Facts by object name. An entry is replaced when uid or resourceVersion differ.
pub(crate) struct Memo<F> {
    entries: Mutex<HashMap<ObjectRef, Entry<F>>>,
}

struct Entry<F> {
    uid: Option<String>,
    resource_version: Option<String>,
    facts: Arc<F>,
}

impl<F> Default for Memo<F> {
    fn default() -> Self {
        Self { entries: Mutex::default() }
    }
}

impl<F> Memo<F> {
    /// The facts of this object: examined now unless this version was before.
    pub(crate) fn facts<K: ResourceExt>(&self, object: &K, examine: impl FnOnce(&K) -> F) -> Arc<F> {
        let name = ObjectRef::new(object.namespace().unwrap_or_default(), object.name_any());
        let (uid, resource_version) = (object.uid(), object.resource_version());
        if let Some(entry) = self.locked().get(&name)
            && entry.uid == uid
            && entry.resource_version == resource_version
        {
            return Arc::clone(&entry.facts);
        }
        let facts = Arc::new(examine(object));
        self.locked().insert(name, Entry { uid, resource_version, facts: Arc::clone(&facts) });
        facts
    }

    /// Forgets an object.
    pub(crate) fn forget(&self, name: &ObjectRef) {
        self.locked().remove(name);
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, HashMap<ObjectRef, Entry<F>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
