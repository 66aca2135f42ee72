//! cargo-deny, built from crates.io with its own lock file. Two minutes on two cores, once.

use crate::failure::Failure;
use crate::process::Logged;
use crate::workspace::Workspace;
use std::path::PathBuf;

const VERSION: &str = "0.20.2";

/// The program; built first when it is not in the cache.
pub(crate) fn locate_or_install(workspace: &Workspace) -> Result<PathBuf, Failure> {
    super::installed(&super::cache(workspace), &format!("cargo-deny-{VERSION}"), "bin/cargo-deny", |folder| {
        let build = workspace.target().join("tools/cargo-deny");
        Logged::cargo(
            workspace,
            "install-cargo-deny",
            ["install", "cargo-deny", "--locked", "--version", VERSION],
        )
        .args(["--no-track", "--root"])
        .args([folder])
        .args(["--target-dir"])
        .args([&build])
        .run("see that crates.io can be reached")?;
        std::fs::remove_dir_all(&build).map_err(|error| Failure::io("removing", &build, &error))
    })
}
