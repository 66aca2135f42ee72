//! JSON values as CEL sees them, typed by their schema (`UnstructuredToVal`).

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube_cel::cel::Value as CelValue;
use kube_cel::cel::objects::{Key, Map as CelMap};
use serde_json::{Map, Value};

use super::super::format::parse_duration;
use super::super::{Additional, Schema, SchemaType};

/// Converts a value; at the root of a resource its type and names come along.
pub(super) fn to_cel(value: &Value, schema: &Schema, is_resource: bool) -> CelValue {
    match value {
        Value::Object(object) => fields(object, Some(schema), is_resource),
        value => converted(value, Some(schema)),
    }
}

fn converted(value: &Value, schema: Option<&Schema>) -> CelValue {
    match value {
        Value::Null => CelValue::Null,
        Value::Bool(flag) => CelValue::Bool(*flag),
        Value::Number(number) => {
            let wants_float = schema.is_some_and(|s| s.schema_type == SchemaType::Number);
            match (number.as_i64(), number.as_u64()) {
                (Some(n), _) if !wants_float => CelValue::Int(n),
                (None, Some(n)) if !wants_float => CelValue::UInt(n),
                _ => whole_or_float(number.as_f64().unwrap_or(f64::NAN), schema),
            }
        }
        Value::String(text) => string(text, schema),
        Value::Array(items) => {
            let of = schema.and_then(|s| s.items.as_deref());
            CelValue::List(Arc::new(items.iter().map(|item| converted(item, of)).collect()))
        }
        Value::Object(object) => {
            let is_resource = schema.is_some_and(|s| s.embedded_resource);
            fields(object, schema, is_resource)
        }
    }
}

/// `1.0` in an integer field is an integer.
fn whole_or_float(number: f64, schema: Option<&Schema>) -> CelValue {
    let wants_int = schema.is_some_and(|s| s.schema_type == SchemaType::Integer);
    if wants_int && number.fract() == 0.0 && number.abs() < 9e18 {
        #[expect(clippy::cast_possible_truncation, reason = "whole and in range, by the check")]
        return CelValue::Int(number as i64);
    }
    CelValue::Float(number)
}

fn string(text: &str, schema: Option<&Schema>) -> CelValue {
    let plain = || CelValue::String(Arc::new(text.to_owned()));
    let Some(format) =
        schema.filter(|s| s.schema_type == SchemaType::String).and_then(|s| s.rules.format.as_deref())
    else {
        return plain();
    };
    match format {
        "byte" => STANDARD.decode(text).map_or_else(|_| plain(), |b| CelValue::Bytes(Arc::new(b))),
        "date-time" => {
            chrono::DateTime::parse_from_rfc3339(text).map_or_else(|_| plain(), CelValue::Timestamp)
        }
        "date" => chrono::DateTime::parse_from_rfc3339(&format!("{text}T00:00:00Z"))
            .map_or_else(|_| plain(), CelValue::Timestamp),
        "duration" => {
            parse_duration(text).map_or_else(plain, |n| CelValue::Duration(chrono::Duration::nanoseconds(n)))
        }
        _ => plain(),
    }
}

fn fields(object: &Map<String, Value>, schema: Option<&Schema>, is_resource: bool) -> CelValue {
    let is_map = schema.is_some_and(|s| !matches!(s.additional, Additional::Absent));
    let mut map = HashMap::with_capacity(object.len());
    for (name, value) in object {
        if is_resource && name == "metadata" {
            map.insert(key("metadata"), names(value));
            continue;
        }
        let value = converted(value, schema.and_then(|s| s.property(name)));
        // Keys of maps are data; names of fields are identifiers and need escaping.
        let name = if is_map { key(name) } else { Key::String(Arc::new(escaped(name))) };
        map.insert(name, value);
    }
    CelValue::Map(CelMap { map: Arc::new(map) })
}

fn key(name: &str) -> Key {
    Key::String(Arc::new(name.to_owned()))
}

/// Rules may look at the names in `metadata`, nothing else.
fn names(metadata: &Value) -> CelValue {
    let mut map = HashMap::new();
    for name in ["name", "generateName"] {
        if let Some(value) = metadata.get(name) {
            map.insert(key(name), converted(value, None));
        }
    }
    CelValue::Map(CelMap { map: Arc::new(map) })
}

const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// A field's name as an identifier (`cel.Escape`): `foo-bar` is `foo__dash__bar`, `namespace` is `__namespace__`.
fn escaped(name: &str) -> String {
    if RESERVED.contains(&name) {
        return format!("__{name}__");
    }
    if !name.contains(['-', '.', '/']) && !name.contains("__") {
        return name.to_owned();
    }
    name.replace("__", "__underscores__")
        .replace('.', "__dot__")
        .replace('-', "__dash__")
        .replace('/', "__slash__")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_those_of_the_real_server() {
        let rows = [
            ("replicas", "replicas"),
            ("my_field", "my_field"),
            ("a__b", "a__underscores__b"),
            ("foo-bar", "foo__dash__bar"),
            ("a.b/c", "a__dot__b__slash__c"),
            ("namespace", "__namespace__"),
        ];
        for (name, expected) in rows {
            assert_eq!(escaped(name), expected);
        }
    }
}
