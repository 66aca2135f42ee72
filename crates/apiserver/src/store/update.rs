//! PUT and PATCH: from the stored object to the next one.
//!
//! ```text
//!   stored ─▶ wanted (body, or patch applied) ─▶ version fits? ─▶ prepared ─▶ checked ─▶ same? nothing
//!      ▲                                                                                  emptied finalizers? removed
//!      └─────────────── somebody else wrote in between: again ◀──────────────────────── stored
//! ```

use std::sync::Arc;

use serde_json::{Value, json};

use super::body;
use super::state::object_key;
use super::{FieldValidation, ObjectBody, Store, StoredObject, Subresource, WriteOptions, Written};
use crate::meta::format;
use crate::meta::object_meta::{self, Object};
use crate::meta::validate;
use crate::patch::Patch;
use crate::resource::{GroupKind, ResourceDefinition, Scope};
use crate::status::{ApiStatus, FieldError, StatusReason, go_quote};
use crate::strategy::{Change, value_at};

/// What is to become of an object.
enum Wanted<'a> {
    /// This, whole.
    Whole(&'a body::Read),
    /// What the patch makes of it.
    Patched(&'a Patch, FieldValidation),
}

/// Which object, and which part of it.
struct Target<'a> {
    definition: &'a Arc<ResourceDefinition>,
    namespace: Option<&'a str>,
    name: &'a str,
    subresource: Subresource,
    dry_run: bool,
}

/// What the decision on a write came to.
enum Outcome {
    /// Nothing changes.
    Same,
    Write(Object),
    /// The last finalizer of an object in deletion is gone.
    Remove(Object),
}

impl Store {
    pub(super) fn update_object(
        &self,
        definition: &Arc<ResourceDefinition>,
        namespace: Option<&str>,
        name: &str,
        subresource: Subresource,
        body: ObjectBody,
        options: &WriteOptions,
    ) -> Result<Written, ApiStatus> {
        let read = body::read(definition, body.clone(), options.field_validation)?;
        let namespace = namespace.filter(|_| definition.scope == Scope::Namespaced);
        let dry_run = options.dry_run;
        let target = Target { definition, namespace, name, subresource, dry_run };
        let updated = check_name(&read.object, namespace, name)
            .and_then(|()| self.guaranteed_update(&target, &Wanted::Whole(&read)));
        match updated {
            Err(status) if status.code == 404 && may_create(definition, subresource) => {
                check_uid_precondition(&target, &read.object, &Object::new())
                    .map_err(|status| status.with_earlier_warnings(read.warnings))?;
                // The namespace may be what was not found: creating says so.
                let body = if dry_run { body } else { without_version(body) };
                self.create_object(definition, namespace, body, options)
            }
            Err(status) => Err(status.with_earlier_warnings(read.warnings)),
            Ok(mut written) => {
                written.warnings.splice(0..0, read.warnings);
                Ok(written)
            }
        }
    }

    pub(super) fn patch_object(
        &self,
        definition: &Arc<ResourceDefinition>,
        namespace: Option<&str>,
        name: &str,
        subresource: Subresource,
        patch: &Patch,
        options: &WriteOptions,
    ) -> Result<Written, ApiStatus> {
        if definition.is_custom() && matches!(patch, Patch::StrategicMerge(_)) {
            return Err(ApiStatus::unsupported_media_type(&[
                "application/json-patch+json",
                "application/merge-patch+json",
                "application/apply-patch+yaml",
            ]));
        }
        let namespace = namespace.filter(|_| definition.scope == Scope::Namespaced);
        let target = Target { definition, namespace, name, subresource, dry_run: options.dry_run };
        self.guaranteed_update(&target, &Wanted::Patched(patch, options.field_validation))
    }

    fn guaranteed_update(&self, target: &Target<'_>, wanted: &Wanted<'_>) -> Result<Written, ApiStatus> {
        let definition = target.definition;
        let storage = self.storage_definition(definition);
        let key = object_key(target.namespace, target.name);
        loop {
            let current = self.stored(&storage.internals.storage, &key);
            let current =
                current.ok_or_else(|| ApiStatus::not_found(&definition.group_resource(), target.name))?;
            let (outcome, warnings) = decide(target, wanted, &current, &storage)?;
            let object = match outcome {
                Outcome::Same => Some(current.clone()),
                Outcome::Write(object) if target.dry_run => {
                    Some(Arc::new(StoredObject::new(object, &storage, current.resource_version())))
                }
                Outcome::Write(object) => self.replace(&storage, &key, &current, object)?,
                Outcome::Remove(object) => {
                    let answer = StoredObject::new(object, &storage, current.resource_version());
                    let removed = target.dry_run || self.remove_if(&storage, &key, &current).is_some();
                    removed.then(|| Arc::new(answer))
                }
            };
            if let Some(object) = object {
                return Ok(Written { object: object.shown_as(definition), created: false, warnings });
            }
        }
    }

    /// Writes unless somebody else has; then none.
    pub(super) fn replace(
        &self,
        storage: &Arc<ResourceDefinition>,
        key: &str,
        current: &Arc<StoredObject>,
        object: Object,
    ) -> Result<Option<Arc<StoredObject>>, ApiStatus> {
        let written = {
            let mut state = self.write();
            let unchanged =
                state.object(&storage.internals.storage, key).is_some_and(|o| Arc::ptr_eq(o, current));
            if !unchanged {
                return Ok(None);
            }
            state.put(storage, key, object)?
        };
        self.after_commit(storage, Some(current), Some(&written));
        Ok(Some(written))
    }

    /// Removes unless somebody else has written; answers the object at the revision of its removal.
    pub(super) fn remove_if(
        &self,
        storage: &Arc<ResourceDefinition>,
        key: &str,
        current: &Arc<StoredObject>,
    ) -> Option<Arc<StoredObject>> {
        let last = {
            let mut state = self.write();
            let unchanged =
                state.object(&storage.internals.storage, key).is_some_and(|o| Arc::ptr_eq(o, current));
            if !unchanged {
                return None;
            }
            state.remove(storage, key)
        };
        self.after_commit(storage, last.as_ref(), None);
        last
    }
}

/// The body's name and namespace are the path's.
fn check_name(object: &Object, namespace: Option<&str>, name: &str) -> Result<(), ApiStatus> {
    let given = object_meta::name(object);
    if given.is_empty() {
        return Err(ApiStatus::bad_request(format!(
            "the name of the object ({name} based on URL) was undeterminable: name must be provided"
        )));
    }
    if given != name {
        return Err(ApiStatus::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({name})"
        )));
    }
    match (object_meta::namespace(object), namespace) {
        (given, Some(requested)) if !given.is_empty() && given != requested => Err(ApiStatus::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        )),
        _ => Ok(()),
    }
}

/// A patch cannot rename.
fn check_patched_name(object: &Object, name: &str) -> Result<(), ApiStatus> {
    match object_meta::name(object) {
        given if given == name => Ok(()),
        "" => Err(ApiStatus::bad_request(format!(
            "the name of the object ({name} based on URL) was undeterminable: name must be provided"
        ))),
        given => Err(ApiStatus::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({name})"
        ))),
    }
}

/// Of what is made by an update, a version says nothing.
fn without_version(mut body: ObjectBody) -> ObjectBody {
    if let Some(metadata) = body.value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.shift_remove("resourceVersion");
    }
    body
}

fn may_create(definition: &ResourceDefinition, subresource: Subresource) -> bool {
    subresource == Subresource::None && definition.strategy().behaviour().create_on_update
}

/// Everything between reading the stored object and writing the next one.
fn decide(
    target: &Target<'_>,
    wanted: &Wanted<'_>,
    current: &Arc<StoredObject>,
    storage: &ResourceDefinition,
) -> Result<(Outcome, Vec<String>), ApiStatus> {
    let definition = target.definition;
    // Patches and checks see the object as this version shows it; events are handled in their stored form.
    let old = current.shown_as(if definition.is_custom() { definition } else { storage }).object();
    let (mut object, mut warnings) = match wanted {
        Wanted::Whole(read) => {
            check_uid_precondition(target, &read.object, &old)?;
            (read.object.clone(), Vec::new())
        }
        Wanted::Patched(patch, validation) => {
            let shown = current.shown_as(definition).object();
            let read =
                body::read_patched(definition, patched(patch, shown, definition)?, patch, *validation)?;
            (read.object, read.warnings)
        }
    };
    if let Err(status) = admit(target, wanted, &mut object, &old, current) {
        return Err(status.with_earlier_warnings(warnings));
    }
    warnings.extend(definition.strategy().warnings(&object, Some(&old)));
    let outcome = if emptied_finalizers(&object, &old) {
        Outcome::Remove(object)
    } else if object == old {
        Outcome::Same
    } else {
        Outcome::Write(object)
    };
    Ok((outcome, warnings))
}

/// What is checked of the object as sent or patched, which is completed on the way.
fn admit(
    target: &Target<'_>,
    wanted: &Wanted<'_>,
    object: &mut Object,
    old: &Object,
    current: &StoredObject,
) -> Result<(), ApiStatus> {
    if matches!(wanted, Wanted::Patched(..)) {
        check_patched_name(object, target.name)?;
    }
    check_version(target, object, current)?;
    prepare(target, object, old)?;
    check(target, object, old)
}

fn patched(patch: &Patch, object: Object, definition: &ResourceDefinition) -> Result<Object, ApiStatus> {
    let mut value = Value::Object(object);
    patch.apply(&mut value, &definition.kind)?;
    match value {
        Value::Object(object) => Ok(object),
        other => {
            let error = FieldError::invalid("patch", &json!(other.to_string()), "not an object");
            Err(ApiStatus::invalid(&GroupKind::new("", ""), "", &[error]))
        }
    }
}

/// A uid in the body of a PUT must be the object's.
fn check_uid_precondition(target: &Target<'_>, object: &Object, old: &Object) -> Result<(), ApiStatus> {
    let (given, stored) = (object_meta::text(object, "uid"), object_meta::text(old, "uid"));
    if given.is_empty() || given == stored {
        return Ok(());
    }
    let resource = target.definition.group_resource();
    let key = storage_key(target);
    Err(ApiStatus::conflict(
        &resource,
        target.name,
        format!(
            "StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition \
             failed: UID in precondition: {given}, UID in object meta: {stored}"
        ),
    ))
}

/// Where the real server would keep the object in etcd; clients see it in some errors.
fn storage_key(target: &Target<'_>) -> String {
    let id = &target.definition.id;
    let group = if target.definition.is_custom() { format!("{}/", id.group) } else { String::new() };
    let key = object_key(target.namespace, target.name);
    // A dry run does not get as far as the prefix of all keys.
    let prefix = if target.dry_run { "" } else { "/registry" };
    // Services share their folder with what they had been divided into long ago.
    let folder = if &*id.resource == "services" { "services/specs" } else { &*id.resource };
    format!("{prefix}/{group}{folder}/{key}")
}

/// The version in the object, if any, is the stored one; then the object carries it.
fn check_version(target: &Target<'_>, object: &mut Object, current: &StoredObject) -> Result<(), ApiStatus> {
    let stored = current.resource_version();
    let resource = target.definition.group_resource();
    match object_meta::text(object, "resourceVersion") {
        "" | "0" => {
            if !target.definition.strategy().behaviour().unconditional_update {
                let kind = GroupKind { group: resource.group, kind: resource.resource };
                return Err(ApiStatus::invalid(
                    &kind,
                    target.name,
                    &[object_meta::resource_version_required()],
                ));
            }
        }
        given => match given.parse::<u64>() {
            Ok(given) if given == stored => {}
            Ok(_) => return Err(ApiStatus::stale(&resource, target.name)),
            Err(_) => {
                let why = format!("strconv.ParseUint: parsing {}: invalid syntax", go_quote(given));
                return Err(ApiStatus::new(500, StatusReason::Unknown, why));
            }
        },
    }
    object_meta::set_or_remove(object, "resourceVersion", Some(json!(stored.to_string())));
    Ok(())
}

fn prepare(target: &Target<'_>, object: &mut Object, old: &Object) -> Result<(), ApiStatus> {
    object_meta::match_request_namespace(object, target.namespace)?;
    object_meta::set_generation(object, object_meta::generation(old));
    let change = Change { old, subresource: target.subresource };
    target.definition.strategy().prepare_update(object, change);
    object_meta::keep_system_fields(object, old);
    Ok(())
}

fn check(target: &Target<'_>, object: &Object, old: &Object) -> Result<(), ApiStatus> {
    let definition = target.definition;
    let mut errors = Vec::new();
    validate::create(object, definition.scope, format::path_segment_name, &mut errors);
    validate::update(object, old, &mut errors);
    if definition.has_strict_finalizers() {
        validate::finalizers_are_qualified(object, &mut errors);
    }
    let change = Change { old, subresource: target.subresource };
    definition.strategy().validate_update(object, change, &mut errors);
    if !definition.is_custom() {
        errors = without_doubles(errors);
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(ApiStatus::invalid(
            &super::create::given_kind(definition, object),
            object_meta::name(object),
            &errors,
        ))
    }
}

/// Each finding once: of built-in resources, metadata is checked by two, who agree.
fn without_doubles(errors: Vec<FieldError>) -> Vec<FieldError> {
    let mut once = Vec::with_capacity(errors.len());
    for error in errors {
        if !once.contains(&error) {
            once.push(error);
        }
    }
    once
}

/// Whether the write takes away the last thing that kept an object in deletion (`ShouldDeleteDuringUpdate`).
fn emptied_finalizers(object: &Object, old: &Object) -> bool {
    let spec_finalizers = value_at(object, &["spec", "finalizers"]).and_then(Value::as_array);
    let is_namespace = object.get("kind") == Some(&json!("Namespace"));
    object_meta::finalizers(object).is_empty()
        && object_meta::is_terminating(old)
        && object_meta::grace_period(old).unwrap_or(0) == 0
        && !(is_namespace && spec_finalizers.is_some_and(|f| !f.is_empty()))
}
