//! What can be watched of a certificate's way, in all clusters.

use certmesh_api::{
    certificates::{CertificateRequest, IssuedCertificate, ObjectRef},
    names::well_known,
};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, Resource,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event},
    },
};
use serde::de::DeserializeOwned;
use tokio::{sync::mpsc, task::JoinSet};

use crate::{failure::Failure, fleet::Fleet};

/// An object as it was seen in a cluster, or seen for the last time.
pub(super) struct Sight {
    pub(super) cluster: String,
    pub(super) object: Seen,
    pub(super) is_gone: bool,
}

/// The kinds that tell the story.
pub(super) enum Seen {
    /// In the management cluster.
    Intent(IssuedCertificate),
    /// In a remote cluster, as all that follow.
    Copy(IssuedCertificate),
    Request(CertificateRequest),
    /// A Secret of the agent's namespace.
    AgentSecret(Secret),
    /// A Secret of one of the targets' namespaces.
    Target(Secret),
}

/// Everything that is seen, in order. Watching ends when this is dropped.
pub(super) struct Sights {
    receiver: mpsc::UnboundedReceiver<Sight>,
    _watches: JoinSet<()>,
}

impl Sights {
    /// Starts to watch, as `kubectl get -w` would.
    pub(super) async fn watch(fleet: &Fleet, targets: &[ObjectRef]) -> Result<Self, Failure> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut watches = Watches { sender, tasks: JoinSet::new() };
        let management = fleet.management();
        watches.add(Api::all(management.admin().await?), management.name(), Seen::Intent);
        for remote in fleet.remotes() {
            let client = remote.admin().await?;
            let home = well_known::NAMESPACE;
            watches.add(namespaced(&client, home), remote.name(), Seen::Copy);
            watches.add(namespaced(&client, home), remote.name(), Seen::Request);
            watches.add(namespaced(&client, home), remote.name(), Seen::AgentSecret);
            let mut namespaces: Vec<&str> = targets.iter().map(|target| target.namespace.as_str()).collect();
            namespaces.dedup();
            for namespace in namespaces {
                watches.add(namespaced(&client, namespace), remote.name(), Seen::Target);
            }
        }
        Ok(Self { receiver, _watches: watches.tasks })
    }

    /// The next.
    pub(super) async fn next(&mut self) -> Option<Sight> {
        self.receiver.recv().await
    }
}

fn namespaced<K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>>(
    client: &Client,
    namespace: &str,
) -> Api<K> {
    Api::namespaced(client.clone(), namespace)
}

struct Watches {
    sender: mpsc::UnboundedSender<Sight>,
    tasks: JoinSet<()>,
}

impl Watches {
    fn add<K>(&mut self, api: Api<K>, cluster: &str, seen: fn(K) -> Seen)
    where
        K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
    {
        let (sender, cluster) = (self.sender.clone(), cluster.to_owned());
        self.tasks.spawn(async move {
            let events = watcher::watcher(api, watcher::Config::default()).default_backoff();
            let mut events = std::pin::pin!(events);
            while let Some(event) = events.next().await {
                let (object, is_gone) = match event {
                    Ok(Event::Apply(object) | Event::InitApply(object)) => (object, false),
                    Ok(Event::Delete(object)) => (object, true),
                    Ok(Event::Init | Event::InitDone) => continue,
                    Err(error) => {
                        tracing::warn!(cluster, %error, "a watch broke, trying again");
                        continue;
                    }
                };
                if sender.send(Sight { cluster: cluster.clone(), object: seen(object), is_gone }).is_err() {
                    return;
                }
            }
        });
    }
}

/// `namespace/name`.
pub(super) fn full_name(object: &impl kube::ResourceExt) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}
