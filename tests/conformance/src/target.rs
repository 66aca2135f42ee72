//! The servers that cases are held against.

use crate::client::{Client, ClientError};
use certmesh_apiserver::{Cluster, Limits, Server};
use certmesh_rig::{Binaries, Rig};
use std::error::Error;
use tempfile::TempDir;

/// A running server.
#[derive(Debug)]
pub enum Target {
    /// The embedded server, in this process, over TLS.
    Embedded {
        /// Speaks with it as its administrator.
        client: Client,
        /// Ends when dropped.
        server: Server,
    },
    /// kube-apiserver with etcd and kube-controller-manager.
    Real {
        /// Speaks with it as its administrator.
        client: Client,
        /// Ends when dropped, and before its files go.
        rig: Rig,
        /// Its files.
        directory: TempDir,
    },
}

impl Target {
    /// Starts an embedded server. Must be called on a tokio runtime.
    pub async fn embedded() -> Result<Self, Box<dyn Error + Send + Sync>> {
        let cluster = Cluster::new("conformance")?;
        let server = Server::new(Limits::default());
        let address = server.serve(&cluster).await?;
        let kubeconfig = cluster.kubeconfig(Cluster::admin())?.to_value();
        let token = kubeconfig["users"][0]["user"]["token"].as_str().unwrap_or_default();
        let client = Client::new(&format!("https://{address}"), cluster.ca_pem(), token)?;
        Ok(Self::Embedded { client, server })
    }

    /// Starts the programs that the environment names, see [`Binaries::from_environment`].
    pub fn real() -> Result<Self, Box<dyn Error + Send + Sync>> {
        let binaries = Binaries::from_environment()?;
        let directory = tempfile::Builder::new().prefix("certmesh-conformance-").tempdir()?;
        let rig = Rig::start(&binaries, directory.path(), &["conformance"])?;
        let cluster = &rig.clusters()[0];
        let client: Result<Client, ClientError> =
            Client::new(cluster.url(), cluster.ca_pem(), cluster.admin_token());
        Ok(Self::Real { client: client?, rig, directory })
    }

    /// Speaks with the server as its administrator.
    pub fn client(&self) -> &Client {
        match self {
            Self::Embedded { client, .. } | Self::Real { client, .. } => client,
        }
    }
}
