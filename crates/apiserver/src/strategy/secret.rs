//! Secrets and ConfigMaps: keys, sizes, types, immutability (pkg/apis/core/validation, pkg/registry/core/secret).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Change, Strategy, decode_built_in, default_field, text_at, value_at};
use crate::meta::format;
use crate::meta::object_meta::Object;
use crate::meta::validate::IMMUTABLE;
use crate::resource::ResourceDefinition;
use crate::status::{ApiStatus, FieldError};

/// Bytes that the values of one Secret or ConfigMap may have together.
const MAX_BYTES: usize = 1 << 20;

/// Secrets.
pub(crate) struct Secrets;

impl Strategy for Secrets {
    fn decode(&self, object: &mut Object, definition: &ResourceDefinition) -> Result<Vec<String>, ApiStatus> {
        let unknown = decode_built_in(object, definition)?;
        fold_string_data(object);
        Ok(unknown)
    }

    fn default(&self, object: &mut Object) {
        if text_at(object, &["type"]).is_empty() {
            object.shift_remove("type");
        }
        default_field(object, "type", json!("Opaque"));
    }

    fn warnings(&self, object: &Object, _old: Option<&Object>) -> Vec<String> {
        tls_warnings(object)
    }

    fn validate_create(&self, object: &Object, errors: &mut Vec<FieldError>) {
        let mut bytes = 0;
        for (key, value) in entries(object, "data") {
            check_key("data", key, errors);
            bytes += decoded_len(value);
        }
        if bytes > MAX_BYTES {
            errors.push(FieldError::too_long("data", MAX_BYTES));
        }
        check_type(object, errors);
    }

    fn prepare_update(&self, object: &mut Object, change: Change<'_>) {
        // An empty type cannot be told from an absent one: the old one stays.
        if text_at(object, &["type"]).is_empty()
            && let Some(old) = change.old.get("type")
        {
            object.insert("type".to_owned(), old.clone());
        }
    }

    fn validate_update(&self, object: &Object, change: Change<'_>, errors: &mut Vec<FieldError>) {
        if object.get("type") != change.old.get("type") {
            errors.push(FieldError::invalid("type", object.get("type").unwrap_or(&Value::Null), IMMUTABLE));
        }
        check_immutable(object, change.old, &["data"], errors);
        self.validate_create(object, errors);
    }
}

/// ConfigMaps.
pub(crate) struct ConfigMaps;

impl Strategy for ConfigMaps {
    fn decode(&self, object: &mut Object, definition: &ResourceDefinition) -> Result<Vec<String>, ApiStatus> {
        decode_built_in(object, definition)
    }

    fn validate_create(&self, object: &Object, errors: &mut Vec<FieldError>) {
        let mut bytes = 0;
        for (key, value) in entries(object, "data") {
            check_key("data", key, errors);
            if value_at(object, &["binaryData", key]).is_some() {
                let why = "duplicate of key present in binaryData";
                errors.push(FieldError::invalid(format!("data[{key}]"), &json!(key), why));
            }
            bytes += value.as_str().map_or(0, str::len);
        }
        for (key, value) in entries(object, "binaryData") {
            check_key("binaryData", key, errors);
            bytes += decoded_len(value);
        }
        if bytes > MAX_BYTES {
            errors.push(FieldError::too_long("[]", MAX_BYTES));
        }
    }

    fn prepare_update(&self, _object: &mut Object, _change: Change<'_>) {}

    fn validate_update(&self, object: &Object, change: Change<'_>, errors: &mut Vec<FieldError>) {
        check_immutable(object, change.old, &["data", "binaryData"], errors);
        self.validate_create(object, errors);
    }
}

/// `stringData` is a way to write `data`, and is never read back.
fn fold_string_data(object: &mut Object) {
    let Some(Value::Object(texts)) = object.shift_remove("stringData") else { return };
    let data = super::object_at(object, "data");
    for (key, text) in texts {
        data.insert(key, json!(STANDARD.encode(text.as_str().unwrap_or_default())));
    }
    if data.is_empty() {
        object.shift_remove("data");
    }
}

fn entries<'a>(object: &'a Object, field: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    object.get(field).and_then(Value::as_object).into_iter().flatten()
}

fn check_key(field: &str, key: &str, errors: &mut Vec<FieldError>) {
    let findings = format::config_map_key(key);
    errors
        .extend(findings.into_iter().map(|e| FieldError::invalid(format!("{field}[{key}]"), &json!(key), e)));
}

/// Bytes that base64 text stands for.
fn decoded_len(value: &Value) -> usize {
    let text = value.as_str().unwrap_or_default();
    text.len() / 4 * 3 - text.bytes().rev().take_while(|b| *b == b'=').count().min(2)
}

/// The value of a key, decoded.
fn decoded(object: &Object, key: &str) -> Vec<u8> {
    let text = value_at(object, &["data", key]).and_then(Value::as_str).unwrap_or_default();
    STANDARD.decode(text).unwrap_or_default()
}

fn check_json(object: &Object, key: &str, errors: &mut Vec<FieldError>) {
    let bytes = decoded(object, key);
    if serde_json::from_slice::<Value>(&bytes).is_err() {
        let why = match bytes.first() {
            Some(first) => {
                let first = char::from(*first);
                format!("invalid character {first:?} looking for beginning of value")
            }
            None => "unexpected end of JSON input".to_owned(),
        };
        let hidden = json!("<secret contents redacted>");
        errors.push(FieldError::invalid(format!("data[{key}]"), &hidden, why));
    }
}

/// What is said of a TLS Secret without PEM in it. Whether key and certificate belong together is not looked at.
fn tls_warnings(object: &Object) -> Vec<String> {
    if text_at(object, &["type"]) != "kubernetes.io/tls" {
        return Vec::new();
    }
    let has_pem = |key: &str| decoded(object, key).windows(11).any(|window| window == b"-----BEGIN ");
    let missing = [("tls.crt", "certificate"), ("tls.key", "key")].into_iter().find(|(key, _)| !has_pem(key));
    missing.map(|(_, what)| format!("tls: failed to find any PEM data in {what} input")).into_iter().collect()
}

/// Some types promise keys.
fn check_type(object: &Object, errors: &mut Vec<FieldError>) {
    let has = |key: &str| value_at(object, &["data", key]).is_some();
    match text_at(object, &["type"]) {
        "kubernetes.io/tls" => {
            for key in ["tls.crt", "tls.key"] {
                if !has(key) {
                    errors.push(FieldError::required(format!("data[{key}]"), ""));
                }
            }
        }
        "kubernetes.io/service-account-token" => {
            let annotation = "kubernetes.io/service-account.name";
            if text_at(object, &["metadata", "annotations", annotation]).is_empty() {
                errors.push(FieldError::required(format!("metadata.annotations[{annotation}]"), ""));
            }
        }
        "kubernetes.io/dockerconfigjson" if has(".dockerconfigjson") => {
            check_json(object, ".dockerconfigjson", errors);
        }
        "kubernetes.io/dockercfg" if has(".dockercfg") => check_json(object, ".dockercfg", errors),
        "kubernetes.io/dockerconfigjson" if !has(".dockerconfigjson") => {
            errors.push(FieldError::required("data[.dockerconfigjson]", ""));
        }
        "kubernetes.io/dockercfg" if !has(".dockercfg") => {
            errors.push(FieldError::required("data[.dockercfg]", ""));
        }
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => {
            errors.push(FieldError::required("data[username]", ""));
            errors.push(FieldError::required("data[password]", ""));
        }
        "kubernetes.io/ssh-auth" if !has("ssh-privatekey") => {
            errors.push(FieldError::required("data[ssh-privatekey]", ""));
        }
        _ => {}
    }
}

/// Once `immutable`, neither that nor the data changes.
fn check_immutable(object: &Object, old: &Object, fields: &[&str], errors: &mut Vec<FieldError>) {
    if old.get("immutable") != Some(&Value::Bool(true)) {
        return;
    }
    if object.get("immutable") != Some(&Value::Bool(true)) {
        errors.push(FieldError::forbidden("immutable", "field is immutable when `immutable` is set"));
    }
    for field in fields {
        if object.get(*field) != old.get(*field) {
            errors.push(FieldError::forbidden(*field, "field is immutable when `immutable` is set"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Subresource;

    fn object(value: &Value) -> Object {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn string_data_becomes_data() {
        let mut secret = object(&json!({"data": {"a": "eA==", "b": "eQ=="}, "stringData": {"a": "hi"}}));
        fold_string_data(&mut secret);
        assert_eq!(secret, object(&json!({"data": {"a": "aGk=", "b": "eQ=="}})));
    }

    #[test]
    fn new_secrets() {
        let rows = [
            (json!({"type": "Opaque", "data": {"a": "aGk="}}), vec![]),
            (
                json!({"type": "kubernetes.io/tls", "data": {"tls.crt": ""}}),
                vec!["data[tls.key]: Required value"],
            ),
            (
                json!({"type": "Opaque", "data": {"a": "A".repeat(1_400_000)}}),
                vec!["data: Too long: may not be more than 1048576 bytes"],
            ),
            (
                json!({"type": "Opaque", "data": {"a b": ""}}),
                vec![
                    "data[a b]: Invalid value: \"a b\": a valid config key must consist of alphanumeric characters, '-', \
                     '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is \
                     '[-._a-zA-Z0-9]+')",
                ],
            ),
        ];
        for (secret, expected) in rows {
            let mut errors = Vec::new();
            Secrets.validate_create(&object(&secret), &mut errors);
            assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn changed_secrets() {
        let old = object(&json!({"type": "Opaque", "data": {"a": "aGk="}}));
        let frozen = object(&json!({"type": "Opaque", "data": {"a": "aGk="}, "immutable": true}));
        let rows = [
            (&old, json!({"type": "Opaque", "data": {"a": ""}}), vec![]),
            (&old, json!({"type": "x"}), vec!["type: Invalid value: \"x\": field is immutable"]),
            (&frozen, json!({"type": "Opaque", "data": {"a": "aGk="}, "immutable": true}), vec![]),
            (
                &frozen,
                json!({"type": "Opaque", "data": {}}),
                vec![
                    "immutable: Forbidden: field is immutable when `immutable` is set",
                    "data: Forbidden: field is immutable when `immutable` is set",
                ],
            ),
        ];
        for (old, new, expected) in rows {
            let mut errors = Vec::new();
            let change = Change { old, subresource: Subresource::None };
            Secrets.validate_update(&object(&new), change, &mut errors);
            assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
        }
    }
}
