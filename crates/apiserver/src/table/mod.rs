//! The Table form that `kubectl get` asks for (`meta.k8s.io/v1` Table).

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::resource::ResourceDefinition;
use crate::store::StoredObject;

/// Which form of the object accompanies a row (`includeObject`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum IncludeObject {
    /// Nothing.
    None,
    /// PartialObjectMetadata; the default.
    #[default]
    Metadata,
    /// The whole object.
    Object,
}

/// `columnDefinitions` of this resource's tables.
pub fn column_definitions(_resource: &ResourceDefinition) -> Vec<Value> {
    Vec::new()
}

/// `rows` for these objects; ages are relative to `now`.
pub fn rows(
    _resource: &ResourceDefinition,
    _objects: &[Arc<StoredObject>],
    _include: IncludeObject,
    _now: Timestamp,
) -> Vec<Value> {
    Vec::new()
}
