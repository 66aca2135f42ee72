//! Aggregated discovery (`apidiscovery.k8s.io/v2`): all groups, versions and resources in the documents at `/api` and
//! `/apis`, with an ETag so that kubectl fetches them once.

use std::fmt::Write as _;

use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::{
    Call,
    response::{self, ApiResponse},
    served::{self, Group, Served, ServedSubresource},
};
use crate::resource::Scope;

const CONTENT_TYPE: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// `/api`.
pub(super) fn core(call: &Call<'_>) -> ApiResponse {
    document(call, |group| group.name.is_empty())
}

/// `/apis`.
pub(super) fn groups(call: &Call<'_>) -> ApiResponse {
    document(call, |group| !group.name.is_empty())
}

fn document(call: &Call<'_>, wanted: fn(&Group) -> bool) -> ApiResponse {
    let groups = served::groups(call.cluster.store());
    let items: Vec<Value> = groups.iter().filter(|group| wanted(group)).map(group_discovery).collect();
    let document = json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    });
    with_etag(call, CONTENT_TYPE, document.to_string())
}

/// The document with an ETag over its content, or 304 if the client has it already.
pub(super) fn with_etag(call: &Call<'_>, content_type: &'static str, document: String) -> ApiResponse {
    let etag = format!("\"{}\"", content_hash(document.as_bytes()));
    let is_known =
        call.headers.get_all(header::IF_NONE_MATCH).iter().any(|value| value.as_bytes() == etag.as_bytes());
    let mut response = if is_known {
        response::whole(StatusCode::NOT_MODIFIED, content_type, String::new())
    } else {
        response::whole(StatusCode::OK, content_type, document)
    };
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
    headers.extend(HeaderValue::from_str(&etag).ok().map(|etag| (header::ETAG, etag)));
    response
}

/// SHA-256 of a document in hexadecimal, upper case as upstream's.
pub(super) fn content_hash(content: &[u8]) -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, content);
    hash.as_ref().iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02X}");
        text
    })
}

fn group_discovery(group: &Group) -> Value {
    let versions: Vec<Value> = group
        .versions
        .iter()
        .map(|(version, resources)| {
            let resources: Vec<Value> = resources.iter().map(resource_discovery).collect();
            json!({"version": &**version, "resources": resources, "freshness": "Current"})
        })
        .collect();
    let metadata = if group.name.is_empty() {
        json!({"creationTimestamp": null})
    } else {
        json!({"name": &*group.name, "creationTimestamp": null})
    };
    json!({"metadata": metadata, "versions": versions})
}

fn resource_discovery(resource: &Served) -> Value {
    let scope = match resource.scope {
        Scope::Namespaced => "Namespaced",
        Scope::Cluster => "Cluster",
    };
    let mut value = json!({
        "resource": &*resource.plural,
        "responseKind": {"group": &*resource.group, "version": &*resource.version, "kind": &*resource.kind},
        "scope": scope,
        "singularResource": &*resource.singular,
        "verbs": resource.verb_names(),
    });
    if !resource.short_names.is_empty() {
        value["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        value["categories"] = json!(resource.categories);
    }
    if !resource.subresources.is_empty() {
        value["subresources"] = resource.subresources.iter().map(subresource_discovery).collect();
    }
    value
}

fn subresource_discovery(subresource: &ServedSubresource) -> Value {
    json!({
        "subresource": subresource.name,
        "responseKind": {
            "group": &*subresource.group, "version": &*subresource.version, "kind": &*subresource.kind,
        },
        "verbs": subresource.verb_names(),
    })
}
