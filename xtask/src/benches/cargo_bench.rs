//! Runs a bench target of a crate, which prints what it finds.

use crate::failure::Failure;
use crate::process::Logged;
use crate::workspace::Workspace;

/// The output of `cargo bench` for one target.
pub(super) fn output(workspace: &Workspace, package: &str, target: &str) -> Result<String, Failure> {
    let arguments = ["bench", "--locked", "--quiet", "--package", package, "--bench", target];
    Logged::cargo(workspace, &format!("bench-{target}"), arguments).run("run the command by hand")
}
