//! An object as it is stored: its JSON, and the few fields that the store itself looks at.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A request body: an object, and what the JSON decoder had to say about it.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectBody {
    /// The object.
    pub value: Value,
    /// Paths of keys that were given twice (the last one won), for strict field validation.
    pub duplicate_fields: Vec<String>,
}

impl From<Value> for ObjectBody {
    fn from(value: Value) -> Self {
        Self { value, duplicate_fields: Vec::new() }
    }
}

/// An object at one revision. Immutable; share it by `Arc`.
#[derive(Debug, PartialEq, Eq)]
pub struct StoredObject {
    json: Bytes,
    /// Length of the opening `{"kind":"…","apiVersion":"…",`.
    type_meta_len: usize,
    namespace: Option<Box<str>>,
    name: Box<str>,
    uid: Box<str>,
    resource_version: u64,
    labels: Box<[(Box<str>, Box<str>)]>,
}

impl StoredObject {
    /// The whole object as JSON, `kind` and `apiVersion` first.
    pub fn json(&self) -> &Bytes {
        &self.json
    }

    /// The JSON without its opening brace, `kind` and `apiVersion`: prefix it with `{` for an item of a built-in
    /// resource's list, which has neither.
    pub fn json_without_type_meta(&self) -> &[u8] {
        self.json.get(self.type_meta_len..).unwrap_or_default()
    }

    /// The object as a JSON value, parsed anew at each call.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.json).expect("the store wrote this JSON")
    }

    /// The object as a typed value.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.json)
    }

    /// `metadata.namespace`
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// `metadata.name`
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `metadata.uid`
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// `metadata.resourceVersion`
    pub fn resource_version(&self) -> u64 {
        self.resource_version
    }

    /// `metadata.labels`
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.labels.iter().map(|(k, v)| (&**k, &**v))
    }
}
