//! What the server serves: the resources, their names and abilities.
//!
//! ```text
//!   Registry ──▶ ResourceDefinition (one per group, version and plural)
//!      ▲            names, scope, verbs, subresources, printer columns, schema
//!      │
//!      ├── built-in resources                 (fixed at start)
//!      └── CustomResourceDefinition objects   (registered on create/update, removed on delete)
//! ```

mod built_in;
mod custom;
mod names;
mod registry;

use std::fmt;
use std::sync::{Arc, LazyLock, OnceLock};

use serde_json::Value;

use crate::schema::{self, Schema};
use crate::strategy::Strategy;

pub(crate) use built_in::is_built_in_kind;
pub(crate) use custom::{Crd, definitions as custom_definitions};
pub(crate) use registry::Registry;

pub(crate) use names::NAMESPACES;
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
    /// What users of a deprecated version are warned of.
    pub deprecation_warning: Option<String>,
    /// The OpenAPI v3 schema of a custom resource as JSON, for publishing; `null` for built-ins, whose schemas are those
    /// of k8s-openapi.
    pub openapi_schema: Arc<Value>,
    pub(crate) internals: Internals,
}

/// What only the store needs to know of a resource.
pub(crate) struct Internals {
    pub(crate) strategy: Arc<dyn Strategy>,
    /// Where the objects lie: resources of two groups may show the same ones.
    pub(crate) storage: GroupResource,
    pub(crate) origin: Origin,
    /// Fields that field selectors may name, besides name and namespace.
    pub(crate) selectable: Vec<Arc<str>>,
    /// `{"kind":"…","apiVersion":"…",`: how every object in this version begins.
    pub(crate) type_meta: Box<[u8]>,
    /// Distinguishes the schemas that a resource had over time: objects written under another one are read anew.
    pub(crate) epoch: u64,
}

/// Where a resource comes from.
pub(crate) enum Origin {
    /// Compiled in; its schema is made from k8s-openapi's when first needed.
    BuiltIn { openapi: fn() -> Value, schema: Box<OnceLock<Schema>> },
    /// A CustomResourceDefinition of this name.
    Custom {
        /// `plural.group`
        crd: Arc<str>,
        /// Whether the CRD is being deleted: nothing new may be created.
        terminating: bool,
    },
}

impl fmt::Debug for ResourceDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceDefinition")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
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

    /// Whether it comes from a CustomResourceDefinition.
    pub fn is_custom(&self) -> bool {
        matches!(self.internals.origin, Origin::Custom { .. })
    }

    /// Whether it comes from a CRD that is being deleted.
    pub(crate) fn is_terminating_custom(&self) -> bool {
        matches!(self.internals.origin, Origin::Custom { terminating: true, .. })
    }

    /// Whether finalizers without a domain are errors; elsewhere they are warned of.
    pub(crate) fn has_strict_finalizers(&self) -> bool {
        let is_lenient = matches!(&*self.id.group, "apiextensions.k8s.io" | "coordination.k8s.io" | "policy")
            || *self.id.resource == *"events";
        !self.is_custom() && !is_lenient
    }

    pub(crate) fn strategy(&self) -> &dyn Strategy {
        &*self.internals.strategy
    }

    /// The schema that bodies of a built-in resource are decoded by.
    pub(crate) fn schema(&self) -> Option<&Schema> {
        match &self.internals.origin {
            Origin::BuiltIn { openapi, schema } => {
                Some(schema.get_or_init(|| schema::from_openapi(&openapi())))
            }
            Origin::Custom { .. } => None,
        }
    }

    /// The subresource of this name.
    pub fn subresource(&self, name: &str) -> Option<&SubresourceDefinition> {
        self.subresources.iter().find(|s| s.name == name)
    }
}

/// The opening of every object's JSON.
pub(crate) fn type_meta(kind: &str, api_version: &str) -> Box<[u8]> {
    let quoted = |text: &str| Value::from(text).to_string();
    format!("{{\"kind\":{},\"apiVersion\":{},", quoted(kind), quoted(api_version)).into_bytes().into()
}

/// The schema of `metadata`, the same for all resources.
pub(crate) fn object_meta_schema() -> &'static Schema {
    static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
        let schema = schemars::schema_for!(k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta);
        schema::from_openapi(schema.as_value())
    });
    &SCHEMA
}
