//! The steps of `cargo xtask test`, in the order in which they run: what is cheap and often wrong comes first.

mod clippy;
pub(crate) mod conformance;
pub(crate) mod deny;
mod doc_commands;
mod file_length;
mod lockfile;
mod purity;
mod rustdoc;
mod rustfmt;
mod test_suite;
mod toolchain;
mod unused_dependencies;

use crate::failure::Failure;
use crate::generated;
use crate::report::Report;
use crate::sim;
use crate::workspace::Workspace;
use clap::Args;

/// Which steps to run.
#[derive(Args)]
pub(crate) struct Selection {
    /// Only the tests of the pure crates: no servers, no network, seconds.
    #[arg(long, conflicts_with = "steps")]
    fast: bool,
    /// Run only these steps.
    #[arg(value_parser = step_names())]
    steps: Vec<String>,
}

/// A step: its name, and what it does. The note goes to the step's line.
struct Step {
    name: &'static str,
    run: fn(&Workspace) -> Result<String, Failure>,
}

const STEPS: &[Step] = &[
    Step { name: "toolchain", run: toolchain::run },
    Step { name: "lockfile", run: lockfile::run },
    Step { name: "rustfmt", run: rustfmt::run },
    Step { name: "length", run: file_length::run },
    Step { name: "purity", run: purity::run },
    Step { name: "unused", run: unused_dependencies::run },
    Step { name: "clippy", run: clippy::run },
    Step { name: "generated", run: generated::check },
    Step { name: "rustdoc", run: rustdoc::run },
    Step { name: "tests", run: test_suite::run },
    Step { name: "sim", run: sim::hostile_runs },
    Step { name: "fleets", run: sim::fleets },
    Step { name: "conformance", run: conformance::run },
    Step { name: "commands", run: doc_commands::run },
    Step { name: "deny", run: deny::run },
];

const FAST_STEPS: &[Step] = &[Step { name: "pure tests", run: test_suite::run_pure }];

fn step_names() -> Vec<&'static str> {
    STEPS.iter().map(|step| step.name).collect()
}

/// Runs the selected steps, all of them even when one fails, and fails if any did.
pub(crate) fn run(workspace: &Workspace, selection: &Selection) -> Result<(), Failure> {
    let steps = if selection.fast { FAST_STEPS } else { STEPS };
    let chosen =
        |step: &&Step| selection.steps.is_empty() || selection.steps.iter().any(|name| name == step.name);
    let mut report = Report::default();
    for step in steps.iter().filter(chosen) {
        report.step(step.name, || (step.run)(workspace));
    }
    report.finish()
}
