//! The schemas of built-in resources, as k8s-openapi generates them from the Kubernetes API definitions.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Additional, MAX_DEPTH, Rules, Schema, SchemaType};

/// Kinds of definitions whose content is left as it is: they nest in themselves, or hold anything.
const OPAQUE: [&str; 4] = [".JSONSchemaProps", ".JSON", ".FieldsV1", ".RawExtension"];

/// Reads a generated schema with `$ref`s into `$defs`. Shared definitions are read once.
pub(crate) fn from_openapi(root: &Value) -> Schema {
    let empty = Map::new();
    let definitions = root.get("$defs").and_then(Value::as_object).unwrap_or(&empty);
    Reader { definitions, read: HashMap::new() }.node(root, 0)
}

struct Reader<'a> {
    definitions: &'a Map<String, Value>,
    read: HashMap<&'a str, Arc<Schema>>,
}

impl<'a> Reader<'a> {
    fn shared(&mut self, value: &'a Value, depth: usize) -> Arc<Schema> {
        let Some(name) = value.get("$ref").and_then(Value::as_str) else {
            return Arc::new(self.node(value, depth));
        };
        let name = name.rsplit('/').next().unwrap_or(name);
        if let Some(schema) = self.read.get(name) {
            return schema.clone();
        }
        let opaque = OPAQUE.iter().any(|end| name.ends_with(end));
        let schema = match self.definitions.get(name) {
            Some(definition) if !opaque && depth < MAX_DEPTH => self.definition(name, definition, depth),
            _ => Schema { preserve_unknown: true, ..Schema::default() },
        };
        let schema = Arc::new(schema);
        self.read.insert(name, schema.clone());
        schema
    }

    fn definition(&mut self, name: &str, value: &'a Value, depth: usize) -> Schema {
        let mut schema = self.node(value, depth);
        if name.ends_with(".Quantity") {
            // A number is read and written as text.
            schema.rules.format = Some("quantity".into());
        }
        schema
    }

    fn node(&mut self, value: &'a Value, depth: usize) -> Schema {
        let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
        let int_or_string = value.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true));
        let schema_type = match text("type") {
            _ if int_or_string => SchemaType::IntOrString,
            "object" => SchemaType::Object,
            "array" => SchemaType::Array,
            "string" => SchemaType::String,
            "integer" => SchemaType::Integer,
            "number" => SchemaType::Number,
            "boolean" => SchemaType::Boolean,
            _ => SchemaType::Any,
        };
        let mut schema = Schema { schema_type, ..Schema::default() };
        for (name, property) in value.get("properties").and_then(Value::as_object).into_iter().flatten() {
            schema.properties.insert(name.as_str().into(), self.shared(property, depth + 1));
        }
        match value.get("additionalProperties") {
            Some(of @ Value::Object(_)) => schema.additional = Additional::Of(self.shared(of, depth + 1)),
            Some(Value::Bool(true)) => schema.additional = Additional::Any,
            _ => {}
        }
        schema.items = value.get("items").map(|of| self.shared(of, depth + 1));
        schema.preserve_unknown = schema_type == SchemaType::Any
            || (schema_type == SchemaType::Object
                && schema.properties.is_empty()
                && matches!(schema.additional, Additional::Absent));
        let required = value.get("required").and_then(Value::as_array);
        schema.rules = Rules {
            format: Some(text("format")).filter(|f| !f.is_empty()).map(Into::into),
            required: required.into_iter().flatten().filter_map(Value::as_str).map(Into::into).collect(),
            ..Rules::default()
        };
        schema
    }
}
