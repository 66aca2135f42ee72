//! Discovery as every client knows it: `/api`, `/apis`, and one resource list per group and version.
//!
//! The newer aggregated form, all of it in two documents, is in `aggregated_discovery`.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};

use crate::{
    resource::{ResourceDefinition, Scope, SubresourceDefinition, Verb},
    store::Store,
};

/// One API group and its versions, the preferred one first.
pub(super) struct Group {
    pub(super) name: Arc<str>,
    pub(super) versions: Vec<(Arc<str>, Vec<Arc<ResourceDefinition>>)>,
}

/// What is served, by group and version; the core group, if any, comes first.
pub(super) fn served(store: &Store) -> Vec<Group> {
    let mut groups = BTreeMap::<Arc<str>, BTreeMap<Arc<str>, Vec<Arc<ResourceDefinition>>>>::new();
    for resource in store.resources() {
        let versions = groups.entry(Arc::clone(&resource.id.group)).or_default();
        versions.entry(Arc::clone(&resource.id.version)).or_default().push(resource);
    }
    groups
        .into_iter()
        .map(|(name, versions)| {
            let mut versions: Vec<_> = versions.into_iter().collect();
            versions.sort_by_cached_key(|(version, _)| Reverse(version_priority(version)));
            Group { name, versions }
        })
        .collect()
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

/// `/`: the paths there are.
pub(super) fn paths(store: &Store) -> Value {
    let mut paths = vec!["/api".to_owned(), "/api/v1".to_owned(), "/apis".to_owned()];
    for group in served(store).iter().filter(|group| !group.name.is_empty()) {
        paths.push(format!("/apis/{}", group.name));
        paths.extend(group.versions.iter().map(|(version, _)| format!("/apis/{}/{version}", group.name)));
    }
    paths.extend(
        ["/healthz", "/livez", "/openapi/v3", "/openid/v1/jwks", "/readyz", "/version"].map(str::to_owned),
    );
    json!({"paths": paths})
}

/// `/api` (APIVersions).
pub(super) fn core_versions(url: Option<&str>) -> Value {
    let address = url.and_then(|url| url.strip_prefix("https://")).unwrap_or_default();
    json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    })
}

/// `/apis` (APIGroupList).
pub(super) fn groups(store: &Store) -> Value {
    let groups: Vec<Value> =
        served(store).iter().filter(|group| !group.name.is_empty()).map(Group::to_value).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/GROUP` (APIGroup).
pub(super) fn group(store: &Store, name: &str) -> Option<Value> {
    let group = served(store).into_iter().find(|group| &*group.name == name && !name.is_empty())?;
    let mut value = json!({"kind": "APIGroup", "apiVersion": "v1"});
    value.as_object_mut()?.extend(group.to_value().as_object()?.clone());
    Some(value)
}

impl Group {
    fn to_value(&self) -> Value {
        let versions: Vec<Value> = self
            .versions
            .iter()
            .map(|(version, _)| json!({"groupVersion": format!("{}/{version}", self.name), "version": &**version}))
            .collect();
        json!({"name": &*self.name, "versions": versions, "preferredVersion": versions.first()})
    }
}

/// `/api/v1` or `/apis/GROUP/VERSION` (APIResourceList).
pub(super) fn resource_list(store: &Store, group: &str, version: &str) -> Option<Value> {
    let resources: Vec<_> = store
        .resources()
        .into_iter()
        .filter(|resource| &*resource.id.group == group && &*resource.id.version == version)
        .collect();
    let api_version = resources.first()?.api_version();
    let entries: Vec<Value> = resources.iter().flat_map(|resource| entries(resource)).collect();
    Some(
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": entries}),
    )
}

fn entries(resource: &ResourceDefinition) -> Vec<Value> {
    let mut own = json!({
        "name": &*resource.id.resource,
        "singularName": &*resource.singular,
        "namespaced": resource.scope == Scope::Namespaced,
        "kind": &*resource.kind,
        "verbs": verbs(&resource.verbs),
    });
    if !resource.short_names.is_empty() {
        own["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        own["categories"] = json!(resource.categories);
    }
    if resource.verbs.contains(&Verb::List) {
        own["storageVersionHash"] = json!(storage_version_hash(resource));
    }
    let subresources =
        resource.subresources.iter().map(|subresource| subresource_entry(resource, subresource));
    std::iter::once(own).chain(subresources).collect()
}

fn subresource_entry(resource: &ResourceDefinition, subresource: &SubresourceDefinition) -> Value {
    let mut entry = json!({
        "name": format!("{}/{}", resource.id.resource, subresource.name),
        "singularName": "",
        "namespaced": resource.scope == Scope::Namespaced,
    });
    if subresource.kind.group != resource.id.group || subresource.kind.version != resource.id.version {
        entry["group"] = json!(&*subresource.kind.group);
        entry["version"] = json!(&*subresource.kind.version);
    }
    entry["kind"] = json!(&*subresource.kind.kind);
    entry["verbs"] = json!(verbs(subresource.verbs));
    entry
}

/// Verbs in the order in which the real server lists them.
pub(super) fn verbs(verbs: &[Verb]) -> Vec<&'static str> {
    let mut names: Vec<_> = verbs.iter().map(|verb| verb.as_str()).collect();
    names.sort_unstable();
    names
}

/// An opaque word that changes with the version objects are stored in (`discovery.StorageVersionHash`).
fn storage_version_hash(resource: &ResourceDefinition) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let text = format!("{}/{}/{}", resource.id.group, resource.id.version, resource.kind);
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    STANDARD.encode(&hash.as_ref()[..8])
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
