//! Requests to an API server, each counted and, when it fails, named: what was attempted, on which object, why.

use crate::error::{PassError, status_code};
use crate::metrics::Metrics;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// A client that counts. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Requests {
    client: Client,
    metrics: Metrics,
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
        Self { client, metrics }
    }

    /// Reads an object live; none if there is none.
    pub(crate) async fn get<K: Kind>(&self, namespace: &str, name: &str) -> Result<Option<K>, PassError> {
        self.api::<K>(namespace).get_opt(name).await.map_err(failed::<K>("reading", namespace, name))
    }

    /// Reads a namespace live; none if there is none.
    pub(crate) async fn get_namespace(&self, name: &str) -> Result<Option<Namespace>, PassError> {
        Api::<Namespace>::all(self.client.clone()).get_opt(name).await.map_err(|source| PassError::Api {
            verb: "reading",
            object: format!("Namespace {name}"),
            source,
        })
    }

    /// Creates an object; a conflict if it exists.
    pub(crate) async fn create<K: Kind>(&self, object: &K) -> Result<K, PassError> {
        let (namespace, name) = names(object);
        let created = self.api::<K>(&namespace).create(&PostParams::default(), object).await;
        self.count::<K>("create", created.is_ok());
        created.map_err(failed::<K>("creating", &namespace, &name))
    }

    /// Replaces an object; a conflict unless it still has the resourceVersion that `object` carries.
    pub(crate) async fn update<K: Kind>(&self, object: &K) -> Result<K, PassError> {
        let (namespace, name) = names(object);
        let updated = self.api::<K>(&namespace).replace(&name, &PostParams::default(), object).await;
        self.count::<K>("update", updated.is_ok());
        updated.map_err(failed::<K>("updating", &namespace, &name))
    }

    /// Replaces an object's status; a conflict unless it still has the resourceVersion that `object` carries.
    pub(crate) async fn update_status<K: Kind>(&self, object: &K) -> Result<K, PassError> {
        let (namespace, name) = names(object);
        let updated = self.api::<K>(&namespace).replace_status(&name, &PostParams::default(), object).await;
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
        let precondition = Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: resource_version.map(str::to_owned),
        };
        let parameters = DeleteParams { preconditions: Some(precondition), ..DeleteParams::default() };
        match self.api::<K>(namespace).delete(name, &parameters).await {
            Ok(_) => {
                self.count::<K>("delete", true);
                Ok(())
            }
            Err(error) if status_code(&error) == Some(404) => Ok(()),
            Err(error) => Err(failed::<K>("deleting", namespace, name)(error)),
        }
    }

    fn api<K: Kind>(&self, namespace: &str) -> Api<K> {
        Api::namespaced(self.client.clone(), namespace)
    }

    fn count<K: Kind>(&self, verb: &'static str, succeeded: bool) {
        if succeeded {
            self.metrics.wrote(K::KIND, verb);
        }
    }
}

fn names<K: Kind>(object: &K) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

fn failed<K: Kind>(verb: &'static str, namespace: &str, name: &str) -> impl FnOnce(kube::Error) -> PassError {
    let object = format!("{} {namespace}/{name}", K::KIND);
    move |source| PassError::Api { verb, object, source }
}
