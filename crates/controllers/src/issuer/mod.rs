//! The issuer: in the management cluster, with the signing CAs.
//!
//! ```text
//!  management cluster                         for each connected cluster (remote.rs)
//!  ├─ IssuedCertificates (intents) ──┐        ├─ IssuedCertificates (copies) ──┐
//!  ├─ Secrets (CAs, kubeconfigs) ────┼─▶ key ◀┼─ CertificateRequests ──────────┘
//!  └─ KubernetesClusters ─▶ registry │        └─ a driver of its own: intent.rs runs the passes
//!                                    └─ intents of clusters that are not connected: one more driver
//! ```

mod intent;
mod registry;
mod remote;
mod signing;
pub(crate) mod stepwise;

use crate::cache::{Cache, Change, watch_config};
use crate::clock::Clock;
use crate::deadline::limited;
use crate::driver::{Driver, Trigger};
use crate::election::{ElectionConfig, Term, while_elected};
use crate::events::Events;
use crate::health::Readiness;
use crate::issuance_log::IssuanceLog;
use crate::kubeconfig::{KubeconfigRefusal, client_from_secret};
use crate::metrics::Metrics;
use crate::requests::Requests;
use crate::tasks::{Spawner, Tasks};
use certmesh_api::certificates::{IssuedCertificate, IssuedCertificateSpec, ObjectRef};
use certmesh_api::multicluster::KubernetesCluster;
use certmesh_workflow::issuer::Settings;
use futures::FutureExt;
use futures::future::BoxFuture;
use intent::IntentReconciler;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, ResourceExt};
use registry::{Connected, Registry};
use signing::{Signatures, SigningCas};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Passes of one cluster that run at once.
const PASSES_PER_CLUSTER: usize = 16;
/// Clusters that are connected to at once.
const CONNECTS: usize = 16;

/// What an issuer needs.
#[derive(Clone)]
pub struct IssuerConfig {
    /// The issuer's namespace: signing CAs, kubeconfigs and KubernetesClusters live there.
    pub namespace: String,
    /// The namespace in which agents live in their clusters.
    pub agent_namespace: String,
    /// The management cluster.
    pub client: Client,
    /// Whether a signing CA may be in any namespace rather than only the issuer's.
    pub any_ca_namespace: bool,
    /// The time.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Metrics,
    /// Told once the caches are filled.
    pub readiness: Readiness,
    /// Makes a client of a registration Secret.
    pub connect: Connector,
    /// Where each decision to sign or refuse is recorded.
    pub issuance_log: IssuanceLog,
    /// Runs its tasks.
    pub spawner: Spawner,
}

/// Makes a client for the cluster that a registration Secret describes.
#[derive(Clone)]
pub struct Connector(Arc<ConnectFn>);

type ConnectFn = dyn Fn(Arc<Secret>) -> BoxFuture<'static, Result<Client, KubeconfigRefusal>> + Send + Sync;

impl Connector {
    /// A connector that does something else than reading a kubeconfig: clusters in this process, or faults in between.
    pub fn new<F>(connect: impl Fn(Arc<Secret>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Client, KubeconfigRefusal>> + Send + 'static,
    {
        Self(Arc::new(move |secret| connect(secret).boxed()))
    }

    /// The same, for as long as the term lasts.
    fn within(self, term: Term) -> Self {
        Self::new(move |secret| {
            let (connector, term) = (self.clone(), term.clone());
            async move { Ok(term.fence((connector.0)(secret).await?)) }
        })
    }

    async fn connect(&self, secret: Arc<Secret>) -> Result<Client, KubeconfigRefusal> {
        (self.0)(secret).await.map(limited)
    }
}

impl Default for Connector {
    /// Reads the kubeconfig in the Secret, and refuses everything in it that is not plain data.
    fn default() -> Self {
        Self::new(|secret| async move { client_from_secret(&secret).await })
    }
}

/// What all passes of an issuer share.
pub(crate) struct Shared {
    settings: Settings,
    agent_namespace: String,
    clock: Clock,
    metrics: Metrics,
    connect: Connector,
    issuance_log: IssuanceLog,
    requests: Requests,
    events: Events,
    intents: Cache<IssuedCertificate>,
    secrets: Cache<Secret>,
    clusters: Cache<KubernetesCluster>,
    signing_cas: SigningCas,
    signatures: Signatures,
    connected: Arc<Connected>,
    unconnected: Trigger<ObjectRef>,
    tasks: Tasks,
    stop: CancellationToken,
}

impl Shared {
    /// Asks for a pass of an intent, by the driver of its cluster.
    fn trigger(&self, intent: ObjectRef) {
        route(&self.connected, &self.unconnected, intent);
    }

    /// Asks for a pass of every intent of a cluster.
    fn trigger_namespace(&self, namespace: &str) {
        for intent in self.intents.all() {
            if intent.namespace().as_deref() == Some(namespace) {
                self.trigger(ObjectRef::new(namespace, intent.name_any()));
            }
        }
    }
}

fn route(connected: &Connected, unconnected: &Trigger<ObjectRef>, intent: ObjectRef) {
    connected.trigger(&intent.namespace).unwrap_or_else(|| unconnected.clone()).now(intent);
}

/// Runs an issuer whenever this replica leads, until `stop`.
pub async fn run_elected(config: IssuerConfig, election: ElectionConfig, stop: CancellationToken) {
    while_elected(election, stop, |term| {
        let client = term.fence(config.client.clone());
        let connect = config.connect.clone().within(term.clone());
        let metrics = config.metrics.clone();
        let issuer = run(IssuerConfig { client, connect, ..config.clone() }, term.stop());
        async move {
            issuer.await;
            // Who follows is connected to no cluster, and that is no alarm.
            metrics.cluster_connected.clear();
        }
    })
    .await;
}

/// Runs an issuer until `stop`; passes that have begun are finished.
pub async fn run(config: IssuerConfig, stop: CancellationToken) {
    let IssuerConfig {
        namespace,
        agent_namespace,
        client,
        any_ca_namespace,
        clock,
        metrics,
        readiness,
        connect,
        issuance_log,
        spawner,
    } = config;
    let client = limited(client);
    let tasks = Tasks::of(spawner);
    let connected = Arc::new(Connected::default());
    let (unconnected_driver, unconnected) =
        Driver::<IntentReconciler>::prepare(clock.clone(), PASSES_PER_CLUSTER);
    let (registry_driver, registry) = Driver::<Registry>::prepare(clock.clone(), CONNECTS);

    let intents = watch_intents(&client, &connected, &unconnected, &tasks, &stop);
    let clusters = watch_clusters(&client, &namespace, &registry, &tasks, &stop);
    let secrets = watch_secrets(
        &client,
        &namespace,
        &intents,
        &clusters,
        &registry,
        (&connected, &unconnected),
        &tasks,
        &stop,
    );
    let shared = Arc::new(Shared {
        requests: Requests::new(client.clone(), metrics.clone()),
        events: Events::new(client, "certmesh-issuer"),
        signing_cas: SigningCas::default(),
        signatures: Signatures::OffThread,
        settings: Settings { namespace, allows_foreign_ca_namespaces: any_ca_namespace },
        agent_namespace,
        clock,
        metrics,
        connect,
        issuance_log,
        intents: intents.clone(),
        secrets: secrets.clone(),
        clusters: clusters.clone(),
        connected,
        unconnected,
        tasks: tasks.clone(),
        stop: stop.clone(),
    });
    tokio::select! {
        () = stop.cancelled() => {}
        ((), (), ()) = async { tokio::join!(intents.synced(), secrets.synced(), clusters.synced()) } => {
            let unconnected = IntentReconciler::unconnected(Arc::clone(&shared));
            tasks.spawn(unconnected_driver.build(Arc::new(unconnected)).run(stop.clone()));
            tasks.spawn(registry_driver.build(Arc::new(Registry { shared })).run(stop.clone()));
            readiness.set_ready();
            stop.cancelled().await;
        }
    }
    tasks.ended().await;
}

fn watch_intents(
    client: &Client,
    connected: &Arc<Connected>,
    unconnected: &Trigger<ObjectRef>,
    tasks: &Tasks,
    stop: &CancellationToken,
) -> Cache<IssuedCertificate> {
    let (connected, unconnected) = (Arc::clone(connected), unconnected.clone());
    let on_change = move |change: Change<'_, IssuedCertificate>| {
        if let Change::Object(intent) = change {
            route(&connected, &unconnected, name_of(intent));
        }
    };
    let (cache, task) = Cache::watch(client, Api::all, watch_config(), stop.clone(), on_change);
    tasks.spawn(task);
    cache
}

fn watch_clusters(
    client: &Client,
    namespace: &str,
    registry: &Trigger<String>,
    tasks: &Tasks,
    stop: &CancellationToken,
) -> Cache<KubernetesCluster> {
    let registry = registry.clone();
    let on_change = move |change: Change<'_, KubernetesCluster>| {
        if let Change::Object(cluster) = change {
            registry.now(cluster.name_any());
        }
    };
    let api = |client| Api::namespaced(client, namespace);
    let (cache, task) = Cache::watch(client, api, watch_config(), stop.clone(), on_change);
    tasks.spawn(task);
    cache
}

/// A Secret of the issuer's namespace may be a kubeconfig, a signing CA, or neither.
#[expect(clippy::too_many_arguments, reason = "wiring: each is another wire")]
fn watch_secrets(
    client: &Client,
    namespace: &str,
    intents: &Cache<IssuedCertificate>,
    clusters: &Cache<KubernetesCluster>,
    registry: &Trigger<String>,
    (connected, unconnected): (&Arc<Connected>, &Trigger<ObjectRef>),
    tasks: &Tasks,
    stop: &CancellationToken,
) -> Cache<Secret> {
    let (intents, clusters, registry) = (intents.clone(), clusters.clone(), registry.clone());
    let (connected, unconnected) = (Arc::clone(connected), unconnected.clone());
    let on_change = move |change: Change<'_, Secret>| {
        let Change::Object(secret) = change else { return };
        let reference = name_of(secret);
        for cluster in clusters.all() {
            if registry::secret_name(&cluster) == reference.name {
                registry.now(cluster.name_any());
            }
        }
        for intent in intents.all() {
            if names_ca(&intent.spec, &reference) {
                route(&connected, &unconnected, name_of(&*intent));
            }
        }
    };
    let (cache, task) = Cache::watch(
        client,
        |client| Api::namespaced(client, namespace),
        watch_config(),
        stop.clone(),
        on_change,
    );
    tasks.spawn(task);
    cache
}

/// Whether an intent is signed under the CA in this Secret, or was.
fn names_ca(spec: &IssuedCertificateSpec, secret: &ObjectRef) -> bool {
    let of = |ca: &Option<certmesh_api::certificates::RootCertificateAuthority>| {
        ca.as_ref().and_then(|ca| ca.signing_certificate_secret.as_ref()) == Some(secret)
    };
    of(&spec.gloo_mesh_ca)
        || of(&spec.previous_gloo_mesh_ca)
        || spec.signing_certificate_secret.as_ref() == Some(secret)
}

fn name_of(object: &impl ResourceExt) -> ObjectRef {
    ObjectRef::new(object.namespace().unwrap_or_default(), object.name_any())
}
