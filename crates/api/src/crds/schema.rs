//! The last touches to a derived schema, so that an API server takes it without a warning and every object stays small.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

/// Limits where the type gives none of its own: a condition's message is the longest text, an object must fit into
/// etcd, and the API server estimates the cost of CEL rules by these.
const MAX_LENGTH: i64 = 32_768;
const MAX_ITEMS: i64 = 256;
const MAX_PROPERTIES: i64 = 64;

/// Calls `visit` with `schema` and every schema inside it.
pub(super) fn for_each(schema: &mut JSONSchemaProps, visit: &mut impl FnMut(&mut JSONSchemaProps)) {
    visit(schema);
    for property in schema.properties.iter_mut().flat_map(|properties| properties.values_mut()) {
        for_each(property, visit);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        for_each(items, visit);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        for_each(values, visit);
    }
}

/// Finishes one schema of the tree.
pub(super) fn finish(schema: &mut JSONSchemaProps) {
    // Writers leave absent fields out; a stored null would only be a second spelling of absent.
    schema.nullable = None;
    schema.title = None;
    widen_unsigned(schema);
    bound(schema);
}

/// `uint32` is no format of Kubernetes, which warns about it: the same range as an int64.
fn widen_unsigned(schema: &mut JSONSchemaProps) {
    if schema.format.as_deref() == Some("uint32") {
        schema.format = Some("int64".to_owned());
        schema.maximum.get_or_insert(f64::from(u32::MAX));
    }
}

/// Strings, lists and maps have a limit.
fn bound(schema: &mut JSONSchemaProps) {
    match schema.type_.as_deref() {
        Some("string") if schema.enum_.is_none() && schema.format.as_deref() != Some("date-time") => {
            schema.max_length.get_or_insert(MAX_LENGTH);
        }
        Some("array") => {
            schema.max_items.get_or_insert(MAX_ITEMS);
        }
        Some("object") if schema.additional_properties.is_some() => {
            schema.max_properties.get_or_insert(MAX_PROPERTIES);
        }
        _ => {}
    }
}
