//! A mesh whose issuer and agents are processes: over TLS, with tokens, under the rights that we ship.

use certmesh_api::certificates::{
    CertificateRequest, CommonCertOptions, IssuedCertificate, IssuedCertificateSpec, KeyAlgorithmName,
    ObjectRef, RootCertificateAuthority,
};
use certmesh_api::manifests::{Agent, Issuer, Manifest, RemoteIssuer};
use certmesh_api::multicluster::{KubernetesCluster, KubernetesClusterSpec};
use certmesh_api::names::{annotations, labels, secret_types, well_known};
use certmesh_api::secrets;
use certmesh_x509::{CertificateAuthority, KeyAlgorithm, PrivateKey, SerialNumber};
use k8s_openapi::ByteString;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, Secret, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DynamicObject, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub(crate) const HOME: &str = well_known::NAMESPACE;
const ROOT_CA: &str = "root-ca";
/// The namespaces into whose `cacerts` agents may write: one for each story.
pub(crate) const TARGETS: &[&str] = &["issued", "killed", "renewed", "foreign", "deleted"];

/// A server that is there already.
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) ca_pem: String,
    pub(crate) admin_token: String,
}

impl Server {
    /// A kubeconfig without references to files.
    fn kubeconfig(&self, token: &str) -> String {
        let authority = serde_json::to_value(ByteString(self.ca_pem.clone().into_bytes())).expect("base64");
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": self.name,
            "clusters": [{"name": self.name, "cluster": {"server": self.url, "certificate-authority-data": authority}}],
            "users": [{"name": "user", "user": {"token": token}}],
            "contexts": [{"name": self.name, "context": {"cluster": self.name, "user": "user"}}],
        })
        .to_string()
    }

    async fn client(&self, token: &str) -> Client {
        let kubeconfig = Kubeconfig::from_yaml(&self.kubeconfig(token)).expect("JSON is YAML");
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
        Client::try_from(config.expect("a complete kubeconfig")).expect("a client")
    }
}

/// One cluster and its administrator.
pub(crate) struct Member {
    server: Server,
    pub(crate) admin: Client,
}

impl Member {
    async fn new(server: Server) -> Self {
        let admin = server.client(&server.admin_token).await;
        Self { server, admin }
    }

    pub(crate) fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.admin.clone(), namespace)
    }

    pub(crate) async fn cacerts(&self, namespace: &str) -> Option<Secret> {
        self.api::<Secret>(namespace).get_opt("cacerts").await.expect("the administrator may read it")
    }

    /// The rights of one of our accounts.
    pub(crate) async fn as_account(&self, account: &str) -> Client {
        self.server.client(&self.token(account).await).await
    }

    async fn token(&self, account: &str) -> String {
        let request = TokenRequest {
            spec: Some(TokenRequestSpec { expiration_seconds: Some(3600), ..TokenRequestSpec::default() }),
            ..TokenRequest::default()
        };
        let accounts = self.api::<ServiceAccount>(HOME);
        let made = accounts.create_token_request(account, &PostParams::default(), &request).await;
        made.expect("a token").status.and_then(|status| status.token).expect("a token in it")
    }

    async fn install(&self, manifests: &[Manifest]) {
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

    async fn make_namespace(&self, name: &str, labels: BTreeMap<String, String>) {
        let metadata =
            ObjectMeta { name: Some(name.to_owned()), labels: Some(labels), ..ObjectMeta::default() };
        let namespace = Namespace { metadata, ..Namespace::default() };
        let made = Api::<Namespace>::all(self.admin.clone()).create(&PostParams::default(), &namespace).await;
        made.expect("the administrator may create it");
    }
}

/// A management cluster, remote clusters, and the processes that serve them.
pub(crate) struct Mesh {
    pub(crate) management: Member,
    /// `cluster-1`, `cluster-2`, …
    pub(crate) remotes: Vec<Member>,
    files: TempDir,
    processes: Mutex<Vec<Process>>,
}

impl Mesh {
    /// Installs everything in the first server as management cluster and the others as remote ones, and starts the
    /// processes.
    pub(crate) async fn start(servers: Vec<Server>) -> Self {
        let mut members = Vec::new();
        for server in servers {
            members.push(Member::new(server).await);
        }
        let remotes = members.split_off(1);
        let management = members.pop().expect("a management cluster");
        management.install(&Issuer::default().manifests()).await;
        let files = tempfile::tempdir().expect("a temporary directory");
        let mesh = Self { management, remotes, files, processes: Mutex::default() };
        mesh.create_root_ca().await;
        for number in 1..=mesh.remotes.len() {
            mesh.join(number).await;
        }
        mesh.write_kubeconfigs().await;
        mesh.start_processes();
        mesh
    }

    async fn create_root_ca(&self) {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).expect("a key");
        let serial = SerialNumber::random().expect("a serial number");
        let lifetime = CertificateAuthority::DEFAULT_ROOT_LIFETIME;
        let now = jiff::Timestamp::now();
        let root = CertificateAuthority::self_signed_root(key, "certmesh test", lifetime, &serial, now)
            .expect("a root");
        let pem = root.certificate().to_pem().into_bytes();
        let files = [
            (secrets::CA_CERT, pem.clone()),
            (secrets::CA_KEY, root.key().to_pem().as_bytes().to_vec()),
            (secrets::CERT_CHAIN, pem),
            (secrets::ROOT_CERT, root.roots().as_pem().to_vec()),
        ];
        let mut secret =
            secret(ROOT_CA, files.map(|(name, bytes)| (name.to_owned(), ByteString(bytes))).into());
        secret.annotations_mut().insert(annotations::ALLOW_CLUSTERS.to_owned(), "*".to_owned());
        self.create(HOME, &secret).await;
    }

    /// Installs agent and rights in a remote cluster and registers it.
    async fn join(&self, number: usize) {
        let (name, remote) = (format!("cluster-{number}"), &self.remotes[number - 1]);
        for target in TARGETS {
            remote.make_namespace(target, BTreeMap::new()).await;
        }
        let targets = TARGETS.iter().map(|namespace| ObjectRef::new(*namespace, "cacerts")).collect();
        remote.install(&Agent { targets, ..Agent::default() }.manifests()).await;
        remote.install(&RemoteIssuer::default().manifests()).await;
        let label = BTreeMap::from([(labels::REGISTERED_CLUSTER.to_owned(), name.clone())]);
        self.management.make_namespace(&name, label).await;
        let kubeconfig = remote.server.kubeconfig(&remote.token(RemoteIssuer::NAME).await);
        let data = BTreeMap::from([(secrets::KUBECONFIG.to_owned(), ByteString(kubeconfig.into_bytes()))]);
        let registration = Secret { type_: Some(secret_types::KUBECONFIG.to_owned()), ..secret(&name, data) };
        self.create(HOME, &registration).await;
        let spec = KubernetesClusterSpec { secret_name: name.clone(), cluster_domain: String::new() };
        self.create(HOME, &KubernetesCluster::new(&name, spec)).await;
    }

    pub(crate) async fn create<K>(&self, namespace: &str, object: &K)
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::Serialize
            + serde::de::DeserializeOwned,
    {
        let created = self.management.api::<K>(namespace).create(&PostParams::default(), object).await;
        created.expect("the administrator may create it");
    }

    /// Asks for a certificate for `cluster`, in the `cacerts` of a target namespace.
    pub(crate) async fn ask(&self, cluster: &str, target: &str, ttl_seconds: Option<u32>) {
        let spec = IssuedCertificateSpec {
            hosts: vec![format!("spiffe://{cluster}.example/ns/{target}/sa/istiod")],
            issued_certificate_secret: Some(ObjectRef::new(target, "cacerts")),
            cert_options: Some(CommonCertOptions {
                key_algorithm: Some(KeyAlgorithmName::EcdsaP256),
                ttl_seconds,
                ..CommonCertOptions::default()
            }),
            gloo_mesh_ca: Some(RootCertificateAuthority {
                signing_certificate_secret: Some(ObjectRef::new(HOME, ROOT_CA)),
            }),
            ..IssuedCertificateSpec::default()
        };
        self.create(cluster, &IssuedCertificate::new(target, spec)).await;
    }

    /// The intent once it is as wanted.
    pub(crate) async fn until(
        &self,
        cluster: &str,
        name: &str,
        wanted: impl Fn(Option<&IssuedCertificate>) -> bool,
    ) -> Option<IssuedCertificate> {
        let api = self.management.api::<IssuedCertificate>(cluster);
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let intent = api.get_opt(name).await.expect("the administrator may read it");
            if wanted(intent.as_ref()) {
                return intent;
            }
            assert!(
                Instant::now() < deadline,
                "{cluster}/{name} is not as wanted: {intent:#?}\n{}",
                self.logs()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Whether neither request nor pending key is left in a remote cluster.
    pub(crate) async fn is_clean(&self, index: usize, name: &str) -> bool {
        let remote = &self.remotes[index];
        let request = remote.api::<CertificateRequest>(HOME).get_opt(name).await.expect("it may be read");
        let key = remote.api::<Secret>(HOME).get_opt(name).await.expect("it may be read");
        request.is_none() && key.is_none()
    }

    async fn write_kubeconfigs(&self) {
        let token = self.management.token(Issuer::NAME).await;
        write(&self.kubeconfig("issuer"), &self.management.server.kubeconfig(&token));
        for remote in &self.remotes {
            let token = remote.token(Agent::NAME).await;
            write(&self.kubeconfig(&remote.server.name), &remote.server.kubeconfig(&token));
        }
    }

    fn kubeconfig(&self, name: &str) -> PathBuf {
        self.files.path().join(format!("{name}.kubeconfig"))
    }

    pub(crate) fn start_processes(&self) {
        let mut started = vec![self.process("issuer", "issuer")];
        started.extend(self.remotes.iter().map(|remote| self.process("agent", &remote.server.name)));
        self.processes.lock().unwrap_or_else(PoisonError::into_inner).extend(started);
    }

    /// As a power cut would.
    pub(crate) fn kill_processes(&self) {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn process(&self, command: &str, name: &str) -> Process {
        let log = std::fs::File::options().create(true).append(true).open(self.log(name)).expect("a log");
        let child = Command::new(env!("CARGO_BIN_EXE_certmesh"))
            .args([command, "--health-addr", "127.0.0.1:0", "--metrics-addr", "127.0.0.1:0"])
            .arg("--kubeconfig")
            .arg(self.kubeconfig(name))
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn();
        Process(child.expect("our own program"))
    }

    fn log(&self, name: &str) -> PathBuf {
        self.files.path().join(format!("{name}.log"))
    }

    /// The ends of all logs, for whoever has to find out what went wrong.
    fn logs(&self) -> String {
        let names =
            std::iter::once("issuer").chain(self.remotes.iter().map(|remote| remote.server.name.as_str()));
        let tail = |name: &str| {
            let text = std::fs::read_to_string(self.log(name)).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            format!("--- {name}\n{}\n", lines[lines.len().saturating_sub(15)..].join("\n"))
        };
        names.map(tail).collect()
    }
}

/// Killed when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn secret(name: &str, data: BTreeMap<String, ByteString>) -> Secret {
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    Secret { metadata, data: Some(data), ..Secret::default() }
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("a file in a directory of ours");
}

/// Whether the certificate is in place and nothing is left to do.
pub(crate) fn is_ready(intent: Option<&IssuedCertificate>) -> bool {
    intent.is_some_and(|intent| {
        let status = intent.status.as_ref();
        status.is_some_and(|status| {
            status.observed_generation == intent.metadata.generation.unwrap_or_default()
                && status.conditions.iter().any(|one| one.type_ == "Ready" && one.status == "True")
        })
    })
}

/// Whether the `Ready` condition gives this reason.
pub(crate) fn is_refused(intent: Option<&IssuedCertificate>, reason: &str) -> bool {
    let conditions = intent.and_then(|intent| intent.status.as_ref()).map(|status| &status.conditions);
    conditions
        .into_iter()
        .flatten()
        .any(|one| one.type_ == "Ready" && one.status == "False" && one.reason == reason)
}
