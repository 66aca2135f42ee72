//! The files under `deploy/` that are made from code, and the check that they are current.

use crate::failure::Failure;
use crate::workspace::Workspace;
use certmesh_api::manifests::{Agent, Issuer, Manifest, RemoteIssuer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const HEADER: &str = "# Generated from the code by `cargo xtask generate`; edits here are lost.\n";

/// Folders in which every file is generated, so that one too many is noticed.
const OWNED_FOLDERS: &[&str] = &["deploy", "deploy/crds"];

/// Writes what is not current and removes what is no longer made.
pub(crate) fn write(workspace: &Workspace) -> Result<String, Failure> {
    let files = files()?;
    let mut written = 0;
    for (path, content) in stale(workspace, &files) {
        let path = workspace.root().join(path);
        let folder = path.parent().unwrap_or(workspace.root());
        std::fs::create_dir_all(folder).map_err(|error| Failure::io("making", folder, &error))?;
        std::fs::write(&path, content).map_err(|error| Failure::io("writing", &path, &error))?;
        written += 1;
    }
    let surplus = surplus(workspace, &files)?;
    for path in &surplus {
        std::fs::remove_file(path).map_err(|error| Failure::io("removing", path, &error))?;
    }
    Ok(format!("{written} of {} files written, {} removed", files.len(), surplus.len()))
}

/// Fails when a file is not what the code would write.
pub(crate) fn check(workspace: &Workspace) -> Result<String, Failure> {
    let files = files()?;
    let not_current = stale(workspace, &files).map(|(path, _)| format!("not current: {}", path.display()));
    let surplus = surplus(workspace, &files)?;
    let surplus =
        surplus.iter().map(|path| format!("not made by the code: {}", workspace.relative(path).display()));
    let found: Vec<String> = not_current.chain(surplus).collect();
    if found.is_empty() {
        return Ok(format!("{} files", files.len()));
    }
    Err(Failure::new("the generated files are what the code makes", "run `cargo xtask generate` and commit")
        .found(found))
}

/// Path from the checkout's top and content of every generated file.
fn files() -> Result<BTreeMap<PathBuf, String>, Failure> {
    let mut files = BTreeMap::new();
    for crd in certmesh_api::crds::all() {
        let path = Path::new("deploy/crds")
            .join(format!("{}.yaml", crd.metadata.name.as_deref().unwrap_or_default()));
        files.insert(path, yaml(&[Manifest::of(&crd)])?);
    }
    let (issuer, agent) = (Issuer::default(), Agent::default());
    let with_deployment = |access: Vec<Manifest>, deployment| [access, vec![deployment]].concat();
    let installations = [
        ("deploy/issuer.yaml", with_deployment(issuer.access(), issuer.deployment())),
        ("deploy/agent.yaml", with_deployment(agent.access(), agent.deployment())),
        ("deploy/cluster-registration.yaml", RemoteIssuer::default().manifests()),
    ];
    for (path, manifests) in installations {
        files.insert(PathBuf::from(path), yaml(&manifests)?);
    }
    Ok(files)
}

/// A YAML stream with sorted keys: the order of struct fields is no business of a diff.
fn yaml(manifests: &[Manifest]) -> Result<String, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(format!("writing an object as YAML: {error}"), "report this")
    };
    let mut stream = HEADER.to_owned();
    for manifest in manifests {
        let mut value = serde_json::to_value(manifest).map_err(|error| failed(&error))?;
        value.sort_all_objects();
        shorten_numbers(&mut value);
        stream += "---\n";
        stream += &serde_saphyr::to_string(&value).map_err(|error| failed(&error))?;
    }
    Ok(stream)
}

/// Writes a whole number as one: limits in schemas are floating-point in the types of Kubernetes.
fn shorten_numbers(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(shorten_numbers),
        Value::Object(fields) => fields.values_mut().for_each(shorten_numbers),
        Value::Number(number) => {
            if let Some(whole) = number.as_f64().and_then(whole) {
                *value = whole.into();
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// The integer that `number` is, if it is one.
fn whole(number: f64) -> Option<i64> {
    // Formatting instead of casting: no rounding, and nothing to say about numbers out of range.
    (number.fract() == 0.0).then(|| format!("{number:.0}").parse().ok()).flatten()
}

fn stale<'a>(
    workspace: &'a Workspace,
    files: &'a BTreeMap<PathBuf, String>,
) -> impl Iterator<Item = (&'a PathBuf, &'a String)> {
    files.iter().filter(|(path, content)| {
        std::fs::read_to_string(workspace.root().join(path)).map_or(true, |current| current != **content)
    })
}

fn surplus(workspace: &Workspace, files: &BTreeMap<PathBuf, String>) -> Result<Vec<PathBuf>, Failure> {
    let mut surplus = Vec::new();
    for folder in
        OWNED_FOLDERS.iter().map(|folder| workspace.root().join(folder)).filter(|folder| folder.is_dir())
    {
        let entries = std::fs::read_dir(&folder).map_err(|error| Failure::io("reading", &folder, &error))?;
        let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
        surplus.extend(paths.filter(|path| path.is_file() && !files.contains_key(workspace.relative(path))));
    }
    Ok(surplus)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn whole_numbers_are_written_as_such() {
        let mut value = json!({ "b": 1.0, "a": { "d": 0.5, "c": [60.0, -2.0] }, "e": 1e300 });
        shorten_numbers(&mut value);
        assert_eq!(value, json!({ "b": 1, "a": { "d": 0.5, "c": [60, -2] }, "e": 1e300 }));
    }

    #[test]
    fn every_file_reads_back_as_the_objects_that_were_written() {
        for (path, text) in files().unwrap() {
            let read: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
            let named = |value: &Value| (value["kind"].clone(), value["metadata"]["name"].clone());
            let manifests = [
                Issuer::default().manifests(),
                Agent::default().manifests(),
                RemoteIssuer::default().manifests(),
            ];
            let all: Vec<Value> =
                manifests.concat().iter().map(|manifest| serde_json::to_value(manifest).unwrap()).collect();
            for object in read {
                let same = all.iter().find(|other| {
                    named(other) == named(&object)
                        && other["metadata"]["namespace"] == object["metadata"]["namespace"]
                });
                let mut written = same.unwrap_or_else(|| panic!("{}: {object}", path.display())).clone();
                shorten_numbers(&mut written);
                assert_eq!(object, written, "{}", path.display());
            }
        }
    }

    #[test]
    fn keys_are_sorted_so_that_a_diff_shows_what_changed() {
        let text = &files().unwrap()[Path::new("deploy/agent.yaml")];
        let first = text.lines().filter(|line| !line.starts_with(['#', '-', ' '])).take(3);
        assert_eq!(first.collect::<Vec<_>>(), ["apiVersion: v1", "kind: Namespace", "metadata:"]);
    }
}
