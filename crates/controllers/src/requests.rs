//! Requests to an API server, each counted and, when it fails, named: what was attempted, on which object, why.

use crate::error::{PassError, status_code};
use crate::metrics::Metrics;
use crate::transport::{ApiRequest, ApiVerb, Transport};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt::Debug;
use std::sync::Arc;

/// A client that counts. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Requests {
    way: Way,
    metrics: Metrics,
}

/// How requests reach an API server.
#[derive(Clone)]
enum Way {
    Client(Client),
    Direct(Arc<dyn Transport>),
}

/// A namespaced kind that certmesh writes.
pub(crate) trait Kind:
    Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
{
    /// The kind's name, as metrics and messages have it.
    const KIND: &'static str;
}

impl Kind for Secret {
    const KIND: &'static str = "Secret";
}
impl Kind for ConfigMap {
    const KIND: &'static str = "ConfigMap";
}
impl Kind for certmesh_api::certificates::IssuedCertificate {
    const KIND: &'static str = "IssuedCertificate";
}
impl Kind for certmesh_api::certificates::CertificateRequest {
    const KIND: &'static str = "CertificateRequest";
}
impl Kind for certmesh_api::multicluster::KubernetesCluster {
    const KIND: &'static str = "KubernetesCluster";
}

impl Requests {
    /// Requests over this client.
    pub(crate) fn new(client: Client, metrics: Metrics) -> Self {
        Self { way: Way::Client(client), metrics }
    }

    /// Requests that somebody answers without a connection.
    pub(crate) fn direct(transport: Arc<dyn Transport>, metrics: Metrics) -> Self {
        Self { way: Way::Direct(transport), metrics }
    }

    /// Reads an object live; none if there is none.
    pub(crate) async fn get<K: Kind>(&self, namespace: &str, name: &str) -> Result<Option<K>, PassError> {
        let read = match &self.way {
            Way::Client(client) => Api::<K>::namespaced(client.clone(), namespace).get_opt(name).await,
            Way::Direct(transport) => {
                let read = transport.send(request::<K>(ApiVerb::Get, namespace, name)).await;
                found(read).and_then(|json| json.map(|json| parsed(&json)).transpose())
            }
        };
        read.map_err(failed::<K>("reading", namespace, name))
    }

    /// Reads a namespace live; none if there is none.
    pub(crate) async fn get_namespace(&self, name: &str) -> Result<Option<Namespace>, PassError> {
        let read = match &self.way {
            Way::Client(client) => Api::<Namespace>::all(client.clone()).get_opt(name).await,
            Way::Direct(transport) => {
                let name = name.to_owned();
                let request =
                    ApiRequest { verb: ApiVerb::Get, kind: "Namespace", namespace: String::new(), name };
                found(transport.send(request).await)
                    .and_then(|json| json.map(|json| parsed(&json)).transpose())
            }
        };
        read.map_err(|source| PassError::Api { verb: "reading", object: format!("Namespace {name}"), source })
    }

    /// Creates an object; a conflict if it exists.
    pub(crate) async fn create<K: Kind>(&self, object: &K) -> Result<K, PassError> {
        let (namespace, name) = names(object);
        let created = match &self.way {
            Way::Client(client) => {
                Api::<K>::namespaced(client.clone(), &namespace).create(&PostParams::default(), object).await
            }
            Way::Direct(transport) => write(&**transport, ApiVerb::Create, &namespace, &name, object).await,
        };
        self.count::<K>("create", created.is_ok());
        created.map_err(failed::<K>("creating", &namespace, &name))
    }

    /// Replaces an object; a conflict unless it still has the resourceVersion that `object` carries.
    pub(crate) async fn update<K: Kind>(&self, object: &K) -> Result<K, PassError> {
        let (namespace, name) = names(object);
        let updated = match &self.way {
            Way::Client(client) => {
                let api = Api::<K>::namespaced(client.clone(), &namespace);
                api.replace(&name, &PostParams::default(), object).await
            }
            Way::Direct(transport) => write(&**transport, ApiVerb::Update, &namespace, &name, object).await,
        };
        self.count::<K>("update", updated.is_ok());
        updated.map_err(failed::<K>("updating", &namespace, &name))
    }

    /// Replaces an object's status; a conflict unless it still has the resourceVersion that `object` carries.
    pub(crate) async fn update_status<K: Kind>(&self, object: &K) -> Result<K, PassError> {
        let (namespace, name) = names(object);
        let updated = match &self.way {
            Way::Client(client) => {
                let api = Api::<K>::namespaced(client.clone(), &namespace);
                api.replace_status(&name, &PostParams::default(), object).await
            }
            Way::Direct(transport) => {
                write(&**transport, ApiVerb::UpdateStatus, &namespace, &name, object).await
            }
        };
        self.count::<K>("status", updated.is_ok());
        updated.map_err(failed::<K>("updating the status of", &namespace, &name))
    }

    /// Deletes the object with this uid, and this resourceVersion if one is given. One that is gone already is as good
    /// as deleted.
    pub(crate) async fn delete<K: Kind>(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
        resource_version: Option<&str>,
    ) -> Result<(), PassError> {
        let (uid, resource_version) = (uid.to_owned(), resource_version.map(str::to_owned));
        let deleted = match &self.way {
            Way::Client(client) => {
                let precondition = Preconditions { uid: Some(uid), resource_version };
                let parameters =
                    DeleteParams { preconditions: Some(precondition), ..DeleteParams::default() };
                Api::<K>::namespaced(client.clone(), namespace).delete(name, &parameters).await.map(drop)
            }
            Way::Direct(transport) => {
                let verb = ApiVerb::Delete { uid, resource_version };
                transport.send(request::<K>(verb, namespace, name)).await.map(drop)
            }
        };
        match deleted {
            Ok(()) => {
                self.count::<K>("delete", true);
                Ok(())
            }
            Err(error) if status_code(&error) == Some(404) => Ok(()),
            Err(error) => Err(failed::<K>("deleting", namespace, name)(error)),
        }
    }

    fn count<K: Kind>(&self, verb: &'static str, succeeded: bool) {
        if succeeded {
            self.metrics.wrote(K::KIND, verb);
        }
    }
}

fn request<K: Kind>(verb: ApiVerb, namespace: &str, name: &str) -> ApiRequest {
    ApiRequest { verb, kind: K::KIND, namespace: namespace.to_owned(), name: name.to_owned() }
}

async fn write<K: Kind>(
    transport: &dyn Transport,
    verb: impl FnOnce(Value) -> ApiVerb,
    namespace: &str,
    name: &str,
    object: &K,
) -> kube::Result<K> {
    let body = serde_json::to_value(object).map_err(kube::Error::SerdeError)?;
    parsed(&transport.send(request::<K>(verb(body), namespace, name)).await?)
}

fn parsed<K: DeserializeOwned>(json: &[u8]) -> kube::Result<K> {
    serde_json::from_slice(json).map_err(kube::Error::SerdeError)
}

/// An object that is not there is an answer too.
fn found(read: kube::Result<Vec<u8>>) -> kube::Result<Option<Vec<u8>>> {
    match read {
        Ok(json) => Ok(Some(json)),
        Err(error) if status_code(&error) == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}

fn names<K: Kind>(object: &K) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

fn failed<K: Kind>(verb: &'static str, namespace: &str, name: &str) -> impl FnOnce(kube::Error) -> PassError {
    let object = format!("{} {namespace}/{name}", K::KIND);
    move |source| PassError::Api { verb, object, source }
}
