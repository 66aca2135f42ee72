//! Runs a bench target of a crate, which prints what it finds.

use super::Findings;
use crate::failure::Failure;
use crate::process::Logged;
use crate::workspace::Workspace;

/// What `cargo bench` prints for one target.
pub(super) fn findings(workspace: &Workspace, package: &str, target: &str) -> Result<Findings, Failure> {
    run(command(workspace, package, target))
}

/// `cargo bench` for one target.
pub(super) fn command<'a>(workspace: &'a Workspace, package: &str, target: &str) -> Logged<'a> {
    let arguments = ["bench", "--locked", "--quiet", "--package", package, "--bench", target];
    Logged::cargo(workspace, &format!("bench-{target}"), arguments)
}

/// What it prints.
pub(super) fn run(bench: Logged<'_>) -> Result<Findings, Failure> {
    Ok(Findings::read(&bench.run("run the command by hand")?))
}
