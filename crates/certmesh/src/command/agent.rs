//! `certmesh agent`: the controller of a remote cluster.

use certmesh_api::names::well_known;
use certmesh_controllers::{
    Clock, KeyMaker, Spawner,
    agent::{self, AgentConfig},
};

use super::controller::{self, Health, ListenOptions};
use crate::{
    exit::Exit,
    failure::Failure,
    kube_access::{KubeOptions, namespace},
    shutdown,
};

/// Run the agent of a remote cluster: it makes the private keys, asks the issuer to sign, and stores what it gets
///
/// Private keys never leave this cluster. `certmesh install agent --print` has its Deployment and its rights.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  certmesh agent --namespace certmesh --context cluster-1")]
pub(crate) struct Options {
    /// The agent's namespace, in which copies, requests and pending keys are
    #[arg(long, short, value_name = "NAMESPACE", default_value = well_known::NAMESPACE, value_parser = namespace)]
    namespace: String,
    #[command(flatten)]
    listen: ListenOptions,
    #[command(flatten)]
    kube: KubeOptions,
}

pub(crate) fn run(options: &Options) -> Result<Exit, Failure> {
    shutdown::run(async |stop| {
        let client = options.kube.client().await?;
        let health = Health::default();
        let config = AgentConfig {
            namespace: options.namespace.clone(),
            requests: client.clone(),
            local: client,
            clock: Clock::system(),
            keys: KeyMaker::default(),
            metrics: health.metrics.clone(),
            readiness: health.readiness.clone(),
            spawner: Spawner::default(),
        };
        tracing::info!(namespace = options.namespace, "agent starts");
        controller::run(agent::run(config, stop.clone()), &options.listen, &health, stop).await
    })
}
