//! A Kubernetes API server in your own process, to test a controller against: no etcd, no containers, no download.
//!
//! ```text
//! cargo run -p certmesh-apiserver --example embedded                 runs a small controller, and ends
//! cargo run -p certmesh-apiserver --example embedded -- kubeconfig   stays up for `kubectl --kubeconfig kubeconfig`
//! ```
//!
//! Everything after the first three lines of [`run`] is ordinary kube-rs: put your controller in place of the one here.

use std::{path::PathBuf, sync::Arc, time::Duration};

use certmesh_apiserver::{Cluster, Server};
use futures::StreamExt as _;
use k8s_openapi::{
    api::rbac::v1::{ClusterRole, ClusterRoleBinding},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, CustomResource, CustomResourceExt as _, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
    runtime::{
        Controller,
        controller::Action,
        wait::{await_condition, conditions},
        watcher,
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What somebody wants to say.
#[derive(CustomResource, Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Greeting", namespaced, status = "GreetingStatus")]
#[kube(printcolumn = r#"{"name": "Text", "type": "string", "jsonPath": ".spec.text"}"#)]
#[kube(printcolumn = r#"{"name": "Reply", "type": "string", "jsonPath": ".status.reply"}"#)]
struct GreetingSpec {
    #[schemars(length(min = 1))]
    text: String,
}

/// What the controller says to it.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
struct GreetingStatus {
    reply: String,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    run(std::env::args_os().nth(1).map(PathBuf::from)).await
}

/// Shows a controller at work; with a path, then serves the cluster over HTTPS, writes a kubeconfig there, and stays until
/// Ctrl-C.
pub(crate) async fn run(kubeconfig: Option<PathBuf>) -> Result<(), Failure> {
    // 1. A cluster, and a client that reaches it without sockets, TLS or tokens.
    let cluster = Cluster::new("example")?;
    let admin = cluster.client(Cluster::admin());

    // 2. A kind of your own: validated, defaulted, pruned and printed as on a real server.
    let definitions: Api<CustomResourceDefinition> = Api::all(admin.clone());
    let definition = definitions.create(&PostParams::default(), &Greeting::crd()).await?;
    await_condition(definitions, &definition.name_any(), conditions::is_crd_established()).await?;
    let greetings: Api<Greeting> = Api::default_namespaced(admin.clone());
    let empty = Greeting::new("empty", GreetingSpec { text: String::new() });
    let refused = greetings.create(&PostParams::default(), &empty).await;
    println!("refused:   {}", message(&refused.expect_err("the schema wants a text")));

    // 3. RBAC holds for everybody but the administrators, so the controller is tested with the rights that it will have.
    let client = cluster.client(Cluster::service_account("default", "replier"));
    let without_rights: Api<Greeting> = Api::default_namespaced(client.clone());
    let forbidden = without_rights.get("hello").await.expect_err("nobody bound a role to it");
    println!("forbidden: {}", message(&forbidden));
    grant(&admin).await?;

    // 4. The controller, watching and writing as it does anywhere.
    let controller = Controller::new(Api::<Greeting>::all(client.clone()), watcher::Config::default())
        .run(reply, |_, _, _| Action::requeue(Duration::from_secs(1)), Arc::new(client))
        .for_each(|_| std::future::ready(()));
    let controller = tokio::spawn(controller);
    let hello = Greeting::new("hello", GreetingSpec { text: "Hello".to_owned() });
    greetings.create(&PostParams::default(), &hello).await?;
    let replied = await_condition(greetings, "hello", |greeting: Option<&Greeting>| {
        greeting.is_some_and(|greeting| greeting.status.is_some())
    });
    let greeting = tokio::time::timeout(Duration::from_secs(10), replied).await??;
    println!("replied:   {}", greeting.and_then(|greeting| greeting.status).unwrap_or_default().reply);

    // 5. The same cluster over HTTPS, for kubectl and other processes.
    if let Some(path) = kubeconfig {
        let server = Server::default();
        server.serve(&cluster).await?;
        cluster.kubeconfig(Cluster::admin())?.write(&path)?;
        println!("serving:   kubectl --kubeconfig {} get greetings    (Ctrl-C ends it)", path.display());
        tokio::signal::ctrl_c().await?;
        server.shutdown().await;
    }
    controller.abort();
    Ok(())
}

/// What the server said, without all that the client knows about it.
fn message(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// Writes the status of a greeting that has none.
async fn reply(greeting: Arc<Greeting>, client: Arc<kube::Client>) -> Result<Action, kube::Error> {
    if greeting.status.is_none() {
        let namespace = greeting.namespace().unwrap_or_default();
        let greetings: Api<Greeting> = Api::namespaced(client.as_ref().clone(), &namespace);
        let status = json!({"status": GreetingStatus { reply: format!("{} yourself", greeting.spec.text) }});
        greetings.patch_status(&greeting.name_any(), &PatchParams::default(), &Patch::Merge(&status)).await?;
    }
    Ok(Action::await_change())
}

/// What the controller may do.
async fn grant(admin: &kube::Client) -> Result<(), Failure> {
    let role: ClusterRole = serde_json::from_value(json!({
        "metadata": {"name": "replier"},
        "rules": [
            {"apiGroups": ["example.com"], "resources": ["greetings"], "verbs": ["get", "list", "watch"]},
            {"apiGroups": ["example.com"], "resources": ["greetings/status"], "verbs": ["patch"]},
        ],
    }))?;
    let binding: ClusterRoleBinding = serde_json::from_value(json!({
        "metadata": {"name": "replier"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "replier"},
        "subjects": [{"kind": "ServiceAccount", "name": "replier", "namespace": "default"}],
    }))?;
    Api::all(admin.clone()).create(&PostParams::default(), &role).await?;
    Api::all(admin.clone()).create(&PostParams::default(), &binding).await?;
    Ok(())
}
