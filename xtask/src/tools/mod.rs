//! Programs that the steps run and that a clean checkout lacks: taken from where they are, else installed once into a
//! cache of the user, pinned by version.

pub(crate) mod api_server;
pub(crate) mod cargo_deny;
pub(crate) mod go;
pub(crate) mod kubectl;
mod wheel;

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

/// `<cache>/<name>/<file>`, calling `install` with an empty folder first when it is not there. The folder appears whole or
/// not at all, so that an interrupted or a concurrent installation does no harm.
fn installed(
    cache: &Path,
    name: &str,
    file: &str,
    install: impl FnOnce(&Path) -> Result<(), Failure>,
) -> Result<PathBuf, Failure> {
    let home = cache.join(name);
    let program = home.join(file);
    if program.is_file() {
        return Ok(program);
    }
    let draft = cache.join(format!("{name}.{}", std::process::id()));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(test: &str) -> PathBuf {
        let cache = std::env::temp_dir().join(format!("xtask-tools-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&cache).unwrap();
        cache
    }

    fn install(folder: &Path) -> Result<(), Failure> {
        std::fs::write(folder.join("tool"), "").map_err(|error| Failure::io("writing", folder, &error))
    }

    #[test]
    fn a_tool_is_installed_once() {
        let cache = cache("once");
        let first = installed(&cache, "a-1", "tool", install).unwrap();
        assert!(first.is_file());
        let second = installed(&cache, "a-1", "tool", |_| Err(Failure::new("installed again", ""))).unwrap();
        assert_eq!(first, second);
        std::fs::remove_dir_all(&cache).unwrap();
    }

    #[test]
    fn a_failed_installation_leaves_nothing_that_looks_like_one() {
        let cache = cache("failed");
        assert!(installed(&cache, "a-1", "tool", |_| Err(Failure::new("no network", ""))).is_err());
        assert!(!cache.join("a-1").exists());
        assert!(installed(&cache, "a-1", "tool", install).is_ok());
        std::fs::remove_dir_all(&cache).unwrap();
    }

    #[test]
    fn of_two_installations_at_once_the_first_is_kept() {
        let cache = cache("race");
        let slow = |folder: &Path| {
            let other = cache.join("a-1");
            std::fs::create_dir(&other).map_err(|error| Failure::io("making", &other, &error))?;
            std::fs::write(other.join("tool"), "first")
                .map_err(|error| Failure::io("writing", &other, &error))?;
            install(folder)
        };
        let program = installed(&cache, "a-1", "tool", slow).unwrap();
        assert_eq!(std::fs::read_to_string(program).unwrap(), "first");
        assert_eq!(std::fs::read_dir(&cache).unwrap().count(), 1);
        std::fs::remove_dir_all(&cache).unwrap();
    }
}
