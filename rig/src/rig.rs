//! One etcd and any number of API servers on top of it, each with its controllers.

use crate::binaries::Binaries;
use crate::error::RigError;
use crate::ports;
use crate::process::Process;
use crate::ready;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use certmesh_x509::{KeyAlgorithm, PrivateKey};
use serde_json::json;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a program may take to become ready: seconds, unless the machine is busy building.
const STARTUP: Duration = Duration::from_secs(120);

/// The controllers whose work clients of the API count on. Nothing is scheduled, and no kubelet runs.
const CONTROLLERS: &str = "garbage-collector-controller,namespace-controller,serviceaccount-controller,\
                           root-ca-certificate-publisher-controller,disruption-controller";

/// A running cluster of a rig.
#[derive(Clone, Debug)]
pub struct RealCluster {
    name: String,
    url: String,
    ca_pem: String,
    token: String,
    kubeconfig: PathBuf,
}

impl RealCluster {
    /// The cluster's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is served, such as `https://127.0.0.1:40123`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The certificates (PEM) that its serving certificate is verified with.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The bearer token of the user that may do everything.
    pub fn admin_token(&self) -> &str {
        &self.token
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }
}

/// Running clusters, which end when this is dropped.
#[derive(Debug)]
pub struct Rig {
    clusters: Vec<RealCluster>,
    /// Of etcd, which the others need until they have ended.
    etcd: Process,
    servers: Vec<Process>,
    controllers: Vec<Process>,
}

impl Rig {
    /// Starts a cluster for each name, with all their files in `directory`, which is made when it is not there.
    pub fn start(
        binaries: &Binaries,
        directory: impl AsRef<Path>,
        names: &[impl AsRef<str>],
    ) -> Result<Self, RigError> {
        let directory = directory.as_ref();
        for name in names {
            check_name(name.as_ref())?;
        }
        make(directory)?;
        let directory =
            directory.canonicalize().map_err(|error| RigError::file("resolving", directory, error))?;
        let [etcd_port, peer_port] = ports::free()?;
        let etcd = start_etcd(binaries, &directory, etcd_port, peer_port)?;
        let mut rig = Self { clusters: Vec::new(), etcd, servers: Vec::new(), controllers: Vec::new() };
        let starting = names
            .iter()
            .map(|name| rig.start_api_server(binaries, &directory, name.as_ref(), etcd_port))
            .collect::<Result<Vec<_>, _>>()?;
        for plan in &starting {
            rig.finish(binaries, plan)?;
        }
        Ok(rig)
    }

    /// The clusters, in the order of their names' list.
    pub fn clusters(&self) -> &[RealCluster] {
        &self.clusters
    }

    /// The ids of all processes.
    pub fn pids(&self) -> Vec<u32> {
        self.processes().map(Process::pid).collect()
    }

    /// An error if a process has ended.
    pub fn check(&self) -> Result<(), RigError> {
        self.processes().try_for_each(Process::check)
    }

    /// Ends the controllers and waits for them, so that only clients ask something of the API servers: for measurements.
    pub fn stop_controllers(&mut self) {
        self.controllers.iter_mut().for_each(Process::begin_stop);
        self.controllers.clear();
    }

    fn processes(&self) -> impl Iterator<Item = &Process> {
        std::iter::once(&self.etcd).chain(&self.servers).chain(&self.controllers)
    }

    /// Ends all processes and waits for them.
    pub fn stop(self) {
        drop(self);
    }

    fn start_api_server(
        &mut self,
        binaries: &Binaries,
        directory: &Path,
        name: &str,
        etcd_port: u16,
    ) -> Result<Plan, RigError> {
        let plan = Plan::new(directory.join(name), name)?;
        let server = Process::start(
            &format!("kube-apiserver of {name}"),
            &binaries.path("kube-apiserver"),
            plan.api_server_flags(etcd_port),
            plan.directory.join("kube-apiserver.log"),
        )?;
        self.servers.push(server);
        Ok(Plan { server: self.servers.len() - 1, ..plan })
    }

    /// Waits for the API server, then starts its controllers.
    fn finish(&mut self, binaries: &Binaries, plan: &Plan) -> Result<(), RigError> {
        let certificate = plan.certificate();
        self.servers[plan.server].wait_until(STARTUP, || ready::ask(plan.port, &certificate, &plan.token))?;
        let ca_pem = read(&certificate)?;
        let cluster = plan.cluster(ca_pem);
        write_private(&cluster.kubeconfig, &kubeconfig(&cluster))?;
        self.controllers.push(Process::start(
            &format!("kube-controller-manager of {}", plan.name),
            &binaries.path("kube-controller-manager"),
            plan.controller_flags(&cluster.kubeconfig),
            plan.directory.join("kube-controller-manager.log"),
        )?);
        self.clusters.push(cluster);
        Ok(())
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        for process in self.controllers.iter_mut().chain(&mut self.servers) {
            process.begin_stop();
        }
        // Waits for each. etcd is a field and is dropped after this.
        self.controllers.clear();
        self.servers.clear();
    }
}

/// An API server about to run.
struct Plan {
    name: String,
    directory: PathBuf,
    port: u16,
    token: String,
    server: usize,
}

impl Plan {
    fn new(directory: PathBuf, name: &str) -> Result<Self, RigError> {
        make(&directory)?;
        let [port] = ports::free()?;
        let plan = Self { name: name.to_owned(), directory, port, token: random_token()?, server: 0 };
        let key = PrivateKey::generate(KeyAlgorithm::Rsa2048)?;
        write_private(&plan.token_key(), key.to_pem().as_str())?;
        let admin = format!("{},kubernetes-admin,kubernetes-admin,system:masters\n", plan.token);
        write_private(&plan.token_file(), &admin)?;
        Ok(plan)
    }

    fn certificate(&self) -> PathBuf {
        self.directory.join("certificates/apiserver.crt")
    }

    fn token_key(&self) -> PathBuf {
        self.directory.join("service-accounts.key")
    }

    fn token_file(&self) -> PathBuf {
        self.directory.join("tokens.csv")
    }

    fn api_server_flags(&self, etcd_port: u16) -> Vec<OsString> {
        vec![
            format!("--etcd-servers=http://127.0.0.1:{etcd_port}").into(),
            format!("--etcd-prefix=/{}", self.name).into(),
            "--bind-address=127.0.0.1".into(),
            "--advertise-address=127.0.0.1".into(),
            format!("--secure-port={}", self.port).into(),
            flag("--cert-dir=", &self.directory.join("certificates")),
            "--authorization-mode=RBAC".into(),
            flag("--token-auth-file=", &self.token_file()),
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local".into(),
            flag("--service-account-key-file=", &self.token_key()),
            flag("--service-account-signing-key-file=", &self.token_key()),
            "--service-cluster-ip-range=10.96.0.0/16".into(),
            "--endpoint-reconciler-type=none".into(),
            // Pods are objects here; nobody would mount the tokens that it adds to them.
            "--disable-admission-plugins=ServiceAccount".into(),
            "--profiling=false".into(),
        ]
    }

    fn controller_flags(&self, kubeconfig: &Path) -> Vec<OsString> {
        vec![
            flag("--kubeconfig=", kubeconfig),
            flag("--root-ca-file=", &self.certificate()),
            flag("--service-account-private-key-file=", &self.token_key()),
            format!("--controllers={CONTROLLERS}").into(),
            "--leader-elect=false".into(),
            "--secure-port=0".into(),
            "--profiling=false".into(),
        ]
    }

    fn cluster(&self, ca_pem: String) -> RealCluster {
        RealCluster {
            name: self.name.clone(),
            url: format!("https://127.0.0.1:{}", self.port),
            ca_pem,
            token: self.token.clone(),
            kubeconfig: self.directory.join("kubeconfig"),
        }
    }
}

fn start_etcd(binaries: &Binaries, directory: &Path, port: u16, peer_port: u16) -> Result<Process, RigError> {
    let client = format!("http://127.0.0.1:{port}");
    let peer = format!("http://127.0.0.1:{peer_port}");
    let flags = vec![
        flag("--data-dir=", &directory.join("etcd")),
        format!("--listen-client-urls={client}").into(),
        format!("--advertise-client-urls={client}").into(),
        format!("--listen-peer-urls={peer}").into(),
        format!("--initial-advertise-peer-urls={peer}").into(),
        format!("--initial-cluster=default={peer}").into(),
        // What is in here need not survive the machine.
        "--unsafe-no-fsync".into(),
        "--log-level=warn".into(),
    ];
    let etcd = Process::start("etcd", &binaries.path("etcd"), flags, directory.join("etcd.log"))?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    etcd.wait_until(STARTUP, || TcpStream::connect(address).map(drop).map_err(|error| error.to_string()))?;
    Ok(etcd)
}

fn flag(name: &str, path: &Path) -> OsString {
    let mut flag = OsString::from(name);
    flag.push(path);
    flag
}

fn check_name(name: &str) -> Result<(), RigError> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    // `etcd` is the folder of etcd's data.
    if name.is_empty() || name == "etcd" || !name.chars().all(allowed) {
        return Err(RigError::Name { name: name.to_owned() });
    }
    Ok(())
}

fn kubeconfig(cluster: &RealCluster) -> String {
    // JSON is YAML.
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster.name, "cluster": {
            "server": cluster.url,
            "certificate-authority-data": STANDARD.encode(&cluster.ca_pem),
        }}],
        "users": [{"name": "kubernetes-admin", "user": {"token": cluster.token}}],
        "contexts": [{"name": cluster.name, "context": {"cluster": cluster.name, "user": "kubernetes-admin"}}],
        "current-context": cluster.name,
    });
    format!("{config:#}\n")
}

fn random_token() -> Result<String, RigError> {
    let mut bytes = [0_u8; 16];
    File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut bytes))
        .map_err(|source| RigError::System { doing: "making a token", source })?;
    let mut token = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(token, "{byte:02x}").expect("a String takes everything");
    }
    Ok(token)
}

fn make(directory: &Path) -> Result<(), RigError> {
    std::fs::create_dir_all(directory).map_err(|error| RigError::file("making", directory, error))
}

fn read(path: &Path) -> Result<String, RigError> {
    std::fs::read_to_string(path).map_err(|error| RigError::file("reading", path, error))
}

fn write_private(path: &Path, text: &str) -> Result<(), RigError> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| RigError::file("writing", path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_leave_their_folder_are_refused() {
        for name in ["", "..", "a/b", "etcd", "A", "a b"] {
            assert!(matches!(check_name(name), Err(RigError::Name { .. })), "{name:?}");
        }
        assert!(check_name("cluster-1").is_ok());
    }

    #[test]
    fn tokens_differ_and_fit_a_line_of_the_token_file() {
        let (a, b) = (random_token().unwrap(), random_token().unwrap());
        assert_ne!(a, b);
        assert!(a.len() == 32 && a.chars().all(|c| c.is_ascii_hexdigit()));
    }
}
