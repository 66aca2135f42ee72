//! `cargo xtask bench`: measurements, not tests. Nothing here fails because a machine is slow: what has a limit says so in its
//! row, as a ratio or in processor time, and a row that says MISSED fails the command once all is printed and written.
//!
//! A bench is a file beside this one with a function that measures in the release profile. What it finds are rows of a
//! table, `| what | measured | goal |`, and details for who wants to know more. `--write` puts them into the bench's place in
//! docs/benchmarks.md, with the machine that they were made on.

mod apiserver;
mod cargo_bench;
mod decide;
mod fleet;
mod issue;
mod machine;
mod simulator;

use crate::failure::Failure;
use crate::workspace::Workspace;
use clap::Args;

const DOCUMENT: &str = "docs/benchmarks.md";
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
    Bench { name: "simulator", run: simulator::run },
    Bench { name: "fleet", run: fleet::run },
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
        write(workspace, &machine, &found)?;
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

/// What a bench found, as Markdown.
fn report(machine: &str, findings: &Findings) -> String {
    let rows: String = findings.rows.iter().flat_map(|row| [row.as_str(), "\n"]).collect();
    let details = match findings.details.join("\n") {
        none if none.trim().is_empty() => String::new(),
        details => format!("\n```text\n{}\n```\n", details.trim_matches('\n')),
    };
    format!("{machine}\n\n{TABLE_HEAD}{rows}{details}")
}

fn write(workspace: &Workspace, machine: &str, found: &[(&str, Findings)]) -> Result<(), Failure> {
    let path = workspace.root().join(DOCUMENT);
    let mut document =
        std::fs::read_to_string(&path).map_err(|error| Failure::io("reading", &path, &error))?;
    for (name, findings) in found {
        document = replaced(&document, name, &report(machine, findings)).ok_or_else(|| {
            let [begin, end] = marks(name);
            Failure::new(
                format!("{DOCUMENT} has no place for the results of {name}"),
                format!("put back the lines {begin:?} and {end:?}"),
            )
        })?;
    }
    std::fs::write(&path, document).map_err(|error| Failure::io("writing", &path, &error))
}

/// The lines around a bench's place in the document.
fn marks(name: &str) -> [String; 2] {
    [format!("<!-- bench:{name}:begin -->\n"), format!("<!-- bench:{name}:end -->")]
}

/// The document with `report` in the bench's place.
fn replaced(document: &str, name: &str, report: &str) -> Option<String> {
    let [begin, end] = marks(name);
    let (before, rest) = document.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}{report}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_results_of_one_bench_are_replaced_and_others_stay() {
        let [[begin, end], [other_begin, other_end]] = [marks("a"), marks("b")];
        let document = |a: &str| format!("x\n{begin}{a}{end}\ny\n{other_begin}other\n{other_end}\nz\n");
        assert_eq!(replaced(&document("old\n"), "a", "new\n"), Some(document("new\n")));
        assert_eq!(replaced("no marks", "a", "new"), None);
    }

    #[test]
    fn every_bench_has_its_place() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/benchmarks.md");
        let document = std::fs::read_to_string(path).unwrap();
        for bench in BENCHES {
            assert!(replaced(&document, bench.name, "").is_some(), "{}", bench.name);
        }
    }

    #[test]
    fn a_missed_limit_fails_with_its_row() {
        let rows = "| x | 1 | ≥ 1 |\n| y | 1 | MISSED: ≥ 2 |\n";
        let failure = missed(&[("a", Findings::read(rows))]).unwrap_err().to_string();
        assert!(failure.contains("| y | 1") && !failure.contains("| x | 1"), "{failure}");
        assert!(missed(&[("a", Findings::read("| x | 1 | ≥ 1 |\n"))]).is_ok());
    }

    #[test]
    fn rows_are_a_table_and_details_follow() {
        let report = |printed: &str| report("a machine", &Findings::read(printed));
        assert_eq!(
            report("| x | 1 | 2 |\n\nmore\n"),
            format!("a machine\n\n{TABLE_HEAD}| x | 1 | 2 |\n\n```text\nmore\n```\n")
        );
        assert_eq!(report("| x | 1 | 2 |\n"), format!("a machine\n\n{TABLE_HEAD}| x | 1 | 2 |\n"));
    }
}
