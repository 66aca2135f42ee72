//! What the server serves: the resources, their names and abilities.
//!
//! ```text
//!   Registry ──▶ ResourceDefinition (one per group, version and plural)
//!      ▲            names, scope, verbs, subresources, printer columns, schema
//!      │
//!      ├── built-in resources                 (fixed at start)
//!      └── CustomResourceDefinition objects   (registered on create/update, removed on delete)
//! ```

mod names;

use std::sync::Arc;

use serde_json::Value;

pub use names::{GroupKind, GroupResource, GroupVersionKind, GroupVersionResource};

/// Whether objects live in a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Objects live in a namespace.
    Namespaced,
    /// Objects belong to the cluster.
    Cluster,
}

/// What can be asked of a resource, in discovery's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verb {
    /// POST
    Create,
    /// DELETE of one object
    Delete,
    /// DELETE of a collection
    DeleteCollection,
    /// GET of one object
    Get,
    /// GET of a collection
    List,
    /// PATCH
    Patch,
    /// PUT
    Update,
    /// GET of a collection with `watch=true`
    Watch,
}

impl Verb {
    /// The verb in discovery documents and RBAC rules.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Get => "get",
            Self::List => "list",
            Self::Patch => "patch",
            Self::Update => "update",
            Self::Watch => "watch",
        }
    }
}

/// A subresource as discovery lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubresourceDefinition {
    /// The last path segment: `status`, `eviction`, `token`.
    pub name: &'static str,
    /// The kind that is read and written there; the resource's own kind for `status`.
    pub kind: GroupVersionKind,
    /// What can be asked of it.
    pub verbs: &'static [Verb],
}

/// A column of the Table that `kubectl get` prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrinterColumn {
    /// Heading.
    pub name: String,
    /// OpenAPI type: integer, number, string, boolean or date.
    pub column_type: String,
    /// OpenAPI format, often empty; `name` marks the identifying column.
    pub format: String,
    /// Text for people.
    pub description: String,
    /// 0 is always shown, above that only in wide output.
    pub priority: i32,
    /// Where the cell's value comes from, for custom resources; built-ins compute theirs.
    pub json_path: Option<String>,
}

/// Everything the server knows of one resource in one version.
#[derive(Debug)]
pub struct ResourceDefinition {
    /// Group, version and plural name: the identity.
    pub id: GroupVersionResource,
    /// Kind of one object.
    pub kind: Arc<str>,
    /// Kind of a list, `<Kind>List` unless a CRD says otherwise.
    pub list_kind: Arc<str>,
    /// Singular name.
    pub singular: Arc<str>,
    /// Abbreviations that kubectl takes.
    pub short_names: Vec<String>,
    /// Groups of resources that kubectl takes, such as `all`.
    pub categories: Vec<String>,
    /// Namespaced or not.
    pub scope: Scope,
    /// What can be asked of the resource.
    pub verbs: Vec<Verb>,
    /// Subresources.
    pub subresources: Vec<SubresourceDefinition>,
    /// Extra columns of the Table (the name column is implied).
    pub printer_columns: Vec<PrinterColumn>,
    /// The OpenAPI v3 schema as JSON, for publishing.
    pub openapi_schema: Arc<Value>,
}

impl ResourceDefinition {
    /// Group and plural.
    pub fn group_resource(&self) -> GroupResource {
        self.id.group_resource()
    }

    /// Group and kind.
    pub fn group_kind(&self) -> GroupKind {
        GroupKind { group: self.id.group.clone(), kind: self.kind.clone() }
    }

    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        self.id.api_version()
    }

    /// Whether there is a subresource of this name.
    pub fn subresource(&self, name: &str) -> Option<&SubresourceDefinition> {
        self.subresources.iter().find(|s| s.name == name)
    }
}
