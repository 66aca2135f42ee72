//! Request bodies: JSON, YAML or protobuf bytes to values, noting keys that were given twice.

use std::{
    cell::RefCell,
    fmt::{self, Write as _},
};

use bytes::Bytes;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::options::DuplicateKeyPolicy;

use super::{
    negotiate::{BodyFormat, MEDIA_TYPES},
    protobuf::{self, ProtobufError},
};
use crate::{
    status::{ApiStatus, go_quote},
    store::ObjectBody,
};

/// Reads an object. `kind` is what the endpoint takes, for the message when the body is something else entirely.
pub(crate) fn object(format: BodyFormat, body: &Bytes, kind: &str) -> Result<ObjectBody, ApiStatus> {
    read(format, body).map_err(|error| match error {
        DecodeError::UnsupportedKind => ApiStatus::unsupported_media_type(&MEDIA_TYPES),
        DecodeError::Malformed(error) => unrecognized(kind, body, &error),
    })
}

/// Why a body is no object.
enum DecodeError {
    /// A kind that is not read from protobuf. As on the real server, whose custom resources have no protobuf form.
    UnsupportedKind,
    /// In the words of the format's decoder.
    Malformed(String),
}

fn read(format: BodyFormat, body: &[u8]) -> Result<ObjectBody, DecodeError> {
    let duplicates = RefCell::new(Vec::new());
    let seed = ValueSeed { path: None, duplicates: &duplicates };
    let value = match format {
        BodyFormat::Json => from_json(seed, body)?,
        BodyFormat::Yaml => from_yaml(seed, body)?,
        BodyFormat::Protobuf => match protobuf::object(body) {
            Err(ProtobufError::UnknownKind { .. }) => return Err(DecodeError::UnsupportedKind),
            read => read.map_err(|error| DecodeError::Malformed(error.to_string()))?,
        },
    };
    let value = match value {
        // As Go's decoder has it.
        Value::Null => Value::Object(Map::new()),
        Value::Object(_) => value,
        other => return Err(DecodeError::Malformed(not_an_object(&other))),
    };
    Ok(ObjectBody { value, duplicate_fields: duplicates.into_inner() })
}

fn not_an_object(value: &Value) -> String {
    let found = match value {
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Number(_) => "number",
        Value::Bool(_) | Value::Null | Value::Object(_) => "bool",
    };
    format!(
        "{JSON_ERROR}json: cannot unmarshal {found} into Go value of type struct {{ APIVersion string \
         \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}"
    )
}

/// 400 unless the object is of this kind, or does not say.
pub(crate) fn check_kind(object: &Value, kind: &str, package: &str) -> Result<(), ApiStatus> {
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
    let (given, version) = (text("kind"), text("apiVersion").rsplit('/').next().unwrap_or_default());
    if given.is_empty() || given == kind {
        return Ok(());
    }
    Err(ApiStatus::bad_request(format!(
        "{given} in version {} cannot be handled as a {kind}: converting ({version}.{given}) to ({package}.{kind}): \
         unknown conversion",
        go_quote(version)
    )))
}

/// 400 for a custom resource that does not say what it is.
pub(crate) fn require_kind(object: &ObjectBody, body: &[u8], kind: &str) -> Result<(), ApiStatus> {
    let given = object.value.get("kind").and_then(Value::as_str).unwrap_or_default();
    if given.is_empty() {
        let missing = format!("Object 'Kind' is missing in '{}'", String::from_utf8_lossy(body));
        return Err(unrecognized(kind, body, &missing));
    }
    Ok(())
}

/// Reads the options of a request, whose failures are reported without saying what kind they are of.
pub(crate) fn options<T: DeserializeOwned>(format: BodyFormat, body: &Bytes) -> Result<T, ApiStatus> {
    let ObjectBody { value, .. } = read(format, body).map_err(|error| match error {
        DecodeError::UnsupportedKind => ApiStatus::unsupported_media_type(&MEDIA_TYPES),
        DecodeError::Malformed(error) => ApiStatus::bad_request(error),
    })?;
    serde_json::from_value(value).map_err(|error| ApiStatus::bad_request(error.to_string()))
}

/// Reads an object of a known type.
pub(crate) fn typed<T: DeserializeOwned>(
    format: BodyFormat,
    body: &Bytes,
    kind: &str,
) -> Result<T, ApiStatus> {
    let ObjectBody { value, .. } = object(format, body, kind)?;
    serde_json::from_value(value).map_err(|error| unrecognized(kind, body, &error.to_string()))
}

const JSON_ERROR: &str = "couldn't get version/kind; json parse error: ";

fn from_json(seed: ValueSeed<'_>, body: &[u8]) -> Result<Value, DecodeError> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let read = seed.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    read.map_err(|error| {
        let error =
            if error.is_eof() { "unexpected end of JSON input".to_owned() } else { error.to_string() };
        DecodeError::Malformed(format!("{JSON_ERROR}{error}"))
    })
}

fn from_yaml(seed: ValueSeed<'_>, body: &[u8]) -> Result<Value, DecodeError> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        with_snippet: false,
    };
    let read =
        serde_saphyr::with_deserializer_from_slice_with_options(body, options, |yaml| seed.deserialize(yaml));
    read.map_err(|error| DecodeError::Malformed(format!("yaml: {error}")))
}

/// As `transformDecodeError` of `k8s.io/apiserver/pkg/endpoints/handlers`.
fn unrecognized(kind: &str, body: &[u8], error: &str) -> ApiStatus {
    ApiStatus::bad_request(format!(
        "the object provided is unrecognized (must be of type {kind}): {error} ({})",
        summary(body)
    ))
}

fn summary(body: &[u8]) -> String {
    const SHOWN: usize = 30;
    let shown = &body[..body.len().min(SHOWN)];
    let ellipsis = if body.len() > SHOWN { " ..." } else { "" };
    match body.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{ellipsis}", String::from_utf8_lossy(shown)),
        Some(_) => {
            let mut hex = String::with_capacity(2 * SHOWN + ellipsis.len());
            for byte in shown {
                // Writing to a string does not fail.
                let _ = write!(hex, "{byte:02x}");
            }
            hex + ellipsis
        }
    }
}

/// A step of the path to a value, linked to the steps before it: nothing is written down until a duplicate is found.
#[derive(Clone, Copy)]
enum Step<'a> {
    Key(Option<&'a Step<'a>>, &'a str),
    Index(&'a Step<'a>, usize),
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(None, key) => f.write_str(key),
            Self::Key(Some(parent), key) => write!(f, "{parent}.{key}"),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// Deserializes a value; the last of several equal keys wins, and their path is noted.
#[derive(Clone, Copy)]
struct ValueSeed<'a> {
    path: Option<&'a Step<'a>>,
    duplicates: &'a RefCell<Vec<String>>,
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number that JSON cannot hold"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        let root = Step::Key(None, "");
        loop {
            let step = Step::Index(self.path.unwrap_or(&root), array.len());
            match items.next_element_seed(ValueSeed { path: Some(&step), ..self })? {
                Some(item) => array.push(item),
                None => return Ok(Value::Array(array)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let step = Step::Key(self.path, &key);
            let value = entries.next_value_seed(ValueSeed { path: Some(&step), ..self })?;
            if object.contains_key(&key) {
                self.duplicates.borrow_mut().push(step.to_string());
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn json_object(text: &str) -> Result<ObjectBody, ApiStatus> {
        object(BodyFormat::Json, &Bytes::copy_from_slice(text.as_bytes()), "Secret")
    }

    #[test]
    fn duplicates_are_named_by_path_and_the_last_wins() {
        let body = json_object(r#"{"a":1,"spec":{"list":[{"x":1,"x":2}],"y":1,"y":2},"a":2}"#).unwrap();
        assert_eq!(body.value, json!({"a": 2, "spec": {"list": [{"x": 2}], "y": 2}}));
        assert_eq!(body.duplicate_fields, ["spec.list[0].x", "spec.y", "a"]);
    }

    #[test]
    fn yaml_reads_as_json() {
        let body = object(
            BodyFormat::Yaml,
            &Bytes::from_static(b"kind: Secret\nmetadata:\n  name: x\nlist:\n- 1\n- \"2\"\n- true\n"),
            "Secret",
        )
        .unwrap();
        assert_eq!(body.value, json!({"kind": "Secret", "metadata": {"name": "x"}, "list": [1, "2", true]}));
    }

    #[test]
    fn yaml_tells_duplicates_too() {
        let body = object(BodyFormat::Yaml, &Bytes::from_static(b"data:\n  a: '1'\n  a: '2'\n"), "ConfigMap")
            .unwrap();
        assert_eq!(body.value, json!({"data": {"a": "2"}}));
        assert_eq!(body.duplicate_fields, ["data.a"]);
    }

    #[test]
    fn what_is_no_object_is_refused_with_a_glimpse_of_it() {
        for (text, glimpse) in [("", "<empty>"), ("[1]", "5b315d"), ("1", "31"), ("{\"a\":", "{\"a\":")] {
            let status = json_object(text).unwrap_err();
            assert_eq!(status.code, 400);
            assert!(
                status.message.starts_with("the object provided is unrecognized (must be of type Secret): ")
            );
            assert!(status.message.ends_with(&format!("({glimpse})")), "{}", status.message);
        }
        let long = json_object(&format!("{{{}", "x".repeat(100))).unwrap_err();
        assert!(long.message.ends_with(&format!("({{{} ...)", "x".repeat(29))), "{}", long.message);
    }

    #[test]
    fn deep_nesting_is_an_error_not_an_overflow() {
        let text = format!("{}{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
        assert_eq!(json_object(&text).unwrap_err().code, 400);
        let yaml = Bytes::from("[".repeat(100_000));
        assert_eq!(object(BodyFormat::Yaml, &yaml, "Secret").unwrap_err().code, 400);
    }

    proptest! {
        #[test]
        fn no_body_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), yaml in any::<bool>()) {
            let format = if yaml { BodyFormat::Yaml } else { BodyFormat::Json };
            let _ = object(format, &Bytes::from(bytes), "Secret");
        }

        #[test]
        fn json_reads_as_serde_json_reads_it(keys in proptest::collection::btree_map("[a-z]{1,4}", any::<i64>(), 0..8)) {
            let value = json!(keys);
            prop_assert_eq!(json_object(&value.to_string()).unwrap().value, value);
        }
    }
}
