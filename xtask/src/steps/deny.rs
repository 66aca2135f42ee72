//! Dependencies are what `deny.toml` allows: licenses, no second crypto library, nothing from outside the registry.
//!
//! Security advisories are a check of their own, `cargo xtask deny --advisories`: their database is on github.com,
//! which a build need not reach, and a new advisory must not fail a change that has nothing to do with it.

use crate::failure::Failure;
use crate::process::Logged;
use crate::tools;
use crate::workspace::Workspace;

const LOCAL_CHECKS: &[&str] = &["bans", "licenses", "sources"];

pub(super) fn run(workspace: &Workspace) -> Result<String, Failure> {
    run_with(workspace, false)
}

/// Runs the checks that need the registry alone, and that for advisories when asked for.
pub(crate) fn run_with(workspace: &Workspace, advisories: bool) -> Result<String, Failure> {
    let cargo_deny = tools::cargo_deny::locate_or_install(workspace)?;
    let chosen = || LOCAL_CHECKS.iter().copied().chain(advisories.then_some("advisories"));
    Logged::new(workspace, "deny", cargo_deny)
        .args(["--locked", "--log-level", "error", "check"])
        .args(chosen())
        .run("drop the dependency or, with a reason, amend deny.toml")?;
    Ok(chosen().collect::<Vec<_>>().join(", "))
}
