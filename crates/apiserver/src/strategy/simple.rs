//! Resources that are stored as they come: leases and service accounts.

use serde_json::{Value, json};

use super::{Behaviour, Change, Strategy, decode_built_in, object_at, value_at};
use crate::meta::object_meta::Object;
use crate::resource::ResourceDefinition;
use crate::status::{ApiStatus, FieldError};

/// coordination.k8s.io leases.
pub(crate) struct Leases;

impl Strategy for Leases {
    fn behaviour(&self) -> Behaviour {
        Behaviour { create_on_update: true, unconditional_update: false, ..Behaviour::default() }
    }

    fn decode(&self, object: &mut Object, definition: &ResourceDefinition) -> Result<Vec<String>, ApiStatus> {
        decode_built_in(object, definition)
    }

    fn default(&self, object: &mut Object) {
        object_at(object, "spec");
    }

    fn validate_create(&self, object: &Object, errors: &mut Vec<FieldError>) {
        for (field, least, why) in [
            ("leaseDurationSeconds", 1, "must be greater than 0"),
            ("leaseTransitions", 0, "must be greater than or equal to 0"),
        ] {
            if let Some(number) = value_at(object, &["spec", field]).and_then(Value::as_i64)
                && number < least
            {
                errors.push(FieldError::invalid(format!("spec.{field}"), &json!(number), why));
            }
        }
    }

    fn validate_update(&self, object: &Object, _change: Change<'_>, errors: &mut Vec<FieldError>) {
        self.validate_create(object, errors);
    }
}

/// Service accounts.
pub(crate) struct ServiceAccounts;

impl Strategy for ServiceAccounts {
    fn behaviour(&self) -> Behaviour {
        Behaviour { returns_deleted_object: true, ..Behaviour::default() }
    }

    fn decode(&self, object: &mut Object, definition: &ResourceDefinition) -> Result<Vec<String>, ApiStatus> {
        decode_built_in(object, definition)
    }

    fn prepare_create(&self, object: &mut Object) {
        name_secrets_only(object);
    }

    fn prepare_update(&self, object: &mut Object, _change: Change<'_>) {
        name_secrets_only(object);
    }

    fn validate_update(&self, _object: &Object, _change: Change<'_>, _errors: &mut Vec<FieldError>) {}
}

/// Of references to Secrets, only the name is kept (`cleanSecretReferences`).
fn name_secrets_only(object: &mut Object) {
    let secrets = object.get_mut("secrets").and_then(Value::as_array_mut);
    for secret in secrets.into_iter().flatten().filter_map(Value::as_object_mut) {
        secret.retain(|field, _| field == "name");
    }
}
