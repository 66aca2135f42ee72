//! The life of a namespace: furnished when new; when deleted, emptied and then removed
//! (`pkg/registry/core/namespace/storage`, the namespace controller).

use std::sync::Arc;

use serde_json::{Value, json};

use super::delete::add_collector_finalizers;
use super::{DeleteOptions, Deleted, ObjectBody, Store, StoredObject, WriteOptions};
use crate::meta::object_meta::{self, Object};
use crate::resource::{GroupVersionResource, ResourceDefinition, Scope};
use crate::status::ApiStatus;
use crate::strategy::{FINALIZER_KUBERNETES, object_at};

/// Namespaces that a cluster cannot be without.
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

fn namespaces() -> GroupVersionResource {
    GroupVersionResource::new("", "v1", "namespaces")
}

impl Store {
    pub(super) fn delete_namespace(
        &self,
        definition: &Arc<ResourceDefinition>,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Deleted, ApiStatus> {
        let resource = definition.group_resource();
        loop {
            let current = self
                .stored(&definition.internals.storage, name)
                .ok_or_else(|| ApiStatus::not_found(&resource, name))?;
            if IMMORTAL.contains(&name) {
                return Err(ApiStatus::forbidden(&resource, name, "this namespace may not be deleted"));
            }
            check_preconditions(definition, &current, options)?;
            if current.is_terminating() {
                let object = current.object();
                if spec_finalizers(&object).is_empty() && object_meta::finalizers(&object).is_empty() {
                    return self.delete_plain(definition, None, name, options);
                }
                return Ok(Deleted::Object(current));
            }
            let mut object = current.object();
            let now = object_meta::format_time(self.now());
            object_meta::set_or_remove(&mut object, "deletionTimestamp", Some(json!(now)));
            add_collector_finalizers(&mut object, options.propagation_policy);
            object_at(&mut object, "status").insert("phase".to_owned(), json!("Terminating"));
            if options.dry_run {
                let marked = StoredObject::new(object, definition, current.resource_version());
                return Ok(Deleted::Object(Arc::new(marked)));
            }
            if let Some(marked) = self.replace(definition, name, &current, object)? {
                return Ok(Deleted::Object(marked));
            }
        }
    }

    /// Deletes what a terminating namespace still holds; removes it when that is nothing.
    pub(super) fn empty_namespace(&self, name: &str) {
        let Some(definition) = self.resource(&namespaces()) else { return };
        let terminating =
            self.stored(&definition.internals.storage, name).is_some_and(|n| n.is_terminating());
        if !terminating {
            return;
        }
        let mut left = 0;
        for (resource, key) in self.content(name) {
            let object_name = key.split_once('/').map_or(&*key, |(_, name)| name);
            let current = self.stored(&resource.internals.storage, &key);
            let Some(current) = current else { continue };
            if !current.is_terminating() {
                // Failures leave the object, which is counted and tried again at the next change.
                let _ = self.delete_plain(&resource, Some(name), object_name, &DeleteOptions::default());
            }
            left += usize::from(self.stored(&resource.internals.storage, &key).is_some());
        }
        if left == 0 {
            self.finalize_namespace(&definition, name);
        }
    }

    /// Every object in the namespace, with one resource that shows it.
    fn content(&self, namespace: &str) -> Vec<(Arc<ResourceDefinition>, Arc<str>)> {
        let state = self.read();
        let prefix = super::state::key_prefix(Some(namespace));
        let mut seen = Vec::new();
        let mut content = Vec::new();
        for definition in state.registry.all().filter(|d| d.scope == Scope::Namespaced) {
            let storage = &definition.internals.storage;
            if seen.contains(storage) || *storage != definition.group_resource() {
                continue;
            }
            seen.push(storage.clone());
            content.extend(state.objects(storage, &prefix).map(|(key, _)| (definition.clone(), key.clone())));
        }
        content
    }

    /// Takes the `kubernetes` finalizer; the namespace goes unless somebody else holds it.
    fn finalize_namespace(&self, definition: &Arc<ResourceDefinition>, name: &str) {
        loop {
            let Some(current) = self.stored(&definition.internals.storage, name) else { return };
            let mut object = current.object();
            let mut finalizers = spec_finalizers(&object);
            finalizers.retain(|f| f != FINALIZER_KUBERNETES);
            if finalizers.is_empty() && object_meta::finalizers(&object).is_empty() {
                if self.remove_if(definition, name, &current).is_some() {
                    return;
                }
                continue;
            }
            let spec = object_at(&mut object, "spec");
            if finalizers.is_empty() {
                spec.shift_remove("finalizers");
            } else {
                spec.insert("finalizers".to_owned(), json!(finalizers));
            }
            if object == current.object() {
                return;
            }
            match self.replace(definition, name, &current, object) {
                Ok(None) => {}
                Ok(Some(_)) | Err(_) => return,
            }
        }
    }

    /// What the controllers of a real cluster put into every namespace.
    pub(super) fn furnish_namespace(&self, name: &str) {
        let furnish = |resource: &str, object: Value| {
            let resource = GroupVersionResource::new("", "v1", resource);
            // It may exist already, or the namespace may be gone again.
            if let Some(definition) = self.resource(&resource) {
                let body = ObjectBody::from(object);
                let _ = self.create_object(&definition, Some(name), body, &WriteOptions::default());
            }
        };
        if self.config.default_service_accounts {
            furnish("serviceaccounts", json!({"metadata": {"name": "default"}}));
        }
        if let Some(pem) = &self.config.root_ca {
            let why = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints \
                       such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across \
                       distributions of Kubernetes clusters.";
            furnish(
                "configmaps",
                json!({
                    "metadata": {"name": "kube-root-ca.crt", "annotations": {"kubernetes.io/description": why}},
                    "data": {"ca.crt": pem}
                }),
            );
        }
    }
}

fn spec_finalizers(namespace: &Object) -> Vec<String> {
    let list = crate::strategy::value_at(namespace, &["spec", "finalizers"]).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Namespaces have words of their own for this.
fn check_preconditions(
    definition: &ResourceDefinition,
    current: &StoredObject,
    options: &DeleteOptions,
) -> Result<(), ApiStatus> {
    let resource = definition.group_resource();
    let version = current.resource_version().to_string();
    let wanted = &options.preconditions;
    for (what, wanted, found) in [
        ("UID", wanted.uid.as_deref(), current.uid()),
        ("ResourceVersion", wanted.resource_version.as_deref(), version.as_str()),
    ] {
        if let Some(wanted) = wanted.filter(|wanted| *wanted != found) {
            let cause = format!(
                "Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {found}"
            );
            return Err(ApiStatus::conflict(&resource, current.name(), cause));
        }
    }
    Ok(())
}
