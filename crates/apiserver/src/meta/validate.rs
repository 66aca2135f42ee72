//! The rules that the metadata of every object obeys (k8s.io/apimachinery `pkg/api/validation/objectmeta.go`).

use serde_json::{Value, json};

use super::format::{self, NameRule};
use super::object_meta::{self, FINALIZER_FOREGROUND, FINALIZER_ORPHAN, Object};
use crate::resource::Scope;
use crate::status::FieldError;

/// Bytes that all annotations of one object may have together.
const ANNOTATIONS_MAX: usize = 256 << 10;
/// Finalizers that need no domain.
const STANDARD_FINALIZERS: [&str; 3] = [FINALIZER_ORPHAN, FINALIZER_FOREGROUND, "kubernetes"];
/// Said of a field that never changes.
pub(crate) const IMMUTABLE: &str = "field is immutable";

/// Checks new metadata (`ValidateObjectMetaAccessor`).
pub(crate) fn create(object: &Object, scope: Scope, rule: NameRule, errors: &mut Vec<FieldError>) {
    name(object, rule, errors);
    namespace(object, scope, errors);
    if object_meta::generation(object) < 0 {
        let generation = json!(object_meta::generation(object));
        errors.push(FieldError::invalid(
            "metadata.generation",
            &generation,
            "must be greater than or equal to 0",
        ));
    }
    content(object, errors);
}

/// Checks changed metadata against the old (`ValidateObjectMetaAccessorUpdate`).
pub(crate) fn update(object: &Object, old: &Object, errors: &mut Vec<FieldError>) {
    if object_meta::is_terminating(old) {
        no_new_finalizers(object, old, errors);
    }
    if object_meta::text(object, "resourceVersion").is_empty() {
        errors.push(FieldError::invalid(
            "metadata.resourceVersion",
            &json!(""),
            "must be specified for an update",
        ));
    }
    if object_meta::generation(object) < object_meta::generation(old) {
        let generation = json!(object_meta::generation(object));
        errors.push(FieldError::invalid("metadata.generation", &generation, "must not be decremented"));
    }
    for field in
        ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"]
    {
        immutable(object, old, field, errors);
    }
    content(object, errors);
}

fn name(object: &Object, rule: NameRule, errors: &mut Vec<FieldError>) {
    let stem = object_meta::text(object, "generateName");
    if !stem.is_empty() {
        let findings = rule(stem, true);
        errors.extend(
            findings.into_iter().map(|e| FieldError::invalid("metadata.generateName", &json!(stem), e)),
        );
    }
    let name = object_meta::name(object);
    if name.is_empty() {
        errors.push(FieldError::required("metadata.name", "name or generateName is required"));
    } else {
        let findings = rule(name, false);
        errors.extend(findings.into_iter().map(|e| FieldError::invalid("metadata.name", &json!(name), e)));
    }
}

fn namespace(object: &Object, scope: Scope, errors: &mut Vec<FieldError>) {
    let namespace = object_meta::namespace(object);
    match (scope, namespace) {
        (Scope::Namespaced, "") => errors.push(FieldError::required("metadata.namespace", "")),
        (Scope::Namespaced, namespace) => errors.extend(
            format::name_is_dns_label(namespace, false)
                .into_iter()
                .map(|e| FieldError::invalid("metadata.namespace", &json!(namespace), e)),
        ),
        (Scope::Cluster, "") => {}
        (Scope::Cluster, _) => {
            errors.push(FieldError::forbidden("metadata.namespace", "not allowed on this type"));
        }
    }
}

/// Labels, annotations, owners and finalizers.
fn content(object: &Object, errors: &mut Vec<FieldError>) {
    labels(object_meta::field(object, "labels"), "metadata.labels", errors);
    annotations(object_meta::field(object, "annotations"), errors);
    owner_references(object_meta::field(object, "ownerReferences"), errors);
    finalizers(object, errors);
}

/// Checks a map of labels at this path (`ValidateLabels`).
pub(crate) fn labels(labels: Option<&Value>, path: &str, errors: &mut Vec<FieldError>) {
    for (key, value) in labels.and_then(Value::as_object).into_iter().flatten() {
        let findings = format::qualified_name(key);
        errors.extend(findings.into_iter().map(|e| FieldError::invalid(path, &json!(key), e)));
        let findings = format::label_value(value.as_str().unwrap_or_default());
        errors.extend(findings.into_iter().map(|e| FieldError::invalid(path, value, e)));
    }
}

fn annotations(annotations: Option<&Value>, errors: &mut Vec<FieldError>) {
    let path = "metadata.annotations";
    let mut bytes = 0;
    for (key, value) in annotations.and_then(Value::as_object).into_iter().flatten() {
        let findings = format::qualified_name(&key.to_lowercase());
        errors.extend(findings.into_iter().map(|e| FieldError::invalid(path, &json!(key), e)));
        bytes += key.len() + value.as_str().map_or(0, str::len);
    }
    if bytes > ANNOTATIONS_MAX {
        errors.push(FieldError::too_long(path, ANNOTATIONS_MAX));
    }
}

fn owner_references(references: Option<&Value>, errors: &mut Vec<FieldError>) {
    let path = "metadata.ownerReferences";
    let mut controller: Option<String> = None;
    for (i, reference) in references.and_then(Value::as_array).into_iter().flatten().enumerate() {
        let text = |field: &str| reference.get(field).and_then(Value::as_str).unwrap_or_default();
        for field in ["apiVersion", "kind", "name", "uid"] {
            if text(field).is_empty() {
                errors.push(FieldError::required(format!("{path}[{i}].{field}"), "must not be empty"));
            }
        }
        if (text("apiVersion"), text("kind")) == ("v1", "Event") {
            let why = "/v1, Kind=Event is disallowed from being an owner";
            errors.push(FieldError::invalid(format!("{path}[{i}]"), reference, why));
        }
        if reference.get("controller") == Some(&Value::Bool(true)) {
            let this = format!("{}/{}", text("kind"), text("name"));
            match &controller {
                Some(first) => {
                    let why = format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for \
                         {first} and {this}"
                    );
                    errors.push(FieldError::invalid(path, references.unwrap_or(&Value::Null), why));
                }
                None => controller = Some(this),
            }
        }
    }
}

fn finalizers(object: &Object, errors: &mut Vec<FieldError>) {
    let path = "metadata.finalizers";
    let finalizers = object_meta::finalizers(object);
    for finalizer in &finalizers {
        let findings = format::qualified_name(finalizer);
        errors.extend(findings.into_iter().map(|e| FieldError::invalid(path, &json!(finalizer), e)));
    }
    if finalizers.contains(&FINALIZER_ORPHAN) && finalizers.contains(&FINALIZER_FOREGROUND) {
        let why = format!("finalizer {FINALIZER_ORPHAN} and {FINALIZER_FOREGROUND} cannot be both set");
        errors.push(FieldError::invalid(path, &json!(finalizers), why));
    }
}

/// Finalizers without a domain, of which there are only a few (`ValidateFinalizerName` of pkg/apis/core/validation).
pub(crate) fn finalizers_are_qualified(object: &Object, errors: &mut Vec<FieldError>) {
    for (i, finalizer) in object_meta::finalizers(object).iter().enumerate() {
        if !finalizer.contains('/') && !STANDARD_FINALIZERS.contains(finalizer) {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(FieldError::invalid(format!("metadata.finalizers[{i}]"), &json!(finalizer), why));
        }
    }
}

fn no_new_finalizers(object: &Object, old: &Object, errors: &mut Vec<FieldError>) {
    let before = object_meta::finalizers(old);
    let mut new: Vec<&str> = object_meta::finalizers(object);
    new.retain(|f| !before.contains(f));
    new.sort_unstable();
    new.dedup();
    if !new.is_empty() {
        let listed: Vec<String> = new.iter().map(|f| crate::status::go_quote(f)).collect();
        errors.push(FieldError::forbidden(
            "metadata.finalizers",
            format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                listed.join(", ")
            ),
        ));
    }
}

fn immutable(object: &Object, old: &Object, field: &str, errors: &mut Vec<FieldError>) {
    let (now, before) = (object_meta::field(object, field), object_meta::field(old, field));
    if now != before {
        let value = now.unwrap_or(&Value::Null);
        errors.push(FieldError::invalid(format!("metadata.{field}"), value, IMMUTABLE));
    }
}

/// Warnings for finalizers that carry no domain (`validateKubeFinalizerName`).
pub(crate) fn finalizer_warnings(object: &Object, old: Option<&Object>) -> Vec<String> {
    let before = old.map(object_meta::finalizers).unwrap_or_default();
    let mut added = object_meta::finalizers(object);
    added.retain(|f| !before.contains(f) && !f.contains('/') && !STANDARD_FINALIZERS.contains(f));
    added.sort_unstable();
    added
        .into_iter()
        .map(|f| {
            let path = if f.contains('.') { " including a path (/)" } else { "" };
            format!(
                "metadata.finalizers: \"{f}\": prefer a domain-qualified finalizer name{path} to avoid accidental \
                 conflicts with other finalizer writers"
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: &Value) -> Object {
        json!({"metadata": value}).as_object().cloned().unwrap()
    }

    fn created(metadata: &Value, scope: Scope) -> Vec<String> {
        let mut errors = Vec::new();
        create(&object(metadata), scope, format::name_is_dns_subdomain, &mut errors);
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn new_metadata() {
        let fine =
            json!({"name": "x", "namespace": "n", "labels": {"a": "b"}, "annotations": {"A/b": "any thing"}});
        assert_eq!(created(&fine, Scope::Namespaced), Vec::<String>::new());
        let rows = [
            (json!({"namespace": "n"}), "metadata.name: Required value: name or generateName is required"),
            (
                json!({"name": "X", "namespace": "n"}),
                "metadata.name: Invalid value: \"X\": a lowercase RFC 1123",
            ),
            (json!({"name": "x"}), "metadata.namespace: Required value"),
            (
                json!({"name": "x", "namespace": "n", "labels": {"a b": ""}}),
                "metadata.labels: Invalid value: \"a b\"",
            ),
            (
                json!({"name": "x", "namespace": "n", "labels": {"a": "-"}}),
                "metadata.labels: Invalid value: \"-\"",
            ),
            (
                json!({"name": "x", "namespace": "n", "finalizers": ["a b"]}),
                "metadata.finalizers: Invalid value",
            ),
            (
                json!({"name": "x", "namespace": "n", "annotations": {"a": "x".repeat(ANNOTATIONS_MAX)}}),
                "metadata.annotations: Too long: may not be more than 262144 bytes",
            ),
            (
                json!({"name": "x", "namespace": "n", "ownerReferences": [{"apiVersion": "v1", "kind": "A", "name": "b"}]}),
                "metadata.ownerReferences[0].uid: Required value: must not be empty",
            ),
        ];
        for (metadata, start) in rows {
            let errors = created(&metadata, Scope::Namespaced);
            assert_eq!(errors.len(), 1, "{errors:?}");
            assert!(errors[0].starts_with(start), "{errors:?}");
        }
        assert_eq!(
            created(&json!({"name": "x", "namespace": "n"}), Scope::Cluster),
            ["metadata.namespace: Forbidden: not allowed on this type"]
        );
    }

    #[test]
    fn changed_metadata() {
        let old = json!({"name": "x", "uid": "u", "resourceVersion": "1", "deletionTimestamp": "t", "finalizers": ["a/b"]});
        let change = |field: &str, value: Value| {
            let mut new = object(&old);
            object_meta::set_or_remove(&mut new, field, Some(value));
            let mut errors = Vec::new();
            update(&new, &object(&old), &mut errors);
            errors.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(change("labels", json!({"a": "b"})), Vec::<String>::new());
        assert_eq!(change("uid", json!("v")), ["metadata.uid: Invalid value: \"v\": field is immutable"]);
        assert_eq!(
            change("finalizers", json!(["a/b", "c/d"])),
            [
                "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found \
                 new finalizers []string{\"c/d\"}"
            ]
        );
        assert_eq!(change("finalizers", json!([])), Vec::<String>::new());
        assert_eq!(
            change("resourceVersion", json!("")),
            ["metadata.resourceVersion: Invalid value: \"\": must be specified for an update"]
        );
    }
}
