//! Defaulting (apiextensions `pkg/apiserver/schema/defaulting`).

use serde_json::{Map, Value};

use super::Schema;

/// Fills in defaults, then removes nulls that are neither allowed nor defaulted.
pub(crate) fn apply_defaults(object: &mut Map<String, Value>, schema: &Schema) {
    if schema.below.defaults {
        default_fields(object, schema);
    }
    drop_nulls(object, schema);
}

fn is_forbidden_null(value: &Value, schema: &Schema) -> bool {
    value.is_null() && !schema.nullable
}

fn default_fields(object: &mut Map<String, Value>, schema: &Schema) {
    for (name, property) in &schema.properties {
        if let Some(default) = &property.default
            && object.get(&**name).is_none_or(|v| is_forbidden_null(v, property))
        {
            object.insert(name.to_string(), default.clone());
        }
    }
    for (name, value) in object {
        if let Some(property) = schema.property(name) {
            default_value(value, property);
        }
    }
}

fn default_value(value: &mut Value, schema: &Schema) {
    if is_forbidden_null(value, schema)
        && let Some(default) = &schema.default
    {
        *value = default.clone();
    }
    if !schema.below.defaults {
        return;
    }
    match value {
        Value::Object(object) => default_fields(object, schema),
        Value::Array(items) => {
            if let Some(of) = &schema.items {
                for item in items {
                    default_value(item, of);
                }
            }
        }
        _ => {}
    }
}

fn drop_nulls(object: &mut Map<String, Value>, schema: &Schema) {
    object.retain(|name, value| !schema.property(name).is_some_and(|p| is_forbidden_null(value, p)));
    for (name, value) in object {
        if let Some(property) = schema.property(name) {
            drop_nulls_in(value, property);
        }
    }
}

fn drop_nulls_in(value: &mut Value, schema: &Schema) {
    match value {
        Value::Object(object) => drop_nulls(object, schema),
        Value::Array(items) => {
            if let Some(of) = &schema.items {
                for item in items {
                    drop_nulls_in(item, of);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::parse;
    use super::*;

    #[test]
    fn rows() {
        let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "default": {}, "properties": {
            "a": {"type": "string", "default": "x"},
            "n": {"type": "string", "nullable": true, "default": "x"},
            "plain": {"type": "string"},
            "list": {"type": "array", "items": {"type": "object", "properties": {"b": {"type": "integer", "default": 1}}}},
            "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"b": {"type": "integer", "default": 1}}}}
        }}}});
        let schema = parse(&schema).unwrap();
        let rows = [
            (json!({}), json!({"spec": {"a": "x", "n": "x"}})),
            (json!({"spec": {"a": null, "n": null, "plain": null}}), json!({"spec": {"a": "x", "n": null}})),
            (
                json!({"spec": {"a": "y", "n": "z", "list": [{}, {"b": 2}], "map": {"k": {}}}}),
                json!({"spec": {"a": "y", "n": "z", "list": [{"b": 1}, {"b": 2}], "map": {"k": {"b": 1}}}}),
            ),
        ];
        for (object, expected) in rows {
            let mut object = object.as_object().cloned().unwrap();
            apply_defaults(&mut object, &schema);
            assert_eq!(Value::Object(object), expected);
        }
    }
}
