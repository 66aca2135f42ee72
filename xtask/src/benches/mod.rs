//! `cargo xtask bench`: measurements, not tests. Nothing here fails because a machine is slow.
//!
//! A bench is a file beside this one with a function that measures in the release profile and returns what it found as
//! text. `--write` puts the texts into docs/benchmarks.md, with the machine that they were made on.

mod apiserver;
mod cargo_bench;
mod machine;

use crate::failure::Failure;
use crate::workspace::Workspace;
use clap::Args;
use std::fmt::Write;

const DOCUMENT: &str = "docs/benchmarks.md";
const BEGIN: &str = "<!-- bench:begin -->\n";
const END: &str = "<!-- bench:end -->";

/// Which benches to run.
#[derive(Args)]
pub(crate) struct Selection {
    /// Put the results into docs/benchmarks.md.
    #[arg(long)]
    write: bool,
    /// Names of benches; all of them when none is given.
    #[arg(value_parser = names())]
    names: Vec<String>,
}

/// A bench: its name, what it measures, and how.
struct Bench {
    name: &'static str,
    measures: &'static str,
    run: fn(&Workspace) -> Result<String, Failure>,
}

const BENCHES: &[Bench] = &[Bench {
    name: "apiserver",
    measures: "requests a second of one embedded cluster",
    run: apiserver::run,
}];

fn names() -> Vec<&'static str> {
    BENCHES.iter().map(|bench| bench.name).collect()
}

/// Runs the selected benches and prints what they found.
pub(crate) fn run(workspace: &Workspace, selection: &Selection) -> Result<(), Failure> {
    let chosen =
        |bench: &&Bench| selection.names.is_empty() || selection.names.iter().any(|name| name == bench.name);
    let mut report = format!("{}\n", machine::description());
    println!("{report}");
    for Bench { name, measures, run } in BENCHES.iter().filter(chosen) {
        println!("## {name}: {measures}\n");
        let found = run(workspace)?;
        println!("{found}");
        writeln!(report, "\n### {name}: {measures}\n\n```text\n{}\n```", found.trim_end())
            .expect("writing to a String cannot fail");
    }
    if selection.write { write(workspace, &report) } else { Ok(()) }
}

fn write(workspace: &Workspace, report: &str) -> Result<(), Failure> {
    let path = workspace.root().join(DOCUMENT);
    let document = std::fs::read_to_string(&path).map_err(|error| Failure::io("reading", &path, &error))?;
    let document = replaced(&document, report).ok_or_else(|| {
        Failure::new(
            format!("{DOCUMENT} has no place for results"),
            format!("put back the lines {BEGIN:?} and {END:?}"),
        )
    })?;
    std::fs::write(&path, document).map_err(|error| Failure::io("writing", &path, &error))
}

/// The document with `report` between its marks.
fn replaced(document: &str, report: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{report}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_between_the_marks_is_replaced() {
        let document = format!("a\n{BEGIN}old\n{END}\nb\n");
        assert_eq!(replaced(&document, "new\n"), Some(format!("a\n{BEGIN}new\n{END}\nb\n")));
        assert_eq!(replaced("no marks", "new"), None);
    }
}
