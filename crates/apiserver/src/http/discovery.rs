//! Discovery as every client knows it: `/api`, `/apis`, and one resource list per group and version.
//!
//! The newer aggregated form, all of it in two documents, is in `aggregated_discovery`.

use serde_json::{Value, json};

use super::served::{self, Group, Served, ServedSubresource};
use crate::{resource::Scope, store::Store};

/// `/`: the paths there are.
pub(super) fn paths(store: &Store) -> Value {
    let mut paths = vec!["/api".to_owned(), "/api/v1".to_owned(), "/apis".to_owned()];
    for group in served::groups(store).iter().filter(|group| !group.name.is_empty()) {
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
        served::groups(store).iter().filter(|group| !group.name.is_empty()).map(Group::to_value).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/GROUP` (APIGroup).
pub(super) fn group(store: &Store, name: &str) -> Option<Value> {
    let group = served::groups(store).into_iter().find(|group| &*group.name == name && !name.is_empty())?;
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
    let group = served::groups(store).into_iter().find(|served| &*served.name == group)?;
    let (_, resources) = group.versions.into_iter().find(|(served, _)| &**served == version)?;
    let api_version = resources.first()?.api_version();
    let entries: Vec<Value> = resources.iter().flat_map(entries).collect();
    Some(
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": entries}),
    )
}

fn entries(resource: &Served) -> Vec<Value> {
    let mut own = json!({
        "name": &*resource.plural,
        "singularName": &*resource.singular,
        "namespaced": resource.scope == Scope::Namespaced,
        "kind": &*resource.kind,
        "verbs": resource.verb_names(),
    });
    if !resource.short_names.is_empty() {
        own["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        own["categories"] = json!(resource.categories);
    }
    if resource.list_kind.is_some() {
        own["storageVersionHash"] = json!(storage_version_hash(resource));
    }
    let subresources =
        resource.subresources.iter().map(|subresource| subresource_entry(resource, subresource));
    std::iter::once(own).chain(subresources).collect()
}

fn subresource_entry(resource: &Served, subresource: &ServedSubresource) -> Value {
    let mut entry = json!({
        "name": format!("{}/{}", resource.plural, subresource.name),
        "singularName": "",
        "namespaced": resource.scope == Scope::Namespaced,
    });
    if subresource.group != resource.group || subresource.version != resource.version {
        entry["group"] = json!(&*subresource.group);
        entry["version"] = json!(&*subresource.version);
    }
    entry["kind"] = json!(&*subresource.kind);
    entry["verbs"] = json!(subresource.verb_names());
    entry
}

/// An opaque word that changes with the version objects are stored in (`discovery.StorageVersionHash`).
fn storage_version_hash(resource: &Served) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    // The real server stores these two otherwise than it serves them.
    let text = match (&*resource.group, &*resource.kind) {
        ("apiextensions.k8s.io", kind) => format!("apiextensions.k8s.io/v1beta1/{kind}"),
        ("events.k8s.io", kind) => format!("/v1/{kind}"),
        (group, kind) => format!("{group}/{}/{kind}", resource.version),
    };
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    STANDARD.encode(&hash.as_ref()[..8])
}
