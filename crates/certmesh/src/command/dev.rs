//! `certmesh dev`: embedded clusters to play with, for as long as it runs.

use std::{fmt::Write as _, num::NonZero, path::PathBuf};

use certmesh_api::{certificates::ObjectRef, names::well_known};
use certmesh_controllers::IssuanceLog;
use certmesh_x509::KeyAlgorithm;
use tokio_util::sync::CancellationToken;

use crate::{
    exit::Exit,
    failure::Failure,
    fleet::{Controllers, Directory, Fleet, new_root},
    output, shutdown,
};

/// Start embedded clusters to try things on with kubectl, until Ctrl-C
///
/// A management cluster and some remote ones, in this process and in memory, on loopback. Definitions and rights are
/// installed, the remote clusters are registered, a signing CA is in Secret certmesh/root-ca, and issuer and agents run.
/// DIR gets a kubeconfig for each cluster (of the administrator) and the issuance log; they are removed at the end.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  certmesh dev --dir /tmp/certmesh &\n  \
    kubectl --kubeconfig /tmp/certmesh/management.kubeconfig apply -f examples/")]
pub(crate) struct Options {
    /// Directory for the kubeconfigs: a new or an empty one, or one of an earlier run
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Number of remote clusters
    #[arg(long, value_name = "N", default_value = "2", value_parser = clap::value_parser!(u16).range(1..=100))]
    clusters: u16,
    /// Only the clusters: run issuer and agents yourself
    #[arg(long)]
    no_controllers: bool,
}

pub(crate) fn run(options: &Options) -> Result<Exit, Failure> {
    shutdown::run(async |stop| {
        let mut directory = Directory::take(&options.dir)?;
        let fleet = Fleet::start(NonZero::new(options.clusters).unwrap_or(NonZero::<u16>::MIN)).await?;
        let Some(controllers) = stop.run_until_cancelled(set_up(&fleet, &mut directory, options)).await
        else {
            fleet.shutdown().await;
            return Ok(Exit::Done);
        };
        let controllers = controllers?;
        directory.write_kubeconfigs(&fleet)?;
        output::print(&instructions(&fleet, &directory))?;
        let outcome = wait(controllers, &stop).await;
        fleet.shutdown().await;
        outcome.map(|()| Exit::Done)
    })
}

async fn set_up(
    fleet: &Fleet,
    directory: &mut Directory,
    options: &Options,
) -> Result<Option<Controllers>, Failure> {
    let target = ObjectRef::new(well_known::ISTIO_NAMESPACE, well_known::ISTIO_CA_SECRET);
    fleet.install(&[target]).await?;
    fleet.store_root(&new_root(KeyAlgorithm::EcdsaP256).await?).await?;
    fleet.register().await?;
    if options.no_controllers {
        return Ok(None);
    }
    let log = IssuanceLog::new(directory.append("issuance.jsonl")?);
    Ok(Some(fleet.run(log).await?))
}

async fn wait(controllers: Option<Controllers>, stop: &CancellationToken) -> Result<(), Failure> {
    let Some(mut controllers) = controllers else {
        stop.cancelled().await;
        return Ok(());
    };
    controllers.watch(stop).await?;
    controllers.stop().await;
    Ok(())
}

fn instructions(fleet: &Fleet, directory: &Directory) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    for member in fleet.members() {
        let _ = writeln!(
            text,
            "{:<12} {}  {}",
            member.name(),
            member.url(),
            directory.kubeconfig(member).display()
        );
    }
    let management = directory.kubeconfig(fleet.management());
    let remote = fleet.remotes().first();
    let _ = write!(
        text,
        "\nThe clusters live in this process, until Ctrl-C. In another terminal:\n\n  \
         export KUBECONFIG={}\n  \
         kubectl apply -f examples/\n  \
         kubectl get issuedcertificates -A\n  \
         kubectl wait -A --for=condition=Ready issuedcertificates --all\n",
        management.display()
    );
    if let Some(remote) = remote {
        let _ = writeln!(
            text,
            "  certmesh inspect {}/istio-system/cacerts --kubeconfig {}",
            remote.name(),
            directory.kubeconfig(remote).display()
        );
    }
    text
}
