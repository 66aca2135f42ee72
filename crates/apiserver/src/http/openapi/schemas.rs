//! The `components.schemas` of an OpenAPI document.

use serde_json::{Map, Value, json};

use super::{super::served::Served, builtin};

pub(super) const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
pub(super) const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
pub(super) const PATCH: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";
const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";

const API_VERSION_TEXT: &str = "APIVersion defines the versioned schema of this representation of an object. Servers \
    should convert recognized schemas to the latest internal value, and may reject unrecognized values. More info: \
    https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources";
const KIND_TEXT: &str = "Kind is a string value representing the REST resource this object represents. Servers may infer \
    this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: \
    https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";
const METADATA_TEXT: &str = "Standard object's metadata. More info: \
    https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

/// A `$ref` to a component.
pub(super) fn reference(component: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{component}")})
}

/// What the real server calls the schema of `kind`: the Go package for built-ins, the reversed group for custom ones.
pub(super) fn component_name(resource: &Served, kind: &str) -> String {
    let package = match builtin::schema_name(&resource.group, &resource.version, &resource.kind) {
        Some(name) => name.rsplit_once('.').map_or_else(String::new, |(package, _)| package.to_owned()),
        None if resource.group.is_empty() => format!("io.k8s.api.core.{}", resource.version),
        None => {
            let reversed: Vec<&str> = resource.group.rsplit('.').collect();
            format!("{}.{}", reversed.join("."), resource.version)
        }
    };
    format!("{package}.{kind}")
}

/// The `x-kubernetes-group-version-kind` of `kind`.
pub(super) fn group_version_kind(resource: &Served, kind: &str) -> Value {
    json!({"group": &*resource.group, "version": &*resource.version, "kind": kind})
}

/// All schemas that the resources of one group and version need.
pub(super) fn components(resources: &[Served]) -> Map<String, Value> {
    let mut builtins = builtin::Schemas::with_meta();
    for resource in resources {
        builtins.add(&resource.group, &resource.version, &resource.kind);
    }
    let mut schemas = builtins.into_definitions();
    for resource in resources {
        let name = component_name(resource, &resource.kind);
        let object = schemas.entry(name.clone()).or_insert_with(|| custom_object(resource));
        if let Some(object) = object.as_object_mut() {
            let gvk = json!([group_version_kind(resource, &resource.kind)]);
            object.insert("x-kubernetes-group-version-kind".to_owned(), gvk);
        }
        if let Some(list_kind) = &resource.list_kind {
            schemas.insert(component_name(resource, list_kind), list(resource, list_kind, &name));
        }
    }
    schemas.insert(
        PATCH.to_owned(),
        json!({
            "type": "object",
            "description": "Patch is provided to give a concrete name and type to the Kubernetes PATCH request body.",
        }),
    );
    schemas
}

/// A custom resource's schema, with the three fields that every object has.
fn custom_object(resource: &Served) -> Value {
    let mut schema = (*resource.schema).clone();
    if !schema.is_object() {
        schema = json!({});
    }
    if let Some(object) = schema.as_object_mut() {
        object.entry("type").or_insert_with(|| json!("object"));
        let properties = object.entry("properties").or_insert_with(|| json!({}));
        if let Some(properties) = properties.as_object_mut() {
            properties
                .insert("apiVersion".to_owned(), json!({"type": "string", "description": API_VERSION_TEXT}));
            properties.insert("kind".to_owned(), json!({"type": "string", "description": KIND_TEXT}));
            properties.insert(
                "metadata".to_owned(),
                json!({"allOf": [reference(OBJECT_META)], "description": METADATA_TEXT}),
            );
        }
    }
    schema
}

fn list(resource: &Served, list_kind: &str, item: &str) -> Value {
    json!({
        "type": "object",
        "description": format!("{list_kind} is a list of {}", resource.kind),
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string", "description": API_VERSION_TEXT},
            "items": {
                "type": "array", "items": {"allOf": [reference(item)]},
                "description": format!("List of {}.", resource.plural),
            },
            "kind": {"type": "string", "description": KIND_TEXT},
            "metadata": {"allOf": [reference(LIST_META)], "description": METADATA_TEXT},
        },
        "x-kubernetes-group-version-kind": [group_version_kind(resource, list_kind)],
    })
}
