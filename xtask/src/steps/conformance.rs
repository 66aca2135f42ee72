//! The recorded answers are those of a real kube-apiserver, and issuer and agents do their work on it. It is built first
//! when it is not in the cache: five minutes on two cores. That the embedded server does the same is among the tests.

use super::test_suite::Totals;
use crate::failure::Failure;
use crate::process::Logged;
use crate::tools::api_server;
use crate::workspace::Workspace;
use certmesh_rig::Binaries;

/// Set to record answers instead of comparing them.
const RECORD: &str = "CONFORMANCE_RECORD";

pub(super) fn run(workspace: &Workspace) -> Result<String, Failure> {
    against_real_server(workspace, |command| command)
}

/// Writes what a real server answers into the cases' files.
pub(crate) fn record(workspace: &Workspace) -> Result<String, Failure> {
    against_real_server(workspace, |command| command.env(RECORD, "1"))
}

fn against_real_server(
    workspace: &Workspace,
    prepare: impl FnOnce(Logged<'_>) -> Logged<'_>,
) -> Result<String, Failure> {
    let binaries = api_server::locate_or_build(workspace)?;
    // The whole workspace for the sake of its features: with `--package`, cargo would build dependencies again.
    let command = Logged::cargo(
        workspace,
        "conformance",
        [
            "test",
            "--workspace",
            "--locked",
            "--no-fail-fast",
            "--test",
            "kube_apiserver",
            "--test",
            "processes_real",
        ],
    )
    .env(Binaries::VARIABLE, binaries.directory());
    let advice = "see what the server answers now; if that is right, record it with `cargo xtask rig record` and read the diff";
    Totals::read(&prepare(command).run(advice)?).note()
}
