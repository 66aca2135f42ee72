//! The options of the single verbs, and what the verbs answer.

use std::sync::Arc;

use serde_json::Value;

use super::StoredObject;
use crate::status::ApiStatus;

/// What part of an object a PUT or PATCH addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Subresource {
    /// The object; its status is left alone if the resource has a status subresource.
    #[default]
    None,
    /// Only the status.
    Status,
    /// A namespace's finalizers (`/finalize`).
    Finalize,
}

/// `fieldValidation`: what to do with fields the schema does not know, and with doubles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum FieldValidation {
    /// Drop them silently.
    Ignore,
    /// Drop them and warn; the default.
    #[default]
    Warn,
    /// Refuse the request.
    Strict,
}

impl FieldValidation {
    /// From the query parameter; absent is `Warn`.
    pub fn parse(text: &str) -> Result<Self, ApiStatus> {
        match text {
            "" | "Warn" => Ok(Self::Warn),
            "Ignore" => Ok(Self::Ignore),
            "Strict" => Ok(Self::Strict),
            other => Err(ApiStatus::bad_request(format!(
                "fieldValidation: Unsupported value: \"{other}\": supported values: \"\", \"Ignore\", \
                 \"Strict\", \"Warn\""
            ))),
        }
    }
}

/// Options of create, update and patch.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct WriteOptions {
    /// `dryRun=All`: decide everything, write nothing.
    pub dry_run: bool,
    /// `fieldValidation`
    pub field_validation: FieldValidation,
}

/// What create, update and patch answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The object after the write, in the version of the request.
    pub object: Arc<StoredObject>,
    /// Whether it was created (201) rather than changed (200).
    pub created: bool,
    /// Texts for `Warning` headers.
    pub warnings: Vec<String>,
}

/// Options of get.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct GetOptions {
    /// `resourceVersion`: the answer must be at least that new; a store is always newest, so only its form and a
    /// version from the future matter.
    pub resource_version: Option<String>,
}

/// What must hold for a delete to happen (409 otherwise).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Preconditions {
    /// The object's uid.
    pub uid: Option<String>,
    /// The object's resourceVersion.
    pub resource_version: Option<String>,
}

/// What becomes of the objects that a deleted object owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PropagationPolicy {
    /// They stay and lose the owner.
    Orphan,
    /// They go afterwards.
    Background,
    /// They go first.
    Foreground,
}

/// Options of delete and deletecollection (`metav1.DeleteOptions`).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct DeleteOptions {
    /// Seconds that a pod gets to stop; none is the object's own default.
    pub grace_period_seconds: Option<i64>,
    /// What must hold.
    pub preconditions: Preconditions,
    /// What becomes of dependents.
    pub propagation_policy: Option<PropagationPolicy>,
    /// `dryRun=All`
    pub dry_run: bool,
}

/// What delete answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Deleted {
    /// The object is gone; the `Success` Status of the response.
    Gone(Value),
    /// The object as it is now: marked for deletion and waiting for finalizers or its grace period, or, for the
    /// resources whose delete answers the object, its last state.
    Object(Arc<StoredObject>),
}
