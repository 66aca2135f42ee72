//! The files under `deploy/` that are made from code, and the check that they are current.

use crate::failure::Failure;
use crate::workspace::Workspace;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const HEADER: &str = "# Generated from the code by `cargo xtask generate`; edits here are lost.\n";

/// Folders in which every file is generated, so that one too many is noticed.
const OWNED_FOLDERS: &[&str] = &["deploy/crds"];

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
        files.insert(path, yaml(&crd)?);
    }
    Ok(files)
}

/// YAML with sorted keys: the order of struct fields is no business of a diff.
fn yaml(object: &impl serde::Serialize) -> Result<String, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(format!("writing an object as YAML: {error}"), "report this")
    };
    let mut value = serde_json::to_value(object).map_err(|error| failed(&error))?;
    value.sort_all_objects();
    shorten_numbers(&mut value);
    let text = serde_saphyr::to_string(&value).map_err(|error| failed(&error))?;
    Ok(format!("{HEADER}---\n{text}"))
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
        surplus.extend(paths.filter(|path| !files.contains_key(workspace.relative(path))));
    }
    Ok(surplus)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_sorted_and_whole_numbers_written_as_such() {
        let text = yaml(&json!({ "b": 1.0, "a": { "d": 0.5, "c": [60.0] } })).unwrap();
        assert_eq!(text, format!("{HEADER}---\na:\n  c:\n  - 60\n  d: 0.5\nb: 1\n"));
    }

    #[test]
    fn every_file_reads_back_as_what_was_written() {
        for (path, text) in files().unwrap() {
            let crds = certmesh_api::crds::all();
            let crd = crds
                .iter()
                .find(|crd| path.ends_with(format!("{}.yaml", crd.metadata.name.as_deref().unwrap())));
            let read: Value = serde_saphyr::from_str(&text).unwrap();
            let mut written = serde_json::to_value(crd.unwrap()).unwrap();
            shorten_numbers(&mut written);
            assert_eq!(read, written, "{}", path.display());
        }
    }
}
