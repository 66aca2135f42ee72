//! Custom resources: everything comes from the CRD's schema (apiextensions `pkg/registry/customresource`).

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Behaviour, Change, Strategy, cannot_handle, keep, text_at};
use crate::meta::object_meta::{self, Object};
use crate::meta::validate::{self, finalizer_warnings};
use crate::resource::ResourceDefinition;
use crate::schema::{self, Schema};
use crate::status::{ApiStatus, FieldError, FieldErrorType};
use crate::store::Subresource;

/// The objects of one version of one CustomResourceDefinition.
pub(crate) struct CustomResource {
    pub(crate) kind: Arc<str>,
    pub(crate) api_version: String,
    pub(crate) schema: Arc<Schema>,
    pub(crate) has_status: bool,
}

impl Strategy for CustomResource {
    fn behaviour(&self) -> Behaviour {
        Behaviour { unconditional_update: false, ..Behaviour::default() }
    }

    fn decode(&self, object: &mut Object, definition: &ResourceDefinition) -> Result<Vec<String>, ApiStatus> {
        let mut unknown = decode_metadata(object, definition)?;
        unknown.extend(schema::prune(object, &self.schema));
        schema::apply_defaults(object, &self.schema);
        Ok(unknown)
    }

    fn custom_schema(&self) -> Option<&Schema> {
        Some(&self.schema)
    }

    fn prepare_create(&self, object: &mut Object) {
        if self.has_status {
            object.shift_remove("status");
        }
        object_meta::set_generation(object, 1);
    }

    fn validate_create(&self, object: &Object, errors: &mut Vec<FieldError>) {
        let value = Value::Object(object.clone());
        self.validate(object, None, errors, |errors| schema::validate(&value, None, &self.schema, errors));
    }

    fn prepare_update(&self, object: &mut Object, change: Change<'_>) {
        if change.subresource == Subresource::Status {
            let status = object.shift_remove("status");
            let version = object_meta::field(object, "resourceVersion").cloned();
            object.clone_from(change.old);
            // The status endpoint writes nothing else, metadata included.
            object_meta::set_or_remove(object, "resourceVersion", version);
            match status {
                Some(status) => object.insert("status".to_owned(), status),
                None => object.shift_remove("status"),
            };
            return;
        }
        if self.has_status {
            keep(object, change.old, "status");
        }
        if differ_beyond_metadata(object, change.old) {
            object_meta::set_generation(object, object_meta::generation(change.old) + 1);
        }
    }

    fn validate_update(&self, object: &Object, change: Change<'_>, errors: &mut Vec<FieldError>) {
        match change.subresource {
            Subresource::Status => {
                self.validate(object, Some(change.old), errors, |errors| {
                    self.check_status(object, change.old, errors);
                });
            }
            Subresource::None | Subresource::Finalize => {
                let (value, old) = (Value::Object(object.clone()), Value::Object(change.old.clone()));
                self.validate(object, Some(change.old), errors, |errors| {
                    schema::validate(&value, Some(&old), &self.schema, errors);
                });
            }
        }
    }

    fn warnings(&self, object: &Object, old: Option<&Object>) -> Vec<String> {
        finalizer_warnings(object, old)
    }
}

impl CustomResource {
    /// The type, then what `by_schema` finds, then the rest.
    fn validate(
        &self,
        object: &Object,
        old: Option<&Object>,
        errors: &mut Vec<FieldError>,
        by_schema: impl FnOnce(&mut Vec<FieldError>),
    ) {
        let before = errors.len();
        self.check_type(object, errors);
        if errors.len() > before {
            return;
        }
        if let Some(old) = old {
            // A second time: the store has done so already, and the real server says everything twice.
            validate::update(object, old, errors);
        }
        by_schema(errors);
        self.check_lists(object, old, errors);
        if !self.schema.below.cel {
            return;
        }
        if errors.iter().any(blocks_rules) {
            errors.push(FieldError::invalid(
                "<nil>",
                &Value::Null,
                "some validation rules were not checked because the object was invalid; correct the existing errors to \
                 complete validation",
            ));
        } else {
            let value = Value::Object(object.clone());
            let old_value = old.map(|o| Value::Object(o.clone()));
            schema::cel::evaluate(&value, old_value.as_ref(), &self.schema, errors);
        }
    }

    /// The status by itself, whose fields the findings name as if it were the whole (`ValidateStatusUpdate`).
    fn check_status(&self, object: &Object, old: &Object, errors: &mut Vec<FieldError>) {
        let (Some(status), Some(schema)) = (object.get("status"), self.schema.properties.get("status"))
        else {
            return;
        };
        let mut findings = Vec::new();
        schema::validate(status, old.get("status"), schema, &mut findings);
        for finding in &mut findings {
            finding.field = match finding.field.as_str() {
                "<nil>" => "status".to_owned(),
                field => format!("status.{field}"),
            };
        }
        errors.append(&mut findings);
    }

    fn check_type(&self, object: &Object, errors: &mut Vec<FieldError>) {
        for (field, wanted) in [("kind", &*self.kind), ("apiVersion", &self.api_version)] {
            let given = text_at(object, &[field]);
            if given != wanted {
                errors.push(FieldError::invalid(field, &json!(given), format!("must be {wanted}")));
            }
        }
    }

    /// Doubles in lists are let pass if the old object had some already.
    fn check_lists(&self, object: &Object, old: Option<&Object>, errors: &mut Vec<FieldError>) {
        let mut findings = Vec::new();
        schema::check_list_types(object, &self.schema, &mut findings);
        if let Some(old) = old.filter(|_| !findings.is_empty()) {
            let mut before = Vec::new();
            schema::check_list_types(old, &self.schema, &mut before);
            if !before.is_empty() {
                return;
            }
        }
        errors.extend(findings);
    }
}

/// After these, rules would only repeat the complaint or fail (`hasBlockingErr`).
fn blocks_rules(error: &FieldError) -> bool {
    matches!(
        error.error_type,
        FieldErrorType::NotSupported
            | FieldErrorType::Required
            | FieldErrorType::TooLong
            | FieldErrorType::TooMany
            | FieldErrorType::TypeInvalid
    )
}

fn differ_beyond_metadata(object: &Object, old: &Object) -> bool {
    let content = |o: &Object| o.iter().filter(|(k, _)| *k != "metadata").count();
    content(object) != content(old)
        || object.iter().any(|(name, value)| name != "metadata" && old.get(name) != Some(value))
}

/// `metadata` is typed, whatever the CRD's schema says.
fn decode_metadata(object: &mut Object, definition: &ResourceDefinition) -> Result<Vec<String>, ApiStatus> {
    if let Some(other) =
        object.get("metadata").filter(|metadata| !metadata.is_object() && !metadata.is_null())
    {
        let found = if other.is_number() { "number" } else { schema::json_type(other) };
        let error = format!("json: cannot unmarshal {found} into Go value of type v1.ObjectMeta");
        return Err(ApiStatus::bad_request(error));
    }
    let metadata = object_meta::metadata_mut(object);
    let unknown = schema::decode(metadata, crate::resource::object_meta_schema(), "ObjectMeta")
        .map_err(|error| cannot_handle(definition, &error))?;
    Ok(unknown.into_iter().map(|path| format!("metadata.{path}")).collect())
}

/// The served versions of a CRD, its storage version, and the rest of what a registry needs of it.
pub(crate) fn read_versions(crd: &Object) -> impl Iterator<Item = &Object> {
    let versions = crd.get("spec").and_then(|s| s.get("versions")).and_then(Value::as_array);
    versions.into_iter().flatten().filter_map(Value::as_object)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strategy(has_status: bool) -> CustomResource {
        let schema = json!({"type": "object", "properties": {
            "spec": {"type": "object", "required": ["hosts"], "properties": {
                "hosts": {"type": "array", "items": {"type": "string"}},
                "n": {"type": "integer", "x-kubernetes-validations": [{"rule": "self < 5", "message": "below 5"}]}
            }},
            "status": {"type": "object", "properties": {"state": {"type": "string"}}}
        }});
        let path = crate::status::FieldPath::ROOT;
        CustomResource {
            kind: "K".into(),
            api_version: "g/v1".to_owned(),
            schema: Arc::new(schema::parse_at(&schema, &path).unwrap()),
            has_status,
        }
    }

    fn object(value: &Value) -> Object {
        value.as_object().cloned().unwrap()
    }

    fn k(spec: &Value) -> Object {
        object(
            &json!({"kind": "K", "apiVersion": "g/v1", "metadata": {"name": "x", "generation": 1}, "spec": spec}),
        )
    }

    #[test]
    fn rules_are_not_checked_on_broken_objects() {
        let mut errors = Vec::new();
        strategy(true).validate_create(&k(&json!({"n": 7})), &mut errors);
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "spec.hosts: Required value",
                "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; \
                 correct the existing errors to complete validation"
            ]
        );
        errors.clear();
        strategy(true).validate_create(&k(&json!({"n": 7, "hosts": []})), &mut errors);
        assert_eq!(errors[0].to_string(), "spec.n: Invalid value: 7: below 5");
    }

    #[test]
    fn wrong_types_end_the_check() {
        let mut errors = Vec::new();
        strategy(true).validate_create(&object(&json!({"kind": "Other", "apiVersion": "g/v1"})), &mut errors);
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].to_string(), "kind: Invalid value: \"Other\": must be K");
    }

    #[test]
    fn each_endpoint_writes_its_part() {
        let mut old = k(&json!({"hosts": []}));
        old.insert("status".to_owned(), json!({"state": "A"}));
        let mut new = k(&json!({"hosts": ["h"]}));
        new.insert("status".to_owned(), json!({"state": "B"}));
        object_meta::set_or_remove(&mut new, "labels", Some(json!({"a": "b"})));

        let mut main = new.clone();
        strategy(true).prepare_update(&mut main, Change { old: &old, subresource: Subresource::None });
        assert_eq!(main["status"], json!({"state": "A"}));
        assert_eq!(object_meta::generation(&main), 2);

        let mut status = new.clone();
        strategy(true).prepare_update(&mut status, Change { old: &old, subresource: Subresource::Status });
        assert_eq!(status["status"], json!({"state": "B"}));
        assert_eq!(status["spec"], old["spec"]);
        assert_eq!(status["metadata"], old["metadata"]);

        let mut whole = old.clone();
        whole.insert("status".to_owned(), json!({"state": "C"}));
        strategy(false).prepare_update(&mut whole, Change { old: &old, subresource: Subresource::None });
        assert_eq!(object_meta::generation(&whole), 2, "without a status endpoint, status is content");
    }
}
