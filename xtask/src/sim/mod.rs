//! Builds the simulator and runs it, as it is and with defects.

mod mutants;
mod table;

use crate::failure::Failure;
use crate::process::Logged;
use crate::workspace::{Workspace, cargo};
use clap::Args;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// Seeds that every test run tries, other ones each time.
const FRESH: u64 = 5000;

/// What to run.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Put known defects back in, one at a time, and see whether each is caught.
    #[arg(long)]
    mutants: bool,
    /// Write the table of defects to docs/simulation.md.
    #[arg(long, requires = "mutants")]
    write: bool,
    /// Options of the simulator, such as `--seed 7`, `--seeds 100000 --from 0` or `--help`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<OsString>,
}

/// Runs the simulator with these options.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<(), Failure> {
    if arguments.mutants {
        return mutants::run(workspace, arguments.write);
    }
    let binary = build(workspace)?;
    let status = Command::new(&binary).args(&arguments.options).status().map_err(|error| {
        Failure::new(format!("starting {}: {error}", binary.display()), "see whether it was built")
    })?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(
        format!("the simulator: {status}"),
        "replay the seed; tell its story again in a test, then mend what is wrong",
    ))
}

/// Seeds that failed once, and so many that nobody has tried yet.
pub(crate) fn fresh_seeds(workspace: &Workspace) -> Result<String, Failure> {
    let binary = build(workspace)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let from = now.as_secs();
    let output = Logged::new(workspace, "sim", binary)
        .args(["--corpus", "--seeds", &FRESH.to_string(), "--from", &from.to_string()])
        .run("replay the seed; tell its story again in a test, then mend what is wrong")?;
    Ok(output.lines().last().unwrap_or_default().to_owned())
}

/// The simulator in its own profile: fast, and built in a moment.
fn build(workspace: &Workspace) -> Result<PathBuf, Failure> {
    Logged::new(workspace, "sim-build", cargo())
        .args(["build", "--package", "certmesh-sim", "--profile", "sim", "--locked", "--quiet"])
        .run("mend what does not compile")?;
    Ok(workspace.target().join("sim").join("certmesh-sim"))
}
