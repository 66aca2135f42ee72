//! Namespaces, whose contents end with them.

use super::{Resource, Scope, empty, no_patches, nothing};

pub(super) const RESOURCES: &[Resource] = &[Resource {
    group: "",
    version: "v1",
    plural: "namespaces",
    kind: "Namespace",
    scope: Scope::Cluster,
    verbs: &["terminate"],
    content: nothing,
    last: empty,
    patches: no_patches,
}];
