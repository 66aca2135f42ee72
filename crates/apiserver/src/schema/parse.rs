//! From a CRD's `openAPIV3Schema` to a [`Schema`], refusing what is not structural (apiextensions
//! `pkg/apiserver/schema/{convert,structural,validation}.go`).

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{Additional, Bound, ListType, MAX_DEPTH, Pattern, Rules, Schema, SchemaType, cel};
use crate::status::{FieldError, FieldPath};

/// Reads a schema; errors name fields relative to it.
#[cfg(test)]
pub(crate) fn parse(schema: &Value) -> Result<Schema, Vec<FieldError>> {
    parse_at(schema, &FieldPath::ROOT)
}

/// Reads a schema; errors name fields below this path, such as
/// `spec.versions[0].schema.openAPIV3Schema.properties[spec].type`.
pub(crate) fn parse_at(schema: &Value, path: &FieldPath<'_>) -> Result<Schema, Vec<FieldError>> {
    let mut parser = Parser { errors: Vec::new(), depth: 0 };
    let parsed = parser.node(schema, path, Place::Root);
    parser.metadata_is_implicit(&parsed, path);
    if parser.errors.is_empty() { Ok(parsed) } else { Err(parser.errors) }
}

/// Where a node stands, which decides what it may say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Items,
    Field,
    /// In allOf, anyOf, oneOf or not: values only, no structure.
    Junctor,
    /// In anyOf or allOf of an int-or-string, where `type` is tolerated.
    IntOrStringJunctor,
}

impl Place {
    fn in_junctor(self) -> bool {
        matches!(self, Self::Junctor | Self::IntOrStringJunctor)
    }

    /// Why a type is needed here.
    fn type_needed(self) -> &'static str {
        match self {
            Self::Root => "must not be empty at the root",
            Self::Items => "must not be empty for specified array items",
            _ => "must not be empty for specified object fields",
        }
    }
}

struct Parser {
    errors: Vec<FieldError>,
    depth: usize,
}

impl Parser {
    fn node(&mut self, value: &Value, path: &FieldPath<'_>, place: Place) -> Schema {
        let Some(object) = value.as_object() else {
            self.errors.push(FieldError::invalid(path, value, "must be a schema object"));
            return Schema::default();
        };
        if self.depth > MAX_DEPTH {
            self.errors.push(FieldError::invalid(path, &json!(""), "schema nests too deeply"));
            return Schema::default();
        }
        self.depth += 1;
        let schema = self.fields(object, path, place);
        self.depth -= 1;
        schema
    }

    fn fields(&mut self, object: &Map<String, Value>, path: &FieldPath<'_>, place: Place) -> Schema {
        let flag = |name: &str| object.get(name) == Some(&Value::Bool(true));
        let schema_type = self.schema_type(object, path, place);
        let mut schema = Schema {
            schema_type,
            nullable: flag("nullable"),
            preserve_unknown: flag("x-kubernetes-preserve-unknown-fields"),
            embedded_resource: flag("x-kubernetes-embedded-resource"),
            atomic_map: object.get("x-kubernetes-map-type") == Some(&json!("atomic")),
            default: object.get("default").filter(|d| !d.is_null()).cloned(),
            ..Schema::default()
        };
        self.refuse_unsupported(object, path, place);
        self.children(object, path, place, &mut schema);
        schema.list_type = self.list_type(object, path, &schema);
        schema.rules = self.rules(object, path, schema_type);
        schema.cel = self.cel_rules(object, path);
        self.check_completeness(&schema, path, place);
        self.check_default(&schema, path);
        schema.seal()
    }

    fn schema_type(&mut self, object: &Map<String, Value>, path: &FieldPath<'_>, place: Place) -> SchemaType {
        let given = object.get("type").and_then(Value::as_str).unwrap_or_default();
        let int_or_string = object.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true));
        let field = path.field("type");
        if place.in_junctor() {
            if !given.is_empty() && place == Place::Junctor {
                self.errors.push(FieldError::forbidden(&field, "must be empty to be structural"));
            }
        } else if int_or_string && !given.is_empty() {
            let why = "must be empty if x-kubernetes-int-or-string is true";
            self.errors.push(FieldError::invalid(&field, &json!(given), why));
        }
        let preserve = object.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
        match given {
            _ if int_or_string => SchemaType::IntOrString,
            "object" => SchemaType::Object,
            "array" => SchemaType::Array,
            "string" => SchemaType::String,
            "integer" => SchemaType::Integer,
            "number" => SchemaType::Number,
            "boolean" => SchemaType::Boolean,
            "" => {
                if !place.in_junctor() && (place == Place::Root || !preserve) {
                    self.errors.push(FieldError::required(&field, place.type_needed()));
                }
                SchemaType::Any
            }
            other => {
                let supported = ["array", "boolean", "integer", "number", "object", "string"];
                self.errors.push(FieldError::not_supported(&field, &json!(other), &supported));
                SchemaType::Any
            }
        }
    }

    fn refuse_unsupported(&mut self, object: &Map<String, Value>, path: &FieldPath<'_>, place: Place) {
        const UNSUPPORTED: [(&str, &str); 6] = [
            ("$ref", "$ref is not supported"),
            ("definitions", "definitions is not supported"),
            ("dependencies", "dependencies is not supported"),
            ("patternProperties", "patternProperties is not supported"),
            ("additionalItems", "additionalItems is not supported"),
            ("id", "id is not supported"),
        ];
        for (name, why) in UNSUPPORTED {
            if object.contains_key(name) {
                self.errors.push(FieldError::forbidden(&path.field(name), why));
            }
        }
        if object.get("uniqueItems") == Some(&Value::Bool(true)) {
            let why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
            self.errors.push(FieldError::forbidden(&path.field("uniqueItems"), why));
        }
        if object.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
            let field = path.field("x-kubernetes-preserve-unknown-fields");
            self.errors.push(FieldError::invalid(&field, &json!(false), "must be true or undefined"));
        }
        if place.in_junctor() {
            const STRUCTURE: [&str; 8] = [
                "additionalProperties",
                "default",
                "nullable",
                "title",
                "description",
                "x-kubernetes-preserve-unknown-fields",
                "x-kubernetes-embedded-resource",
                "x-kubernetes-list-type",
            ];
            for name in STRUCTURE {
                let given = object.get(name).is_some_and(|v| *v != Value::Bool(false) && *v != json!(""));
                if given {
                    let why = "must be empty to be structural";
                    self.errors.push(FieldError::forbidden(&path.field(name), why));
                }
            }
        }
    }

    fn children(
        &mut self,
        object: &Map<String, Value>,
        path: &FieldPath<'_>,
        place: Place,
        schema: &mut Schema,
    ) {
        let inner = |otherwise| if place.in_junctor() { Place::Junctor } else { otherwise };
        if let Some(properties) = object.get("properties").and_then(Value::as_object) {
            let field = path.field("properties");
            for (name, property) in properties {
                let node = self.node(property, &field.key(name), inner(Place::Field));
                schema.properties.insert(name.as_str().into(), Arc::new(node));
            }
        }
        match object.get("additionalProperties") {
            Some(Value::Bool(true)) => schema.additional = Additional::Any,
            Some(of @ Value::Object(_)) => {
                let field = path.field("additionalProperties");
                let node = self.node(of, &field, inner(Place::Field));
                schema.additional = Additional::Of(Arc::new(node));
            }
            Some(Value::Bool(false)) => {
                let why = "additionalProperties cannot be set to false";
                self.errors.push(FieldError::forbidden(&path.field("additionalProperties"), why));
            }
            _ => {}
        }
        if !schema.properties.is_empty() && !matches!(schema.additional, Additional::Absent) {
            let why = "additionalProperties and properties are mutual exclusive";
            self.errors.push(FieldError::forbidden(&path.field("additionalProperties"), why));
        }
        match object.get("items") {
            Some(of @ Value::Object(_)) => {
                let node = self.node(of, &path.field("items"), inner(Place::Items));
                schema.items = Some(Arc::new(node));
            }
            Some(Value::Array(_)) => {
                let why = "items must be a schema object and not an array";
                self.errors.push(FieldError::forbidden(&path.field("items"), why));
            }
            _ if schema.schema_type == SchemaType::Array && !place.in_junctor() => {
                self.errors.push(FieldError::required(&path.field("items"), "must be specified"));
            }
            _ => {}
        }
    }

    fn list_type(&mut self, object: &Map<String, Value>, path: &FieldPath<'_>, schema: &Schema) -> ListType {
        let Some(given) = object.get("x-kubernetes-list-type").and_then(Value::as_str) else {
            return ListType::Default;
        };
        if schema.schema_type != SchemaType::Array {
            let why = "must be array if x-kubernetes-list-type is specified";
            let found = json!(schema.schema_type.as_str());
            self.errors.push(FieldError::invalid(&path.field("type"), &found, why));
        }
        let keys = object.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
        let keys: Vec<String> =
            keys.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        match given {
            "atomic" => ListType::Atomic,
            "set" => ListType::Set,
            "map" => {
                self.check_map_keys(&keys, path, schema);
                ListType::Map(keys)
            }
            other => {
                let field = path.field("x-kubernetes-list-type");
                let supported = ["atomic", "map", "set"];
                self.errors.push(FieldError::not_supported(&field, &json!(other), &supported));
                ListType::Default
            }
        }
    }

    fn check_map_keys(&mut self, keys: &[String], path: &FieldPath<'_>, schema: &Schema) {
        let field = path.field("x-kubernetes-list-map-keys");
        if keys.is_empty() {
            let why = "must not be empty if x-kubernetes-list-type is map";
            self.errors.push(FieldError::required(&field, why));
        }
        let items = path.field("items");
        let Some(of) = &schema.items else { return };
        for (i, key) in keys.iter().enumerate() {
            match of.properties.get(key.as_str()) {
                None => {
                    let why = "entries must all be names of item properties";
                    self.errors.push(FieldError::invalid(&field.index(i), &json!(key), why));
                }
                Some(property)
                    if property.default.is_none() && !of.rules.required.iter().any(|r| **r == **key) =>
                {
                    let properties = items.field("properties");
                    let place = properties.key(key);
                    let why = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a \
                               required property";
                    self.errors.push(FieldError::required(&place.field("default"), why));
                }
                Some(_) => {}
            }
        }
    }

    fn rules(&mut self, object: &Map<String, Value>, path: &FieldPath<'_>, schema_type: SchemaType) -> Rules {
        let text = |name: &str| object.get(name).and_then(Value::as_str);
        let count = |name: &str| object.get(name).and_then(Value::as_u64);
        let number = |name: &str| object.get(name).and_then(Value::as_f64);
        let flag = |name: &str| object.get(name) == Some(&Value::Bool(true));
        let list = |name: &str| object.get(name).and_then(Value::as_array).into_iter().flatten();
        let junctor = match schema_type {
            SchemaType::IntOrString => Place::IntOrStringJunctor,
            _ => Place::Junctor,
        };
        let pattern = text("pattern").and_then(|source| self.pattern(source, path));
        let mut branches = |name: &str| -> Vec<Schema> {
            let field = path.field(name);
            list(name).enumerate().map(|(i, s)| self.node(s, &field.index(i), junctor)).collect()
        };
        let (all_of, any_of, one_of) = (branches("allOf"), branches("anyOf"), branches("oneOf"));
        let not = object.get("not").map(|s| Box::new(self.node(s, &path.field("not"), Place::Junctor)));
        Rules {
            format: text("format").map(Into::into),
            required: list("required").filter_map(Value::as_str).map(Into::into).collect(),
            enumeration: list("enum").cloned().collect(),
            maximum: number("maximum").map(|limit| Bound { limit, exclusive: flag("exclusiveMaximum") }),
            minimum: number("minimum").map(|limit| Bound { limit, exclusive: flag("exclusiveMinimum") }),
            multiple_of: number("multipleOf").filter(|f| *f > 0.0),
            max_length: count("maxLength"),
            min_length: count("minLength"),
            pattern,
            max_items: count("maxItems"),
            min_items: count("minItems"),
            unique_items: false,
            max_properties: count("maxProperties"),
            min_properties: count("minProperties"),
            all_of,
            any_of,
            one_of,
            not,
        }
    }

    fn pattern(&mut self, source: &str, path: &FieldPath<'_>) -> Option<Pattern> {
        match regex::Regex::new(source) {
            Ok(regex) => Some(Pattern { source: source.into(), regex }),
            Err(error) => {
                let why = format!("must be a valid regular expression, but isn't: {error}");
                self.errors.push(FieldError::invalid(&path.field("pattern"), &json!(source), why));
                None
            }
        }
    }

    fn cel_rules(&mut self, object: &Map<String, Value>, path: &FieldPath<'_>) -> Vec<cel::Rule> {
        let field = path.field("x-kubernetes-validations");
        let rules = object.get("x-kubernetes-validations").and_then(Value::as_array);
        let mut compiled = Vec::new();
        for (i, rule) in rules.into_iter().flatten().enumerate() {
            match cel::Rule::compile(rule, &field.index(i)) {
                Ok(rule) => compiled.push(rule),
                Err(error) => self.errors.push(error),
            }
        }
        compiled
    }

    /// Fields that a junctor speaks of must be part of the structure.
    fn check_completeness(&mut self, schema: &Schema, path: &FieldPath<'_>, place: Place) {
        if place.in_junctor() {
            return;
        }
        let rules = &schema.rules;
        let not: Vec<&Schema> = rules.not.iter().map(|n| &**n).collect();
        let groups: [(&str, Vec<&Schema>); 4] = [
            ("allOf", rules.all_of.iter().collect()),
            ("anyOf", rules.any_of.iter().collect()),
            ("oneOf", rules.one_of.iter().collect()),
            ("not", not),
        ];
        for (name, branches) in groups {
            let field = path.field(name);
            for (i, branch) in branches.into_iter().enumerate() {
                let at = if name == "not" { field } else { field.index(i) };
                self.covered(branch, schema, path, &at);
            }
        }
    }

    fn covered(&mut self, branch: &Schema, schema: &Schema, path: &FieldPath<'_>, at: &FieldPath<'_>) {
        for (name, property) in &branch.properties {
            let (structure, junctor) = (path.field("properties"), at.field("properties"));
            if let Some(known) = schema.properties.get(name) {
                self.covered(property, known, &structure.key(name), &junctor.key(name));
            } else {
                let why = format!("because it is defined in {}", junctor.key(name));
                self.errors.push(FieldError::required(&structure.key(name), why));
            }
        }
        if let Some(items) = &branch.items {
            if let Some(known) = &schema.items {
                self.covered(items, known, &path.field("items"), &at.field("items"));
            } else {
                let why = format!("because it is defined in {}", at.field("items"));
                self.errors.push(FieldError::required(&path.field("items"), why));
            }
        }
    }

    /// A default must itself be valid.
    fn check_default(&mut self, schema: &Schema, path: &FieldPath<'_>) {
        let Some(default) = &schema.default else { return };
        let mut findings = Vec::new();
        super::validate(default, None, schema, &mut findings);
        let field = path.field("default");
        for mut finding in findings {
            finding.field = (&field).into();
            self.errors.push(finding);
        }
    }

    fn metadata_is_implicit(&mut self, schema: &Schema, path: &FieldPath<'_>) {
        let Some(metadata) = schema.properties.get("metadata") else { return };
        let only_names = metadata.properties.keys().all(|k| matches!(&**k, "name" | "generateName"));
        if metadata.schema_type != SchemaType::Object || !only_names {
            let properties = path.field("properties");
            let why = "must not specify anything other than name and generateName, but metadata is implicitly \
                       specified";
            self.errors.push(FieldError::forbidden(&properties.key("metadata"), why));
        }
    }
}

#[cfg(test)]
mod tests;
