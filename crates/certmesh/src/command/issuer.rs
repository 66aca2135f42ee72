//! `certmesh issuer`: the controller of the management cluster.

use std::{
    fs::OpenOptions,
    path::{Path, PathBuf},
};

use certmesh_api::{certificates::ObjectRef, manifests::Issuer, names::well_known};
use certmesh_controllers::{
    Clock, ElectionConfig, IssuanceLog, Spawner, Timing,
    issuer::{self, Connector, IssuerConfig},
};
use jiff::Timestamp;

use super::controller::{self, Health, ListenOptions};
use crate::{
    exit::Exit,
    failure::Failure,
    kube_access::{KubeOptions, namespace},
    shutdown,
};

/// Run the issuer of the management cluster: it carries intents to their clusters and signs what their agents ask for
///
/// One JSON line for each decision to sign or to refuse goes to stdout, or to --issuance-log; nothing is signed when it
/// cannot be written. `certmesh install issuer --print` has its Deployment and its rights.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  certmesh issuer --namespace certmesh --context management")]
pub(crate) struct Options {
    /// The issuer's namespace, in which signing CAs, kubeconfigs and KubernetesClusters are
    #[arg(long, short, value_name = "NAMESPACE", default_value = well_known::NAMESPACE, value_parser = namespace)]
    namespace: String,
    /// The namespace of the agents in their clusters
    #[arg(long, value_name = "NAMESPACE", default_value = well_known::NAMESPACE, value_parser = namespace)]
    agent_namespace: String,
    /// Sign with CA Secrets of any namespace, rather than of the issuer's alone
    ///
    /// Whoever may write an IssuedCertificate can then use every CA that the issuer's account may read.
    #[arg(long)]
    allow_any_ca_namespace: bool,
    /// File to which the issuance log is appended. Default: stdout
    #[arg(long, value_name = "FILE")]
    issuance_log: Option<PathBuf>,
    /// Work only while this replica leads, so that another takes over when it is gone
    ///
    /// The replicas share Lease `certmesh-issuer` in the issuer's namespace: one of them works, the others wait, and take
    /// over within 20 s when it is lost, at once when it shuts down.
    #[arg(long)]
    leader_elect: bool,
    #[command(flatten)]
    listen: ListenOptions,
    #[command(flatten)]
    kube: KubeOptions,
}

pub(crate) fn run(options: &Options) -> Result<Exit, Failure> {
    shutdown::run(async |stop| {
        let issuance_log = issuance_log(options.issuance_log.as_deref())?;
        let client = options.kube.client().await?;
        let health = Health::default();
        let config = IssuerConfig {
            namespace: options.namespace.clone(),
            agent_namespace: options.agent_namespace.clone(),
            client,
            any_ca_namespace: options.allow_any_ca_namespace,
            clock: Clock::system(),
            metrics: health.metrics.clone(),
            readiness: health.readiness.clone(),
            connect: Connector::default(),
            issuance_log,
            spawner: Spawner::default(),
        };
        tracing::info!(namespace = options.namespace, "issuer starts");
        let run = async {
            if options.leader_elect {
                issuer::run_elected(config.clone(), election(&config), stop.clone()).await;
            } else {
                issuer::run(config.clone(), stop.clone()).await;
            }
        };
        controller::run(Box::pin(run), &options.listen, &health, stop.clone()).await
    })
}

fn election(config: &IssuerConfig) -> ElectionConfig {
    ElectionConfig {
        client: config.client.clone(),
        lease: ObjectRef::new(&config.namespace, Issuer::NAME),
        identity: identity(),
        timing: Timing::default(),
        clock: config.clock.clone(),
        metrics: config.metrics.clone(),
        readiness: config.readiness.clone(),
    }
}

/// Names this start of this process: the pod, as people know it, and what no other start of it has.
fn identity() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "issuer".to_owned());
    let nanoseconds = Timestamp::now().as_nanosecond();
    format!("{host}_{}_{nanoseconds:x}", std::process::id())
}

fn issuance_log(path: Option<&Path>) -> Result<IssuanceLog, Failure> {
    let Some(path) = path else { return Ok(IssuanceLog::new(std::io::stdout())) };
    let file = OpenOptions::new().create(true).append(true).open(path).map_err(|error| {
        Failure::new(format!("opening the issuance log {}", path.display()))
            .because(error)
            .advise("give a file in a directory that exists and may be written to")
    })?;
    Ok(IssuanceLog::new(file))
}
