//! `cargo xtask bench`: measurements, not tests. Nothing here fails because a machine is slow.
//!
//! A bench is a file beside this one with a function that measures in the release profile and returns rows of the table.

use crate::failure::Failure;
use crate::workspace::Workspace;
use clap::Args;

/// Which benches to run.
#[derive(Args)]
pub(crate) struct Selection {
    /// Names of benches; all of them when none is given.
    names: Vec<String>,
}

/// One measured number and the one that was promised.
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) measured: String,
    pub(crate) goal: String,
}

/// A bench: its name and what measures.
struct Bench {
    name: &'static str,
    run: fn(&Workspace) -> Result<Vec<Row>, Failure>,
}

const BENCHES: &[Bench] = &[];

/// Runs the selected benches and prints one table.
pub(crate) fn run(workspace: &Workspace, selection: &Selection) -> Result<(), Failure> {
    let chosen =
        |bench: &&Bench| selection.names.is_empty() || selection.names.iter().any(|name| name == bench.name);
    println!("| what | measured | goal |\n|---|---|---|");
    for bench in BENCHES.iter().filter(chosen) {
        for Row { what, measured, goal } in (bench.run)(workspace)? {
            println!("| {what} | {measured} | {goal} |");
        }
    }
    Ok(())
}
