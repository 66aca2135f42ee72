//! Cargo.lock belongs to the manifests, and all crates in it are at hand.

use crate::failure::Failure;
use crate::process::Logged;
use crate::workspace::Workspace;

pub(super) fn run(workspace: &Workspace) -> Result<String, Failure> {
    Logged::cargo(workspace, "lockfile", ["fetch", "--locked", "--quiet"]).run(
        "if Cargo.lock is behind, run `cargo fetch` and commit it; else see that crates.io can be reached",
    )?;
    Ok(String::new())
}
