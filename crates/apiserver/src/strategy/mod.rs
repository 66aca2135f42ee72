//! What is particular about one resource: how its objects are read, prepared and checked (the real server's *strategy*).
//!
//! ```text
//!   create   decode ─▶ default ─▶ prepare_create ─▶ validate_create
//!   update   decode ─▶ default ─▶ prepare_update ─▶ validate_update          (main resource or status)
//! ```
//!
//! What holds for every object (metadata, versions, finalizers) is the store's; what differs is here.

mod api_approval;
mod custom;
mod custom_resource_definition;
mod event;
mod namespace;
mod pod;
mod rbac;
mod secret;
mod simple;
mod workload;

use serde_json::Value;

use crate::meta::format::{self, NameRule};
use crate::meta::object_meta::{self, Object};
use crate::resource::ResourceDefinition;
use crate::status::{ApiStatus, FieldError, go_quote};
use crate::store::Subresource;

pub(crate) use api_approval::Approval;
pub(crate) use custom::{CustomResource, read_versions};
pub(crate) use custom_resource_definition::{CustomResourceDefinitions, has_condition};
pub(crate) use event::{Events, convert as convert_event};
pub(crate) use namespace::{FINALIZER_KUBERNETES, Namespaces};
pub(crate) use pod::Pods;
pub(crate) use rbac::{RoleBindings, Roles, role_ref};
pub(crate) use secret::{ConfigMaps, Secrets};
pub(crate) use simple::{Leases, ServiceAccounts};
pub(crate) use workload::{Deployments, PodDisruptionBudgets, Services};

/// What is being asked of an object when it is prepared and checked.
#[derive(Clone, Copy)]
pub(crate) struct Change<'a> {
    /// The stored object.
    pub(crate) old: &'a Object,
    /// Which part is written.
    pub(crate) subresource: Subresource,
}

/// The switches of a resource.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Behaviour {
    /// What names must look like.
    pub(crate) name_rule: NameRule,
    /// PUT of a name that does not exist creates it.
    pub(crate) create_on_update: bool,
    /// PUT without a resourceVersion overwrites whatever is there.
    pub(crate) unconditional_update: bool,
    /// DELETE answers the object rather than a Status.
    pub(crate) returns_deleted_object: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            name_rule: format::name_is_dns_subdomain,
            create_on_update: false,
            unconditional_update: true,
            returns_deleted_object: false,
        }
    }
}

/// What is particular about one resource.
pub(crate) trait Strategy: Send + Sync {
    /// The switches.
    fn behaviour(&self) -> Behaviour {
        Behaviour::default()
    }

    /// Reads an object: types, unknown fields (their paths are answered), forms that are equal are made the same.
    fn decode(&self, object: &mut Object, definition: &ResourceDefinition) -> Result<Vec<String>, ApiStatus>;

    /// Fills in defaults; on every write, so it must not depend on anything but the object.
    fn default(&self, _object: &mut Object) {}

    /// Before a new object is checked.
    fn prepare_create(&self, _object: &mut Object) {}

    /// Checks a new object.
    fn validate_create(&self, _object: &Object, _errors: &mut Vec<FieldError>) {}

    /// Before a changed object is checked: takes back what this write may not touch, counts generations.
    fn prepare_update(&self, object: &mut Object, change: Change<'_>) {
        keep_other_part(object, change);
    }

    /// Checks a changed object.
    fn validate_update(&self, object: &Object, change: Change<'_>, errors: &mut Vec<FieldError>);

    /// Texts for `Warning` headers.
    fn warnings(&self, _object: &Object, _old: Option<&Object>) -> Vec<String> {
        Vec::new()
    }

    /// For resources that are deleted gracefully: how many seconds this object gets.
    fn grace_period(&self, _object: &Object, _requested: Option<i64>) -> Option<i64> {
        None
    }

    /// The schema of a custom resource.
    fn custom_schema(&self) -> Option<&crate::schema::Schema> {
        None
    }

    /// The values of the fields that field selectors may name, in the definition's order.
    fn selectable(&self, object: &Object, field: &str) -> String {
        let mut value = None;
        for (i, step) in field.split('.').enumerate() {
            value = if i == 0 { object.get(step) } else { value.and_then(|v: &Value| v.get(step)) };
        }
        match value {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Bool(_) | Value::Number(_)) => value.map(Value::to_string).unwrap_or_default(),
            _ => String::new(),
        }
    }
}

/// Keeps the old status on a write of the object, and everything but the status on a write of the status, as most
/// built-in resources do: metadata goes through the status endpoint too.
pub(crate) fn keep_other_part(object: &mut Object, change: Change<'_>) {
    match change.subresource {
        Subresource::None => keep(object, change.old, "status"),
        Subresource::Status | Subresource::Finalize => keep(object, change.old, "spec"),
    }
}

/// Takes a field from the old object, present or absent.
pub(crate) fn keep(object: &mut Object, old: &Object, field: &str) {
    match old.get(field) {
        Some(value) => {
            object.insert(field.to_owned(), value.clone());
        }
        None => {
            object.shift_remove(field);
        }
    }
}

/// One more than the old generation if this field differs.
pub(crate) fn count_generation(object: &mut Object, old: &Object, field: &str) {
    if object.get(field) != old.get(field) {
        object_meta::set_generation(object, object_meta::generation(old) + 1);
    }
}

/// Reads an object of a built-in resource by its schema.
pub(crate) fn decode_built_in(
    object: &mut Object,
    definition: &ResourceDefinition,
) -> Result<Vec<String>, ApiStatus> {
    let kind = &definition.kind;
    let Some(schema) = definition.schema() else { return Ok(Vec::new()) };
    crate::schema::decode(object, schema, kind).map_err(|error| cannot_handle(definition, &error))
}

/// 400: the body is no object of this kind.
pub(crate) fn cannot_handle(definition: &ResourceDefinition, error: &str) -> ApiStatus {
    let (kind, version) = (&definition.kind, go_quote(&definition.id.version));
    ApiStatus::bad_request(format!("{kind} in version {version} cannot be handled as a {kind}: {error}"))
}

/// The text of the last step of a path, empty if absent.
pub(crate) fn text_at<'a>(object: &'a Object, path: &[&str]) -> &'a str {
    value_at(object, path).and_then(Value::as_str).unwrap_or_default()
}

/// The value at a path of fields.
pub(crate) fn value_at<'a>(object: &'a Object, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(object.get(*first)?, |value, step| value.get(step))
}

/// The object at a field, made if absent.
pub(crate) fn object_at<'a>(object: &'a mut Object, field: &str) -> &'a mut Object {
    let value = object.entry(field).or_insert_with(|| Value::Object(Object::new()));
    if !value.is_object() {
        *value = Value::Object(Object::new());
    }
    value.as_object_mut().expect("made an object just above")
}

/// Sets a field unless it is given.
pub(crate) fn default_field(object: &mut Object, field: &str, value: Value) {
    object.entry(field).or_insert(value);
}
