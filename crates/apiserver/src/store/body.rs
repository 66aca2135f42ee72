//! Reading the body of a write: type, unknown and doubled fields, defaults.

use serde_json::{Value, json};

use super::{FieldValidation, ObjectBody};
use crate::meta::object_meta::{self, Object};
use crate::patch::{MAX_DEPTH, Patch, nests_deeper};
use crate::resource::{GroupKind, ResourceDefinition, is_built_in_kind};
use crate::status::{ApiStatus, FieldError, go_quote};
use crate::strategy::{cannot_handle, convert_event, text_at};

/// An object in the form in which it is stored, and texts for `Warning` headers.
pub(super) struct Read {
    pub(super) object: Object,
    pub(super) warnings: Vec<String>,
}

/// Reads the body of a POST or PUT.
pub(super) fn read(
    definition: &ResourceDefinition,
    body: ObjectBody,
    validation: FieldValidation,
) -> Result<Read, ApiStatus> {
    let ObjectBody { value, duplicate_fields } = body;
    let Value::Object(mut object) = value else {
        return Err(unrecognized(definition, &value, "couldn't get version/kind; json parse error"));
    };
    check_type(definition, &mut object)?;
    let mut findings: Vec<String> =
        duplicate_fields.iter().map(|path| format!("duplicate field {}", go_quote(path))).collect();
    let unknown = normalize(definition, &mut object)?;
    findings.extend(unknown.iter().map(|path| format!("unknown field {}", go_quote(path))));
    if validation == FieldValidation::Strict && !findings.is_empty() {
        let error = format!("strict decoding error: {}", findings.join(", "));
        return Err(cannot_handle(definition, &error));
    }
    if validation == FieldValidation::Ignore {
        findings.clear();
    }
    Ok(Read { object, warnings: findings })
}

/// Reads what a patch made of an object.
pub(super) fn read_patched(
    definition: &ResourceDefinition,
    mut object: Object,
    patch: &Patch,
    validation: FieldValidation,
) -> Result<Read, ApiStatus> {
    if object.values().any(|value| nests_deeper(value, MAX_DEPTH)) {
        return Err(ApiStatus::unprocessable(format!(
            "the patched object nests deeper than {MAX_DEPTH} levels"
        )));
    }
    let is_strategic = matches!(patch, Patch::StrategicMerge(_));
    let refused = |object: &Object, error: String| {
        let error = if is_strategic { converter_error(error) } else { error };
        let patched = Value::Object(object.clone()).to_string();
        let error = FieldError::invalid("patch", &json!(patched), error);
        ApiStatus::invalid(&GroupKind::new("", ""), "", &[error])
    };
    let patched = object.clone();
    if !definition.is_custom() {
        check_type(definition, &mut object).map_err(|e| refused(&patched, decoder_error(&e)))?;
    }
    let unknown = normalize(definition, &mut object).map_err(|e| refused(&patched, decoder_error(&e)))?;
    let mut findings: Vec<String> =
        unknown.iter().map(|path| format!("unknown field {}", go_quote(path))).collect();
    if validation == FieldValidation::Strict && !findings.is_empty() {
        return Err(refused(&patched, format!("strict decoding error: {}", findings.join(", "))));
    }
    if validation == FieldValidation::Ignore {
        findings.clear();
    }
    Ok(Read { object, warnings: findings })
}

/// The decoder's own words, without the sentence that a POST wraps them in.
fn decoder_error(status: &ApiStatus) -> String {
    let message = &status.message;
    message
        .split_once(" cannot be handled as a ")
        .and_then(|(_, rest)| rest.split_once(": "))
        .map_or_else(|| message.clone(), |(_, error)| error.to_owned())
}

/// What a strategic merge patch makes is not read as JSON but converted, which fails in other words
/// (`k8s.io/apimachinery/pkg/runtime/converter.go`).
fn converter_error(error: String) -> String {
    let Some((found, wanted)) = error
        .strip_prefix("json: cannot unmarshal ")
        .and_then(|rest| rest.split_once(" into "))
        .and_then(|(found, rest)| Some((found, rest.rsplit_once(" of type ")?.1)))
    else {
        let is_bytes = error.starts_with("illegal base64");
        return if is_bytes { format!("error decoding from json: {error}") } else { error };
    };
    let found = match found.split(' ').next().unwrap_or_default() {
        "object" => "map",
        "array" => "slice",
        "number" => "int64",
        other => other,
    };
    match wanted {
        "struct" => format!("cannot restore struct from: {found}"),
        wanted if wanted.starts_with("map[") => format!("cannot restore map from {found}"),
        wanted if wanted.starts_with("[]") => format!("cannot restore slice from {found}"),
        // Go converts numbers to text, as the character of that number; the converter does not.
        "string" if found == "int64" => "cannot convert int64 to string".to_owned(),
        scalar => format!("unrecognized type: {scalar}"),
    }
}

/// Drops what is unknown, fills in defaults, brings the object into its stored form.
fn normalize(definition: &ResourceDefinition, object: &mut Object) -> Result<Vec<String>, ApiStatus> {
    let strategy = definition.strategy();
    let unknown = strategy.decode(object, definition)?;
    if *definition.id.group == *"events.k8s.io" {
        convert_event(object, true);
        object.insert("apiVersion".to_owned(), json!("v1"));
    }
    object_meta::drop_empty(object);
    object_meta::metadata_mut(object).shift_remove("managedFields");
    object_meta::metadata_mut(object).shift_remove("selfLink");
    strategy.default(object);
    Ok(unknown)
}

/// The body's type is the endpoint's. Built-ins may leave it out.
fn check_type(definition: &ResourceDefinition, object: &mut Object) -> Result<(), ApiStatus> {
    let wanted = definition.api_version();
    let (kind, version) = (text_at(object, &["kind"]), text_at(object, &["apiVersion"]));
    if definition.is_custom() {
        if kind.is_empty() {
            return Err(missing_kind(definition, object));
        }
    } else if let Some(error) = unregistered(kind, version) {
        let version_only = version.rsplit('/').next().unwrap_or_default();
        return Err(ApiStatus::bad_request(format!(
            "{kind} in version {} cannot be handled as a {}: {error}",
            go_quote(version_only),
            definition.kind,
        )));
    } else if !kind.is_empty() && *kind != *definition.kind {
        let version_only = version.rsplit('/').next().unwrap_or_default();
        return Err(ApiStatus::bad_request(format!(
            "{kind} in version {} cannot be handled as a {}: converting ({version_only}.{kind}) to ({}.{}): unknown \
             conversion",
            go_quote(version_only),
            definition.kind,
            internal_package(definition),
            definition.kind
        )));
    }
    let may_be_left_out = !definition.is_custom() && version.is_empty();
    if version != wanted && !may_be_left_out {
        let given = if version.is_empty() { "/" } else { version };
        return Err(ApiStatus::bad_request(format!(
            "the API version in the data ({given}) does not match the expected API version ({wanted})"
        )));
    }
    let kind = if kind.is_empty() { definition.kind.to_string() } else { kind.to_owned() };
    object.insert("kind".to_owned(), json!(kind));
    object.insert("apiVersion".to_owned(), json!(wanted));
    Ok(())
}

/// What the real server's scheme says of a kind that no built-in version has.
fn unregistered(kind: &str, version: &str) -> Option<String> {
    let one_kind = kind.strip_suffix("List").unwrap_or(kind);
    let known = kind.is_empty() || is_built_in_kind(one_kind);
    if known && matches!(version.rsplit('/').next(), Some("v1" | "")) {
        return None;
    }
    Some(format!(
        "no kind {} is registered for version {} in scheme \"pkg/runtime/scheme.go:111\"",
        go_quote(kind),
        go_quote(version)
    ))
}

/// Go's package of a group's internal types.
fn internal_package(definition: &ResourceDefinition) -> &str {
    match &*definition.id.group {
        "" => "core",
        group => group.split('.').next().unwrap_or(group),
    }
}

fn missing_kind(definition: &ResourceDefinition, object: &Object) -> ApiStatus {
    let value = Value::Object(object.clone());
    unrecognized(definition, &value, &format!("Object 'Kind' is missing in '{value}'"))
}

fn unrecognized(definition: &ResourceDefinition, value: &Value, error: &str) -> ApiStatus {
    const SHOWN: usize = 30;
    let text = value.to_string();
    let cut = text.char_indices().nth(SHOWN).map(|(i, _)| format!("{} ...", &text[..i]));
    let kind = &definition.kind;
    ApiStatus::bad_request(format!(
        "the object provided is unrecognized (must be of type {kind}): {error} ({})",
        cut.unwrap_or(text)
    ))
}
