//! Private keys are in Secrets of their own cluster and nowhere else.

use crate::mesh::{HOME, ISSUER, Member, Mesh, ROOT_CA};
use certmesh_api::names::annotations;
use certmesh_api::secrets;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DynamicObject, ListParams};
use kube::core::ApiResource;
use kube::discovery::{Discovery, verbs};
use kube::{Api, ResourceExt as _};
use serde_json::json;
use std::fmt::Write as _;
use std::time::Duration;

pub(super) async fn stay_where_they_are(mesh: &Mesh) {
    // Everything that any crate has to say is looked through.
    mesh.kill_all();
    mesh.start_all("trace");
    for cluster in ["cluster-1", "cluster-2"] {
        mesh.ask(cluster, "keys").await;
        mesh.ready(cluster, "keys").await;
    }
    mesh.renew(0, "keys", "again").await;
    // A request that is refused, so that a pending key is there too.
    let deny = json!({"metadata": {"annotations": {annotations::ALLOW_CLUSTERS: "nobody"}}});
    mesh.management.patch::<Secret>(HOME, ROOT_CA, deny).await;
    mesh.says("cluster-1", "keys", "CaNotAllowed").await;
    mesh.annotate("cluster-1", "keys", annotations::RENEW, "once more").await;
    let is_there = |secret: Option<&Secret>| secret.is_some();
    let pending = mesh.wait::<Secret>(&mesh.remotes[0], HOME, "keys", is_there).await.expect("a pending key");
    tokio::time::sleep(Duration::from_secs(2)).await;

    let told = said_by_processes(mesh);
    let mut contents = Vec::new();
    for member in std::iter::once(&mesh.management).chain(&mesh.remotes) {
        contents.push(contents_of(member).await);
    }
    for (index, secret, key) in [
        (1, pending, secrets::PRIVATE_KEY),
        (1, mesh.issued(0, "keys").await, secrets::CA_KEY),
        (2, mesh.issued(1, "keys").await, secrets::CA_KEY),
        (0, mesh.management.get(HOME, ROOT_CA).await.expect("the CA"), secrets::CA_KEY),
    ] {
        let traces = traces_of(secrets::data(&secret, key).expect("a key"));
        let mut places = told.clone();
        for (place, content) in contents.iter().enumerate() {
            let name = format!("cluster {place}");
            places.push((format!("{name}, Secrets aside"), content.others.clone()));
            if place == index {
                let found = traces.iter().any(|trace| content.secrets.contains(trace));
                assert!(found, "a key of cluster {index} is found where it is, by these traces");
            } else {
                places.push((name, content.secrets.clone()));
            }
        }
        for (place, text) in places {
            assert!(text.len() > 100, "{place} has something in it");
            let found = traces.iter().any(|trace| text.contains(trace));
            assert!(!found, "a key of cluster {index} ({}) is in {place}", secret.name_any());
        }
    }
    let allow = json!({"metadata": {"annotations": {annotations::ALLOW_CLUSTERS: "*"}}});
    mesh.management.patch::<Secret>(HOME, ROOT_CA, allow).await;
    mesh.restart_all();
}

/// Logs of all their lives, metrics, and the issuance log. There is nobody's key in them.
fn said_by_processes(mesh: &Mesh) -> Vec<(String, String)> {
    let mut said = vec![("the issuance log".to_owned(), mesh.issuance_log())];
    for name in mesh.names() {
        let log = mesh.log(&name);
        assert!(log.contains("TRACE"), "{name} logged everything");
        said.push((format!("the log of {name}"), log));
        let metrics = mesh.metrics(&name);
        assert!(metrics.contains("certmesh_"), "{name} tells metrics: {metrics}");
        said.push((format!("the metrics of {name}"), metrics));
    }
    for (place, text) in &said {
        assert!(!text.contains("PRIVATE KEY-----"), "a key is in {place}");
    }
    assert!(said[1].0.ends_with(ISSUER) && said[1].1.contains("issuer starts"));
    said
}

/// What is stored in a cluster.
struct Contents {
    secrets: String,
    others: String,
}

async fn contents_of(member: &Member) -> Contents {
    let mut contents = Contents { secrets: String::new(), others: String::new() };
    let discovery = Discovery::new(member.admin.clone()).run().await.expect("discovery");
    for group in discovery.groups() {
        for (resource, capabilities) in group.recommended_resources() {
            if !capabilities.supports_operation(verbs::LIST) {
                continue;
            }
            for object in list(member, &resource).await {
                let into =
                    if resource.plural == "secrets" { &mut contents.secrets } else { &mut contents.others };
                let _ = writeln!(into, "{}", serde_json::to_string(&object).expect("JSON"));
            }
        }
    }
    contents
}

async fn list(member: &Member, resource: &ApiResource) -> Vec<DynamicObject> {
    let api = Api::<DynamicObject>::all_with(member.admin.clone(), resource);
    api.list(&ListParams::default()).await.map(|list| list.items).unwrap_or_default()
}

/// Every text under which a private key could be found: its base64 wherever that is cut into lines, and that of a Secret.
fn traces_of(key_pem: &[u8]) -> Vec<String> {
    let pem = String::from_utf8(key_pem.to_vec()).expect("PEM");
    let base64 = pem.lines().filter(|line| !line.starts_with("-----"));
    let longest = base64.max_by_key(|line| line.len()).expect("a line");
    let in_a_secret = serde_json::to_value(ByteString(key_pem.to_vec())).expect("base64");
    let in_a_secret = in_a_secret.as_str().expect("a text").to_owned();
    vec![longest.to_owned(), longest[8..40].to_owned(), in_a_secret[60..120].to_owned()]
}
