//! The registered clusters: connects to each, checks that it is who it was, and runs its own driver.
//!
//! ```text
//!  KubernetesCluster + kubeconfig Secret ──▶ checks ──▶ Remote { client, watches, queue, back-off }
//!                                              │ refused or unreachable: said in its status, looked at again
//! ```
//!
//! Each cluster is an island: nothing that happens in one delays another.

use super::Shared;
use super::remote::Remote;
use crate::driver::{Pass, Reconciler, Trigger, Written};
use crate::error::PassError;
use crate::metrics::ClusterLabels;
use certmesh_api::certificates::ObjectRef;
use certmesh_api::multicluster::{ClusterReport, KubernetesCluster, KubernetesClusterStatus};
use certmesh_api::names::labels;
use certmesh_api::{ClusterName, ClusterNameError};
use certmesh_workflow::bounded;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Api, Client, ResourceExt};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A cluster that does not answer in this time is reported as unreachable.
const CONNECT_LIMIT: Duration = Duration::from_secs(15);
/// How soon an unreachable or refused cluster is tried again.
const RETRY: jiff::SignedDuration = jiff::SignedDuration::from_secs(30);
/// The cluster's identity is the uid of this namespace, which lives as long as the cluster.
const IDENTITY_NAMESPACE: &str = "kube-system";
const OWNER: &str = "certmesh-issuer";
/// The state of a registration that a person has to put in order.
pub(super) const INVALID: &str = "INVALID";

/// Why a registered cluster is not served.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Name(#[from] ClusterNameError),
    #[error("{0:?} is the issuer's own namespace: register the cluster under another name")]
    IssuersNamespace(String),
    #[error("namespace {0} does not exist: create it with label certmesh.dev/cluster={0}")]
    NoNamespace(String),
    #[error(
        "namespace {0} has no label certmesh.dev/cluster={0}: it was not made for this cluster; add the label if it was"
    )]
    ForeignNamespace(String),
    #[error("kubeconfig Secret {0} does not exist: register the cluster again")]
    NoSecret(ObjectRef),
    #[error("kubeconfig Secret {secret}: {source}")]
    Kubeconfig { secret: ObjectRef, source: crate::kubeconfig::KubeconfigRefusal },
    #[error(
        "the cluster is not the one registered: its kube-system uid is {found}, recorded is {recorded}. If it was rebuilt on purpose, deregister and register it again"
    )]
    OtherCluster { found: String, recorded: String },
    #[error("the cluster is already registered as {0}: deregister that name first")]
    AlreadyRegistered(String),
    #[error(
        "the cluster does not answer: {0}; check the address in its kubeconfig, the network and the token"
    )]
    Unreachable(String),
}

impl Refusal {
    fn state(&self) -> &'static str {
        if self.may_pass() { "FAILED" } else { INVALID }
    }

    /// Whether it may pass by itself.
    fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }
}

/// The clusters that are connected.
#[derive(Default)]
pub(super) struct Connected {
    clusters: Mutex<HashMap<String, Connection>>,
}

struct Connection {
    secret_version: Option<String>,
    stop: CancellationToken,
    trigger: Trigger<ObjectRef>,
    uid: String,
}

impl Connected {
    /// The trigger of the cluster's own driver, if it is connected.
    pub(super) fn trigger(&self, cluster: &str) -> Option<Trigger<ObjectRef>> {
        self.locked().get(cluster).map(|connection| connection.trigger.clone())
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, HashMap<String, Connection>> {
        self.clusters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The uid of the cluster, if it is connected with this very kubeconfig.
    fn uid(&self, cluster: &str, secret: &Secret) -> Option<String> {
        let clusters = self.locked();
        let connection = clusters.get(cluster)?;
        (connection.secret_version == secret.resource_version()).then(|| connection.uid.clone())
    }

    /// Serves a cluster over a new connection, unless it is served under another name: then that.
    fn serve(&self, name: &str, uid: &str, start: impl FnOnce() -> Connection) -> Result<(), String> {
        let mut clusters = self.locked();
        let is_taken =
            |(other, connection): &(&String, &Connection)| connection.uid == uid && other.as_str() != name;
        if let Some((other, _)) = clusters.iter().find(is_taken) {
            return Err(other.clone());
        }
        if let Some(old) = clusters.insert(name.to_owned(), start()) {
            old.stop.cancel();
        }
        Ok(())
    }

    fn disconnect(&self, cluster: &str) {
        if let Some(connection) = self.locked().remove(cluster) {
            connection.stop.cancel();
        }
    }
}

/// Keeps [`Connected`] in step with the KubernetesClusters.
pub(super) struct Registry {
    pub(super) shared: Arc<Shared>,
}

impl Reconciler for Registry {
    type Key = String;

    async fn pass(&self, name: &String) -> Result<Pass, PassError> {
        let shared = &self.shared;
        let Some(cluster) = shared.clusters.get(Some(&shared.settings.namespace), name) else {
            shared.connected.disconnect(name);
            shared.metrics.cluster_connected.remove(&ClusterLabels { cluster: name.clone() });
            shared.trigger_namespace(name);
            return Ok(Pass::default());
        };
        let outcome = self.connect(name, &cluster).await?;
        if outcome.as_ref().is_err_and(|refusal| !refusal.may_pass()) {
            // As after a restart: what is refused is not served over an older connection either.
            shared.connected.disconnect(name);
        }
        let wake_at = outcome.is_err().then(|| shared.clock.now() + RETRY);
        self.report(&cluster, outcome).await?;
        shared.trigger_namespace(name);
        Ok(Pass { wake_at, written: Vec::new() })
    }

    fn shows(&self, _: &String, _: &Written) -> bool {
        true
    }
}

impl Registry {
    /// Connects to the cluster unless it is connected with this very kubeconfig. The cluster's uid, or why not.
    async fn connect(
        &self,
        name: &str,
        cluster: &KubernetesCluster,
    ) -> Result<Result<String, Refusal>, PassError> {
        let shared = &self.shared;
        if let Err(refusal) = check_name(name, &shared.settings.namespace) {
            return Ok(Err(refusal));
        }
        if let Err(refusal) = check_namespace(name, shared.requests.get_namespace(name).await?.as_ref()) {
            return Ok(Err(refusal));
        }
        let reference = ObjectRef::new(&shared.settings.namespace, secret_name(cluster));
        let Some(secret) = shared.secrets.get(Some(&reference.namespace), &reference.name) else {
            return Ok(Err(Refusal::NoSecret(reference)));
        };
        if let Some(uid) = shared.connected.uid(name, &secret) {
            return Ok(Ok(uid));
        }
        let client = match shared.connect.connect(Arc::clone(&secret)).await {
            Ok(client) => client,
            Err(source) => return Ok(Err(Refusal::Kubeconfig { secret: reference, source })),
        };
        Ok(self.adopt(name, cluster, &secret, client).await)
    }

    /// Checks that the cluster behind the client is the one that was registered, and begins to serve it.
    async fn adopt(
        &self,
        name: &str,
        cluster: &KubernetesCluster,
        secret: &Secret,
        client: Client,
    ) -> Result<String, Refusal> {
        let uid = identity(&client).await?;
        let recorded = recorded_uid(cluster);
        if !recorded.is_empty() && recorded != uid {
            return Err(Refusal::OtherCluster { found: uid, recorded: recorded.to_owned() });
        }
        if recorded.is_empty()
            && let Some(other) = self.recorded_elsewhere(name, &uid)
        {
            return Err(Refusal::AlreadyRegistered(other));
        }
        let start = || {
            let stop = self.shared.stop.child_token();
            let trigger = Remote::start(&self.shared, name, client, stop.clone());
            Connection { secret_version: secret.resource_version(), stop, trigger, uid: uid.clone() }
        };
        self.shared.connected.serve(name, &uid, start).map_err(Refusal::AlreadyRegistered)?;
        tracing::info!(cluster = name, uid, "connected");
        Ok(uid)
    }

    /// Another registration that this cluster is bound to, whether that is connected now or not.
    fn recorded_elsewhere(&self, name: &str, uid: &str) -> Option<String> {
        let clusters = self.shared.clusters.all();
        let other = clusters.iter().find(|other| other.name_any() != name && recorded_uid(other) == uid);
        other.map(|other| other.name_any())
    }

    /// Writes what was found to the KubernetesCluster's status, unless it says so already.
    async fn report(
        &self,
        cluster: &KubernetesCluster,
        outcome: Result<String, Refusal>,
    ) -> Result<(), PassError> {
        let old = cluster.status.clone().unwrap_or_default();
        let (state, message, uid) = match outcome {
            Ok(uid) => ("ACCEPTED", String::new(), uid),
            Err(refusal) => {
                tracing::warn!(cluster = cluster.name_any(), %refusal, "cluster not served");
                (refusal.state(), refusal.to_string(), old.cluster_uid.clone())
            }
        };
        let says_so = |report: &ClusterReport| {
            report.owner.as_deref() == Some(OWNER)
                && report.state == state
                && report.message == message
                && report.observed_generation == cluster.metadata.generation
        };
        if old.cluster_uid == uid && old.status.iter().any(says_so) {
            return Ok(());
        }
        let mut reports = old.status.clone();
        reports.retain(|report| report.owner.as_deref() != Some(OWNER));
        reports.push(ClusterReport {
            state: state.to_owned(),
            message,
            observed_generation: cluster.metadata.generation,
            processing_time: Some(Time(self.shared.clock.now())),
            owner: Some(OWNER.to_owned()),
        });
        let mut changed = cluster.clone();
        changed.status = Some(KubernetesClusterStatus { status: reports, cluster_uid: uid, ..old });
        self.shared.requests.update_status(&changed).await.map(drop)
    }
}

/// What this issuer has reported about a cluster.
pub(super) fn report(cluster: &KubernetesCluster) -> Option<&ClusterReport> {
    let reports = cluster.status.as_ref().map(|status| status.status.as_slice()).unwrap_or_default();
    reports.iter().find(|report| report.owner.as_deref() == Some(OWNER))
}

pub(super) fn secret_name(cluster: &KubernetesCluster) -> String {
    let named = &cluster.spec.secret_name;
    if named.is_empty() { cluster.name_any() } else { named.clone() }
}

fn recorded_uid(cluster: &KubernetesCluster) -> &str {
    cluster.status.as_ref().map_or("", |status| status.cluster_uid.as_str())
}

fn check_name(name: &str, issuers_namespace: &str) -> Result<(), Refusal> {
    name.parse::<ClusterName>()?;
    if name == issuers_namespace {
        return Err(Refusal::IssuersNamespace(name.to_owned()));
    }
    Ok(())
}

fn check_namespace(name: &str, namespace: Option<&Namespace>) -> Result<(), Refusal> {
    let namespace = namespace.ok_or_else(|| Refusal::NoNamespace(name.to_owned()))?;
    if namespace.labels().get(labels::REGISTERED_CLUSTER).map(String::as_str) != Some(name) {
        return Err(Refusal::ForeignNamespace(name.to_owned()));
    }
    Ok(())
}

/// The cluster's identity: it survives new addresses, certificates and tokens.
async fn identity(client: &Client) -> Result<String, Refusal> {
    let api = Api::<Namespace>::all(client.clone());
    let read = tokio::time::timeout(CONNECT_LIMIT, api.get(IDENTITY_NAMESPACE)).await;
    let namespace = match read {
        Ok(Ok(namespace)) => namespace,
        Ok(Err(error)) => return Err(Refusal::Unreachable(bounded(&error.to_string()))),
        Err(_) => return Err(Refusal::Unreachable(format!("no answer in {} s", CONNECT_LIMIT.as_secs()))),
    };
    namespace
        .uid()
        .map(|uid| bounded(&uid))
        .ok_or_else(|| Refusal::Unreachable("its kube-system namespace has no uid".to_owned()))
}
