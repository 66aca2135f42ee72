//! Pruning: removing what the schema does not know (apiextensions `pkg/apiserver/schema/pruning`).

use serde_json::{Map, Value};

use super::{Additional, Schema};

/// Removes unknown fields below a resource's root and answers their paths, sorted. `metadata` is not looked into.
pub(crate) fn prune(object: &mut Map<String, Value>, schema: &Schema) -> Vec<String> {
    let mut pruner = Pruner { path: String::new(), unknown: Vec::new() };
    pruner.resource(object, schema);
    pruner.unknown.sort_unstable();
    pruner.unknown
}

const TYPE_AND_METADATA: [&str; 3] = ["apiVersion", "kind", "metadata"];

struct Pruner {
    path: String,
    unknown: Vec<String>,
}

impl Pruner {
    fn at<R>(&mut self, step: &str, visit: impl FnOnce(&mut Self) -> R) -> R {
        let len = self.path.len();
        if len > 0 && !step.starts_with('[') {
            self.path.push('.');
        }
        self.path.push_str(step);
        let result = visit(self);
        self.path.truncate(len);
        result
    }

    fn resource(&mut self, object: &mut Map<String, Value>, schema: &Schema) {
        self.fields(object, Some(schema), true);
    }

    fn value(&mut self, value: &mut Value, schema: Option<&Schema>) {
        match value {
            Value::Object(object) => {
                let is_resource = schema.is_some_and(|s| s.embedded_resource);
                self.fields(object, schema, is_resource);
            }
            Value::Array(items) => {
                let schema = schema.and_then(|s| s.items.as_deref());
                for (i, item) in items.iter_mut().enumerate() {
                    self.at(&format!("[{i}]"), |p| p.value(item, schema));
                }
            }
            _ => {}
        }
    }

    fn fields(&mut self, object: &mut Map<String, Value>, schema: Option<&Schema>, is_resource: bool) {
        if schema.is_some_and(|s| s.preserve_unknown) {
            return self.known_fields(object, schema, is_resource);
        }
        let mut unknown = Vec::new();
        for (name, value) in &mut *object {
            if is_resource && TYPE_AND_METADATA.contains(&name.as_str()) {
                continue;
            }
            match (schema.and_then(|s| s.properties.get(name.as_str())), schema.map(|s| &s.additional)) {
                (Some(property), _) => self.at(name, |p| p.value(value, Some(property))),
                (None, Some(Additional::Of(of))) => self.at(name, |p| p.value(value, Some(of))),
                (None, Some(Additional::Any)) => self.at(name, |p| p.value(value, None)),
                (None, Some(Additional::Absent) | None) => unknown.push(name.clone()),
            }
        }
        for name in unknown {
            object.shift_remove(&name);
            let path = self.at(&name, |p| p.path.clone());
            self.unknown.push(path);
        }
    }

    /// Under `x-kubernetes-preserve-unknown-fields`, only fields with a schema of their own are pruned.
    fn known_fields(&mut self, object: &mut Map<String, Value>, schema: Option<&Schema>, is_resource: bool) {
        for (name, value) in object {
            if is_resource && TYPE_AND_METADATA.contains(&name.as_str()) {
                continue;
            }
            if let Some(property) = schema.and_then(|s| s.property(name)) {
                self.at(name, |p| p.value(value, Some(property)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::parse;
    use super::*;

    fn pruned(schema: &Value, object: &Value) -> (Value, Vec<String>) {
        let schema = parse(schema).unwrap();
        let mut object = object.as_object().cloned().unwrap();
        let unknown = prune(&mut object, &schema);
        (Value::Object(object), unknown)
    }

    fn schema_of(spec: &Value) -> Value {
        json!({"type": "object", "properties": {"spec": spec}})
    }

    #[test]
    fn rows() {
        let rows = [
            // Unknown fields go, at any depth; metadata stays.
            (
                schema_of(&json!({"type": "object", "properties": {"a": {"type": "string"}}})),
                json!({"metadata": {"x": 1}, "spec": {"a": "1", "b": {"c": 1}}, "other": 1}),
                json!({"metadata": {"x": 1}, "spec": {"a": "1"}}),
                vec!["other", "spec.b"],
            ),
            (
                schema_of(
                    &json!({"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string"}}}}),
                ),
                json!({"spec": [{"a": "1"}, {"b": 1}]}),
                json!({"spec": [{"a": "1"}, {}]}),
                vec!["spec[1].b"],
            ),
            (
                schema_of(
                    &json!({"type": "object", "additionalProperties": {"type": "object", "properties": {"a": {"type": "string"}}}}),
                ),
                json!({"spec": {"k": {"a": "1", "b": 1}}}),
                json!({"spec": {"k": {"a": "1"}}}),
                vec!["spec.k.b"],
            ),
            (
                schema_of(&json!({
                    "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                    "properties": {"known": {"type": "object", "properties": {"a": {"type": "string"}}}}
                })),
                json!({"spec": {"any": {"b": 1}, "known": {"a": "1", "b": 1}}}),
                json!({"spec": {"any": {"b": 1}, "known": {"a": "1"}}}),
                vec!["spec.known.b"],
            ),
            (
                schema_of(
                    &json!({"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"spec": {"type": "object"}}}),
                ),
                json!({"spec": {"apiVersion": "v1", "kind": "X", "metadata": {"name": "x"}, "other": 1}}),
                json!({"spec": {"apiVersion": "v1", "kind": "X", "metadata": {"name": "x"}}}),
                vec!["spec.other"],
            ),
        ];
        for (schema, object, expected, unknown) in rows {
            let (object, paths) = pruned(&schema, &object);
            assert_eq!((object, paths), (expected, unknown.into_iter().map(str::to_owned).collect()));
        }
    }
}
