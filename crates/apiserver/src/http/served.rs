//! What is served, as discovery and OpenAPI speak of it: the resources of the store, and the reviews, which are answered
//! without being stored.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::review;
use crate::{
    resource::{ResourceDefinition, Scope, Verb},
    store::Store,
};

/// One resource in one version.
pub(super) struct Served {
    pub(super) group: Arc<str>,
    pub(super) version: Arc<str>,
    pub(super) plural: Arc<str>,
    pub(super) singular: Arc<str>,
    pub(super) kind: Arc<str>,
    /// Kind of a list; none for what cannot be listed.
    pub(super) list_kind: Option<Arc<str>>,
    pub(super) scope: Scope,
    pub(super) short_names: Vec<String>,
    pub(super) categories: Vec<String>,
    pub(super) verbs: Vec<Verb>,
    pub(super) subresources: Vec<ServedSubresource>,
    /// Whether it comes from a CustomResourceDefinition.
    pub(super) is_custom: bool,
    /// Schema of a custom resource, `null` for built-ins.
    pub(super) schema: Arc<Value>,
}

/// One of its subresources.
pub(super) struct ServedSubresource {
    pub(super) name: &'static str,
    pub(super) group: Arc<str>,
    pub(super) version: Arc<str>,
    pub(super) kind: Arc<str>,
    pub(super) verbs: &'static [Verb],
}

/// One API group and its versions, the preferred one first.
pub(super) struct Group {
    pub(super) name: Arc<str>,
    pub(super) versions: Vec<(Arc<str>, Vec<Served>)>,
}

/// All of it by group and version; the core group comes first.
pub(super) fn groups(store: &Store) -> Vec<Group> {
    let mut groups = BTreeMap::<Arc<str>, BTreeMap<Arc<str>, Vec<Served>>>::new();
    let stored = store.resources().into_iter().map(|resource| Served::from(&*resource));
    for served in stored.chain(review::KINDS.iter().map(Served::from)) {
        let versions = groups.entry(Arc::clone(&served.group)).or_default();
        versions.entry(Arc::clone(&served.version)).or_default().push(served);
    }
    groups
        .into_iter()
        .map(|(name, versions)| {
            let mut versions: Vec<_> = versions.into_iter().collect();
            versions.sort_by_cached_key(|(version, _)| Reverse(version_priority(version)));
            for (_, served) in &mut versions {
                served.sort_by(|a, b| a.plural.cmp(&b.plural));
            }
            Group { name, versions }
        })
        .collect()
}

impl Served {
    /// `v1` or `apps/v1`.
    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_string()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// Verbs in the order in which the real server lists them.
    pub(super) fn verb_names(&self) -> Vec<&'static str> {
        if self.is_custom {
            return ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"]
                .to_vec();
        }
        verb_names(&self.verbs)
    }
}

impl ServedSubresource {
    /// Verbs in the order in which the real server lists them.
    pub(super) fn verb_names(&self) -> Vec<&'static str> {
        verb_names(self.verbs)
    }
}

fn verb_names(verbs: &[Verb]) -> Vec<&'static str> {
    let mut names: Vec<_> = verbs.iter().map(|verb| verb.as_str()).collect();
    names.sort_unstable();
    names
}

impl From<&ResourceDefinition> for Served {
    fn from(resource: &ResourceDefinition) -> Self {
        let subresources = resource.subresources.iter().map(|subresource| ServedSubresource {
            name: subresource.name,
            group: Arc::clone(&subresource.kind.group),
            version: Arc::clone(&subresource.kind.version),
            kind: Arc::clone(&subresource.kind.kind),
            verbs: subresource.verbs,
        });
        Self {
            group: Arc::clone(&resource.id.group),
            version: Arc::clone(&resource.id.version),
            plural: Arc::clone(&resource.id.resource),
            singular: Arc::clone(&resource.singular),
            kind: Arc::clone(&resource.kind),
            list_kind: resource.verbs.contains(&Verb::List).then(|| Arc::clone(&resource.list_kind)),
            scope: resource.scope,
            short_names: resource.short_names.clone(),
            categories: resource.categories.clone(),
            verbs: resource.verbs.clone(),
            subresources: subresources.collect(),
            is_custom: resource.is_custom(),
            schema: Arc::clone(&resource.openapi_schema),
        }
    }
}

impl From<&review::ReviewKind> for Served {
    fn from(review: &review::ReviewKind) -> Self {
        Self {
            group: review.group.into(),
            version: "v1".into(),
            plural: review.plural.into(),
            singular: review.kind.to_lowercase().into(),
            kind: review.kind.into(),
            list_kind: None,
            scope: review.scope,
            short_names: Vec::new(),
            categories: Vec::new(),
            verbs: vec![Verb::Create],
            subresources: Vec::new(),
            is_custom: false,
            schema: Arc::default(),
        }
    }
}

/// Sorts versions as Kubernetes does: stable before beta before alpha, newer first, anything else last
/// (`k8s.io/apimachinery/pkg/version.CompareKubeAwareVersionStrings`).
fn version_priority(version: &str) -> (u8, u32, u32, Reverse<String>) {
    let parsed = || -> Option<(u8, u32, u32)> {
        let rest = version.strip_prefix('v')?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (major, level) = rest.split_at(digits);
        let major = major.parse().ok()?;
        if level.is_empty() {
            return Some((3, major, 0));
        }
        let (rank, minor) = match level.strip_prefix("beta") {
            Some(minor) => (2, minor),
            None => (1, level.strip_prefix("alpha")?),
        };
        Some((rank, major, minor.parse().ok()?))
    };
    let (rank, major, minor) = parsed().unwrap_or((0, 0, 0));
    (rank, major, minor, Reverse(version.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_sort_as_kubernetes_sorts_them() {
        // The example of the CustomResourceDefinition documentation.
        let expected =
            ["v10", "v2", "v1", "v11beta2", "v10beta3", "v3beta1", "v12alpha1", "v11alpha2", "foo1", "foo10"];
        let mut versions = expected;
        versions.reverse();
        versions.sort_by_key(|version| Reverse(version_priority(version)));
        assert_eq!(versions, expected);
    }
}
