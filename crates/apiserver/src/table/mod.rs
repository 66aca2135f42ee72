//! The Table form that `kubectl get` asks for (`meta.k8s.io/v1` Table).
//!
//! ```text
//!   columns   built-ins: fixed, computed cells (built_in)     custom resources: the CRD's, cells by JSONPath
//!   rows      one per object: cells, and the object in the form asked for
//! ```

mod age;
mod built_in;
mod json_path;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::resource::{PrinterColumn, ResourceDefinition};
use crate::store::StoredObject;

pub(crate) use built_in::columns as built_in_columns;
pub(crate) use json_path::JsonPath;

/// Which form of the object accompanies a row (`includeObject`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum IncludeObject {
    /// Nothing.
    None,
    /// PartialObjectMetadata; the default.
    #[default]
    Metadata,
    /// The whole object.
    Object,
}

/// `columnDefinitions` of this resource's tables.
pub fn column_definitions(resource: &ResourceDefinition) -> Vec<Value> {
    let definition = |name: &str, column_type: &str, format: &str, description: &str, priority: i32| json!({"name": name, "type": column_type, "format": format, "description": description, "priority": priority});
    let columns = resource
        .printer_columns
        .iter()
        .map(|c| definition(&c.name, &c.column_type, &c.format, &c.description, c.priority));
    if resource.is_custom() {
        let name = definition("Name", "string", "name", NAME_DESCRIPTION, 0);
        std::iter::once(name).chain(columns).collect()
    } else {
        columns.collect()
    }
}

const NAME_DESCRIPTION: &str = "Name must be unique within a namespace. Is required when creating resources, although \
    some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily \
    intended for creation idempotence and configuration definition. Cannot be updated. More info: \
    https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";

/// `rows` for these objects; ages are relative to `now`.
pub fn rows(
    resource: &ResourceDefinition,
    objects: &[Arc<StoredObject>],
    include: IncludeObject,
    now: Timestamp,
) -> Vec<Value> {
    let paths = column_paths(resource);
    objects
        .iter()
        .map(|object| {
            let value = object.value();
            let cells = if resource.is_custom() {
                custom_cells(&value, &resource.printer_columns, &paths, now)
            } else {
                built_in::cells(&resource.kind, &value, now)
            };
            match include {
                IncludeObject::None => json!({"cells": cells, "object": null}),
                IncludeObject::Metadata => json!({"cells": cells, "object": partial_metadata(value)}),
                IncludeObject::Object => json!({"cells": cells, "object": value}),
            }
        })
        .collect()
}

/// The object's metadata as `PartialObjectMetadata`.
pub(crate) fn partial_metadata(mut object: Value) -> Value {
    let metadata = object.get_mut("metadata").map(Value::take).unwrap_or_default();
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
}

/// The parsed paths of a custom resource's columns; an unreadable one (which a CRD cannot have) shows nothing.
fn column_paths(resource: &ResourceDefinition) -> Vec<Option<JsonPath>> {
    resource
        .printer_columns
        .iter()
        .map(|c| c.json_path.as_deref().and_then(|path| JsonPath::parse(path).ok()))
        .collect()
}

fn custom_cells(
    object: &Value,
    columns: &[PrinterColumn],
    paths: &[Option<JsonPath>],
    now: Timestamp,
) -> Vec<Value> {
    let name = object.pointer("/metadata/name").cloned().unwrap_or_default();
    let cells = columns.iter().zip(paths).map(|(column, path)| {
        let value = path.as_ref().and_then(|p| p.first(object));
        value.map_or(Value::Null, |value| custom_cell(&column.column_type, value, now))
    });
    std::iter::once(name).chain(cells).collect()
}

/// A value as its column's type prints it (`cellForJSONValue`).
fn custom_cell(column_type: &str, value: &Value, now: Timestamp) -> Value {
    match (column_type, value) {
        ("string", Value::String(_) | Value::Null)
        | ("number", Value::Number(_))
        | ("boolean", Value::Bool(_)) => value.clone(),
        ("string", other) => json!(other.to_string()),
        ("integer", Value::Number(n)) => match n.as_f64() {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a display of whole numbers, as Go converts them"
            )]
            Some(float) if n.is_f64() => json!(float as i64),
            _ => value.clone(),
        },
        ("date", Value::String(text)) => match text.parse::<Timestamp>() {
            Ok(time) => json!(age::human_duration(time, now)),
            Err(_) => json!("<invalid>"),
        },
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_custom_columns() {
        let now: Timestamp = "2024-01-01T00:10:00Z".parse().unwrap();
        let rows = [
            ("string", json!("x"), json!("x")),
            ("string", json!(5), json!("5")),
            ("string", json!({"a": 1}), json!("{\"a\":1}")),
            ("integer", json!(5), json!(5)),
            ("integer", json!("5"), Value::Null),
            ("integer", json!(5.5), json!(5)),
            ("boolean", json!(true), json!(true)),
            ("date", json!("2024-01-01T00:00:00Z"), json!("10m")),
            ("date", json!("soon"), json!("<invalid>")),
        ];
        for (column_type, value, expected) in rows {
            assert_eq!(custom_cell(column_type, &value, now), expected, "{column_type} {value}");
        }
    }
}
