//! An object as it is stored: its JSON, and the few fields that the store itself looks at.
//!
//! JSON text rather than a tree of values: a tenth of the memory, ready to be sent, and a reader that wants a typed
//! object parses it once in any case.

use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::meta::object_meta::{self, FINALIZER_FOREGROUND, FINALIZER_ORPHAN, Object};
use crate::resource::ResourceDefinition;
use crate::schema;
use crate::strategy;

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
    terminating: bool,
    /// Whether a finalizer of the garbage collector is on it.
    awaits_collector: bool,
    /// The schema the object was last written or read under.
    epoch: u64,
    labels: Box<[(Box<str>, Box<str>)]>,
    /// What field selectors may ask for.
    fields: Box<[(Arc<str>, Box<str>)]>,
    /// uids of `metadata.ownerReferences`.
    owners: Box<[Box<str>]>,
}

impl StoredObject {
    /// Writes an object of this resource; the version goes into its metadata.
    pub(super) fn new(mut object: Object, definition: &ResourceDefinition, resource_version: u64) -> Self {
        let version = (resource_version > 0).then(|| json!(resource_version.to_string()));
        object_meta::set_or_remove(&mut object, "resourceVersion", version);
        object_meta::order_fields(&mut object);
        Self::write(&object, definition, resource_version)
    }

    fn write(object: &Object, definition: &ResourceDefinition, resource_version: u64) -> Self {
        let internals = &definition.internals;
        let mut json = Vec::with_capacity(512);
        json.extend_from_slice(&internals.type_meta);
        let mut first = true;
        let is_rest = |name: &str| !matches!(name, "kind" | "apiVersion" | "metadata");
        let rest = object.iter().filter(|(name, _)| is_rest(name));
        for (name, value) in object.get_key_value("metadata").into_iter().chain(rest) {
            if !first {
                json.push(b',');
            }
            first = false;
            // Writing to a vector does not fail, and a Value has only keys that JSON can hold.
            let _ = serde_json::to_writer(&mut json, name);
            json.push(b':');
            let _ = serde_json::to_writer(&mut json, value);
        }
        json.push(b'}');
        json.shrink_to_fit();
        let namespace = object_meta::namespace(object);
        let labels = object_meta::labels(object).map(|(k, v)| (k.into(), v.into())).collect();
        let strategy = definition.strategy();
        let fields = internals
            .selectable
            .iter()
            .map(|field| (field.clone(), strategy.selectable(object, field).into()))
            .collect();
        let owners = object_meta::field(object, "ownerReferences").and_then(Value::as_array);
        Self {
            json: json.into(),
            type_meta_len: internals.type_meta.len(),
            namespace: (!namespace.is_empty()).then(|| namespace.into()),
            name: object_meta::name(object).into(),
            uid: object_meta::text(object, "uid").into(),
            resource_version,
            terminating: object_meta::is_terminating(object),
            awaits_collector: object_meta::finalizers(object)
                .iter()
                .any(|f| matches!(*f, FINALIZER_ORPHAN | FINALIZER_FOREGROUND)),
            epoch: internals.epoch,
            labels,
            fields,
            owners: owners
                .into_iter()
                .flatten()
                .filter_map(|o| o.get("uid")?.as_str())
                .map(Into::into)
                .collect(),
        }
    }

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

    /// The object as a map, parsed anew at each call.
    pub(crate) fn object(&self) -> Object {
        match self.value() {
            Value::Object(object) => object,
            _ => Object::new(),
        }
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

    /// Whether `metadata.deletionTimestamp` is set.
    pub fn is_terminating(&self) -> bool {
        self.terminating
    }

    pub(super) fn awaits_collector(&self) -> bool {
        self.awaits_collector
    }

    pub(super) fn owners(&self) -> impl Iterator<Item = &str> {
        self.owners.iter().map(|uid| &**uid)
    }

    /// `metadata.labels`
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.labels.iter().map(|(k, v)| (&**k, &**v))
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.iter().find(|(k, _)| **k == *key).map(|(_, v)| &**v)
    }

    /// The value of a field that selectors may name; empty when absent.
    pub(super) fn field(&self, name: &str) -> &str {
        match name {
            "metadata.name" => self.name(),
            "metadata.namespace" => self.namespace().unwrap_or_default(),
            other => self.fields.iter().find(|(f, _)| **f == *other).map_or("", |(_, v)| v),
        }
    }

    /// Bytes of memory, roughly.
    pub(super) fn size(&self) -> usize {
        let labels: usize = self.labels.iter().map(|(k, v)| k.len() + v.len() + 32).sum();
        let fields: usize = self.fields.iter().map(|(_, v)| v.len() + 32).sum();
        size_of::<Self>() + self.json.len() + labels + fields + self.name.len() + self.uid.len()
    }

    /// The object as this resource shows it: in its version, with the defaults of its present schema.
    pub(super) fn shown_as(self: &Arc<Self>, definition: &ResourceDefinition) -> Arc<Self> {
        let internals = &definition.internals;
        let same_type = self.json.get(..self.type_meta_len) == Some(&*internals.type_meta);
        if same_type && self.epoch == internals.epoch {
            return self.clone();
        }
        let mut object = self.object();
        if definition.is_custom() {
            reread(&mut object, definition);
        } else if *definition.id.group == *"events.k8s.io" {
            strategy::convert_event(&mut object, false);
        }
        // A form of the stored object: its indexed fields stay those of the stored form.
        let mut shown = Self::write(&object, definition, self.resource_version);
        shown.fields.clone_from(&self.fields);
        Arc::new(shown)
    }
}

/// An object that was written under another version or schema, as if read from disk by the real server.
fn reread(object: &mut Object, definition: &ResourceDefinition) {
    object.insert("apiVersion".to_owned(), json!(definition.api_version()));
    if let Some(schema) = definition.strategy().custom_schema() {
        schema::prune(object, schema);
        schema::apply_defaults(object, schema);
    }
}
