//! No Rust file outgrows what a reader holds in mind: about 500 lines.

use crate::failure::Failure;
use crate::files;
use crate::workspace::Workspace;
use std::path::{Path, PathBuf};

/// "About 500": enough to finish a thought.
const LIMIT: usize = 520;

/// Files that may be longer, up to how many lines, and why.
const LONGER: &[(&str, usize, &str)] = &[];

const FOLDERS: &[&str] = &["crates", "rig", "tests", "xtask"];

pub(super) fn run(workspace: &Workspace) -> Result<String, Failure> {
    let mut lengths = Vec::new();
    for folder in FOLDERS {
        files::visit(&workspace.root().join(folder), "rs", &mut |path, text| {
            lengths.push((workspace.relative(path).to_owned(), text.lines().count()));
        })?;
    }
    let too_long = too_long(&lengths, LONGER);
    if too_long.is_empty() {
        let longest = lengths.iter().map(|(_, lines)| *lines).max().unwrap_or_default();
        return Ok(format!("{} files, the longest has {longest} lines", lengths.len()));
    }
    Err(Failure::new(
        format!("Rust files have at most {LIMIT} lines"),
        "cut the file where it holds two ideas",
    )
    .found(too_long))
}

fn too_long(lengths: &[(PathBuf, usize)], longer: &[(&str, usize, &str)]) -> Vec<String> {
    let limit = |path: &Path| {
        longer.iter().find(|(name, _, _)| path == Path::new(name)).map_or(LIMIT, |(_, limit, _)| *limit)
    };
    lengths
        .iter()
        .filter(|(path, lines)| *lines > limit(path))
        .map(|(path, lines)| format!("{}: {lines} lines", path.display()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_over_the_limit_is_named_unless_listed() {
        let lengths = [(PathBuf::from("a.rs"), LIMIT), (PathBuf::from("b.rs"), LIMIT + 1)];
        assert_eq!(too_long(&lengths, &[]), [format!("b.rs: {} lines", LIMIT + 1)]);
        assert!(too_long(&lengths, &[("b.rs", LIMIT + 1, "one table")]).is_empty());
        assert_eq!(too_long(&lengths, &[("b.rs", LIMIT, "one table")]).len(), 1);
    }
}
