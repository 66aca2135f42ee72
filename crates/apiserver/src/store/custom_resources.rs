//! The life of a CustomResourceDefinition: names accepted, established, serving; when deleted, its objects go first
//! (apiextensions `pkg/controller/{status,establish,apiapproval,finalizer}`).

use std::sync::Arc;

use serde_json::{Value, json};

use super::delete::check_preconditions;
use super::{DeleteOptions, Deleted, Store, StoredObject};
use crate::meta::object_meta::{self, Object};
use crate::resource::{Crd, GroupVersionResource, ResourceDefinition, custom_definitions};
use crate::status::ApiStatus;
use crate::strategy::{Approval, has_condition, object_at, value_at};

/// Held by a CRD in deletion while it has objects.
const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

fn crds() -> GroupVersionResource {
    GroupVersionResource::new("apiextensions.k8s.io", "v1", "customresourcedefinitions")
}

/// A condition as it should be.
struct Condition {
    name: &'static str,
    status: bool,
    reason: &'static str,
    message: String,
}

impl Condition {
    fn new(name: &'static str, status: bool, reason: &'static str, message: impl Into<String>) -> Self {
        Self { name, status, reason, message: message.into() }
    }
}

impl Store {
    /// A CRD was written or removed: brings its status and the served resources up to date.
    pub(super) fn define(&self, name: &str) {
        let Some(definition) = self.resource(&crds()) else { return };
        let Some(current) = self.stored(&definition.internals.storage, name) else {
            self.write().registry.remove(name);
            return;
        };
        let crd = current.object();
        if object_meta::is_terminating(&crd) {
            self.register(&crd, current.resource_version());
            self.empty_definition(name);
            return;
        }
        let conflict = self.name_conflict(&Crd::read(&crd));
        let now = object_meta::format_time(self.now());
        let bring_up_to_date = |crd: &mut Object| {
            accept_names(crd, conflict.as_ref(), &now);
            show_approval(crd, &now);
        };
        if self.write_status(&definition, &current, bring_up_to_date) {
            // Written: this is called again for what was written.
            return;
        }
        if has_condition(&crd, "NamesAccepted") {
            let established = Condition::new(
                "Established",
                true,
                "InitialNamesAccepted",
                "the initial names have been accepted",
            );
            if !has_condition(&crd, "Established")
                && self.write_status(&definition, &current, |crd| self.set_condition(crd, &established))
            {
                return;
            }
            self.register(&crd, current.resource_version());
        }
    }

    /// Serves what the CRD defines. Its revision tells schemas apart.
    fn register(&self, crd: &Object, revision: u64) {
        if !has_condition(crd, "Established") {
            return;
        }
        // What was stored was checked; should it not compile today, nothing is served for it.
        if let Ok(definitions) = custom_definitions(crd, revision) {
            let mut state = self.write();
            for definition in &definitions {
                state.begin_history(&definition.internals.storage);
            }
            let unchanged = definitions.iter().all(|new| {
                state.registry.get(&new.id).is_some_and(|old| {
                    old.openapi_schema == new.openapi_schema
                        && old.subresources == new.subresources
                        && old.printer_columns == new.printer_columns
                        && old.short_names == new.short_names
                        && old.categories == new.categories
                        && old.is_terminating_custom() == new.is_terminating_custom()
                        && old.internals.selectable == new.internals.selectable
                })
            });
            let name = object_meta::name(crd);
            if !unchanged || state.registry.defined_by(name) != definitions.len() {
                state.registry.replace(name, definitions);
            }
        }
    }

    /// Changes a CRD's status; says whether that wrote something.
    fn write_status(
        &self,
        definition: &Arc<ResourceDefinition>,
        current: &Arc<StoredObject>,
        change: impl Fn(&mut Object),
    ) -> bool {
        let mut crd = current.object();
        change(&mut crd);
        if crd == current.object() {
            return false;
        }
        // None: somebody else wrote, which has its own task.
        self.replace(definition, current.name(), current, crd).is_ok()
    }

    fn set_condition(&self, crd: &mut Object, condition: &Condition) {
        set_condition(crd, condition, &object_meta::format_time(self.now()));
    }

    /// Another CRD of the group that has one of these names already.
    fn name_conflict(&self, crd: &Crd) -> Option<Condition> {
        let others: Vec<Crd> = {
            let state = self.read();
            let definition = state.registry.get(&crds())?;
            let objects = state.objects(&definition.internals.storage, "");
            objects
                .map(|(_, object)| Crd::read(&object.object()))
                .filter(|other| other.group == crd.group && other.name != crd.name && other.established)
                .collect()
        };
        let resources = |c: &Crd| -> Vec<String> {
            [vec![c.plural.clone(), c.singular.clone()], c.short_names.clone()].concat()
        };
        let taken = |name: &String| others.iter().any(|other| resources(other).contains(name));
        let rejected = |reason, name: &String| {
            Some(Condition::new("NamesAccepted", false, reason, format!("\"{name}\" is already in use")))
        };
        // The last conflict is the one that is told.
        for (reason, name) in [("ListKindConflict", &crd.list_kind), ("KindConflict", &crd.kind)] {
            if others.iter().any(|other| other.kind == *name || other.list_kind == *name) {
                return rejected(reason, name);
            }
        }
        if let Some(short) = crd.short_names.iter().rev().find(|name| taken(name)) {
            return rejected("ShortNamesConflict", short);
        }
        if taken(&crd.singular) {
            return rejected("SingularConflict", &crd.singular);
        }
        if taken(&crd.plural) {
            return rejected("PluralConflict", &crd.plural);
        }
        None
    }

    pub(super) fn delete_definition(
        &self,
        definition: &Arc<ResourceDefinition>,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Deleted, ApiStatus> {
        loop {
            let current = self
                .stored(&definition.internals.storage, name)
                .ok_or_else(|| ApiStatus::not_found(&definition.group_resource(), name))?;
            check_preconditions(definition, &current, options)?;
            let mut crd = current.object();
            if object_meta::is_terminating(&crd) {
                return Ok(Deleted::Object(current));
            }
            let now = self.now();
            object_meta::mark_as_deleting(&mut crd, now);
            object_meta::set_or_remove(&mut crd, "deletionGracePeriodSeconds", None);
            let mut finalizers: Vec<String> =
                object_meta::finalizers(&crd).into_iter().map(str::to_owned).collect();
            if !finalizers.iter().any(|f| f == FINALIZER) {
                finalizers.push(FINALIZER.to_owned());
            }
            object_meta::set_finalizers(&mut crd, &finalizers);
            let terminating = Condition::new(
                "Terminating",
                true,
                "InstanceDeletionPending",
                "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
            );
            self.set_condition(&mut crd, &terminating);
            if options.dry_run {
                let marked = StoredObject::new(crd, definition, current.resource_version());
                return Ok(Deleted::Object(Arc::new(marked)));
            }
            if let Some(marked) = self.replace(definition, name, &current, crd)? {
                return Ok(Deleted::Object(marked));
            }
        }
    }

    /// Deletes the objects of a CRD in deletion; when none is left, takes the finalizer.
    pub(super) fn empty_definition(&self, name: &str) {
        let Some(definition) = self.resource(&crds()) else { return };
        loop {
            let Some(current) = self.stored(&definition.internals.storage, name) else { return };
            let mut crd = current.object();
            let holds = object_meta::finalizers(&crd).contains(&FINALIZER);
            if !object_meta::is_terminating(&crd) || !holds || self.delete_instances(&Crd::read(&crd)) > 0 {
                return;
            }
            let finalizers: Vec<String> = object_meta::finalizers(&crd)
                .into_iter()
                .filter(|f| *f != FINALIZER)
                .map(str::to_owned)
                .collect();
            let done = if finalizers.is_empty() {
                self.remove_if(&definition, name, &current).is_some()
            } else {
                object_meta::set_finalizers(&mut crd, &finalizers);
                matches!(self.replace(&definition, name, &current, crd), Ok(Some(_)) | Err(_))
            };
            if done {
                return;
            }
        }
    }

    /// How many objects could not be deleted at once.
    fn delete_instances(&self, crd: &Crd) -> usize {
        let storage = crd.group_resource();
        let (shown_by, keys) = {
            let state = self.read();
            let shown_by = state.registry.all().find(|d| d.internals.storage == storage).cloned();
            let keys: Vec<_> = state
                .objects(&storage, "")
                .map(|(_, o)| (o.namespace().map(str::to_owned), o.name().to_owned()))
                .collect();
            (shown_by, keys)
        };
        let Some(definition) = shown_by else { return 0 };
        for (namespace, name) in &keys {
            // Objects with finalizers stay, marked.
            let _ = self.delete_plain(&definition, namespace.as_deref(), name, &DeleteOptions::default());
        }
        self.read().objects(&storage, "").count()
    }
}

/// What the naming controller writes.
fn accept_names(crd: &mut Object, conflict: Option<&Condition>, now: &str) {
    let names = value_at(crd, &["spec", "names"]).cloned().unwrap_or_default();
    let accepted = Condition::new("NamesAccepted", true, "NoConflicts", "no conflicts found");
    let condition = conflict.unwrap_or(&accepted);
    set_condition(crd, condition, now);
    if condition.status {
        object_at(crd, "status").insert("acceptedNames".to_owned(), names);
    }
    if !has_any_condition(crd, "Established") {
        let pending = if condition.status {
            Condition::new("Established", false, "Installing", "the initial names have been accepted")
        } else {
            Condition::new("Established", false, "NotAccepted", "not all names are accepted")
        };
        set_condition(crd, &pending, now);
    }
}

/// What the API approval controller writes.
fn show_approval(crd: &mut Object, now: &str) {
    let Some(approval) = Approval::of(crd) else { return };
    let conforms = approval == Approval::Approved;
    let message = approval.message(crd);
    let condition =
        Condition::new("KubernetesAPIApprovalPolicyConformant", conforms, approval.reason(), message);
    set_condition(crd, &condition, now);
}

fn has_any_condition(crd: &Object, name: &str) -> bool {
    let conditions = value_at(crd, &["status", "conditions"]).and_then(Value::as_array);
    conditions.into_iter().flatten().any(|c| c.get("type") == Some(&json!(name)))
}

/// Sets a condition; its transition time changes only with its status.
fn set_condition(crd: &mut Object, condition: &Condition, now: &str) {
    let status = if condition.status { "True" } else { "False" };
    let conditions = object_at(crd, "status").entry("conditions").or_insert_with(|| json!([]));
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    let Some(conditions) = conditions.as_array_mut() else { return };
    let mut new = json!({
        "type": condition.name, "status": status, "lastTransitionTime": now,
        "reason": condition.reason, "message": condition.message
    });
    match conditions.iter_mut().find(|c| c.get("type") == Some(&json!(condition.name))) {
        Some(existing) => {
            if existing.get("status") == new.get("status") {
                new["lastTransitionTime"] = existing.get("lastTransitionTime").cloned().unwrap_or_default();
            }
            *existing = new;
        }
        None => conditions.push(new),
    }
}
