//! Garbage collection: objects go when the last of their owners has gone (the garbage collector of
//! kube-controller-manager).

use std::sync::Arc;

use serde_json::{Value, json};

use super::state::{State, object_key};
use super::{DeleteOptions, Store, StoredObject};
use crate::meta::object_meta::{self, FINALIZER_FOREGROUND, FINALIZER_ORPHAN, Object};
use crate::resource::{GroupResource, ResourceDefinition, Scope};

impl Store {
    /// The owner with this uid is gone: those that have no other owner follow, the others lose the reference.
    pub(super) fn collect_dependents(&self, owner: &str) {
        for (resource, key) in self.dependents(owner) {
            let Some((definition, current)) = self.shown(&resource, &key) else { continue };
            let object = current.object();
            let has_other_owner = {
                let state = self.read();
                references(&object)
                    .iter()
                    .any(|r| uid(r) != owner && owner_exists(&state, r, current.namespace()))
            };
            if has_other_owner {
                self.drop_reference(&definition, &key, owner);
            } else if !current.is_terminating() {
                // A failure means that it is gone already.
                let _ = self.delete_object(
                    &definition,
                    current.namespace(),
                    current.name(),
                    &DeleteOptions::default(),
                );
            }
        }
    }

    /// A new object whose owners are all gone goes too. Owners of kinds that are not served may exist elsewhere.
    pub(super) fn collect_if_orphan(&self, resource: &GroupResource, key: &str) {
        let Some((definition, current)) = self.shown(resource, key) else { return };
        let references = references(&current.object());
        let orphaned = {
            let state = self.read();
            !references.is_empty()
                && references.iter().all(|reference| {
                    owner_definition(&state, reference).is_some()
                        && !owner_exists(&state, reference, current.namespace())
                })
        };
        if orphaned && !current.is_terminating() {
            // A failure means that it is gone already.
            let _ = self.delete_object(
                &definition,
                current.namespace(),
                current.name(),
                &DeleteOptions::default(),
            );
        }
    }

    /// An object in deletion asked for its dependents to be orphaned, or to go first.
    pub(super) fn finalize(&self, resource: &GroupResource, key: &str) {
        let Some((definition, current)) = self.shown(resource, key) else { return };
        if !current.is_terminating() {
            return;
        }
        let object = current.object();
        let finalizers = object_meta::finalizers(&object);
        if finalizers.contains(&FINALIZER_ORPHAN) {
            for (resource, key) in self.dependents(current.uid()) {
                if let Some((definition, _)) = self.shown(&resource, &key) {
                    self.drop_reference(&definition, &key, current.uid());
                }
            }
            self.drop_finalizer(&definition, key, FINALIZER_ORPHAN);
        } else if finalizers.contains(&FINALIZER_FOREGROUND) {
            for (resource, key) in self.dependents(current.uid()) {
                let Some((definition, dependent)) = self.shown(&resource, &key) else { continue };
                if !dependent.is_terminating() {
                    let name = dependent.name();
                    let _ = self.delete_object(
                        &definition,
                        dependent.namespace(),
                        name,
                        &DeleteOptions::default(),
                    );
                }
            }
            let blocked = self.dependents(current.uid()).iter().any(|(resource, key)| {
                self.stored(resource, key).is_some_and(|dependent| blocks(&dependent, current.uid()))
            });
            if !blocked {
                self.drop_finalizer(&definition, key, FINALIZER_FOREGROUND);
            }
        }
    }

    /// A dependent is gone: owners in foreground deletion may have waited for it.
    pub(super) fn release_owners(&self, dependent: &StoredObject) {
        for reference in references(&dependent.object()) {
            let waiting = {
                let state = self.read();
                owner(&state, &reference, dependent.namespace())
                    .filter(|(_, _, owner)| owner.is_terminating() && owner.awaits_collector())
                    .map(|(definition, key, _)| (definition.internals.storage.clone(), key))
            };
            if let Some((resource, key)) = waiting {
                self.finalize(&resource, &key);
            }
        }
    }

    fn dependents(&self, owner: &str) -> Vec<(GroupResource, Arc<str>)> {
        self.read().dependents(owner)
    }

    /// An object and a resource that shows it in its stored form.
    fn shown(
        &self,
        resource: &GroupResource,
        key: &str,
    ) -> Option<(Arc<ResourceDefinition>, Arc<StoredObject>)> {
        let state = self.read();
        let definition = state
            .registry
            .all()
            .find(|d| d.internals.storage == *resource && d.group_resource() == *resource)?;
        Some((definition.clone(), state.object(resource, key)?.clone()))
    }

    fn drop_reference(&self, definition: &Arc<ResourceDefinition>, key: &str, owner: &str) {
        self.change(definition, key, |object| {
            let mut left = references(object);
            left.retain(|r| uid(r) != owner);
            object_meta::set_or_remove(object, "ownerReferences", (!left.is_empty()).then(|| json!(left)));
        });
    }

    fn drop_finalizer(&self, definition: &Arc<ResourceDefinition>, key: &str, finalizer: &str) {
        self.change(definition, key, |object| {
            let left: Vec<String> = object_meta::finalizers(object)
                .into_iter()
                .filter(|f| *f != finalizer)
                .map(str::to_owned)
                .collect();
            object_meta::set_finalizers(object, &left);
        });
    }

    /// Changes an object's metadata; one in deletion without finalizers is removed.
    fn change(&self, definition: &Arc<ResourceDefinition>, key: &str, change: impl Fn(&mut Object)) {
        loop {
            let Some(current) = self.stored(&definition.internals.storage, key) else { return };
            let mut object = current.object();
            change(&mut object);
            if object == current.object() {
                return;
            }
            let over = object_meta::is_terminating(&object)
                && object_meta::finalizers(&object).is_empty()
                && object_meta::grace_period(&object).unwrap_or(0) == 0;
            let done = if over {
                self.remove_if(definition, key, &current).is_some()
            } else {
                matches!(self.replace(definition, key, &current, object), Ok(Some(_)) | Err(_))
            };
            if done {
                return;
            }
        }
    }
}

fn references(object: &Object) -> Vec<Value> {
    object_meta::field(object, "ownerReferences").and_then(Value::as_array).cloned().unwrap_or_default()
}

fn uid(reference: &Value) -> &str {
    reference.get("uid").and_then(Value::as_str).unwrap_or_default()
}

/// Whether the object that a reference names is there, with that uid.
fn owner_exists(state: &State, reference: &Value, namespace: Option<&str>) -> bool {
    owner(state, reference, namespace).is_some()
}

/// The object that a reference names, if its uid is that of the reference.
fn owner<'s>(
    state: &'s State,
    reference: &Value,
    namespace: Option<&str>,
) -> Option<(&'s Arc<ResourceDefinition>, String, &'s Arc<StoredObject>)> {
    let text = |field: &str| reference.get(field).and_then(Value::as_str).unwrap_or_default();
    let definition = owner_definition(state, reference)?;
    let namespace = namespace.filter(|_| definition.scope == Scope::Namespaced);
    let key = object_key(namespace, text("name"));
    let owner = state.object(&definition.internals.storage, &key)?;
    (owner.uid() == uid(reference)).then_some((definition, key, owner))
}

fn owner_definition<'s>(state: &'s State, reference: &Value) -> Option<&'s Arc<ResourceDefinition>> {
    let text = |field: &str| reference.get(field).and_then(Value::as_str).unwrap_or_default();
    state.registry.all().find(|d| *d.kind == *text("kind") && d.api_version() == text("apiVersion"))
}

/// Whether a dependent asks its owner to wait for it.
fn blocks(dependent: &StoredObject, owner: &str) -> bool {
    references(&dependent.object())
        .iter()
        .any(|r| uid(r) == owner && r.get("blockOwnerDeletion") == Some(&Value::Bool(true)))
}
