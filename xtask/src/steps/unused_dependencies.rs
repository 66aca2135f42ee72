//! Every declared dependency is used: by name in the sources of the crate that declares it, and by some crate when the
//! workspace declares it. A line that nobody needs is compiled, audited and explained all the same.

use crate::failure::Failure;
use crate::files;
use crate::workspace::{Workspace, cargo};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(super) fn run(workspace: &Workspace) -> Result<String, Failure> {
    let packages = packages(workspace)?;
    let mut unused = Vec::new();
    let mut declared = BTreeSet::new();
    for package in &packages {
        let sources = sources(&package.folder)?;
        declared.extend(package.dependencies.iter().map(|dependency| dependency.name.clone()));
        unused.extend(unused_in(package, &sources));
    }
    let manifest = workspace.root().join("Cargo.toml");
    let manifest =
        std::fs::read_to_string(&manifest).map_err(|error| Failure::io("reading", &manifest, &error))?;
    let of_workspace = workspace_dependencies(&manifest).filter(|name| !declared.contains(*name));
    unused.extend(of_workspace.map(|name| format!("workspace: {name} is in no crate's Cargo.toml")));
    if unused.is_empty() {
        return Ok(format!("{} dependencies of {} crates", declared.len(), packages.len()));
    }
    Err(Failure::new("every declared dependency is used", "remove the lines from the Cargo.toml files")
        .found(unused))
}

/// A crate of the workspace.
struct Package {
    name: String,
    folder: PathBuf,
    dependencies: Vec<Dependency>,
}

/// A dependency that a crate declares.
struct Dependency {
    /// The key in Cargo.toml.
    name: String,
}

impl Dependency {
    /// The name that Rust code calls it by.
    fn identifier(&self) -> String {
        self.name.replace('-', "_")
    }
}

fn packages(workspace: &Workspace) -> Result<Vec<Package>, Failure> {
    let failed = |why: &dyn std::fmt::Display| {
        Failure::new(format!("asking cargo for the workspace: {why}"), "run `cargo metadata --no-deps`")
    };
    let output = Command::new(cargo())
        .args(["metadata", "--no-deps", "--format-version=1"])
        .current_dir(workspace.root())
        .output()
        .map_err(|error| failed(&error))?;
    let metadata: Value = serde_json::from_slice(&output.stdout).map_err(|error| failed(&error))?;
    metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|value| package(value).ok_or_else(|| failed(&"unknown format")))
        .collect()
}

fn package(value: &Value) -> Option<Package> {
    let name = |dependency: &Value| {
        let name = dependency["rename"].as_str().or_else(|| dependency["name"].as_str())?;
        Some(Dependency { name: name.to_owned() })
    };
    Some(Package {
        name: value["name"].as_str()?.to_owned(),
        folder: Path::new(value["manifest_path"].as_str()?).parent()?.to_owned(),
        dependencies: value["dependencies"].as_array()?.iter().map(name).collect::<Option<_>>()?,
    })
}

fn sources(folder: &Path) -> Result<String, Failure> {
    let mut sources = String::new();
    files::visit(folder, "rs", &mut |_, text| sources.push_str(text))?;
    Ok(sources)
}

fn unused_in(package: &Package, sources: &str) -> Vec<String> {
    let unused =
        package.dependencies.iter().filter(|dependency| !has_word(sources, &dependency.identifier()));
    unused.map(|dependency| format!("{}: {} is not used", package.name, dependency.name)).collect()
}

/// Whether `word` is in `text` and not only as a part of a longer one.
fn has_word(text: &str, word: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    text.match_indices(word).any(|(start, _)| {
        !text[..start].ends_with(is_part) && !text[start + word.len()..].starts_with(is_part)
    })
}

/// The keys of `[workspace.dependencies]`.
fn workspace_dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    let lines = manifest.lines().skip_while(|line| *line != "[workspace.dependencies]").skip(1);
    lines.take_while(|line| !line.starts_with('[')).filter_map(|line| Some(line.split_once(" = ")?.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_is_used_when_its_name_is_in_the_sources() {
        let dependencies = ["serde-json", "http"].map(|name| Dependency { name: name.to_owned() }).into();
        let package = Package { name: "p".to_owned(), folder: PathBuf::new(), dependencies };
        assert!(unused_in(&package, "use serde_json::Value; use http::Uri;").is_empty());
        assert_eq!(
            unused_in(&package, "use serde_json::Value; use http_body::Body;"),
            ["p: http is not used"]
        );
    }

    #[test]
    fn the_workspaces_dependencies_end_with_their_section() {
        let manifest = "[a]\nx = 1\n[workspace.dependencies]\n# text\nserde = \"1\"\n\nkube = { version = \"5\" }\n[b]\ny = 1\n";
        assert_eq!(workspace_dependencies(manifest).collect::<Vec<_>>(), ["serde", "kube"]);
    }
}
