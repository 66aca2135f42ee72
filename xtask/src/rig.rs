//! `cargo xtask rig`: real Kubernetes API servers to try things on, see the crate `certmesh-rig`.

use crate::failure::Failure;
use crate::steps::conformance;
use crate::tools::api_server;
use crate::workspace::Workspace;
use certmesh_rig::{Rig, RigError};
use clap::Subcommand;
use std::path::PathBuf;
use std::time::Duration;

/// What to do with real API servers.
#[derive(Subcommand)]
pub(crate) enum RigCommand {
    /// Build etcd, kube-apiserver and kube-controller-manager unless that is done, and print where they are.
    Build,
    /// Record what a real server answers to the conformance cases.
    Record,
    /// Start clusters, and stop them on Ctrl-C or SIGTERM.
    Up {
        /// How many API servers, named cluster-1, cluster-2, …
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
        clusters: u16,
        /// Where to keep kubeconfigs, logs and data; made if it is not there.
        #[arg(long)]
        dir: PathBuf,
    },
}

pub(crate) fn run(workspace: &Workspace, command: &RigCommand) -> Result<(), Failure> {
    let binaries = api_server::locate_or_build(workspace)?;
    match command {
        RigCommand::Build => {
            println!("{}", binaries.directory().display());
            Ok(())
        }
        RigCommand::Record => conformance::record(workspace).map(|note| println!("{note}")),
        RigCommand::Up { clusters, dir } => {
            let names: Vec<String> = (1..=*clusters).map(|number| format!("cluster-{number}")).collect();
            let rig = Rig::start(&binaries, dir, &names).map_err(|error| failed(&error))?;
            for cluster in rig.clusters() {
                println!("{}  {}", cluster.name(), cluster.url());
                println!("  export KUBECONFIG={}", cluster.kubeconfig().display());
            }
            println!("Ctrl-C stops them.");
            until_stopped(&rig)?;
            rig.stop();
            Ok(())
        }
    }
}

/// Waits for a signal, or for a process that ends by itself.
fn until_stopped(rig: &Rig) -> Result<(), Failure> {
    let system =
        |error: std::io::Error| Failure::new(format!("waiting for signals: {error}"), "run this again");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(system)?;
    runtime.block_on(async {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminated = signal(SignalKind::terminate()).map_err(system)?;
        let mut hung_up = signal(SignalKind::hangup()).map_err(system)?;
        let mut look = tokio::time::interval(Duration::from_millis(500));
        loop {
            tokio::select! {
                interrupted = tokio::signal::ctrl_c() => return interrupted.map_err(system),
                _ = terminated.recv() => return Ok(()),
                _ = hung_up.recv() => return Ok(()),
                _ = look.tick() => rig.check().map_err(|error| failed(&error))?,
            }
        }
    })
}

fn failed(error: &RigError) -> Failure {
    Failure::new(format!("running the API servers: {error}"), "look into the logs, then run this again")
}
