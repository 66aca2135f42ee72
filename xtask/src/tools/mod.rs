//! Programs that the steps run and that a clean checkout lacks: taken from where they are, else installed once into a
//! cache of the user, pinned by version.

pub(crate) mod cargo_deny;
pub(crate) mod kubectl;

use crate::failure::Failure;
use crate::workspace::Workspace;
use std::path::{Path, PathBuf};

/// Where tools are kept: outside the checkout, so that a new one need not build them again.
fn cache(workspace: &Workspace) -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("XDG_CACHE_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".cache")))
        .map_or_else(|| workspace.target().join("tools"), |cache| cache.join("certmesh/tools"))
}

/// `<cache>/<name>/<file>`, installing into an empty folder first when it is not there. The folder appears whole or not
/// at all, so that an interrupted or a concurrent installation does no harm.
fn installed(
    workspace: &Workspace,
    name: &str,
    file: &str,
    install: impl FnOnce(&Path) -> Result<(), Failure>,
) -> Result<PathBuf, Failure> {
    let home = cache(workspace).join(name);
    let program = home.join(file);
    if program.is_file() {
        return Ok(program);
    }
    let draft = cache(workspace).join(format!("{name}.{}", std::process::id()));
    std::fs::create_dir_all(&draft).map_err(|error| Failure::io("making", &draft, &error))?;
    install(&draft)?;
    if let Err(error) = std::fs::rename(&draft, &home) {
        // Someone else was faster, or a broken one is in the way: in the first case theirs is as good as ours.
        if !program.is_file() {
            return Err(Failure::io("moving the installed tool to", &home, &error));
        }
        std::fs::remove_dir_all(&draft).map_err(|error| Failure::io("removing", &draft, &error))?;
    }
    Ok(program)
}
