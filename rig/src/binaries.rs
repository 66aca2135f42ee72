//! The programs of a cluster, as `cargo xtask rig build` leaves them.

use crate::error::RigError;
use std::path::{Path, PathBuf};

/// Where the programs of a cluster are.
#[derive(Clone, Debug)]
pub struct Binaries {
    directory: PathBuf,
}

impl Binaries {
    /// The environment variable that names their folder.
    pub const VARIABLE: &'static str = "CERTMESH_RIG";
    /// The files that the folder holds.
    pub const NAMES: [&'static str; 3] = ["etcd", "kube-apiserver", "kube-controller-manager"];

    /// Those in `directory`, all of which must be there.
    pub fn in_directory(directory: impl Into<PathBuf>) -> Result<Self, RigError> {
        let directory = directory.into();
        match Self::NAMES.iter().map(|name| directory.join(name)).find(|path| !path.is_file()) {
            Some(path) => Err(RigError::Missing { path }),
            None => Ok(Self { directory }),
        }
    }

    /// Those that [`Self::VARIABLE`] names.
    pub fn from_environment() -> Result<Self, RigError> {
        let directory = std::env::var_os(Self::VARIABLE).filter(|value| !value.is_empty());
        Self::in_directory(directory.ok_or(RigError::NotBuilt { variable: Self::VARIABLE })?)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The folder.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_lacks_a_program_is_refused_by_that_programs_name() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("etcd"), "").unwrap();
        let error = Binaries::in_directory(directory.path()).unwrap_err().to_string();
        assert!(error.contains("kube-apiserver is missing; run `cargo xtask rig build`"), "{error}");
    }
}
