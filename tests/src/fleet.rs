//! A management cluster and some remote ones, embedded, with everything installed and nothing running yet.
//!
//! Issuer and agents run under the product's own RBAC, over in-process clients: no sockets, so that a test with paused
//! time can live through a year in a moment.

use crate::faults::Faults;
use crate::link::Link;
use crate::logs::SharedLog;
use crate::objects::{metadata, signing_secret};
use crate::templates::Template;
use certmesh_api::certificates::{CertificateRequest, ObjectRef};
use certmesh_api::manifests::{Agent, Issuer, RemoteIssuer};
use certmesh_api::multicluster::{KubernetesCluster, KubernetesClusterSpec};
use certmesh_api::names::{labels, secret_types, well_known};
use certmesh_api::secrets;
use certmesh_apiserver::rbac::UserInfo;
use certmesh_apiserver::{Cluster, Limits, Server};
use certmesh_controllers::agent::{self, AgentConfig};
use certmesh_controllers::issuer::{self, Connector, IssuerConfig};
use certmesh_controllers::{
    Clock, ElectionConfig, IssuanceLog, KeyMaker, KubeconfigRefusal, Metrics, Readiness, Timing,
    client_from_secret, connect, parse_kubeconfig,
};
use certmesh_x509::{CertificateAuthority, KeyAlgorithm, PrivateKey, SerialNumber};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::config::KubeConfigOptions;
use kube::{Api, Client, Config, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The namespace of issuer and agents.
pub const HOME: &str = well_known::NAMESPACE;
/// The Secret of the signing CA that a fleet starts with.
pub const ROOT_CA: &str = "root-ca";
/// Where tests begin: 2030-01-01T00:00:00Z.
pub(crate) const START: i64 = 1_893_456_000;

/// A management cluster and some remote ones.
pub struct Fleet {
    /// The management cluster.
    pub management: Cluster,
    /// `cluster-1`, `cluster-2`, …
    pub remotes: Vec<Cluster>,
    /// The time that everything in the fleet goes by.
    pub clock: Clock,
    /// What the issuer recorded.
    pub issuance_log: SharedLog,
    /// What issuer and agents counted.
    pub metrics: Metrics,
    /// The issuer's ways to `cluster-1`, `cluster-2`, …
    pub links: Vec<Link>,
    transport: Transport,
}

/// How issuer, agents and tests reach the clusters.
#[derive(Clone)]
pub enum Transport {
    /// Without sockets; goes with paused time.
    InProcess,
    /// HTTP/2 over TLS on loopback, as in production.
    Tls(Arc<Server>),
}

impl Transport {
    /// TLS on loopback.
    pub fn tls() -> Self {
        Self::Tls(Arc::new(Server::new(Limits::default())))
    }

    async fn serve(&self, cluster: &Cluster) {
        if let Self::Tls(server) = self {
            server.serve(cluster).await.expect("a free port on loopback");
        }
    }

    /// A client of `cluster` that acts as `user`.
    async fn client(&self, cluster: &Cluster, user: UserInfo) -> Client {
        match self {
            Self::InProcess => cluster.client(user),
            Self::Tls(_) => {
                let yaml = kubeconfig(cluster, user);
                let parsed = parse_kubeconfig(yaml.as_bytes()).expect("a kubeconfig that the issuer takes");
                let config = Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default()).await;
                connect(&config.expect("a complete kubeconfig")).expect("a client")
            }
        }
    }

    /// What a registration Secret holds: a kubeconfig, or in this process no more than the cluster's name.
    fn registration(&self, cluster: &Cluster) -> String {
        match self {
            Self::InProcess => cluster.name().to_owned(),
            Self::Tls(_) => kubeconfig(cluster, Cluster::service_account(HOME, RemoteIssuer::NAME)),
        }
    }
}

fn kubeconfig(cluster: &Cluster, user: UserInfo) -> String {
    cluster.kubeconfig(user).expect("the cluster is served").to_yaml()
}

/// A running issuer or agent.
pub struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    fn begin(
        faults: &Faults,
        process: impl Future<Output = ()> + Send + 'static,
        stop: CancellationToken,
    ) -> Self {
        Self { task: tokio::spawn(faults.signals().around(Box::pin(process))), stop }
    }

    /// Ends it as SIGTERM would: passes that have begun are finished.
    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("a controller ends without a panic");
    }

    /// Ends it as SIGKILL would: in the middle of whatever it does.
    pub async fn kill(self) {
        self.task.abort();
        // Tasks of its own end at their next await.
        self.stop.cancel();
        let _ = self.task.await;
    }
}

/// Ends them all as SIGTERM would.
pub async fn stop(running: Vec<Running>) {
    for controller in running {
        controller.stop().await;
    }
}

impl Fleet {
    /// A fleet of this many remote clusters, each registered, with a P-256 signing CA in `certmesh/root-ca`.
    pub async fn new(remotes: usize) -> Self {
        Self::with_targets(remotes, &[ObjectRef::new("istio-system", "cacerts")]).await
    }

    /// The same, whose agents may write to these Secrets.
    pub async fn with_targets(remotes: usize, targets: &[ObjectRef]) -> Self {
        let start = Timestamp::from_second(START).expect("a time in range");
        Self::start(remotes, targets, Clock::following_tokio(start), Transport::InProcess).await
    }

    /// The same, on a clock and a transport of the caller's choice.
    pub async fn start(remotes: usize, targets: &[ObjectRef], clock: Clock, transport: Transport) -> Self {
        let template = Template::of("management", Vec::new(), || Issuer::default().manifests());
        let management = template.cluster(&clock);
        transport.serve(&management).await;
        let mut fleet = Self {
            management,
            remotes: Vec::new(),
            clock,
            issuance_log: SharedLog::default(),
            metrics: Metrics::default(),
            links: Vec::new(),
            transport,
        };
        for number in 1..=remotes {
            fleet.join(number, targets).await;
        }
        fleet.create_root_ca(ROOT_CA, KeyAlgorithm::EcdsaP256).await;
        fleet
    }

    async fn join(&mut self, number: usize, targets: &[ObjectRef]) {
        let name = format!("cluster-{number}");
        let template = Template::of(&name, targets.to_vec(), || {
            let agent = Agent { targets: targets.to_vec(), ..Agent::default() };
            [agent.manifests(), RemoteIssuer::default().manifests()].concat()
        });
        let remote = template.cluster(&self.clock);
        self.transport.serve(&remote).await;
        let registration = self.transport.registration(&remote);
        self.remotes.push(remote);
        self.links.push(Link::default());
        self.register(&name, &registration).await;
    }

    /// Registers a cluster under a name: namespace, kubeconfig Secret, KubernetesCluster. In process the kubeconfig is
    /// the name of a cluster of this fleet.
    pub async fn register(&self, name: &str, kubeconfig: &str) {
        ensure_namespace(&self.management, name, Some(name)).await;
        let secret = Secret {
            metadata: metadata(HOME, name),
            type_: Some(secret_types::KUBECONFIG.to_owned()),
            data: Some(BTreeMap::from([(secrets::KUBECONFIG.to_owned(), ByteString(kubeconfig.into()))])),
            ..Secret::default()
        };
        self.create(&self.management, &secret).await;
        let spec = KubernetesClusterSpec { secret_name: name.to_owned(), cluster_domain: String::new() };
        let mut cluster = KubernetesCluster::new(name, spec);
        cluster.metadata.namespace = Some(HOME.to_owned());
        self.create(&self.management, &cluster).await;
    }

    /// Stores a new root as a signing CA that may sign for all clusters, and returns it.
    pub async fn create_root_ca(&self, name: &str, algorithm: KeyAlgorithm) -> CertificateAuthority {
        let authority = self.new_root(algorithm);
        self.create(&self.management, &signing_secret(name, &authority)).await;
        authority
    }

    /// Makes a root that is stored nowhere.
    pub fn new_root(&self, algorithm: KeyAlgorithm) -> CertificateAuthority {
        let key = PrivateKey::generate(algorithm).expect("a key");
        let serial = SerialNumber::random().expect("a serial number");
        let lifetime = CertificateAuthority::DEFAULT_ROOT_LIFETIME;
        CertificateAuthority::self_signed_root(key, "certmesh test", lifetime, &serial, self.clock.now())
            .expect("a root")
    }

    /// Starts the issuer under its own rights.
    pub async fn run_issuer(&self, faults: &Faults) -> Running {
        self.run_issuer_with(faults, self.connector(faults)).await
    }

    /// Starts the issuer under its own rights, with another way to connect to clusters.
    pub async fn run_issuer_with(&self, faults: &Faults, connect: Connector) -> Running {
        let stop = CancellationToken::new();
        let config = self.issuer_config(self.issuers_client().await, faults, connect);
        Running::begin(faults, issuer::run(config, stop.clone()), stop)
    }

    /// Starts an issuer that works while it is elected, with its own way to the management cluster.
    pub async fn run_elected_issuer(&self, identity: &str, faults: &Faults, link: &Link) -> Running {
        self.run_issuer_elected_in(Timing::default(), identity, faults, link).await
    }

    /// The same, with other times.
    pub async fn run_issuer_elected_in(
        &self,
        timing: Timing,
        identity: &str,
        faults: &Faults,
        link: &Link,
    ) -> Running {
        let client = link.wrap(self.issuers_client().await);
        let stop = CancellationToken::new();
        let config = self.issuer_config(client, faults, self.connector(faults));
        let election = ElectionConfig {
            client: config.client.clone(),
            lease: ObjectRef::new(HOME, Issuer::NAME),
            identity: identity.to_owned(),
            timing,
            clock: config.clock.clone(),
            metrics: config.metrics.clone(),
            readiness: config.readiness.clone(),
        };
        Running::begin(faults, issuer::run_elected(config, election, stop.clone()), stop)
    }

    async fn issuers_client(&self) -> Client {
        self.client(&self.management, Cluster::service_account(HOME, Issuer::NAME)).await
    }

    fn issuer_config(&self, client: Client, faults: &Faults, connect: Connector) -> IssuerConfig {
        IssuerConfig {
            namespace: HOME.to_owned(),
            agent_namespace: HOME.to_owned(),
            client: faults.wrap(client),
            any_ca_namespace: false,
            clock: faults.clock().over(&self.clock),
            metrics: self.metrics.clone(),
            readiness: Readiness::default(),
            connect,
            issuance_log: IssuanceLog::new(self.issuance_log.clone()),
            spawner: faults.signals().spawner(),
        }
    }

    fn connector(&self, faults: &Faults) -> Connector {
        let ways: Vec<_> = self.remotes.iter().cloned().zip(self.links.iter().cloned()).collect();
        let (ways, transport, faults) = (Arc::new(ways), self.transport.clone(), faults.clone());
        Connector::new(move |secret| {
            let (ways, transport, faults) = (Arc::clone(&ways), transport.clone(), faults.clone());
            async move {
                let client = match transport {
                    Transport::Tls(_) => client_from_secret(&secret).await?,
                    Transport::InProcess => in_process(&ways, &secret)?,
                };
                Ok(faults.wrap(client))
            }
        })
    }

    /// Starts the agent of `remotes[index]` under its own rights.
    pub async fn run_agent(&self, index: usize, faults: &Faults) -> Running {
        let client = self.client(&self.remotes[index], Cluster::service_account(HOME, Agent::NAME)).await;
        let client = faults.wrap(client);
        let stop = CancellationToken::new();
        let config = AgentConfig {
            namespace: HOME.to_owned(),
            requests: client.clone(),
            local: client,
            clock: faults.clock().over(&self.clock),
            keys: KeyMaker::default(),
            metrics: self.metrics.clone(),
            readiness: Readiness::default(),
            spawner: faults.signals().spawner(),
        };
        Running::begin(faults, agent::run(config, stop.clone()), stop)
    }

    /// A client of `cluster` that acts as `user`, over the fleet's transport.
    pub async fn client(&self, cluster: &Cluster, user: UserInfo) -> Client {
        self.transport.client(cluster, user).await
    }

    /// Starts the issuer and all agents, without faults.
    pub async fn run_all(&self) -> Vec<Running> {
        let faults = Faults::default();
        let mut running = vec![self.run_issuer(&faults).await];
        for index in 0..self.remotes.len() {
            running.push(self.run_agent(index, &faults).await);
        }
        running
    }

    /// API writes of issuer and agents so far by kind and verb, as `/metrics` tells them.
    pub fn writes(&self) -> BTreeMap<String, u32> {
        let text = self.metrics.encode().expect("metrics");
        let lines = text.lines().filter_map(|line| line.strip_prefix("certmesh_api_writes_total"));
        lines
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(labels, count)| (labels.to_owned(), count.parse().expect("a count")))
            .collect()
    }

    /// Creates an object as the cluster's administrator.
    pub async fn create<K>(&self, cluster: &Cluster, object: &K) -> K
    where
        K: Kind,
    {
        let api = api::<K>(cluster, &object.namespace().unwrap_or_default());
        api.create(&PostParams::default(), object).await.expect("the administrator may create it")
    }

    /// Merges a patch into an object as the cluster's administrator.
    pub async fn patch<K: Kind>(
        &self,
        cluster: &Cluster,
        namespace: &str,
        name: &str,
        patch: serde_json::Value,
    ) -> K {
        let api = api::<K>(cluster, namespace);
        api.patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .expect("the administrator may patch it")
    }

    /// Reads an object as the cluster's administrator.
    pub async fn get<K: Kind>(&self, cluster: &Cluster, namespace: &str, name: &str) -> Option<K> {
        api::<K>(cluster, namespace).get_opt(name).await.expect("the administrator may read it")
    }

    /// Deletes an object as the cluster's administrator.
    pub async fn delete<K: Kind>(&self, cluster: &Cluster, namespace: &str, name: &str) {
        api::<K>(cluster, namespace)
            .delete(name, &DeleteParams::default())
            .await
            .expect("the administrator may delete it");
    }

    /// Waits until an object is as wanted, at most ten minutes of the fleet's time.
    pub async fn wait<K: Kind>(
        &self,
        cluster: &Cluster,
        namespace: &str,
        name: &str,
        wanted: impl Fn(Option<&K>) -> bool,
    ) -> Option<K> {
        self.wait_for(Duration::from_secs(600), cluster, namespace, name, wanted).await
    }

    /// Waits until an object is as wanted, for a while of the fleet's time.
    pub async fn wait_for<K: Kind>(
        &self,
        limit: Duration,
        cluster: &Cluster,
        namespace: &str,
        name: &str,
        wanted: impl Fn(Option<&K>) -> bool,
    ) -> Option<K> {
        let begin = tokio::time::Instant::now();
        loop {
            let object = self.get::<K>(cluster, namespace, name).await;
            if wanted(object.as_ref()) {
                return object;
            }
            if begin.elapsed() >= limit {
                let shown =
                    object.and_then(|object| serde_yaml(&object)).unwrap_or_else(|| "absent".to_owned());
                panic!("{} {namespace}/{name} is not as wanted after {limit:?}:\n{shown}", K::kind(&()));
            }
            let is_long = begin.elapsed() > Duration::from_secs(10);
            tokio::time::sleep(Duration::from_millis(if is_long { 1000 } else { 50 })).await;
        }
    }
}

/// The issuer's client of the cluster that a registration names.
fn in_process(ways: &[(Cluster, Link)], secret: &Secret) -> Result<Client, KubeconfigRefusal> {
    let name = secrets::data(secret, secrets::KUBECONFIG).unwrap_or_default();
    let way = ways.iter().find(|(cluster, _)| cluster.name().as_bytes() == name);
    let (cluster, link) = way.ok_or(KubeconfigRefusal::Missing)?;
    Ok(link.wrap(cluster.client(Cluster::service_account(HOME, RemoteIssuer::NAME))))
}

/// A namespaced kind that tests read and write.
pub trait Kind:
    Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
{
}

impl<K> Kind for K where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
{
}

/// Whether neither request nor pending key of this name is left in the cluster.
pub async fn is_clean(fleet: &Fleet, cluster: &Cluster, name: &str) -> bool {
    fleet.get::<CertificateRequest>(cluster, HOME, name).await.is_none()
        && fleet.get::<Secret>(cluster, HOME, name).await.is_none()
}

/// Makes a namespace unless it is there.
pub async fn ensure_namespace(cluster: &Cluster, name: &str, registered_as: Option<&str>) {
    let api = Api::<Namespace>::all(admin(cluster));
    if api.get_opt(name).await.expect("the administrator may read it").is_some() {
        return;
    }
    let mut namespace = Namespace {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        ..Namespace::default()
    };
    if let Some(cluster) = registered_as {
        namespace.labels_mut().insert(labels::REGISTERED_CLUSTER.to_owned(), cluster.to_owned());
    }
    api.create(&PostParams::default(), &namespace).await.expect("the administrator may create it");
}

fn admin(cluster: &Cluster) -> Client {
    cluster.client(Cluster::admin())
}

fn api<K: Kind>(cluster: &Cluster, namespace: &str) -> Api<K> {
    Api::namespaced(admin(cluster), namespace)
}

/// As people see it, without what a Secret holds.
fn serde_yaml(object: &impl Serialize) -> Option<String> {
    let mut value = serde_json::to_value(object).ok()?;
    value.as_object_mut()?.remove("data");
    serde_saphyr::to_string(&value).ok()
}
