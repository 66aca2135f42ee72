//! Reading an object of a built-in resource, as Go's typed decoder does: unknown fields are dropped and reported,
//! nulls and empty optional lists and maps vanish, and a value of the wrong type is refused (400).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::{Additional, MAX_DEPTH, Schema, SchemaType, json_type};

/// Normalizes an object in place and answers the paths of unknown fields; an error is the decoder's text.
pub(crate) fn decode(
    object: &mut Map<String, Value>,
    schema: &Schema,
    kind: &str,
) -> Result<Vec<String>, String> {
    let mut decoder = Decoder { kind, path: String::new(), fields: Vec::new(), unknown: Vec::new() };
    decoder.object(object, schema, 0)?;
    Ok(decoder.unknown)
}

struct Decoder<'a> {
    kind: &'a str,
    path: String,
    /// The steps of the path that are fields of Go's structs, without indices and the keys of maps.
    fields: Vec<String>,
    unknown: Vec<String>,
}

impl Decoder<'_> {
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

    /// Into a field of a struct.
    fn field<R>(&mut self, name: &str, visit: impl FnOnce(&mut Self) -> R) -> R {
        self.fields.push(name.to_owned());
        let result = self.at(name, visit);
        self.fields.pop();
        result
    }

    /// The field as Go's decoder names it. Of the structs only those that most mistakes are in are known.
    fn struct_field(&self) -> String {
        let path = self.fields.join(".");
        match self.fields.first().map(String::as_str) {
            Some("metadata") if self.fields.len() > 1 => format!("ObjectMeta.{path}"),
            _ => format!("{}.{path}", self.kind),
        }
    }

    fn object(
        &mut self,
        object: &mut Map<String, Value>,
        schema: &Schema,
        depth: usize,
    ) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!("{} nests too deeply", self.path));
        }
        if schema.preserve_unknown && schema.properties.is_empty() {
            return Ok(());
        }
        let mut dropped = Vec::new();
        for (name, value) in &mut *object {
            match (schema.properties.get(name.as_str()), &schema.additional) {
                (Some(property), _) => {
                    let required = schema.rules.required.iter().any(|r| **r == **name);
                    if value.is_null() || (is_empty_collection(value, property) && !required) {
                        dropped.push(name.clone());
                    } else {
                        self.field(name, |d| d.value(value, property, depth + 1))?;
                    }
                }
                (None, Additional::Of(of)) => {
                    if value.is_null() {
                        *value = zero(of);
                    }
                    self.at(name, |d| d.value(value, of, depth + 1))?;
                }
                (None, Additional::Any) => {}
                (None, Additional::Absent) => {
                    dropped.push(name.clone());
                    let path = self.at(name, |d| d.path.clone());
                    self.unknown.push(path);
                }
            }
        }
        for name in dropped {
            object.shift_remove(&name);
        }
        Ok(())
    }

    fn value(&mut self, value: &mut Value, schema: &Schema, depth: usize) -> Result<(), String> {
        let quantity = schema.rules.format.as_deref() == Some("quantity");
        if quantity && value.is_number() {
            *value = Value::String(value.to_string());
            return Ok(());
        }
        if !schema.schema_type.admits(value) {
            return Err(self.mismatch(value, schema));
        }
        match value {
            Value::Object(object) => self.object(object, schema, depth)?,
            Value::Array(items) => {
                let Some(of) = &schema.items else { return Ok(()) };
                for (i, item) in items.iter_mut().enumerate() {
                    if item.is_null() {
                        *item = zero(of);
                    }
                    self.at(&format!("[{i}]"), |d| d.value(item, of, depth + 1))?;
                }
            }
            Value::String(text) => {
                let field = self.fields.last().map(String::as_str);
                check_text(text, schema, field.is_some_and(|field| MICRO_TIMES.contains(&field)))?;
            }
            _ => {}
        }
        Ok(())
    }

    fn mismatch(&self, value: &Value, schema: &Schema) -> String {
        let found = match json_type(value) {
            "boolean" => "bool".to_owned(),
            "integer" | "number" => format!("number {value}"),
            other => other.to_owned(),
        };
        // A whole number is named by its value only where an integer was wanted.
        let found = if value.is_number() && !matches!(schema.schema_type, SchemaType::Integer) {
            "number".to_owned()
        } else {
            found
        };
        format!(
            "json: cannot unmarshal {found} into Go struct field {} of type {}",
            self.struct_field(),
            go_type(schema)
        )
    }
}

/// Fields with a time in microseconds.
const MICRO_TIMES: [&str; 4] = ["acquireTime", "renewTime", "eventTime", "lastObservedTime"];

/// Text that stands for bytes or a time must be readable as such.
fn check_text(text: &str, schema: &Schema, is_micro_time: bool) -> Result<(), String> {
    match schema.rules.format.as_deref() {
        Some("byte") => match STANDARD.decode(text) {
            Ok(_) => Ok(()),
            Err(error) => Err(illegal_base64(text, &error)),
        },
        Some("date-time") if !text.is_empty() => match chrono::DateTime::parse_from_rfc3339(text) {
            Ok(_) => Ok(()),
            Err(_) => Err(format!(
                "parsing time \"{text}\" as \"{}\": cannot parse \"{text}\" as \"2006\"",
                if is_micro_time { "2006-01-02T15:04:05.000000Z07:00" } else { "2006-01-02T15:04:05Z07:00" }
            )),
        },
        _ => Ok(()),
    }
}

fn go_type(schema: &Schema) -> &'static str {
    match (schema.schema_type, schema.rules.format.as_deref()) {
        (SchemaType::Integer, Some("int32")) => "int32",
        (SchemaType::Integer, _) => "int64",
        (SchemaType::Boolean, _) => "bool",
        (SchemaType::String, Some("byte")) => "[]uint8",
        (SchemaType::String, Some("date-time")) => "v1.Time",
        (SchemaType::String, _) => "string",
        (SchemaType::Number, _) => "float64",
        (SchemaType::Object, _) if matches!(schema.additional, Additional::Of(_)) => "map[string]string",
        (SchemaType::Array, _) => "[]string",
        _ => "struct",
    }
}

fn illegal_base64(text: &str, error: &base64::DecodeError) -> String {
    let at = match error {
        base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => *at,
        base64::DecodeError::InvalidLength(_) | base64::DecodeError::InvalidPadding => text.len() / 4 * 4,
    };
    format!("illegal base64 data at input byte {at}")
}

/// An empty list, or an empty map (not an empty struct, which means something).
fn is_empty_collection(value: &Value, schema: &Schema) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(object) => object.is_empty() && matches!(schema.additional, Additional::Of(_)),
        _ => false,
    }
}

/// Go's zero value, which a null in a list or map becomes.
fn zero(schema: &Schema) -> Value {
    match schema.schema_type {
        SchemaType::String => Value::String(String::new()),
        SchemaType::Integer | SchemaType::Number => Value::from(0),
        SchemaType::Boolean => Value::Bool(false),
        SchemaType::Object => Value::Object(Map::new()),
        SchemaType::Array => Value::Array(Vec::new()),
        SchemaType::Any | SchemaType::IntOrString => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::from_openapi;
    use super::*;

    fn decoded<T: schemars::JsonSchema>(object: &Value, kind: &str) -> Result<(Value, Vec<String>), String> {
        let schema = schemars::schema_for!(T);
        let schema = from_openapi(schema.as_value());
        let mut object = object.as_object().cloned().unwrap();
        let unknown = decode(&mut object, &schema, kind)?;
        Ok((Value::Object(object), unknown))
    }

    #[test]
    fn secrets_and_pods() {
        type Secret = k8s_openapi::api::core::v1::Secret;
        type Pod = k8s_openapi::api::core::v1::Pod;
        assert_eq!(
            decoded::<Secret>(
                &json!({"metadata": {"labels": {}, "x": 1}, "data": {"a": "aGk="}, "stringData": null, "foo": 1}),
                "Secret"
            ),
            Ok((
                json!({"metadata": {}, "data": {"a": "aGk="}}),
                vec!["metadata.x".to_owned(), "foo".to_owned()]
            ))
        );
        assert_eq!(
            decoded::<Secret>(&json!({"data": {"a": "a b"}}), "Secret"),
            Err("illegal base64 data at input byte 1".to_owned())
        );
        assert_eq!(
            decoded::<Secret>(&json!({"type": 1}), "Secret"),
            Err("json: cannot unmarshal number into Go struct field Secret.type of type string".to_owned())
        );
        assert_eq!(
            decoded::<Pod>(
                &json!({"spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": 1}}, "oops": 1}],
                        "securityContext": {}, "volumes": []}}),
                "Pod"
            ),
            Ok((
                json!({"spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": "1"}}}],
                       "securityContext": {}}}),
                vec!["spec.containers[0].oops".to_owned()]
            ))
        );
    }
}
