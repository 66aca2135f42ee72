//! Schemas: what an object of a resource may look like.
//!
//! ```text
//!   CustomResourceDefinition ──parse──▶ Schema ──▶ prune · default · validate · list types · CEL    (422)
//!   k8s-openapi's schemas    ──openapi▶ Schema ──▶ decode: types, unknown and empty fields          (400)
//! ```
//!
//! A schema is *structural* (Kubernetes' term): it names the type of every field outside of logical junctors, so
//! that pruning and defaulting need no guessing. It is compiled once and shared.

pub(crate) mod cel;
mod decode;
mod default;
mod format;
mod list_type;
mod openapi;
mod parse;
mod prune;
mod shared;
mod validate;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

pub(crate) use decode::decode;
pub(crate) use default::apply_defaults;
pub(crate) use list_type::check_list_types;
pub(crate) use openapi::from_openapi;
#[cfg(test)]
pub(crate) use parse::parse;
pub(crate) use parse::parse_at;
pub(crate) use prune::prune;
pub(crate) use shared::compile;
pub(crate) use validate::validate;

/// Nesting beyond which a schema is refused and a value is not looked into: deeper than any real schema.
pub(crate) const MAX_DEPTH: usize = 64;

/// The type a schema asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) enum SchemaType {
    /// No type given.
    #[default]
    Any,
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
    /// `x-kubernetes-int-or-string`
    IntOrString,
}

impl SchemaType {
    /// The name in messages, as go-openapi joins the allowed types.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Any => "",
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::IntOrString => "integer,string",
        }
    }

    /// Whether a value of this JSON type is allowed; integers are numbers, and whole numbers are integers.
    fn admits(self, value: &Value) -> bool {
        match self {
            Self::Any => true,
            Self::Object => value.is_object(),
            Self::Array => value.is_array(),
            Self::String => value.is_string(),
            Self::Integer => is_integer(value),
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::IntOrString => value.is_string() || is_integer(value),
        }
    }
}

fn is_integer(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|f| f.fract() == 0.0)
}

/// The JSON type of a value, in go-openapi's names.
pub(crate) fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// `additionalProperties`
#[derive(Debug, Default)]
pub(crate) enum Additional {
    /// Not given: other fields are unknown.
    #[default]
    Absent,
    /// `true`
    Any,
    /// A map with values of this form.
    Of(Arc<Schema>),
}

/// `x-kubernetes-list-type`
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) enum ListType {
    /// Not given: like atomic, but items correlate by index for ratcheting.
    #[default]
    Default,
    Atomic,
    Set,
    /// A list of objects with these keys.
    Map(Vec<String>),
}

/// One node of a schema.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    clippy::struct_field_names,
    reason = "the keywords of the schema language"
)]
pub(crate) struct Schema {
    pub(crate) schema_type: SchemaType,
    pub(crate) nullable: bool,
    pub(crate) properties: BTreeMap<Box<str>, Arc<Schema>>,
    pub(crate) additional: Additional,
    pub(crate) items: Option<Arc<Schema>>,
    pub(crate) default: Option<Value>,
    /// `x-kubernetes-preserve-unknown-fields`
    pub(crate) preserve_unknown: bool,
    /// `x-kubernetes-embedded-resource`
    pub(crate) embedded_resource: bool,
    pub(crate) list_type: ListType,
    /// `x-kubernetes-map-type: atomic`
    pub(crate) atomic_map: bool,
    pub(crate) rules: Rules,
    /// `x-kubernetes-validations` here.
    pub(crate) cel: Vec<cel::Rule>,
    /// What lies in or below this node, so that walks can skip the rest.
    pub(crate) below: Below,
}

/// What a node or anything below it has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Below {
    pub(crate) defaults: bool,
    pub(crate) cel: bool,
    pub(crate) list_types: bool,
}

/// Checks of values (JSON schema's vocabulary).
#[derive(Debug, Default)]
pub(crate) struct Rules {
    pub(crate) format: Option<Box<str>>,
    pub(crate) required: Vec<Box<str>>,
    pub(crate) enumeration: Vec<Value>,
    pub(crate) maximum: Option<Bound>,
    pub(crate) minimum: Option<Bound>,
    pub(crate) multiple_of: Option<f64>,
    pub(crate) max_length: Option<u64>,
    pub(crate) min_length: Option<u64>,
    pub(crate) pattern: Option<Pattern>,
    pub(crate) max_items: Option<u64>,
    pub(crate) min_items: Option<u64>,
    pub(crate) unique_items: bool,
    pub(crate) max_properties: Option<u64>,
    pub(crate) min_properties: Option<u64>,
    pub(crate) all_of: Vec<Schema>,
    pub(crate) any_of: Vec<Schema>,
    pub(crate) one_of: Vec<Schema>,
    pub(crate) not: Option<Box<Schema>>,
}

/// `maximum` or `minimum`
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bound {
    pub(crate) limit: f64,
    pub(crate) exclusive: bool,
}

/// `pattern`: a regular expression and its source.
#[derive(Debug)]
pub(crate) struct Pattern {
    pub(crate) source: Box<str>,
    pub(crate) regex: regex::Regex,
}

impl Schema {
    /// The schema of this property: declared, or that of all others.
    pub(crate) fn property(&self, name: &str) -> Option<&Schema> {
        match (self.properties.get(name), &self.additional) {
            (Some(schema), _) | (None, Additional::Of(schema)) => Some(schema),
            _ => None,
        }
    }

    /// Gathers [`Below`] from the children; called once, when the node is complete.
    fn seal(mut self) -> Self {
        let mut below = Below {
            defaults: self.default.is_some(),
            cel: !self.cel.is_empty(),
            list_types: matches!(self.list_type, ListType::Set | ListType::Map(_)),
        };
        let additional = match &self.additional {
            Additional::Of(schema) => Some(schema),
            _ => None,
        };
        for child in self.properties.values().chain(additional).chain(&self.items) {
            below.defaults |= child.below.defaults;
            below.cel |= child.below.cel;
            below.list_types |= child.below.list_types;
        }
        below.cel |= self.rules.all_of.iter().any(|branch| branch.below.cel);
        self.below = below;
        self
    }
}
