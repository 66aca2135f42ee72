//! Sources are as rustfmt writes them.

use crate::failure::Failure;
use crate::process::Logged;
use crate::workspace::Workspace;

pub(super) fn run(workspace: &Workspace) -> Result<String, Failure> {
    Logged::cargo(workspace, "rustfmt", ["fmt", "--all", "--check"]).run("run `cargo fmt --all`")?;
    Ok(String::new())
}
