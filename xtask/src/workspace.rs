//! Where the workspace and its build output are.

use crate::failure::Failure;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The checkout that the commands work on.
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// Asks cargo for the workspace that this program belongs to, so that every subfolder will do as current directory.
    pub(crate) fn locate() -> Result<Self, Failure> {
        // Cargo sets the variable when it runs us; a copied target directory may hold a stale compile-time value.
        let manifest_dir = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let output = Command::new(cargo())
            .args(["metadata", "--no-deps", "--format-version=1"])
            .current_dir(&manifest_dir)
            .output()
            .map_err(|error| {
                Failure::new(format!("starting cargo: {error}"), "run this as `cargo xtask …`")
            })?;
        let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).map_err(|error| {
            Failure::new(
                format!("reading the output of `cargo metadata`: {error}"),
                "run `cargo metadata --no-deps`",
            )
            .found(String::from_utf8_lossy(&output.stderr).lines())
        })?;
        let path = |key: &str| {
            metadata[key].as_str().map(PathBuf::from).ok_or_else(|| {
                Failure::new(format!("`cargo metadata` names no {key}"), "run `cargo metadata --no-deps`")
            })
        };
        Ok(Self { root: path("workspace_root")?, target: path("target_directory")? })
    }

    /// The checkout's top folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Cargo's build output.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Where steps keep their logs and working files.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.target.join("xtask")
    }

    /// `path` as seen from the checkout's top, for people.
    pub(crate) fn relative<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }
}

/// The cargo that runs us.
pub(crate) fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
