//! What `kubectl apply` does, for objects that nobody else has applied.

use certmesh_api::manifests::Manifest;
use kube::{
    Api, Client, ResourceExt as _,
    api::{DynamicObject, Patch, PatchParams, PostParams},
    core::{ApiResource, GroupVersionKind},
    discovery::{Scope, pinned_kind},
};

use crate::failure::Failure;

/// Creates or changes the objects of a YAML file with any number of documents.
pub async fn apply_yaml(client: &Client, name: &str, yaml: &str) -> Result<(), Failure> {
    let documents: Vec<DynamicObject> = serde_saphyr::from_multiple(yaml)
        .map_err(|error| Failure::new(format!("reading {name}")).because(error))?;
    for object in &documents {
        let failed = || Failure::new(format!("applying {} of {name}", describe(object)));
        let types = object.types.as_ref();
        let types =
            types.ok_or_else(|| failed().because("it has no apiVersion and kind").advise("add them"))?;
        let kind = GroupVersionKind::try_from(types).map_err(|error| failed().because(error))?;
        let (resource, capabilities) = pinned_kind(client, &kind).await.map_err(|error| {
            failed().because(error).advise("install the custom resource definitions first")
        })?;
        let namespace =
            (capabilities.scope == Scope::Namespaced).then(|| object.namespace().unwrap_or_default());
        apply_one(client, &resource, namespace.as_deref(), object).await?;
    }
    Ok(())
}

/// Creates or changes manifests, in their order.
pub(super) async fn apply(client: &Client, manifests: &[Manifest]) -> Result<(), Failure> {
    for Manifest { resource, object } in manifests {
        apply_one(client, resource, object.namespace().as_deref(), object).await?;
    }
    Ok(())
}

async fn apply_one(
    client: &Client,
    resource: &ApiResource,
    namespace: Option<&str>,
    object: &DynamicObject,
) -> Result<(), Failure> {
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        None => Api::all_with(client.clone(), resource),
    };
    let created = match api.create(&PostParams::default(), object).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => {
            api.patch(&object.name_any(), &PatchParams::default(), &Patch::Merge(object)).await
        }
        other => other,
    };
    created.map(drop).map_err(|error| Failure::new(format!("applying {}", describe(object))).because(error))
}

fn describe(object: &DynamicObject) -> String {
    let kind = object.types.as_ref().map_or("object", |types| types.kind.as_str());
    match object.namespace() {
        Some(namespace) => format!("{kind} {namespace}/{}", object.name_any()),
        None => format!("{kind} {}", object.name_any()),
    }
}
