//! One finding about one field (`field.Error` of apimachinery), and the path that leads to it (`field.Path`).

use std::collections::HashSet;
use std::fmt::{self, Write as _};

use serde_json::Value;

use super::StatusCause;

/// What is wrong with a field (`field.ErrorType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldErrorType {
    /// A reference that leads nowhere.
    NotFound,
    /// Missing.
    Required,
    /// Must be unique.
    Duplicate,
    /// Malformed, or against a rule.
    Invalid,
    /// Not one of the allowed values.
    NotSupported,
    /// Well-formed, but not permitted now.
    Forbidden,
    /// Longer than allowed; the value is not repeated.
    TooLong,
    /// More items than allowed.
    TooMany,
    /// Fewer items than allowed.
    TooFew,
    /// The server failed while checking.
    Internal,
    /// Not of the type the schema asks for.
    TypeInvalid,
}

impl FieldErrorType {
    /// The cause's `reason` on the wire.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotFound => "FieldValueNotFound",
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::TooFew => "FieldValueTooFew",
            Self::Internal => "InternalError",
            Self::TypeInvalid => "FieldValueTypeInvalid",
        }
    }

    /// The words that open the message.
    fn title(self) -> &'static str {
        match self {
            Self::NotFound => "Not found",
            Self::Required => "Required value",
            Self::Duplicate => "Duplicate value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::TooFew => "Too few",
            Self::Internal => "Internal error",
        }
    }
}

/// One finding about one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// What is wrong.
    pub error_type: FieldErrorType,
    /// Path of the field as the real server prints it: `spec.hosts[0]`, `metadata.labels`.
    pub field: String,
    /// The offending value, already rendered for the message; none where it is not repeated.
    value: Option<String>,
    /// More words.
    pub detail: String,
}

impl FieldError {
    fn new(
        error_type: FieldErrorType,
        field: impl Into<String>,
        value: Option<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self { error_type, field: field.into(), value, detail: detail.into() }
    }

    /// `f: Required value: detail`
    pub fn required(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(FieldErrorType::Required, field, None, detail)
    }

    /// `f: Invalid value: <value>: detail`
    pub fn invalid(field: impl Into<String>, value: &Value, detail: impl Into<String>) -> Self {
        Self::new(FieldErrorType::Invalid, field, Some(render_value(value)), detail)
    }

    /// `f: Invalid value: detail`, where the value is too much to repeat.
    pub fn invalid_unshown(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(FieldErrorType::Invalid, field, None, detail)
    }

    /// `f: Invalid value: <text>: detail`, where the real server prints the value in its own way (a Go type's
    /// name for whole objects, for example).
    pub fn invalid_rendered(
        field: impl Into<String>,
        rendered: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self::new(FieldErrorType::Invalid, field, Some(rendered.into()), detail)
    }

    /// `f: Invalid value: "<type>": detail`, with reason `FieldValueTypeInvalid`.
    pub fn type_invalid(field: impl Into<String>, type_name: &str, detail: impl Into<String>) -> Self {
        Self::new(FieldErrorType::TypeInvalid, field, Some(go_quote(type_name)), detail)
    }

    /// `f: Forbidden: detail`
    pub fn forbidden(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(FieldErrorType::Forbidden, field, None, detail)
    }

    /// `f: Duplicate value: <value>`
    pub fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self::new(FieldErrorType::Duplicate, field, Some(render_value(value)), "")
    }

    /// `f: Not found: <value>`
    pub fn not_found(field: impl Into<String>, value: &Value) -> Self {
        Self::new(FieldErrorType::NotFound, field, Some(render_value(value)), "")
    }

    /// `f: Unsupported value: <value>: supported values: "a", "b"`
    pub fn not_supported<S: AsRef<str>>(field: impl Into<String>, value: &Value, supported: &[S]) -> Self {
        let quoted: Vec<String> = supported.iter().map(|s| go_quote(s.as_ref())).collect();
        let detail = if quoted.is_empty() {
            String::new()
        } else {
            format!("supported values: {}", quoted.join(", "))
        };
        Self::new(FieldErrorType::NotSupported, field, Some(render_value(value)), detail)
    }

    /// `f: Too long: may not be more than <n> bytes`
    pub fn too_long(field: impl Into<String>, max_bytes: usize) -> Self {
        let unit = if max_bytes == 1 { "byte" } else { "bytes" };
        Self::new(FieldErrorType::TooLong, field, None, format!("may not be more than {max_bytes} {unit}"))
    }

    /// `f: Too many: <n>: must have at most <max> items`
    pub fn too_many(field: impl Into<String>, actual: usize, max: usize) -> Self {
        let unit = if max == 1 { "item" } else { "items" };
        let detail = format!("must have at most {max} {unit}");
        Self::new(FieldErrorType::TooMany, field, Some(actual.to_string()), detail)
    }

    /// `f: Internal error: detail`
    pub fn internal(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(FieldErrorType::Internal, field, None, detail)
    }

    /// Any type, for rules that choose their own reason (CEL's `reason`).
    pub fn of_type(
        error_type: FieldErrorType,
        field: impl Into<String>,
        rendered: Option<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self::new(error_type, field, rendered, detail)
    }

    /// The message without the field's name.
    pub fn body(&self) -> String {
        let mut body = self.error_type.title().to_owned();
        if let Some(value) = &self.value {
            let _ = write!(body, ": {value}");
        }
        if !self.detail.is_empty() {
            let _ = write!(body, ": {}", self.detail);
        }
        body
    }

    /// The entry of `details.causes`.
    pub fn cause(&self) -> StatusCause {
        StatusCause {
            reason: self.error_type.reason().to_owned(),
            message: self.body(),
            field: self.field.clone(),
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}

/// `ErrorList.ToAggregate().Error()`: one message alone, several in brackets, doubles once.
pub(super) fn aggregate(errors: &[FieldError]) -> String {
    let mut seen = HashSet::new();
    let messages = errors.iter().map(ToString::to_string);
    let messages: Vec<String> = messages.filter(|message| seen.insert(message.clone())).collect();
    match messages.as_slice() {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

/// A value as Go's `fmt` prints it inside a field error: strings quoted, scalars bare, the rest as JSON.
fn render_value(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::String(s) => go_quote(s),
        other => other.to_string(),
    }
}

/// Go's `%q`: a double-quoted string with Go's escapes.
pub fn go_quote(s: &str) -> String {
    let mut quoted = String::with_capacity(s.len() + 2);
    quoted.push('"');
    for c in s.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{b}' => quoted.push_str("\\v"),
            '\u{c}' => quoted.push_str("\\f"),
            c if c.is_control() && (c as u32) < 0x100 => {
                let _ = write!(quoted, "\\x{:02x}", c as u32);
            }
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", c as u32);
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A path into an object, printed as `field.Path` prints it: `spec.items[0].name`, `metadata.labels[a/b]`.
///
/// Paths are built on the way down and rendered only for a finding, so the parent is borrowed.
#[derive(Clone, Copy, Debug)]
pub struct FieldPath<'a> {
    parent: Option<&'a FieldPath<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Root,
    Field(&'a str),
    Index(usize),
    Key(&'a str),
}

impl<'a> FieldPath<'a> {
    /// The object itself.
    pub const ROOT: FieldPath<'static> = FieldPath { parent: None, step: Step::Root };

    /// A field of this one: `.name`.
    #[must_use]
    pub fn field(&'a self, name: &'a str) -> FieldPath<'a> {
        FieldPath { parent: Some(self), step: Step::Field(name) }
    }

    /// An item of this list: `[3]`.
    #[must_use]
    pub fn index(&'a self, index: usize) -> FieldPath<'a> {
        FieldPath { parent: Some(self), step: Step::Index(index) }
    }

    /// An entry of this map: `[key]`.
    #[must_use]
    pub fn key(&'a self, key: &'a str) -> FieldPath<'a> {
        FieldPath { parent: Some(self), step: Step::Key(key) }
    }

    /// Whether this is the object itself.
    pub fn is_root(&self) -> bool {
        matches!(self.step, Step::Root)
    }

    fn render(&self, into: &mut String) {
        if let Some(parent) = self.parent {
            parent.render(into);
        }
        match self.step {
            Step::Root => {}
            Step::Field(name) => {
                if !into.is_empty() {
                    into.push('.');
                }
                into.push_str(name);
            }
            Step::Index(index) => {
                let _ = write!(into, "[{index}]");
            }
            Step::Key(key) => {
                let _ = write!(into, "[{key}]");
            }
        }
    }
}

/// The root prints as `<nil>`, which is what Go prints for a path that is nil.
impl fmt::Display for FieldPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str("<nil>");
        }
        let mut text = String::new();
        self.render(&mut text);
        f.write_str(&text)
    }
}

impl From<&FieldPath<'_>> for String {
    fn from(path: &FieldPath<'_>) -> Self {
        path.to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bodies_are_those_of_field_errors() {
        let rows = [
            (FieldError::required("f", ""), "f: Required value"),
            (FieldError::required("f", "why"), "f: Required value: why"),
            (FieldError::invalid("f", &json!("a\"b"), "why"), "f: Invalid value: \"a\\\"b\": why"),
            (FieldError::invalid("f", &json!(3), "why"), "f: Invalid value: 3: why"),
            (FieldError::invalid("f", &Value::Null, "why"), "f: Invalid value: null: why"),
            (FieldError::forbidden("f", "why"), "f: Forbidden: why"),
            (FieldError::duplicate("f", &json!("x")), "f: Duplicate value: \"x\""),
            (
                FieldError::not_supported("f", &json!("x"), &["a", "b"]),
                "f: Unsupported value: \"x\": supported values: \"a\", \"b\"",
            ),
            (FieldError::too_long("f", 9), "f: Too long: may not be more than 9 bytes"),
            (FieldError::too_many("f", 5, 2), "f: Too many: 5: must have at most 2 items"),
        ];
        for (error, text) in rows {
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn paths_print_fields_indices_and_keys() {
        let spec = FieldPath::ROOT.field("spec");
        let items = spec.field("items");
        let item = items.index(2);
        let labels = item.field("labels");
        assert_eq!(labels.key("a/b").to_string(), "spec.items[2].labels[a/b]");
        assert_eq!(FieldPath::ROOT.to_string(), "<nil>");
    }

    #[test]
    fn go_quoting() {
        assert_eq!(go_quote("a\u{1}\n\u{e9}\\"), "\"a\\x01\\n\u{e9}\\\\\"");
    }
}
