//! Walks folders of sources and documents.

use crate::failure::Failure;
use std::path::Path;

/// Calls `visit` with path and text of every file below `folder` whose name ends in `.<extension>`, in sorted order.
pub(crate) fn visit(
    folder: &Path,
    extension: &str,
    visit_file: &mut impl FnMut(&Path, &str),
) -> Result<(), Failure> {
    let failed = |error: &std::io::Error| Failure::io("reading", folder, error);
    let entries = std::fs::read_dir(folder).map_err(|error| failed(&error))?;
    let paths: Result<Vec<_>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = paths.map_err(|error| failed(&error))?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            visit(&path, extension, visit_file)?;
        } else if path.extension().is_some_and(|found| found == extension) {
            let text =
                std::fs::read_to_string(&path).map_err(|error| Failure::io("reading", &path, &error))?;
            visit_file(&path, &text);
        }
    }
    Ok(())
}
