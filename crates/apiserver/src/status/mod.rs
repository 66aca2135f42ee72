//! Errors as the API server speaks them: `metav1.Status`.
//!
//! Every failure that can reach a client is an [`ApiStatus`]. Code, reason, message and details are those of
//! k8s.io/apimachinery (`pkg/api/errors`), because clients match on them: `kubectl` prints the message, client-go and
//! kube-rs branch on reason and code, and people search the web for the text.

mod field;

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use crate::resource::{GroupKind, GroupResource};

pub use field::{FieldError, FieldErrorType, FieldPath, go_quote};

/// `metav1.StatusReason`: the machine-readable cause of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum StatusReason {
    /// 401: no or unusable credentials.
    Unauthorized,
    /// 403: known user, not allowed; or the object's state forbids it.
    Forbidden,
    /// 404
    NotFound,
    /// 409 on create.
    AlreadyExists,
    /// 409 on a stale resourceVersion or a failed precondition.
    Conflict,
    /// 410, deprecated twin of `Expired`.
    Gone,
    /// 410: the resourceVersion or continue token is older than what the server remembers.
    Expired,
    /// 422: the object violates its schema or rules; causes name the fields.
    Invalid,
    /// 500 or 504: ask again.
    ServerTimeout,
    /// 504
    Timeout,
    /// 429
    TooManyRequests,
    /// 400
    BadRequest,
    /// 405
    MethodNotAllowed,
    /// 406
    NotAcceptable,
    /// 413
    RequestEntityTooLarge,
    /// 415
    UnsupportedMediaType,
    /// 500
    InternalError,
    /// 503
    ServiceUnavailable,
    /// No reason given: the field is empty on the wire.
    Unknown,
}

impl StatusReason {
    /// The text on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "NotFound",
            Self::AlreadyExists => "AlreadyExists",
            Self::Conflict => "Conflict",
            Self::Gone => "Gone",
            Self::Expired => "Expired",
            Self::Invalid => "Invalid",
            Self::ServerTimeout => "ServerTimeout",
            Self::Timeout => "Timeout",
            Self::TooManyRequests => "TooManyRequests",
            Self::BadRequest => "BadRequest",
            Self::MethodNotAllowed => "MethodNotAllowed",
            Self::NotAcceptable => "NotAcceptable",
            Self::RequestEntityTooLarge => "RequestEntityTooLarge",
            Self::UnsupportedMediaType => "UnsupportedMediaType",
            Self::InternalError => "InternalError",
            Self::ServiceUnavailable => "ServiceUnavailable",
            Self::Unknown => "",
        }
    }
}

/// One entry of `status.details.causes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Default)]
pub struct StatusCause {
    /// Machine-readable type, such as `FieldValueRequired` or `DisruptionBudget`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Text without the field's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Path of the field, such as `spec.hosts[0]`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

/// `metav1.StatusDetails`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct StatusDetails {
    /// Name of the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// API group, empty for the core group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The resource's plural name, except for `Invalid`, where it is the kind.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// uid of the object, where the failure is about one that exists.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// The single findings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<StatusCause>,
    /// Seconds to wait before trying again; 0 is unset.
    #[serde(skip_serializing_if = "is_zero")]
    pub retry_after_seconds: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// A failure, as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiStatus {
    /// HTTP status code.
    pub code: u16,
    /// Machine-readable reason.
    pub reason: StatusReason,
    /// Text for people.
    pub message: String,
    /// The object and the fields it is about.
    pub details: Option<Box<StatusDetails>>,
    /// `metadata.continue`: how to go on with a list whose token has expired.
    pub continue_token: Option<Box<str>>,
    /// Texts for `Warning` headers: what was noticed before the failure.
    pub warnings: Vec<String>,
}

impl fmt::Display for ApiStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ApiStatus {}

impl ApiStatus {
    /// A status of any code and reason, without details.
    pub fn new(code: u16, reason: StatusReason, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: None,
            continue_token: None,
            warnings: Vec::new(),
        }
    }

    fn about(code: u16, reason: StatusReason, resource: &GroupResource, name: &str, message: String) -> Self {
        Self::new(code, reason, message).with_details(StatusDetails {
            name: name.to_owned(),
            group: resource.group.to_string(),
            kind: resource.resource.to_string(),
            ..StatusDetails::default()
        })
    }

    /// Replaces the details.
    #[must_use]
    pub fn with_details(mut self, details: StatusDetails) -> Self {
        self.details = Some(Box::new(details));
        self
    }

    /// Puts warnings before those that there are.
    #[must_use]
    pub fn with_earlier_warnings(mut self, warnings: impl IntoIterator<Item = String>) -> Self {
        self.warnings.splice(0..0, warnings);
        self
    }

    /// Adds the token with which an expired list can be continued.
    #[must_use]
    pub fn with_continue(mut self, token: impl Into<Box<str>>) -> Self {
        self.continue_token = Some(token.into());
        self
    }

    /// 404: `secrets "x" not found`.
    pub fn not_found(resource: &GroupResource, name: &str) -> Self {
        let message = format!("{resource} {} not found", go_quote(name));
        Self::about(404, StatusReason::NotFound, resource, name, message)
    }

    /// 404 for a path that no resource serves, as a Status (client-go's wording).
    pub fn resource_not_found() -> Self {
        Self::new(404, StatusReason::NotFound, "the server could not find the requested resource")
            .with_details(StatusDetails::default())
    }

    /// 409: `secrets "x" already exists`.
    pub fn already_exists(resource: &GroupResource, name: &str) -> Self {
        let message = format!("{resource} {} already exists", go_quote(name));
        Self::about(409, StatusReason::AlreadyExists, resource, name, message)
    }

    /// 409: the server tried several generated names and all were taken.
    pub fn generate_name_conflict(resource: &GroupResource, name: &str) -> Self {
        let message = format!(
            "{resource} {} already exists, the server was not able to generate a unique name for the object",
            go_quote(name)
        );
        let mut status = Self::about(409, StatusReason::AlreadyExists, resource, name, message);
        if let Some(details) = &mut status.details {
            details.retry_after_seconds = 1;
        }
        status
    }

    /// 409: `Operation cannot be fulfilled on secrets "x": <cause>`.
    pub fn conflict(resource: &GroupResource, name: &str, cause: impl fmt::Display) -> Self {
        let message = format!("Operation cannot be fulfilled on {resource} {}: {cause}", go_quote(name));
        Self::about(409, StatusReason::Conflict, resource, name, message)
    }

    /// 409 for an update whose resourceVersion is not the stored one.
    pub fn stale(resource: &GroupResource, name: &str) -> Self {
        let cause =
            "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, name, cause)
    }

    /// 403: `secrets "x" is forbidden: <cause>`; without a name `secrets is forbidden: <cause>`.
    pub fn forbidden(resource: &GroupResource, name: &str, cause: impl fmt::Display) -> Self {
        let message = match (resource.resource.is_empty(), name.is_empty()) {
            (true, _) => format!("forbidden: {cause}"),
            (false, true) => format!("{resource} is forbidden: {cause}"),
            (false, false) => format!("{resource} {} is forbidden: {cause}", go_quote(name)),
        };
        Self::about(403, StatusReason::Forbidden, resource, name, message)
    }

    /// 401
    pub fn unauthorized() -> Self {
        Self::new(401, StatusReason::Unauthorized, "Unauthorized")
    }

    /// 422: `Secret "x" is invalid: <errors>`, with one cause per error.
    pub fn invalid(kind: &GroupKind, name: &str, errors: &[FieldError]) -> Self {
        let causes = errors.iter().map(FieldError::cause).collect();
        let mut message = format!("{kind} {} is invalid", go_quote(name));
        if !errors.is_empty() {
            message.push_str(": ");
            message.push_str(&field::aggregate(errors));
        }
        Self::new(422, StatusReason::Invalid, message).with_details(StatusDetails {
            name: name.to_owned(),
            group: kind.group.to_string(),
            kind: kind.kind.to_string(),
            causes,
            ..StatusDetails::default()
        })
    }

    /// 422 without field causes, as for a patch that does not apply: the reason is `Invalid`.
    pub fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(422, StatusReason::Invalid, message).with_details(StatusDetails::default())
    }

    /// 410: what was asked for is older than what the server still remembers.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, StatusReason::Expired, message)
    }

    /// 410 with reason `Gone`, kept for the places where the real server still uses it.
    pub fn gone(message: impl Into<String>) -> Self {
        Self::new(410, StatusReason::Gone, message)
    }

    /// 410 for a watch that starts before the event log does.
    pub fn too_old_resource_version(requested: u64, oldest: u64) -> Self {
        Self::expired(format!("too old resource version: {requested} ({oldest})"))
    }

    /// 400
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, StatusReason::BadRequest, message)
    }

    /// 429
    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Self {
        Self::new(429, StatusReason::TooManyRequests, message)
            .with_details(StatusDetails { retry_after_seconds, ..StatusDetails::default() })
    }

    /// 405: `patch is not supported on resources of kind "x"`.
    pub fn method_not_allowed(resource: &GroupResource, action: &str) -> Self {
        let message =
            format!("{action} is not supported on resources of kind {}", go_quote(&resource.to_string()));
        Self::about(405, StatusReason::MethodNotAllowed, resource, "", message)
    }

    /// 405 for a verb that the path does not have at all (the real router's text).
    pub fn method_not_allowed_on_path() -> Self {
        Self::new(
            405,
            StatusReason::MethodNotAllowed,
            "the server does not allow this method on the requested resource",
        )
        .with_details(StatusDetails::default())
    }

    /// 406
    pub fn not_acceptable(accepted: &[&str]) -> Self {
        let message = format!("only the following media types are accepted: {}", accepted.join(", "));
        Self::new(406, StatusReason::NotAcceptable, message)
    }

    /// 406 from the real server's router, which sees only that nothing it has is asked for.
    pub fn not_acceptable_by_path(available: &[&str]) -> Self {
        let message = format!("406: Not Acceptable\n\nAvailable representations: {}", available.join(", "));
        Self::new(406, StatusReason::NotAcceptable, message).with_details(StatusDetails::default())
    }

    /// 415 from the real server's router, for a patch of an unknown kind.
    pub fn unsupported_patch_type() -> Self {
        Self::new(415, StatusReason::UnsupportedMediaType, "415: Unsupported Media Type")
            .with_details(StatusDetails::default())
    }

    /// 415
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Self::new(415, StatusReason::UnsupportedMediaType, message)
    }

    /// 413: `Request entity too large: <cause>`.
    pub fn request_entity_too_large(cause: impl fmt::Display) -> Self {
        Self::new(413, StatusReason::RequestEntityTooLarge, format!("Request entity too large: {cause}"))
    }

    /// 500: `Internal error occurred: <cause>`.
    pub fn internal(cause: impl fmt::Display) -> Self {
        let cause = cause.to_string();
        Self::new(500, StatusReason::InternalError, format!("Internal error occurred: {cause}")).with_details(
            StatusDetails {
                causes: vec![StatusCause { message: cause, ..StatusCause::default() }],
                ..StatusDetails::default()
            },
        )
    }

    /// 503
    pub fn service_unavailable(message: impl Into<String>) -> Self {
        Self::new(503, StatusReason::ServiceUnavailable, message)
    }

    /// 504: `Timeout: <message>`.
    pub fn timeout(message: impl fmt::Display, retry_after_seconds: u32) -> Self {
        Self::new(504, StatusReason::Timeout, format!("Timeout: {message}"))
            .with_details(StatusDetails { retry_after_seconds, ..StatusDetails::default() })
    }

    /// The `Status` object of the response body and of a watch's ERROR event.
    pub fn to_value(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        });
        if let Some(token) = &self.continue_token {
            status["metadata"]["continue"] = json!(token);
        }
        if self.reason != StatusReason::Unknown {
            status["reason"] = json!(self.reason.as_str());
        }
        if let Some(details) = &self.details {
            status["details"] = json!(details);
        }
        status["code"] = json!(self.code);
        status
    }

    /// The `Success` Status that answers a DELETE of an object that is gone.
    pub fn deleted(resource: &GroupResource, name: &str, uid: &str) -> Value {
        let details = StatusDetails {
            name: name.to_owned(),
            group: resource.group.to_string(),
            kind: resource.resource.to_string(),
            uid: uid.to_owned(),
            ..StatusDetails::default()
        };
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> GroupResource {
        GroupResource::new("", "secrets")
    }

    #[test]
    fn messages_are_those_of_apimachinery() {
        let deployments = GroupResource::new("apps", "deployments");
        let rows = [
            (ApiStatus::not_found(&secrets(), "x"), 404, "secrets \"x\" not found"),
            (ApiStatus::not_found(&deployments, "x"), 404, "deployments.apps \"x\" not found"),
            (ApiStatus::already_exists(&secrets(), "x"), 409, "secrets \"x\" already exists"),
            (
                ApiStatus::stale(&secrets(), "x"),
                409,
                "Operation cannot be fulfilled on secrets \"x\": the object has been modified; please apply \
                 your changes to the latest version and try again",
            ),
            (ApiStatus::forbidden(&secrets(), "", "no"), 403, "secrets is forbidden: no"),
            (ApiStatus::forbidden(&secrets(), "x", "no"), 403, "secrets \"x\" is forbidden: no"),
            (ApiStatus::forbidden(&GroupResource::new("", ""), "", "no"), 403, "forbidden: no"),
            (
                ApiStatus::method_not_allowed(&deployments, "patch"),
                405,
                "patch is not supported on resources of kind \"deployments.apps\"",
            ),
            (ApiStatus::internal("boom"), 500, "Internal error occurred: boom"),
            (ApiStatus::too_old_resource_version(3, 9), 410, "too old resource version: 3 (9)"),
        ];
        for (status, code, message) in rows {
            assert_eq!((status.code, status.message.as_str()), (code, message));
        }
    }

    #[test]
    fn invalid_lists_each_cause_and_joins_the_messages() {
        let kind = GroupKind::new("certificates.mesh.gloo.solo.io", "IssuedCertificate");
        let errors = [
            FieldError::required("spec.hosts", ""),
            FieldError::invalid("spec.org", &json!(""), "too short"),
            FieldError::required("spec.hosts", ""),
        ];
        let status = ApiStatus::invalid(&kind, "x", &errors);
        assert_eq!(
            status.message,
            "IssuedCertificate.certificates.mesh.gloo.solo.io \"x\" is invalid: [spec.hosts: Required value, \
             spec.org: Invalid value: \"\": too short]"
        );
        let causes = status.to_value()["details"]["causes"].clone();
        assert_eq!(
            causes[0],
            json!({"reason": "FieldValueRequired", "message": "Required value", "field": "spec.hosts"})
        );
        assert_eq!(causes.as_array().map(Vec::len), Some(3));
        let one = ApiStatus::invalid(&kind, "x", &errors[..1]);
        assert!(one.message.ends_with("is invalid: spec.hosts: Required value"), "{}", one.message);
    }

    #[test]
    fn a_failure_on_the_wire() {
        assert_eq!(
            ApiStatus::not_found(&secrets(), "x").to_value(),
            json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": "secrets \"x\" not found", "reason": "NotFound",
                "details": {"name": "x", "kind": "secrets"}, "code": 404
            })
        );
    }
}
