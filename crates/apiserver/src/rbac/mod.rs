//! Role-based access control, evaluated over the stored roles and bindings (`plugin/pkg/auth/authorizer/rbac`).
//!
//! ```text
//!   request ─▶ system:masters? ─▶ each ClusterRoleBinding ─▶ each RoleBinding of the namespace ─▶ denied
//!                                    subject is the user?  role's rules allow it?
//! ```

mod policy;

pub use policy::{Policy, Rule};

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct UserInfo {
    /// `system:serviceaccount:ns:name`, or any user's name.
    pub username: String,
    /// Groups, such as `system:masters` (may do everything) or `system:authenticated`.
    pub groups: Vec<String>,
    /// The service account's uid, if known.
    pub uid: Option<String>,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attributes {
    /// A request to a resource.
    Resource {
        /// `get`, `list`, `create`, …
        verb: String,
        /// API group.
        group: String,
        /// Plural name.
        resource: String,
        /// Subresource, or empty.
        subresource: String,
        /// Object's name, or empty.
        name: String,
        /// Namespace, or empty.
        namespace: String,
    },
    /// A request to another path, such as `/healthz`.
    NonResource {
        /// The HTTP method in lower case.
        verb: String,
        /// The path.
        path: String,
    },
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Go ahead.
    Allowed {
        /// Which binding allows it.
        reason: String,
    },
    /// Nothing allows it.
    Denied {
        /// What stood in the way of an evaluation, such as a missing role; mostly empty.
        reason: String,
    },
}
