//! Lists: selection, paging and versions.

use std::sync::Arc;

use super::StoredObject;
use crate::selector::{FieldSelector, LabelSelector};

/// `resourceVersionMatch`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResourceVersionMatch {
    /// Exactly the state at `resourceVersion`.
    Exact,
    /// At least as new.
    NotOlderThan,
}

/// Options of list, and the selection of deletecollection.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ListOptions {
    /// `labelSelector`
    pub label_selector: LabelSelector,
    /// `fieldSelector`
    pub field_selector: FieldSelector,
    /// `limit`; none or 0 is everything.
    pub limit: Option<usize>,
    /// `continue`
    pub continue_token: Option<String>,
    /// `resourceVersion`, as given.
    pub resource_version: Option<String>,
    /// `resourceVersionMatch`
    pub resource_version_match: Option<ResourceVersionMatch>,
}

/// What list answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectList {
    /// `v1` or `apps/v1`.
    pub api_version: String,
    /// `SecretList`
    pub kind: Arc<str>,
    /// The revision the list shows.
    pub resource_version: u64,
    /// The objects, in key order (namespace, name).
    pub items: Vec<Arc<StoredObject>>,
    /// For the next page.
    pub continue_token: Option<String>,
    /// How many more there are, where the server knows.
    pub remaining_item_count: Option<u64>,
    /// Whether items are written with `kind` and `apiVersion` (custom resources) or without (built-ins).
    pub items_carry_type: bool,
}
