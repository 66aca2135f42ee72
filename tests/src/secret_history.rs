//! Every version of an issued Secret where others write to it too: what they did is theirs, the rest is ours.

use crate::machine::LocalClock;
use crate::witness::whole;
use certmesh_api::certificates::ObjectRef;
use certmesh_api::names::annotations;
use certmesh_apiserver::Cluster;
use certmesh_controllers::Clock;
use certmesh_x509::Certificate;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{WatchEvent, WatchParams};
use kube::{Api, ResourceExt};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinHandle;

/// One version of the Secret.
#[derive(Clone, Debug)]
pub struct Version {
    /// Its resourceVersion.
    pub resource_version: String,
    /// Whether it is the Secret's last one: it was deleted.
    pub is_gone: bool,
    /// The need that it says it was issued for.
    pub need: String,
    /// The fingerprints of its roots, as it says.
    pub roots: String,
    /// The certificate, if its files belong together.
    pub whole: Result<Certificate, String>,
}

/// Watches one Secret of one cluster from its first version on.
pub struct SecretHistory {
    versions: Arc<Mutex<Vec<Version>>>,
    task: JoinHandle<()>,
}

impl SecretHistory {
    /// Begins to watch. Everything from resourceVersion 1 on is seen, so nothing is missed. What is valid by a time that its
    /// agent's clock told is as good as the agent could know.
    pub fn of(cluster: &Cluster, secret: &ObjectRef, clock: Clock, agents: LocalClock) -> Self {
        let api = Api::<Secret>::namespaced(cluster.client(Cluster::admin()), &secret.namespace);
        let parameters = WatchParams::default().fields(&format!("metadata.name={}", secret.name));
        let versions = Arc::<Mutex<Vec<_>>>::default();
        let record = Arc::clone(&versions);
        let task = tokio::spawn(async move {
            let mut from = "1".to_owned();
            loop {
                let Ok(stream) = api.watch(&parameters, &from).await else { continue };
                let mut stream = stream.boxed();
                while let Ok(Some(event)) = stream.try_next().await {
                    let (secret, is_gone) = match &event {
                        WatchEvent::Added(secret) | WatchEvent::Modified(secret) => (secret, false),
                        WatchEvent::Deleted(secret) => (secret, true),
                        WatchEvent::Bookmark(_) | WatchEvent::Error(_) => continue,
                    };
                    from = secret.resource_version().unwrap_or_default();
                    let version = Version {
                        resource_version: from.clone(),
                        is_gone,
                        need: secret.annotations().get(annotations::NEED).cloned().unwrap_or_default(),
                        roots: secret.annotations().get(annotations::ROOTS).cloned().unwrap_or_default(),
                        whole: whole(secret, &clock).or_else(|flaw| {
                            let once = agents.once(&clock);
                            once.iter().find_map(|clock| whole(secret, clock).ok()).ok_or(flaw)
                        }),
                    };
                    record.lock().unwrap_or_else(PoisonError::into_inner).push(version);
                }
            }
        });
        Self { versions, task }
    }

    /// The versions so far, in order.
    pub fn versions(&self) -> Vec<Version> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for SecretHistory {
    fn drop(&mut self) {
        self.task.abort();
    }
}
