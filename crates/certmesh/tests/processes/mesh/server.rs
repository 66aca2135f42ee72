//! API servers that are there already, and who we are to them.

use super::HOME;
use certmesh_api::manifests::Manifest;
use k8s_openapi::ByteString;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, Secret, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Where a server is and how its administrator gets in.
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) ca_pem: String,
    pub(crate) admin_token: String,
}

impl Server {
    /// Address and port.
    pub(crate) fn address(&self) -> SocketAddr {
        let address = self.url.strip_prefix("https://").and_then(|rest| rest.parse().ok());
        address.expect("an address on loopback")
    }

    /// A kubeconfig without references to files, with the server at `url`.
    pub(crate) fn kubeconfig(&self, url: &str, token: &str) -> String {
        let authority = serde_json::to_value(ByteString(self.ca_pem.clone().into_bytes())).expect("base64");
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": self.name,
            "clusters": [{"name": self.name, "cluster": {"server": url, "certificate-authority-data": authority}}],
            "users": [{"name": "user", "user": {"token": token}}],
            "contexts": [{"name": self.name, "context": {"cluster": self.name, "user": "user"}}],
        })
        .to_string()
    }

    async fn client(&self, token: &str) -> Client {
        let kubeconfig = Kubeconfig::from_yaml(&self.kubeconfig(&self.url, token)).expect("JSON is YAML");
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
        Client::try_from(config.expect("a complete kubeconfig")).expect("a client")
    }
}

/// A namespaced kind that stories read and write.
pub(crate) trait Kind:
    kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + Send
    + 'static
{
}

impl<K> Kind for K where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
        + Send
        + 'static
{
}

/// One cluster and its administrator.
pub(crate) struct Member {
    pub(crate) server: Server,
    pub(crate) admin: Client,
}

impl Member {
    pub(crate) async fn new(server: Server) -> Self {
        let admin = server.client(&server.admin_token).await;
        Self { server, admin }
    }

    pub(crate) fn api<K: Kind>(&self, namespace: &str) -> Api<K> {
        Api::namespaced(self.admin.clone(), namespace)
    }

    pub(crate) async fn get<K: Kind>(&self, namespace: &str, name: &str) -> Option<K> {
        self.api::<K>(namespace).get_opt(name).await.expect("the administrator may read it")
    }

    pub(crate) async fn create<K: Kind>(&self, namespace: &str, object: &K) -> K {
        let created = self.api::<K>(namespace).create(&PostParams::default(), object).await;
        created.expect("the administrator may create it")
    }

    pub(crate) async fn patch<K: Kind>(&self, namespace: &str, name: &str, patch: Value) -> K {
        let patched =
            self.api::<K>(namespace).patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
        patched.expect("the administrator may patch it")
    }

    pub(crate) async fn patch_status<K: Kind>(&self, namespace: &str, name: &str, patch: Value) -> K {
        let api = self.api::<K>(namespace);
        let patched = api.patch_status(name, &PatchParams::default(), &Patch::Merge(patch)).await;
        patched.expect("the administrator may patch it")
    }

    /// Puts another object in the place of the one of its name, whatever its version is now. Finalizers stay.
    pub(crate) async fn replace<K: Kind>(&self, namespace: &str, mut object: K) -> K {
        let (api, name) = (self.api::<K>(namespace), object.name_any());
        loop {
            let current = api.get(&name).await.expect("an object to replace");
            object.meta_mut().resource_version = current.resource_version();
            object.meta_mut().finalizers.clone_from(&current.meta().finalizers);
            match api.replace(&name, &PostParams::default(), &object).await {
                Ok(replaced) => return replaced,
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => panic!("{namespace}/{name}: {error}"),
            }
        }
    }

    pub(crate) async fn delete<K: Kind>(&self, namespace: &str, name: &str) {
        let deleted = self.api::<K>(namespace).delete(name, &DeleteParams::default()).await;
        deleted.expect("the administrator may delete it");
    }

    pub(crate) async fn cacerts(&self, namespace: &str) -> Option<Secret> {
        self.get(namespace, "cacerts").await
    }

    /// The rights of one of our accounts.
    pub(crate) async fn as_account(&self, account: &str) -> Client {
        self.server.client(&self.token(account).await).await
    }

    pub(crate) async fn token(&self, account: &str) -> String {
        let request = TokenRequest {
            spec: Some(TokenRequestSpec { expiration_seconds: Some(3600), ..TokenRequestSpec::default() }),
            ..TokenRequest::default()
        };
        let accounts = self.api::<ServiceAccount>(HOME);
        let made = accounts.create_token_request(account, &PostParams::default(), &request).await;
        made.expect("a token").status.and_then(|status| status.token).expect("a token in it")
    }

    pub(crate) async fn install(&self, manifests: &[Manifest]) {
        for manifest in manifests {
            // A definition is served a moment after it was made.
            let deadline = Instant::now() + Duration::from_secs(30);
            loop {
                let api: Api<DynamicObject> = match manifest.object.namespace() {
                    Some(namespace) => {
                        Api::namespaced_with(self.admin.clone(), &namespace, &manifest.resource)
                    }
                    None => Api::all_with(self.admin.clone(), &manifest.resource),
                };
                match api.create(&PostParams::default(), &manifest.object).await {
                    Ok(_) => break,
                    // Agent and RemoteIssuer both bring the namespace that they share.
                    Err(kube::Error::Api(status)) if status.code == 409 => break,
                    Err(kube::Error::Api(status)) if status.code == 404 && Instant::now() < deadline => {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                    Err(error) => panic!("{}: {error}", manifest.object.name_any()),
                }
            }
        }
    }

    /// Makes a namespace unless it is there, as `default` is, and gives it the labels.
    pub(crate) async fn ensure_namespace(&self, name: &str, labels: BTreeMap<String, String>) {
        let namespaces = Api::<Namespace>::all(self.admin.clone());
        let metadata =
            ObjectMeta { name: Some(name.to_owned()), labels: Some(labels.clone()), ..ObjectMeta::default() };
        let namespace = Namespace { metadata, ..Namespace::default() };
        match namespaces.create(&PostParams::default(), &namespace).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {
                let patch = Patch::Merge(json!({"metadata": {"labels": labels}}));
                let labelled = namespaces.patch(name, &PatchParams::default(), &patch).await;
                labelled.expect("the administrator may label it");
            }
            made => drop(made.expect("the administrator may create it")),
        }
    }
}
