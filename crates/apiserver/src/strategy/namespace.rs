//! Namespaces: born Active with a finalizer and a label; gone when their content is (pkg/registry/core/namespace).

use serde_json::{Value, json};

use super::{Behaviour, Change, Strategy, decode_built_in, keep, object_at, value_at};
use crate::meta::format;
use crate::meta::object_meta::{self, Object};
use crate::resource::ResourceDefinition;
use crate::status::{ApiStatus, FieldError};
use crate::store::Subresource;

/// In `spec.finalizers` while a namespace may have content.
pub(crate) const FINALIZER_KUBERNETES: &str = "kubernetes";
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Namespaces.
pub(crate) struct Namespaces;

impl Strategy for Namespaces {
    fn behaviour(&self) -> Behaviour {
        Behaviour { name_rule: format::name_is_dns_label, ..Behaviour::default() }
    }

    fn decode(&self, object: &mut Object, definition: &ResourceDefinition) -> Result<Vec<String>, ApiStatus> {
        decode_built_in(object, definition)
    }

    fn default(&self, object: &mut Object) {
        let name = object_meta::name(object).to_owned();
        if !name.is_empty() {
            object_at(object_meta::metadata_mut(object), "labels").insert(NAME_LABEL.to_owned(), json!(name));
        }
        object_at(object, "spec");
        object_at(object, "status");
    }

    fn prepare_create(&self, object: &mut Object) {
        object.insert("status".to_owned(), json!({"phase": "Active"}));
        let spec = object_at(object, "spec");
        let finalizers = spec.entry("finalizers").or_insert_with(|| json!([]));
        if let Value::Array(finalizers) = finalizers
            && !finalizers.contains(&json!(FINALIZER_KUBERNETES))
        {
            finalizers.push(json!(FINALIZER_KUBERNETES));
        }
        // A generated name is known only now.
        self.default(object);
    }

    fn prepare_update(&self, object: &mut Object, change: Change<'_>) {
        match change.subresource {
            Subresource::None => {
                let finalizers = value_at(change.old, &["spec", "finalizers"]).cloned();
                let spec = object_at(object, "spec");
                match finalizers {
                    Some(finalizers) => spec.insert("finalizers".to_owned(), finalizers),
                    None => spec.shift_remove("finalizers"),
                };
                keep(object, change.old, "status");
            }
            Subresource::Status => keep(object, change.old, "spec"),
            Subresource::Finalize => keep(object, change.old, "status"),
        }
    }

    fn validate_update(&self, object: &Object, change: Change<'_>, errors: &mut Vec<FieldError>) {
        if change.subresource != Subresource::Status {
            return;
        }
        let phase = super::text_at(object, &["status", "phase"]);
        let allowed = if object_meta::is_terminating(object) { "Terminating" } else { "Active" };
        if !phase.is_empty() && phase != allowed {
            let when = if allowed == "Active" { "is empty" } else { "is not empty" };
            let why = format!("may only be '{allowed}' if `deletionTimestamp` {when}");
            errors.push(FieldError::invalid("status.Phase", &json!(phase), why));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn born_active() {
        let mut namespace =
            json!({"metadata": {"name": "x"}, "status": {"phase": "Odd"}}).as_object().cloned().unwrap();
        Namespaces.default(&mut namespace);
        Namespaces.prepare_create(&mut namespace);
        assert_eq!(
            Value::Object(namespace),
            json!({
                "metadata": {"name": "x", "labels": {"kubernetes.io/metadata.name": "x"}},
                "status": {"phase": "Active"},
                "spec": {"finalizers": ["kubernetes"]}
            })
        );
    }
}
