//! The servers that are compared.

use std::path::Path;

use certmesh_rig::{Binaries, Rig};

use super::{
    client::{Access, Client},
    embedded::Child,
};

/// A server, a client of it, and the processes that serve it.
pub(crate) struct Target {
    pub(crate) client: Client,
    pub(crate) access: Access,
    pub(crate) pids: Vec<u32>,
}

/// kube-apiserver and etcd, from the folder that the environment names.
pub(crate) fn start_rig(directory: &Path) -> Rig {
    let binaries = Binaries::from_environment()
        .unwrap_or_else(|error| panic!("run this by `cargo xtask bench apiserver`: {error}"));
    let mut rig = Rig::start(&binaries, directory, &["bench"]).unwrap();
    rig.stop_controllers();
    rig
}

impl Target {
    pub(crate) async fn embedded(child: &Child) -> Self {
        Self::new(child.access.clone(), vec![child.pid()]).await
    }

    pub(crate) async fn real(rig: &Rig) -> Self {
        let cluster = &rig.clusters()[0];
        let access = Access {
            address: cluster.url().trim_start_matches("https://").parse().unwrap(),
            ca_pem: cluster.ca_pem().to_owned(),
            token: cluster.admin_token().to_owned(),
        };
        Self::new(access, rig.pids()).await
    }

    async fn new(access: Access, pids: Vec<u32>) -> Self {
        Self { client: Client::connect(&access).await, access, pids }
    }
}
