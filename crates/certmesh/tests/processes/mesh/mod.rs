//! A mesh whose issuer and agents are processes: over TLS, with tokens, under the rights that we ship.
//!
//! ```text
//!   issuer ──TLS──▶ management                 Member    a server and its administrator, who tells the stories
//!      └───TLS──▶ Link ──▶ cluster-1, …        Link      can be cut, or go silent
//!   agent of cluster-1 ──TLS──▶ cluster-1      Program   a process of ours; killed and started at will
//!                                              Versions  every version of objects, as a watcher sees them
//! ```

mod link;
mod program;
mod reading;
mod server;
mod versions;

pub(crate) use link::LinkState;
pub(crate) use reading::whole;
pub(crate) use server::{Kind, Member, Server};
pub(crate) use versions::{Version, Versions};

use certmesh_api::certificates::{IssuedCertificate, ObjectRef};
use certmesh_api::manifests::{Agent, Issuer, RemoteIssuer};
use certmesh_api::multicluster::{KubernetesCluster, KubernetesClusterSpec};
use certmesh_api::names::{labels, secret_types, well_known};
use certmesh_api::secrets;
use certmesh_tests::signing_secret;
use certmesh_x509::{CertificateAuthority, KeyAlgorithm, PrivateKey, SerialNumber};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use link::Link;
use program::Program;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tempfile::TempDir;

pub(crate) const HOME: &str = well_known::NAMESPACE;
/// The Secret of the signing CA that the mesh starts with.
pub(crate) const ROOT_CA: &str = certmesh_tests::ROOT_CA;
/// What processes log unless a story wants more.
const FILTER: &str = "info";

/// A management cluster, remote clusters, and the processes that serve them.
pub(crate) struct Mesh {
    pub(crate) management: Member,
    /// `cluster-1`, `cluster-2`, …
    pub(crate) remotes: Vec<Member>,
    /// The issuer's ways to them.
    links: Vec<Link>,
    /// The key and certificate in [`ROOT_CA`].
    pub(crate) root: CertificateAuthority,
    files: TempDir,
    programs: Mutex<BTreeMap<String, Program>>,
}

impl Mesh {
    /// Installs everything in the first server as management cluster and the others as remote ones, whose agents may
    /// write to `targets`, and starts the processes.
    pub(crate) async fn start(servers: Vec<Server>, targets: &[ObjectRef]) -> Self {
        let mut members = Vec::new();
        for server in servers {
            members.push(Member::new(server).await);
        }
        let remotes = members.split_off(1);
        let management = members.pop().expect("a management cluster");
        management.install(&Issuer::default().manifests()).await;
        let mut links = Vec::new();
        for remote in &remotes {
            links.push(Link::to(remote.server.address()).await);
        }
        let files = tempfile::tempdir().expect("a temporary directory");
        let root = new_root();
        let mesh = Self { management, remotes, links, root, files, programs: Mutex::default() };
        mesh.management.create(HOME, &signing_secret(ROOT_CA, &mesh.root)).await;
        for index in 0..mesh.remotes.len() {
            mesh.join(index, targets).await;
        }
        mesh.write_kubeconfigs().await;
        mesh.start_all(FILTER);
        mesh
    }

    /// Installs agent and rights in a remote cluster and registers it.
    async fn join(&self, index: usize, targets: &[ObjectRef]) {
        let remote = &self.remotes[index];
        for target in targets {
            remote.ensure_namespace(&target.namespace, BTreeMap::new()).await;
        }
        remote.install(&Agent { targets: targets.to_vec(), ..Agent::default() }.manifests()).await;
        remote.install(&RemoteIssuer::default().manifests()).await;
        let kubeconfig = self.registration(index).await;
        self.register(&remote.server.name, &kubeconfig).await;
    }

    /// What the issuer is given to reach a remote cluster.
    pub(crate) async fn registration(&self, index: usize) -> String {
        let remote = &self.remotes[index];
        remote.server.kubeconfig(&self.links[index].url(), &remote.token(RemoteIssuer::NAME).await)
    }

    /// Registers a cluster under a name: namespace, kubeconfig Secret, KubernetesCluster.
    pub(crate) async fn register(&self, name: &str, kubeconfig: &str) {
        let label = BTreeMap::from([(labels::REGISTERED_CLUSTER.to_owned(), name.to_owned())]);
        self.management.ensure_namespace(name, label).await;
        self.register_without_namespace(name, kubeconfig).await;
    }

    /// The same, for a namespace that was made for something else.
    pub(crate) async fn register_without_namespace(&self, name: &str, kubeconfig: &str) {
        self.write_registration(name, kubeconfig).await;
        let spec = KubernetesClusterSpec { secret_name: name.to_owned(), cluster_domain: String::new() };
        self.management.create(HOME, &KubernetesCluster::new(name, spec)).await;
    }

    /// The Secret that a registration names.
    pub(crate) async fn write_registration(&self, name: &str, kubeconfig: &str) {
        let secret = Secret {
            metadata: metadata(name),
            type_: Some(secret_types::KUBECONFIG.to_owned()),
            data: Some(BTreeMap::from([(secrets::KUBECONFIG.to_owned(), ByteString(kubeconfig.into()))])),
            ..Secret::default()
        };
        self.management.create(HOME, &secret).await;
    }

    /// The kubeconfigs of our own processes.
    async fn write_kubeconfigs(&self) {
        let management = (&self.management, ISSUER, Issuer::NAME);
        let agents = self.remotes.iter().map(|remote| (remote, remote.server.name.as_str(), Agent::NAME));
        for (member, name, account) in std::iter::once(management).chain(agents) {
            let kubeconfig = member.server.kubeconfig(&member.server.url, &member.token(account).await);
            let path = program::kubeconfig(self.files.path(), name);
            std::fs::write(path, kubeconfig).expect("a file in a directory of ours");
        }
    }

    /// Asks for a certificate for `cluster` in `<story>/cacerts`; the intent is called like the story.
    pub(crate) async fn ask(&self, cluster: &str, story: &str) -> IssuedCertificate {
        self.management.create(cluster, &intent(cluster, story)).await
    }

    /// Behaves like this from now on, between issuer and `remotes[index]`.
    pub(crate) fn set_link(&self, index: usize, state: LinkState) {
        self.links[index].set(state);
    }
}

/// The name under which the issuer runs; agents run under their clusters' names.
pub(crate) const ISSUER: &str = "issuer";

/// The processes.
impl Mesh {
    /// Starts issuer and agents, which log what passes `filter`.
    pub(crate) fn start_all(&self, filter: &str) {
        for name in self.names() {
            self.start_with(&name, filter);
        }
    }

    /// Starts one.
    pub(crate) fn start_program(&self, name: &str) {
        self.start_with(name, FILTER);
    }

    /// Starts one unless it runs.
    pub(crate) fn ensure_running(&self, name: &str) {
        if !self.running().contains_key(name) {
            self.start_program(name);
        }
    }

    fn start_with(&self, name: &str, filter: &str) {
        let command = if name == ISSUER { "issuer" } else { "agent" };
        let program = Program::start(command, self.files.path(), name, filter);
        self.running().insert(name.to_owned(), program);
    }

    /// As a power cut would.
    pub(crate) fn kill_all(&self) {
        self.running().clear();
    }

    /// As SIGKILL does.
    pub(crate) fn kill(&self, name: &str) {
        self.running().remove(name).expect("a running process");
    }

    /// Starts all of them anew.
    pub(crate) fn restart_all(&self) {
        self.kill_all();
        self.start_all(FILTER);
    }

    /// Gives the issuer no time until [`Mesh::go_on`].
    pub(crate) fn pause_issuer(&self) {
        self.running()[ISSUER].pause();
    }

    /// Gives the issuer time again.
    pub(crate) fn go_on(&self) {
        self.running()[ISSUER].go_on();
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<String, Program>> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The names of all processes.
    pub(crate) fn names(&self) -> Vec<String> {
        std::iter::once(ISSUER.to_owned())
            .chain(self.remotes.iter().map(|remote| remote.server.name.clone()))
            .collect()
    }

    /// All that a process has logged in all its lives.
    pub(crate) fn log(&self, name: &str) -> String {
        std::fs::read_to_string(program::log(self.files.path(), name)).expect("a log")
    }

    /// What a process tells at `/metrics`.
    pub(crate) fn metrics(&self, name: &str) -> String {
        program::metrics(self.files.path(), name)
    }

    /// The lines of the issuance log about the intent of this name in this cluster.
    pub(crate) fn records(&self, cluster: &str, name: &str) -> Vec<Value> {
        let object = format!("{HOME}/{name}");
        let all = self.issuance_log();
        let lines = all.lines().map(|line| serde_json::from_str::<Value>(line).expect("a JSON line"));
        lines.filter(|record| record["cluster"] == cluster && record["object"] == object.as_str()).collect()
    }

    /// The issuance log.
    pub(crate) fn issuance_log(&self) -> String {
        std::fs::read_to_string(program::records(self.files.path(), ISSUER)).expect("the issuance log")
    }
}

/// An intent for `cluster` with target `<story>/cacerts`, called like the story.
pub(crate) fn intent(cluster: &str, story: &str) -> IssuedCertificate {
    let mut intent = certmesh_tests::intent(cluster, story);
    intent.spec.issued_certificate_secret = Some(ObjectRef::new(story, "cacerts"));
    intent
}

/// A new root that is stored nowhere.
pub(crate) fn new_root() -> CertificateAuthority {
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).expect("a key");
    let serial = SerialNumber::random().expect("a serial number");
    let lifetime = CertificateAuthority::DEFAULT_ROOT_LIFETIME;
    CertificateAuthority::self_signed_root(key, "certmesh test", lifetime, &serial, jiff::Timestamp::now())
        .expect("a root")
}

/// An object's name, and no more.
pub(crate) fn metadata(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }
}
