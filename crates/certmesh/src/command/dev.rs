//! `certmesh dev`: embedded clusters to play with, for as long as it runs.

use std::{fmt::Write as _, num::NonZero, path::PathBuf};

use certmesh_api::{certificates::ObjectRef, names::well_known};
use certmesh_controllers::IssuanceLog;
use certmesh_x509::KeyAlgorithm;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::{
    exit::Exit,
    failure::Failure,
    fleet::{Controllers, Directory, Fleet, Member, new_root},
    output::{self, OutputFormat},
    shutdown,
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
    /// Form of what is printed once all is ready
    #[arg(long, short, value_enum, value_name = "FORMAT", default_value = "text")]
    output: OutputFormat,
}

/// Where the clusters are. The JSON is stable: fields are only ever added.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    management: ClusterReport,
    remotes: Vec<ClusterReport>,
    #[serde(skip)]
    has_controllers: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ClusterReport {
    name: String,
    url: String,
    /// Path of the kubeconfig.
    kubeconfig: PathBuf,
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
        let report = Report::new(&fleet, &directory, !options.no_controllers);
        output::print_data(options.output, &report, instructions)?;
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

impl Report {
    fn new(fleet: &Fleet, directory: &Directory, has_controllers: bool) -> Self {
        let report = |member: &Member| ClusterReport {
            name: member.name().to_owned(),
            url: member.url().to_owned(),
            kubeconfig: directory.kubeconfig(member),
        };
        let remotes = fleet.remotes().iter().map(report).collect();
        Self { management: report(fleet.management()), remotes, has_controllers }
    }
}

fn instructions(report: &Report) -> String {
    // Writing to a String does not fail.
    let mut text = String::new();
    for ClusterReport { name, url, kubeconfig } in std::iter::once(&report.management).chain(&report.remotes)
    {
        let _ = writeln!(text, "{name:<12} {url}  {}", kubeconfig.display());
    }
    text.push_str("\nThe clusters live in this process, until Ctrl-C. In another terminal:\n\n");
    let management = report.management.kubeconfig.display();
    if !report.has_controllers {
        let _ = writeln!(text, "  certmesh issuer --kubeconfig {management}");
        for remote in &report.remotes {
            let any = "--health-addr 127.0.0.1:0 --metrics-addr 127.0.0.1:0";
            let _ = writeln!(text, "  certmesh agent --kubeconfig {} {any}", remote.kubeconfig.display());
        }
    }
    let _ = write!(
        text,
        "  export KUBECONFIG={management}\n  \
         kubectl apply -f examples/\n  \
         kubectl get issuedcertificates -A\n  \
         kubectl wait -A --for=condition=Ready issuedcertificates --all\n"
    );
    if let Some(remote) = report.remotes.first() {
        let (name, kubeconfig) = (&remote.name, remote.kubeconfig.display());
        let _ = writeln!(text, "  certmesh inspect {name}/istio-system/cacerts --kubeconfig {kubeconfig}");
    }
    text
}
