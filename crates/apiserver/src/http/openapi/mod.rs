//! OpenAPI v3: an index at `/openapi/v3` and one document per group and version.
//!
//! ```text
//!   /openapi/v3                     paths ─▶ URL with the document's hash
//!   /openapi/v3/apis/G/V?hash=H     the document; cacheable for ever, since H changes with it
//!                                   components.schemas   built-ins: k8s-openapi · custom: the CRD's schema
//!                                   paths                the operations, as far as kubectl reads them
//! ```
//!
//! kubectl reads it for `explain`, and to see whether `PATCH` takes `fieldValidation` before it relies on the server
//! to validate. Strategic merge patch is left out of the `PATCH` operations on purpose: our schemas carry no merge keys,
//! and without the operation kubectl uses the merge keys it was built with.

mod builtin;
mod operations;
mod schemas;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use super::{
    Call,
    aggregated_discovery::{content_hash, with_etag},
    negotiate,
    response::{self, ApiResponse},
    served::{self, Served},
};
use crate::store::Store;

/// The documents of one cluster, made when first asked for and kept until other resources are served.
#[derive(Default)]
pub(crate) struct SchemaCache {
    current: Mutex<Option<Arc<Documents>>>,
}

struct Documents {
    generation: u64,
    by_path: HashMap<String, Document>,
}

struct Document {
    resources: Vec<Served>,
    hash: String,
    body: std::sync::OnceLock<Bytes>,
}

impl SchemaCache {
    fn documents(&self, store: &Store) -> Arc<Documents> {
        // Read before the resources, so that a change in between makes the next caller start over.
        let generation = store.resources_generation();
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match &*current {
            Some(documents) if documents.generation == generation => Arc::clone(documents),
            _ => {
                let documents = Arc::new(Documents::of(store, generation));
                *current = Some(Arc::clone(&documents));
                documents
            }
        }
    }
}

impl Documents {
    fn of(store: &Store, generation: u64) -> Self {
        let mut by_path = HashMap::new();
        for group in served::groups(store) {
            for (version, resources) in group.versions {
                let path = if group.name.is_empty() {
                    format!("api/{version}")
                } else {
                    format!("apis/{}/{version}", group.name)
                };
                let hash = hash(&resources);
                by_path.insert(path, Document { resources, hash, body: std::sync::OnceLock::new() });
            }
        }
        Self { generation, by_path }
    }

    fn index(&self) -> Value {
        let mut paths: Vec<_> = self.by_path.iter().collect();
        paths.sort_by_key(|(path, _)| path.as_str());
        let paths: Map<String, Value> = paths
            .into_iter()
            .map(|(path, document)| {
                let url = format!("/openapi/v3/{path}?hash={}", document.hash);
                (path.clone(), json!({"serverRelativeURL": url}))
            })
            .collect();
        json!({"paths": paths})
    }
}

/// Changes when the document does, without the document having to be made.
fn hash(resources: &[Served]) -> String {
    let mut described = env!("CARGO_PKG_VERSION").to_owned();
    for resource in resources {
        let subresources: Vec<&str> =
            resource.subresources.iter().map(|subresource| subresource.name).collect();
        let parts = json!([
            resource.api_version(),
            &*resource.plural,
            &*resource.kind,
            resource.list_kind.as_deref(),
            resource.verb_names(),
            subresources,
            &*resource.schema,
        ]);
        described.push_str(&parts.to_string());
    }
    content_hash(described.as_bytes())
}

impl Document {
    fn body(&self) -> Bytes {
        self.body.get_or_init(|| document(&self.resources).to_string().into()).clone()
    }
}

fn document(resources: &[Served]) -> Value {
    let mut paths = Map::new();
    for resource in resources {
        paths.extend(operations::paths(resource));
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.37.2"},
        "paths": paths,
        "components": {
            "schemas": schemas::components(resources),
            "securitySchemes": {
                "BearerToken": {
                    "type": "apiKey", "description": "Bearer Token authentication",
                    "name": "authorization", "in": "header",
                },
            },
        },
    })
}

/// Answers `/openapi/v2`: a document that describes nothing. kubectl asks for it when version 3 does not know a kind, to find that
/// neither does version 2; without it, `kubectl apply` of an unknown kind would complain about the download.
pub(super) fn version_2(call: &Call<'_>) -> ApiResponse {
    const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
    // Fields 1 (swagger) and 2 (info: 1 title, 2 version) of openapi.v2.Document.
    const DOCUMENT: &[u8] = b"\x0a\x032.0\x12\x15\x0a\x0aKubernetes\x12\x07v1.37.2";
    if negotiate::accepts(
        call.headers,
        &["application/com.github.proto-openapi.spec.v2@v1.0+protobuf", PROTOBUF],
    ) {
        return response::whole(StatusCode::OK, PROTOBUF, DOCUMENT);
    }
    let document = json!({
        "swagger": "2.0", "info": {"title": "Kubernetes", "version": "v1.37.2"}, "paths": {}, "definitions": {},
    });
    response::whole(StatusCode::OK, "application/json", document.to_string())
}

/// Answers `/openapi/v3/PATH…`.
pub(super) fn answer(call: &Call<'_>, path: &[&str]) -> ApiResponse {
    let documents = call.cluster.schemas().documents(call.cluster.store());
    if path.is_empty() {
        return with_etag(call, "application/json", documents.index().to_string());
    }
    let path = path.join("/");
    let Some(document) = documents.by_path.get(&path) else {
        return response::nothing_found();
    };
    match call.query.text("hash") {
        Some(hash) if hash != document.hash => moved(&path, &document.hash),
        hash => of_document(document, hash.is_some()),
    }
}

/// The client knows an older document: it is sent to the current one.
fn moved(path: &str, hash: &str) -> ApiResponse {
    let mut response = response::whole(StatusCode::MOVED_PERMANENTLY, "text/plain", String::new());
    let location = HeaderValue::from_str(&format!("/openapi/v3/{path}?hash={hash}"));
    response.headers_mut().extend(location.ok().map(|location| (header::LOCATION, location)));
    response
}

fn of_document(document: &Document, for_ever: bool) -> ApiResponse {
    let mut response = response::whole(StatusCode::OK, "application/json", document.body());
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    headers.extend(
        HeaderValue::from_str(&format!("\"{}\"", document.hash)).ok().map(|etag| (header::ETAG, etag)),
    );
    if for_ever {
        headers
            .insert(header::CACHE_CONTROL, HeaderValue::from_static("public, immutable, max-age=31536000"));
    }
    response
}
