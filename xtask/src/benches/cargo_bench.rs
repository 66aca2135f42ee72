//! Runs a bench target of a crate, which prints what it finds.

use super::Findings;
use crate::failure::Failure;
use crate::process::Logged;
use crate::workspace::Workspace;

/// What `cargo bench` prints for one target.
pub(super) fn findings(workspace: &Workspace, package: &str, target: &str) -> Result<Findings, Failure> {
    let arguments = ["bench", "--locked", "--quiet", "--package", package, "--bench", target];
    let output =
        Logged::cargo(workspace, &format!("bench-{target}"), arguments).run("run the command by hand")?;
    Ok(Findings::read(&output))
}
