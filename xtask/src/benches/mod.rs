//! `cargo xtask bench`: measurements, not tests. Nothing here fails because a machine is slow: what has a limit says so in its
//! row, as a ratio or in processor time, and a row that says MISSED fails the command once all is printed and written.
//!
//! A bench is a file beside this one with a function that measures in the release profile. What it finds are rows of one
//! table, `| what | measured | goal |`, and details for who wants to know more. `--write` puts all of it into
//! docs/benchmarks.md, with the machine that it was made on.

mod apiserver;
mod cargo_bench;
mod decide;
mod issue;
mod machine;

use crate::failure::Failure;
use crate::workspace::Workspace;
use clap::Args;

const DOCUMENT: &str = "docs/benchmarks.md";
const BEGIN: &str = "<!-- bench:begin -->\n";
const END: &str = "<!-- bench:end -->";
/// How a bench marks a goal that is a limit and was missed.
const MISSED: &str = "| MISSED: ";
const TABLE_HEAD: &str = "| what | measured | goal |\n|---|---|---|\n";

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

/// A bench: its name, and what measures.
struct Bench {
    name: &'static str,
    run: fn(&Workspace) -> Result<Findings, Failure>,
}

/// What a bench found.
#[derive(Debug, Default, PartialEq, Eq)]
struct Findings {
    /// Rows of the table, one line each.
    rows: Vec<String>,
    /// Whatever else it printed.
    details: Vec<String>,
}

impl Findings {
    /// Rows are the lines that look like one; the rest are details.
    fn read(output: &str) -> Self {
        let (rows, details) = output.lines().map(str::to_owned).partition(|line| line.starts_with("| "));
        Self { rows, details }
    }
}

const BENCHES: &[Bench] = &[
    Bench { name: "decide", run: decide::run },
    Bench { name: "issue", run: issue::run },
    Bench { name: "apiserver", run: apiserver::run },
];

fn names() -> Vec<&'static str> {
    BENCHES.iter().map(|bench| bench.name).collect()
}

/// Runs the selected benches, prints what each finds at once, and writes the document when asked to.
pub(crate) fn run(workspace: &Workspace, selection: &Selection) -> Result<(), Failure> {
    let chosen =
        |bench: &&Bench| selection.names.is_empty() || selection.names.iter().any(|name| name == bench.name);
    let machine = machine::description();
    println!("{machine}\n\n{TABLE_HEAD}");
    let mut found = Vec::new();
    for bench in BENCHES.iter().filter(chosen) {
        let findings = (bench.run)(workspace)?;
        findings.rows.iter().chain(&findings.details).for_each(|line| println!("{line}"));
        found.push((bench.name, findings));
    }
    if selection.write {
        write(workspace, &report(&machine, &found))?;
    }
    missed(&found)
}

/// A failure that names the limits that were missed, if any were.
fn missed(found: &[(&str, Findings)]) -> Result<(), Failure> {
    let rows = found.iter().flat_map(|(_, findings)| &findings.rows);
    let missed: Vec<String> = rows.filter(|row| row.contains(MISSED)).cloned().collect();
    if missed.is_empty() {
        return Ok(());
    }
    let advice = "run it alone on a machine with nothing else to do; if it stays, find what became slower";
    Err(Failure::new("limits were missed", advice).found(missed))
}

/// The results as Markdown.
fn report(machine: &str, found: &[(&str, Findings)]) -> String {
    let rows = found.iter().flat_map(|(_, findings)| &findings.rows).map(|row| format!("{row}\n"));
    let details = found.iter().filter(|(_, findings)| !findings.details.is_empty());
    let details = details
        .map(|(name, findings)| format!("\n### {name}\n\n```text\n{}\n```\n", findings.details.join("\n")));
    format!("{machine}\n\n{TABLE_HEAD}{}{}", rows.collect::<String>(), details.collect::<String>())
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

    #[test]
    fn a_missed_limit_fails_with_its_row() {
        let rows = "| x | 1 | ≥ 1 |\n| y | 1 | MISSED: ≥ 2 |\n";
        let failure = missed(&[("a", Findings::read(rows))]).unwrap_err().to_string();
        assert!(failure.contains("| y | 1") && !failure.contains("| x | 1"), "{failure}");
        assert!(missed(&[("a", Findings::read("| x | 1 | ≥ 1 |\n"))]).is_ok());
    }

    #[test]
    fn rows_of_all_benches_are_one_table_and_details_follow() {
        let found =
            [("a", Findings::read("| x | 1 | 2 |\nmore\n")), ("b", Findings::read("| y | 3 | 4 |\n"))];
        assert_eq!(
            report("a machine", &found),
            format!("a machine\n\n{TABLE_HEAD}| x | 1 | 2 |\n| y | 3 | 4 |\n\n### a\n\n```text\nmore\n```\n")
        );
    }
}
