//! The recorded answers are those of a real kube-apiserver, and issuer and agents do their work on it. It is built first
//! when it is not in the cache: five minutes on two cores. That the embedded server does the same is among the tests.

use super::test_suite::Totals;
use crate::failure::Failure;
use crate::process::Logged;
use crate::tools::{api_server, kubectl};
use crate::workspace::Workspace;
use certmesh_rig::Binaries;

/// Set to record answers instead of comparing them.
const RECORD: &str = "CONFORMANCE_RECORD";

/// Chooses the random requests.
const SEED: &str = "CONFORMANCE_SEED";
/// The same ones each time, so that a change fails for what it changes: who looks for new differences sets another seed, or
/// runs the test `generated` by itself, which draws one.
const STANDING_SEED: &str = "3110482236375952689";

/// What is run with the real server: the recorded cases and transcripts, random requests, and issuer and agents as processes.
const TESTS: &[&str] = &["kube_apiserver", "kubectl_real", "generated", "processes_real"];
/// How many of them, from the first, are recorded.
const RECORDED: usize = 2;

pub(super) fn run(workspace: &Workspace) -> Result<String, Failure> {
    let seed = std::env::var(SEED).unwrap_or_else(|_| STANDING_SEED.to_owned());
    let output = against_real_server(workspace, TESTS, |command| command.env(SEED, seed))?;
    let note = Totals::read(&output).note()?;
    Ok(format!("{note}; {}", random_requests(&output)?))
}

/// Writes what a real server answers, and what kubectl makes of it, into the cases' and transcripts' files.
pub(crate) fn record(workspace: &Workspace) -> Result<String, Failure> {
    let output = against_real_server(workspace, &TESTS[..RECORDED], |command| command.env(RECORD, "1"))?;
    Totals::read(&output).note()
}

fn against_real_server(
    workspace: &Workspace,
    tests: &[&str],
    prepare: impl FnOnce(Logged<'_>) -> Logged<'_>,
) -> Result<String, Failure> {
    let binaries = api_server::locate_or_build(workspace)?;
    let kubectl = kubectl::locate_or_install(workspace)?;
    // The whole workspace for the sake of its features: with `--package`, cargo would build dependencies again.
    let arguments = ["test", "--workspace", "--locked", "--no-fail-fast"].into_iter();
    let tests = tests.iter().flat_map(|test| ["--test", test]);
    let command = Logged::cargo(workspace, "conformance", arguments.chain(tests))
        .env(Binaries::VARIABLE, binaries.directory())
        .env("KUBECTL", kubectl);
    let advice = "see what the server answers now; if that is right, record it with `cargo xtask rig record` and read the diff; \
                  CONTRIBUTING.md tells what to do about random requests that are answered differently";
    prepare(command).run(advice)
}

/// The line in which the random requests are counted.
fn random_requests(output: &str) -> Result<&str, Failure> {
    let line = output.lines().find(|line| line.contains(" random requests, "));
    line.ok_or_else(|| Failure::new("no random requests were sent", "see that the test `generated` runs"))
}
