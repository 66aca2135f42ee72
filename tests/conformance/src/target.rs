//! The servers that cases are held against.

use crate::client::{Client, ClientError};
use certmesh_apiserver::{Cluster, Limits, Server};
use certmesh_rig::{Binaries, Rig};
use std::error::Error;
use tempfile::TempDir;

/// Where a server is, and how its administrator gets in.
#[derive(Clone, Debug)]
pub struct Access {
    /// Such as `https://127.0.0.1:40123`.
    pub url: String,
    /// The certificates (PEM) that its serving certificate is verified with.
    pub ca_pem: String,
    /// The administrator's bearer token.
    pub token: String,
}

impl Access {
    fn client(&self) -> Result<Client, ClientError> {
        Client::new(&self.url, &self.ca_pem, &self.token)
    }
}

/// A running server.
#[derive(Debug)]
pub enum Target {
    /// The embedded server, in this process, over TLS.
    Embedded {
        /// Speaks with it as its administrator.
        client: Client,
        /// For others who would.
        access: Access,
        /// Ends when dropped.
        server: Server,
    },
    /// kube-apiserver with etcd and kube-controller-manager.
    Real {
        /// Speaks with it as its administrator.
        client: Client,
        /// For others who would.
        access: Access,
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
        let access = Access {
            url: format!("https://{address}"),
            ca_pem: cluster.ca_pem().to_owned(),
            token: token.to_owned(),
        };
        Ok(Self::Embedded { client: access.client()?, access, server })
    }

    /// Starts the programs that the environment names, see [`Binaries::from_environment`].
    pub fn real() -> Result<Self, Box<dyn Error + Send + Sync>> {
        let binaries = Binaries::from_environment()?;
        let directory = tempfile::Builder::new().prefix("certmesh-conformance-").tempdir()?;
        let rig = Rig::start(&binaries, directory.path(), &["conformance"])?;
        let cluster = &rig.clusters()[0];
        let access = Access {
            url: cluster.url().to_owned(),
            ca_pem: cluster.ca_pem().to_owned(),
            token: cluster.admin_token().to_owned(),
        };
        Ok(Self::Real { client: access.client()?, access, rig, directory })
    }

    /// Speaks with the server as its administrator.
    pub fn client(&self) -> &Client {
        match self {
            Self::Embedded { client, .. } | Self::Real { client, .. } => client,
        }
    }

    /// For others who would speak with the server as its administrator.
    pub fn access(&self) -> &Access {
        match self {
            Self::Embedded { access, .. } | Self::Real { access, .. } => access,
        }
    }
}
