//! One management cluster and some remote ones, embedded in this process, set up as a person would set up real ones.
//!
//! ```text
//!   start ─▶ install ─▶ register ─▶ run
//!   TLS on   CRDs, RBAC  kubeconfig   issuer and agents, each with a token of its own account:
//!   loopback of the      Secrets,     nothing here ever runs as administrator but the setting up
//!            product     namespaces
//! ```
//!
//! The clusters live in memory and are gone with the process. The same manifests are installed as by `certmesh install`,
//! but for the Deployments: there are no nodes to run them.

mod access;
mod apply;
mod controllers;
mod directory;
mod setup;

use std::num::NonZero;

use certmesh_api::ClusterName;
use certmesh_apiserver::{Cluster, Limits, Server};

use crate::failure::Failure;

pub use apply::apply_yaml;
pub use controllers::Controllers;
pub use directory::Directory;
pub use setup::{ROOT_CA, new_root};

/// Some embedded clusters, served over TLS on loopback.
pub struct Fleet {
    management: Member,
    remotes: Vec<Member>,
    server: Server,
}

/// One cluster of a fleet. Clones are handles to the same cluster.
#[derive(Clone)]
pub struct Member {
    name: String,
    cluster: Cluster,
    url: String,
}

/// The management cluster's name in kubeconfigs.
const MANAGEMENT: &str = "management";

impl Fleet {
    /// Starts a management cluster and `remotes` others: `cluster-1`, `cluster-2`, …; they are empty.
    pub async fn start(remotes: NonZero<u16>) -> Result<Self, Failure> {
        let server = Server::new(Limits::default());
        let management = Member::start(&server, MANAGEMENT.to_owned()).await?;
        let mut fleet = Self { management, remotes: Vec::new(), server };
        for number in 1..=remotes.get() {
            fleet.remotes.push(Member::start(&fleet.server, format!("cluster-{number}")).await?);
        }
        Ok(fleet)
    }

    /// The management cluster.
    pub fn management(&self) -> &Member {
        &self.management
    }

    /// The remote clusters, in the order of their numbers.
    pub fn remotes(&self) -> &[Member] {
        &self.remotes
    }

    /// All clusters, the management cluster first.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        std::iter::once(&self.management).chain(&self.remotes)
    }

    /// Ends all watches and connections, and with them the clusters.
    pub async fn shutdown(self) {
        self.members().for_each(|member| member.cluster.end_watches());
        self.server.shutdown().await;
    }
}

impl Member {
    async fn start(server: &Server, name: String) -> Result<Self, Failure> {
        let failed = || Failure::new(format!("starting the embedded cluster {name}"));
        let cluster = Cluster::new(&name).map_err(|error| failed().because(error))?;
        let address = server.serve(&cluster).await.map_err(|error| failed().because(error))?;
        Ok(Self { name: name.clone(), cluster, url: format!("https://{address}") })
    }

    /// Its name, which is also that of its context in a kubeconfig.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is served.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its name as that of a registered cluster.
    fn registered_name(&self) -> Result<ClusterName, Failure> {
        self.name.parse().map_err(|error| Failure::new(format!("registering {}", self.name)).because(error))
    }
}
