//! `certmesh demo`: the whole system in this process, on real input.
//!
//! ```text
//!   clusters ─▶ install, register ─▶ apply examples/ ─▶ verify ─▶ renew under traffic ─▶ verify ─▶ go on, or exit
//!                                        │
//!                                        └ told as it happens: sights ─▶ world ─▶ narrator
//! ```
//!
//! Nothing is staged: issuer and agents run as they do in pods, over TLS and under their own rights; what is told is what
//! watches show; what is verified is read from the Secrets, and proven by TLS connections.

mod examples;
mod mesh;
mod narrator;
mod sights;
mod story;
mod verify;
mod world;

use std::{num::NonZero, path::PathBuf};

use certmesh_controllers::IssuanceLog;
use certmesh_x509::KeyAlgorithm;
use tokio_util::sync::CancellationToken;

use crate::{
    exit::Exit,
    failure::Failure,
    fleet::{Directory, Fleet},
    shutdown,
};
use narrator::Narrator;
use story::Story;

/// Show the whole system at work on embedded clusters, and verify it
///
/// Starts a management cluster and two remote ones in this process, registers them, runs issuer and agents over TLS
/// under the rights they have in production, applies the YAML of examples/, and shows each step. Then it verifies the
/// Secrets, lets workloads of the clusters talk over mutual TLS both ways, and renews every certificate meanwhile.
/// It stays up for kubectl until Ctrl-C, unless --once is given.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  certmesh demo\n  certmesh demo --once --key ecdsa-p256")]
pub(crate) struct Options {
    /// End when everything is verified: exit code 0 only if all of it was
    #[arg(long)]
    once: bool,
    /// Number of remote clusters
    #[arg(long, value_name = "N", default_value = "2", value_parser = clap::value_parser!(u16).range(2..=20))]
    clusters: u16,
    /// Kind of the root's and the clusters' keys. RSA-4096, the default, takes a second or so for each
    #[arg(long, value_enum, value_name = "KIND", default_value = "rsa-4096")]
    key: Key,
    /// Directory for kubeconfigs: a new or an empty one, or one of an earlier run. Default: a temporary one
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Key {
    #[value(name = "rsa-4096")]
    Rsa4096,
    #[value(name = "rsa-3072")]
    Rsa3072,
    #[value(name = "rsa-2048")]
    Rsa2048,
    #[value(name = "ecdsa-p256")]
    EcdsaP256,
    #[value(name = "ecdsa-p384")]
    EcdsaP384,
}

impl From<Key> for KeyAlgorithm {
    fn from(key: Key) -> Self {
        match key {
            Key::Rsa4096 => Self::Rsa4096,
            Key::Rsa3072 => Self::Rsa3072,
            Key::Rsa2048 => Self::Rsa2048,
            Key::EcdsaP256 => Self::EcdsaP256,
            Key::EcdsaP384 => Self::EcdsaP384,
        }
    }
}

pub(crate) fn run(options: &Options) -> Result<Exit, Failure> {
    shutdown::run(async |stop| {
        let temporary = (options.dir.is_none() && !options.once).then(temporary_directory).transpose()?;
        let path = options.dir.as_deref().or(temporary.as_ref().map(tempfile::TempDir::path));
        let mut directory = path.map(Directory::take).transpose()?;
        let narrator = Narrator::start();
        let clusters = NonZero::new(options.clusters).unwrap_or(NonZero::<u16>::MIN);
        narrator.chapter("A management cluster and remote ones, embedded in this process");
        let fleet = Fleet::start(clusters).await?;
        for member in fleet.members() {
            narrator.tell(member.name(), &format!("serves at {}", member.url()));
        }
        let outcome = tell(&fleet, options, directory.as_mut(), narrator, &stop).await;
        fleet.shutdown().await;
        outcome.map(|()| Exit::Done)
    })
}

async fn tell(
    fleet: &Fleet,
    options: &Options,
    mut directory: Option<&mut Directory>,
    narrator: Narrator,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let issuance_log = match directory.as_mut() {
        Some(directory) => IssuanceLog::new(directory.append("issuance.jsonl")?),
        None => IssuanceLog::new(std::io::sink()),
    };
    let set_up = Story::set_up(fleet, options.key.into(), narrator);
    let mut story = stop.run_until_cancelled(set_up).await.ok_or_else(interrupted)??;
    let mut controllers = fleet.run(issuance_log).await?;
    if let Some(directory) = directory.as_mut() {
        directory.write_kubeconfigs(fleet)?;
    }
    tokio::select! {
        verified = story.issue_verify_and_renew() => verified?,
        ended = controllers.watch(stop) => return ended.and(Err(interrupted())),
    }
    if options.once {
        story.finish().await?;
        story.conclude();
    } else {
        story.conclude();
        if let Some(directory) = directory {
            story.tell_how_to_go_on(directory);
        }
        tokio::select! {
            failed = story.go_on() => failed?,
            ended = controllers.watch(stop) => ended?,
        }
        let connections = story.finish().await?;
        story.take_leave(connections);
    }
    controllers.stop().await;
    Ok(())
}

fn interrupted() -> Failure {
    Failure::new("running the demo").because("it was interrupted before everything was verified")
}

fn temporary_directory() -> Result<tempfile::TempDir, Failure> {
    tempfile::Builder::new().prefix("certmesh-demo-").tempdir().map_err(|error| {
        Failure::new("making a temporary directory for kubeconfigs")
            .because(error)
            .advise("name a directory with --dir")
    })
}
