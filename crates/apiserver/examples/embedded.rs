//! A Kubernetes API server in your own process: for tests of controllers and clients, without etcd, containers or a
//! download.
//!
//! `cargo run --example embedded` shows the two ways in and leaves the server up for kubectl until Ctrl-C.

use certmesh_apiserver::{Cluster, Server};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::{
    api::{core::v1::ConfigMap, rbac::v1::Role},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api,
    api::{DynamicObject, ListParams, PostParams},
    core::{ApiResource, GroupVersionKind},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // 1. A cluster, and a client that reaches it without sockets, TLS or tokens. Everything below is ordinary kube-rs.
    let cluster = Cluster::new("example")?;
    let client = cluster.client(Cluster::admin());

    // 2. A kind of your own: validated, defaulted, pruned and printed as on a real server.
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    definitions.create(&PostParams::default(), &serde_json::from_value(greetings())?).await?;
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1", "Greeting"));
    let greetings: Api<DynamicObject> = Api::default_namespaced_with(client.clone(), &kind);
    let hello = DynamicObject::new("hello", &kind).data(json!({"spec": {"text": "Hello"}}));
    greetings.create(&PostParams::default(), &hello).await?;
    let wrong = DynamicObject::new("wrong", &kind).data(json!({"spec": {"text": ""}}));
    let refused = greetings.create(&PostParams::default(), &wrong).await;
    println!("refused: {}", refused.expect_err("the schema wants a text"));

    // 3. Watches, as controllers use them.
    let mut events =
        watcher(greetings, watcher::Config::default()).default_backoff().applied_objects().boxed();
    if let Some(seen) = events.try_next().await? {
        println!("watched: {:?} says {}", seen.metadata.name, seen.data["spec"]["text"]);
    }

    // 4. RBAC holds for everybody but the administrators.
    let somebody = cluster.client(Cluster::service_account("default", "somebody"));
    let config_maps: Api<ConfigMap> = Api::default_namespaced(somebody);
    println!("forbidden: {}", config_maps.get("x").await.expect_err("nobody bound a role to this account"));
    let roles: Api<Role> = Api::default_namespaced(client);
    println!("roles: {}", roles.list(&ListParams::default()).await?.items.len());

    // 5. The same cluster over HTTPS, for kubectl and other processes.
    let server = Server::default();
    server.serve(&cluster).await?;
    let path = std::env::temp_dir().join("embedded.kubeconfig");
    cluster.kubeconfig(Cluster::admin())?.write(&path)?;
    println!("\nkubectl --kubeconfig {} get greetings\n\nCtrl-C ends it.", path.display());
    tokio::signal::ctrl_c().await?;
    server.shutdown().await;
    Ok(())
}

fn greetings() -> serde_json::Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "greetings.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "greetings", "singular": "greeting", "kind": "Greeting"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "additionalPrinterColumns": [{"name": "Text", "type": "string", "jsonPath": ".spec.text"}],
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "properties": {"spec": {
                        "type": "object",
                        "required": ["text"],
                        "properties": {"text": {"type": "string", "minLength": 1}},
                    }},
                }},
            }],
        },
    })
}
