//! The promises of `x-kubernetes-list-type`: sets and maps have no doubles (apiextensions
//! `pkg/apiserver/schema/listtype`).

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{ListType, Schema};
use crate::status::{FieldError, FieldPath};

/// Finds doubles in sets and in the keys of map-like lists.
pub(crate) fn check_list_types(object: &Map<String, Value>, schema: &Schema, errors: &mut Vec<FieldError>) {
    if schema.below.list_types {
        fields(object, schema, &FieldPath::ROOT, errors);
    }
}

fn fields(object: &Map<String, Value>, schema: &Schema, path: &FieldPath<'_>, errors: &mut Vec<FieldError>) {
    for (name, value) in object {
        let Some(of) = schema.property(name) else { continue };
        let path =
            if schema.properties.contains_key(name.as_str()) { path.field(name) } else { path.key(name) };
        check(value, of, &path, errors);
    }
}

fn check(value: &Value, schema: &Schema, path: &FieldPath<'_>, errors: &mut Vec<FieldError>) {
    if !schema.below.list_types {
        return;
    }
    match value {
        Value::Object(object) => fields(object, schema, path, errors),
        Value::Array(items) => {
            match &schema.list_type {
                ListType::Set => doubles(items.iter().cloned(), path, errors),
                ListType::Map(keys) => map_keys(items, keys, path, errors),
                ListType::Default | ListType::Atomic => {}
            }
            if let Some(of) = &schema.items {
                for (i, item) in items.iter().enumerate() {
                    check(item, of, &path.index(i), errors);
                }
            }
        }
        _ => {}
    }
}

/// The second of each pair of equals is reported, further ones are not.
fn doubles(items: impl Iterator<Item = Value>, path: &FieldPath<'_>, errors: &mut Vec<FieldError>) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (i, item) in items.enumerate() {
        let times = seen.entry(canonical(&item).to_string()).or_insert(0);
        *times += 1;
        if *times == 2 {
            errors.push(FieldError::duplicate(&path.index(i), &item));
        }
    }
}

/// A list of objects, by their keys.
pub(super) struct MapList<'v> {
    keys: &'v [String],
    items: HashMap<String, &'v Value>,
}

impl<'v> MapList<'v> {
    pub(super) fn new(items: &'v [Value], keys: &'v [String]) -> Self {
        Self { keys, items: items.iter().map(|item| (key_of(item, keys).to_string(), item)).collect() }
    }

    /// The item with the keys of this one.
    pub(super) fn get(&self, item: &Value) -> Option<&'v Value> {
        self.items.get(&key_of(item, self.keys).to_string()).copied()
    }
}

/// The fields that tell an item from the others.
fn key_of(item: &Value, keys: &[String]) -> Value {
    let given = keys.iter().filter_map(|field| Some((field.clone(), item.get(field)?.clone())));
    Value::Object(given.collect())
}

fn map_keys(items: &[Value], keys: &[String], path: &FieldPath<'_>, errors: &mut Vec<FieldError>) {
    for (i, item) in items.iter().enumerate() {
        if !item.is_object() && !item.is_null() {
            let why = "must be an object for an array of list-type map";
            errors.push(FieldError::invalid(&path.index(i), item, why));
            return;
        }
    }
    doubles(items.iter().map(|item| key_of(item, keys)), path, errors);
}

/// Keys sorted, so that equal objects print equally.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut entries: Vec<_> = object.iter().collect();
            entries.sort_by_key(|(k, _)| *k);
            Value::Object(entries.into_iter().map(|(k, v)| (k.clone(), canonical(v))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(canonical).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::parse;
    use super::*;

    #[test]
    fn rows() {
        let schema = json!({"type": "object", "properties": {
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "map": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a", "b"],
                    "items": {"type": "object", "required": ["a", "b"], "properties": {
                        "a": {"type": "string"}, "b": {"type": "integer"}, "c": {"type": "string"}}}}
        }});
        let schema = parse(&schema).unwrap();
        let rows = [
            (json!({"set": ["x", "y"]}), vec![]),
            (json!({"set": ["x", "y", "x", "x"]}), vec!["set[2]: Duplicate value: \"x\""]),
            (json!({"map": [{"a": "x", "b": 1, "c": "1"}, {"a": "x", "b": 2}]}), vec![]),
            (
                json!({"map": [{"a": "x", "b": 1, "c": "1"}, {"b": 1, "a": "x"}]}),
                vec!["map[1]: Duplicate value: {\"a\":\"x\",\"b\":1}"],
            ),
        ];
        for (object, expected) in rows {
            let mut errors = Vec::new();
            check_list_types(object.as_object().unwrap(), &schema, &mut errors);
            assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
        }
    }
}
