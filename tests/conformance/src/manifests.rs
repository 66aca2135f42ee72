//! Files of manifests, as `kubectl create` would send them.

use crate::client::{Answer, Client};
use http::{StatusCode, header};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::Instant;

const PAUSE: Duration = Duration::from_millis(50);

/// The checkout's top folder.
fn workspace() -> PathBuf {
    // Cargo sets the variable when it runs us; a copied target directory may hold a stale compile-time value.
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.join("../..")
}

/// Every object in the files of a folder, named from the checkout's top.
pub(crate) fn folder(folder: &str) -> Result<Vec<Value>, String> {
    let folder = workspace().join(folder);
    let unreadable = |error: &dyn std::fmt::Display| format!("reading {}: {error}", folder.display());
    let mut objects = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(|error| unreadable(&error))? {
        let path = entry.map_err(|error| unreadable(&error))?.path();
        let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&error))?;
        objects.extend(serde_saphyr::from_multiple::<Value>(&text).map_err(|error| unreadable(&error))?);
    }
    Ok(objects)
}

/// Creates every object of a file, strictly: a line for each, with its status and what the server warned of.
pub(crate) async fn create(client: &Client, file: &str, patience: Duration) -> Result<Vec<String>, String> {
    let path = workspace().join(file);
    let text =
        std::fs::read_to_string(&path).map_err(|error| format!("reading {}: {error}", path.display()))?;
    let objects: Vec<Value> =
        serde_saphyr::from_multiple(&text).map_err(|error| format!("reading {}: {error}", path.display()))?;
    let mut lines = Vec::new();
    for object in objects.iter().filter(|object| object.is_object()) {
        let answer = create_one(client, object, patience).await?;
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        lines.push(format!("{} {} {name}", answer.status.as_str(), kind(object)));
        let warnings = answer.headers.get_all(header::WARNING).iter();
        lines.extend(
            warnings.map(|warning| format!("Warning: {}", String::from_utf8_lossy(warning.as_bytes()))),
        );
        if answer.status != StatusCode::CREATED && answer.status != StatusCode::CONFLICT {
            lines.push(String::from_utf8_lossy(&answer.body).trim_end().to_owned());
        }
    }
    Ok(lines)
}

async fn create_one(client: &Client, object: &Value, patience: Duration) -> Result<Answer, String> {
    let deadline = Instant::now() + patience;
    let collection = loop {
        // A definition made just before is served a moment later.
        match collection(client, object).await? {
            Some(collection) => break collection,
            None if Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
            None => return Err(format!("{} is not served", kind(object))),
        }
    };
    let target = format!("{collection}?fieldValidation=Strict");
    client.send("POST", &target, &[], object.to_string()).await.map_err(|error| error.to_string())
}

/// Where objects of this kind are created; none while the kind is not served.
async fn collection(client: &Client, object: &Value) -> Result<Option<String>, String> {
    let version = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    let group = if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
    let answer = client.send("GET", &group, &[], String::new()).await.map_err(|error| error.to_string())?;
    let list: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let resources = list.get("resources").and_then(Value::as_array).into_iter().flatten();
    let is_it = |resource: &&Value| {
        let name = resource.get("name").and_then(Value::as_str).unwrap_or_default();
        resource.get("kind").and_then(Value::as_str) == Some(kind(object)) && !name.contains('/')
    };
    let Some(resource) = resources.into_iter().find(is_it) else { return Ok(None) };
    let plural = resource.get("name").and_then(Value::as_str).unwrap_or_default();
    Ok(Some(match object.pointer("/metadata/namespace").and_then(Value::as_str) {
        Some(namespace) if resource.get("namespaced") == Some(&Value::Bool(true)) => {
            format!("{group}/namespaces/{namespace}/{plural}")
        }
        _ => format!("{group}/{plural}"),
    }))
}

fn kind(object: &Value) -> &str {
    object.get("kind").and_then(Value::as_str).unwrap_or_default()
}
