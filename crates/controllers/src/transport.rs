//! Requests as data, for whoever answers them without a connection: a simulator that decides when each one is carried out,
//! whether its answer arrives, and what happens in between.

use futures::future::BoxFuture;
use serde_json::Value;

/// One request to an API server.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiRequest {
    /// What is to be done.
    pub verb: ApiVerb,
    /// Kind of the object, such as `Secret`.
    pub kind: &'static str,
    /// Namespace of the object; empty for a cluster-scoped kind.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
}

/// What is to be done with an object.
#[derive(Clone, Debug, PartialEq)]
pub enum ApiVerb {
    /// GET.
    Get,
    /// POST of this object.
    Create(Value),
    /// PUT of this object.
    Update(Value),
    /// PUT of this object's status.
    UpdateStatus(Value),
    /// DELETE on these conditions.
    Delete {
        /// The uid that the object must have.
        uid: String,
        /// The resourceVersion that it must have, if one is given.
        resource_version: Option<String>,
    },
}

/// Answers requests.
pub trait Transport: Send + Sync {
    /// Carries a request out. The answer is the object as JSON; for a deletion anything.
    fn send(&self, request: ApiRequest) -> BoxFuture<'static, kube::Result<Vec<u8>>>;

    /// Takes note of an event that a controller publishes about an object.
    fn event(&self, reason: &str, note: &str);
}
