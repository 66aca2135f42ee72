//! Does the simulator catch defects? Known ones are put back into a copy of the sources, one is switched on at a time.

use super::table::{MUTANTS, Mutant};
use crate::failure::Failure;
use crate::process::Logged;
use crate::workspace::{Workspace, cargo};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Crates that the simulator is made of.
const CRATES: [&str; 6] = ["x509", "api", "workflow", "controllers", "apiserver", "sim"];
/// Seeds after which a defect counts as not caught.
const PATIENCE: &str = "20000";
const DOCUMENT: &str = "docs/simulation.md";
const BEGIN: &str = "<!-- mutants: begin -->\n";
const END: &str = "<!-- mutants: end -->\n";

/// Runs the simulator on each defect, and prints or writes the table.
pub(super) fn run(workspace: &Workspace, write: bool) -> Result<(), Failure> {
    let binary = build(workspace)?;
    let mut table =
        "| defect | what it does in the world | caught by | seeds it took |\n|---|---|---|---|\n".to_owned();
    let mut missed = Vec::new();
    for mutant in MUTANTS {
        let (invariant, seeds) = hunt(workspace, &binary, mutant)?;
        println!("{:<32} {seeds:>6} {invariant}", mutant.name);
        let _ = writeln!(table, "| {} | {} | `{invariant}` | {seeds} |", mutant.name, mutant.story);
        missed.extend(invariant.is_empty().then_some(mutant.name));
    }
    if write {
        write_table(workspace, &table)?;
    }
    if missed.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        format!("{} of {} defects were not caught", missed.len(), MUTANTS.len()),
        "add what would have to be so to crates/sim/src/invariants, or what would have to happen to its actors",
    )
    .found(missed))
}

/// The invariant that caught it, empty for none, and the seeds that were tried.
fn hunt(workspace: &Workspace, binary: &Path, mutant: &Mutant) -> Result<(String, u64), Failure> {
    let output = std::process::Command::new(binary)
        .args(["--hunt", "--seeds", PATIENCE])
        .env("CERTMESH_MUTANT", mutant.name)
        .current_dir(workspace.root())
        .output()
        .map_err(|error| Failure::io("starting", binary, &error))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut words = text.split_whitespace();
    let seed: Option<u64> = words.next().and_then(|seed| seed.parse().ok());
    match (seed, words.next()) {
        (Some(seed), Some(invariant)) => Ok((invariant.to_owned(), seed + 1)),
        // A process that dies of its defect is caught too.
        _ if !output.status.success() => Ok(("a panic".to_owned(), 1)),
        _ => Ok((String::new(), PATIENCE.parse().unwrap_or_default())),
    }
}

/// A copy of the crates with all defects in it, built beside the real ones: dependencies are shared.
fn build(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let copy = workspace.scratch().join("mutants");
    for name in CRATES {
        copy_folder(&workspace.root().join("crates").join(name), &copy.join("crates").join(name))?;
    }
    // A path in a manifest, for tests that are not built.
    copy_folder(&workspace.root().join("rig"), &copy.join("rig"))?;
    for file in ["Cargo.lock", "clippy.toml"] {
        copy_file(&workspace.root().join(file), &copy.join(file))?;
    }
    edit(&workspace.root().join("Cargo.toml"), &copy.join("Cargo.toml"), with_members)?;
    edit(&workspace.root().join("crates/sim/Cargo.toml"), &copy.join("crates/sim/Cargo.toml"), |text| {
        format!("{text}\n[[bin]]\nname = \"certmesh-sim-mutants\"\npath = \"src/main.rs\"\n")
    })?;
    edit(&workspace.root().join("crates/x509/src/lib.rs"), &copy.join("crates/x509/src/lib.rs"), |text| {
        format!("{text}{SWITCH}")
    })?;
    let mut files: Vec<&str> = MUTANTS.iter().map(|mutant| mutant.file).collect();
    files.sort_unstable();
    files.dedup();
    for file in files {
        let path = workspace.root().join(file);
        let text = std::fs::read_to_string(&path).map_err(|error| Failure::io("reading", &path, &error))?;
        let text = mutated(file, &text).map_err(|missing| {
            Failure::new(missing, "the line has changed: change the table in xtask/src/sim/table.rs too")
        })?;
        save(&copy.join(file), &text)?;
    }
    // A target of its own: cargo would take what it built of the copies for what it is to build of the workspace.
    let target = workspace.target().join("mutants");
    Logged::new(workspace, "mutants", cargo())
        .args([
            "build",
            "--package",
            "certmesh-sim",
            "--profile",
            "sim",
            "--offline",
            "--quiet",
            "--target-dir",
        ])
        .args([&target])
        .directory(&copy)
        .run("a defect does not compile: mend the table in xtask/src/sim/table.rs")?;
    Ok(target.join("sim").join("certmesh-sim-mutants"))
}

/// Which defect is switched on.
const SWITCH: &str = r#"
/// Whether this defect is switched on.
pub fn mutant(name: &str) -> bool {
    static CHOSEN: std::sync::LazyLock<String> =
        std::sync::LazyLock::new(|| std::env::var("CERTMESH_MUTANT").unwrap_or_default());
    *CHOSEN == name
}
"#;

/// The file with all its defects in it, or which text was not found once.
fn mutated(file: &str, original: &str) -> Result<String, String> {
    let mut text = original.to_owned();
    for mutant in MUTANTS.iter().filter(|mutant| mutant.file == file) {
        let owner = if file.starts_with("crates/x509/") { "crate" } else { "certmesh_x509" };
        let switch = format!("{owner}::mutant({:?})", mutant.name);
        for (find, replace) in mutant.changes {
            let found = text.matches(find).count();
            if found != 1 {
                return Err(format!("{}: found {found} times in {file}: {find:?}", mutant.name));
            }
            text = text.replacen(find, &replace.replace("ON", &switch), 1);
        }
    }
    Ok(text)
}

/// The workspace's manifest with the crates that were copied alone.
fn with_members(manifest: &str) -> String {
    let members: Vec<String> = CRATES.iter().map(|name| format!("\"crates/{name}\"")).collect();
    let (before, rest) = manifest.split_once("members = [").unwrap_or((manifest, ""));
    let (_, after) = rest.split_once(']').unwrap_or(("", rest));
    let kept = |line: &&str| !line.starts_with("default-members");
    let after: Vec<&str> = after.lines().filter(kept).collect();
    let text = format!("{before}members = [{}]{}\n", members.join(", "), after.join("\n"));
    let mut lines = Vec::new();
    let mut skipping = false;
    for line in text.lines() {
        // Settings of crates that are not here.
        if line.starts_with('[') {
            skipping = line.starts_with("[profile.") && line.contains(".package.certmesh");
        }
        if !skipping {
            lines.push(line);
        }
    }
    lines.join("\n") + "\n"
}

fn edit(from: &Path, to: &Path, change: impl FnOnce(&str) -> String) -> Result<(), Failure> {
    let text = std::fs::read_to_string(from).map_err(|error| Failure::io("reading", from, &error))?;
    save(to, &change(&text))
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), Failure> {
    let entries = std::fs::read_dir(from).map_err(|error| Failure::io("reading", from, &error))?;
    for entry in entries.filter_map(Result::ok) {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy_folder(&source, &target)?;
        } else {
            copy_file(&source, &target)?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> Result<(), Failure> {
    let bytes = std::fs::read(from).map_err(|error| Failure::io("reading", from, &error))?;
    save_bytes(to, &bytes)
}

fn save(path: &Path, text: &str) -> Result<(), Failure> {
    save_bytes(path, text.as_bytes())
}

/// Writes only what differs, so that cargo builds only that again.
fn save_bytes(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if std::fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    let failed = |error| Failure::io("writing", path, &error);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(path, bytes).map_err(failed)
}

fn write_table(workspace: &Workspace, table: &str) -> Result<(), Failure> {
    let path = workspace.root().join(DOCUMENT);
    let document = std::fs::read_to_string(&path).map_err(|error| Failure::io("reading", &path, &error))?;
    let parts = document.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = parts.ok_or_else(|| {
        Failure::new(
            format!("{DOCUMENT} has no place for the table"),
            format!("put back {BEGIN:?} and {END:?}"),
        )
    })?;
    save(&path, &format!("{before}{BEGIN}{table}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_defect_can_still_be_put_back() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        assert!(MUTANTS.len() >= 20);
        for mutant in MUTANTS {
            let text = std::fs::read_to_string(root.join(mutant.file)).unwrap();
            let changed = mutated(mutant.file, &text).unwrap();
            assert!(changed.contains(&format!("mutant({:?})", mutant.name)), "{}", mutant.name);
        }
    }

    #[test]
    fn a_text_that_has_changed_is_named() {
        let missing = mutated("crates/workflow/src/budget.rs", "nothing of it").unwrap_err();
        assert!(missing.starts_with("budget-of-a-wrong-clock: found 0 times"), "{missing}");
    }
}
