//! POST: from a body to a stored object.

use std::sync::Arc;

use serde_json::json;

use super::body;
use super::state::{State, object_key};
use super::{ObjectBody, Store, StoredObject, WriteOptions, Written};
use crate::meta::format;
use crate::meta::object_meta::{self, Object};
use crate::meta::validate;
use crate::resource::{GroupKind, NAMESPACES, Origin, ResourceDefinition, Scope};
use crate::status::{ApiStatus, StatusCause, StatusReason};

/// A generated name that is taken is drawn again, this often.
const NAME_ATTEMPTS: usize = 8;

impl Store {
    pub(super) fn create_object(
        &self,
        definition: &Arc<ResourceDefinition>,
        namespace: Option<&str>,
        body: ObjectBody,
        options: &WriteOptions,
    ) -> Result<Written, ApiStatus> {
        let body::Read { object, warnings } = body::read(definition, body, options.field_validation)?;
        match self.create_read(definition, namespace, object, options) {
            Ok(mut written) => {
                written.warnings.splice(0..0, warnings);
                Ok(written)
            }
            Err(status) => Err(status.with_earlier_warnings(warnings)),
        }
    }

    fn create_read(
        &self,
        definition: &Arc<ResourceDefinition>,
        namespace: Option<&str>,
        mut object: Object,
        options: &WriteOptions,
    ) -> Result<Written, ApiStatus> {
        refuse_while_terminating(definition, object_meta::name(&object))?;
        let namespace = namespace.filter(|_| definition.scope == Scope::Namespaced);
        object_meta::match_request_namespace(&mut object, namespace)?;
        self.check_namespace(definition, namespace, object_meta::name(&object))?;
        object_meta::wipe_system_fields(&mut object);
        if object_meta::text(&object, "resourceVersion") == "0" {
            object_meta::set_or_remove(&mut object, "resourceVersion", None);
        }

        let generated =
            object_meta::name(&object).is_empty() && !object_meta::text(&object, "generateName").is_empty();
        let mut attempts = if generated { NAME_ATTEMPTS } else { 1 };
        loop {
            attempts -= 1;
            match self.create_once(definition, namespace, object.clone(), options) {
                Err(status) if generated && status.reason == StatusReason::AlreadyExists => {
                    if attempts == 0 {
                        let name = status.details.map(|d| d.name).unwrap_or_default();
                        return Err(ApiStatus::generate_name_conflict(&definition.group_resource(), &name));
                    }
                }
                Err(status) => return Err(status),
                Ok((created, warnings)) => {
                    let object = created.shown_as(definition);
                    return Ok(Written { object, created: true, warnings });
                }
            }
        }
    }

    fn create_once(
        &self,
        definition: &Arc<ResourceDefinition>,
        namespace: Option<&str>,
        mut object: Object,
        options: &WriteOptions,
    ) -> Result<(Arc<StoredObject>, Vec<String>), ApiStatus> {
        self.fill_system_fields(&mut object);
        let strategy = definition.strategy();
        strategy.prepare_create(&mut object);
        validate_new(definition, &object)?;
        // The real server's storage refuses it, to which a dry run does not get.
        if !options.dry_run && !object_meta::text(&object, "resourceVersion").is_empty() {
            let why = "resourceVersion should not be set on objects to be created";
            return Err(ApiStatus::new(500, StatusReason::Unknown, why));
        }
        let warnings = strategy.warnings(&object, None);
        match self.insert(definition, namespace, object, options.dry_run) {
            Ok(stored) => Ok((stored, warnings)),
            Err(status) => Err(status.with_earlier_warnings(warnings)),
        }
    }

    /// uid, creation time and a generated name (`FillObjectMetaSystemFields`).
    pub(super) fn fill_system_fields(&self, object: &mut Object) {
        let uid = object_meta::format_uid(self.random(), self.random());
        object_meta::set_or_remove(object, "uid", Some(json!(uid)));
        let now = object_meta::format_time(self.now());
        object_meta::set_or_remove(object, "creationTimestamp", Some(json!(now)));
        let stem = object_meta::text(object, "generateName");
        if !stem.is_empty() && object_meta::name(object).is_empty() {
            let name = object_meta::generate_name(stem, self.random());
            object_meta::set_or_remove(object, "name", Some(json!(name)));
        }
    }

    /// Stores a complete new object, unless its name is taken or its namespace has gone.
    pub(super) fn insert(
        &self,
        definition: &Arc<ResourceDefinition>,
        namespace: Option<&str>,
        object: Object,
        dry_run: bool,
    ) -> Result<Arc<StoredObject>, ApiStatus> {
        let storage = self.storage_definition(definition);
        let name = object_meta::name(&object).to_owned();
        let key = object_key(namespace, &name);
        let created = {
            let mut state = self.write();
            namespace_accepts(&state, definition, namespace, &name)?;
            if let Some(existing) = state.object(&storage.internals.storage, &key) {
                let mut status = ApiStatus::already_exists(&definition.group_resource(), &name);
                if existing.is_terminating() {
                    status.message = format!("object is being deleted: {}", status.message);
                }
                return Err(status);
            }
            if dry_run {
                // Nothing gave it a version; one that was sent comes back.
                let version = object_meta::text(&object, "resourceVersion").parse().unwrap_or(0);
                return Ok(Arc::new(StoredObject::new(object, &storage, version)));
            }
            state.put(&storage, &key, object)?
        };
        self.after_commit(&storage, None, Some(&created));
        Ok(created)
    }

    fn check_namespace(
        &self,
        definition: &ResourceDefinition,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<(), ApiStatus> {
        namespace_accepts(&self.read(), definition, namespace, name)
    }
}

/// Everything that is checked on a new object; 422 with all findings.
pub(super) fn validate_new(definition: &ResourceDefinition, object: &Object) -> Result<(), ApiStatus> {
    let strategy = definition.strategy();
    let mut errors = Vec::new();
    if !is_legacy_event(definition, object) {
        validate::create(object, definition.scope, strategy.behaviour().name_rule, &mut errors);
    }
    if definition.has_strict_finalizers() {
        validate::finalizers_are_qualified(object, &mut errors);
    }
    strategy.validate_create(object, &mut errors);
    if errors.is_empty() {
        validate::create(object, definition.scope, format::path_segment_name, &mut errors);
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(ApiStatus::invalid(&given_kind(definition, object), object_meta::name(object), &errors))
    }
}

/// An event without `eventTime`, whose metadata is hardly looked at (`legacyValidateEvent`).
fn is_legacy_event(definition: &ResourceDefinition, object: &Object) -> bool {
    let has_time = object.get("eventTime").is_some_and(serde_json::Value::is_string);
    *definition.internals.storage.resource == *"events" && !has_time
}

/// The kind that the object says it is of, which in a custom resource may be the mistake.
pub(super) fn given_kind(definition: &ResourceDefinition, object: &Object) -> GroupKind {
    match object.get("kind").and_then(serde_json::Value::as_str) {
        // Events are known by their old group.
        _ if *definition.id.group == *"events.k8s.io" => GroupKind::new("", &definition.kind),
        Some(kind) if definition.is_custom() => GroupKind::new(&definition.id.group, kind),
        _ => definition.group_kind(),
    }
}

/// The objects of a CRD that is being deleted.
fn refuse_while_terminating(definition: &ResourceDefinition, name: &str) -> Result<(), ApiStatus> {
    match &definition.internals.origin {
        Origin::Custom { terminating: true, .. } => {
            let why = "create not allowed while custom resource definition is terminating";
            Err(ApiStatus::forbidden(&definition.group_resource(), name, why))
        }
        _ => Ok(()),
    }
}

/// Objects are made only in namespaces that exist (404) and are not being deleted (403) (`NamespaceLifecycle`).
fn namespace_accepts(
    state: &State,
    definition: &ResourceDefinition,
    namespace: Option<&str>,
    name: &str,
) -> Result<(), ApiStatus> {
    let Some(namespace) = namespace else { return Ok(()) };
    let Some(found) = state.object(&NAMESPACES, namespace) else {
        return Err(ApiStatus::not_found(&NAMESPACES, namespace));
    };
    if !found.is_terminating() {
        return Ok(());
    }
    let cause =
        format!("unable to create new content in namespace {namespace} because it is being terminated");
    let mut status = ApiStatus::forbidden(&definition.group_resource(), name, cause);
    if let Some(details) = &mut status.details {
        details.causes.push(StatusCause {
            reason: "NamespaceTerminating".to_owned(),
            message: format!("namespace {namespace} is being terminated"),
            field: "metadata.namespace".to_owned(),
        });
    }
    Err(status)
}
