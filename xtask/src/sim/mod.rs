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

/// How many seeds every test run tries: other ones each time, since those that were tried before have nothing more to tell.
const FRESH: u64 = 5000;
/// The first seed, if certain ones are to be tried, such as those of a run that failed.
const FROM: &str = "CERTMESH_SIM_FROM";
/// How many of them with keys that are made, of all kinds, instead of taken from a pool.
const WITH_MADE_KEYS: u64 = 100;

/// The fleets that every test run lets live for a year: enough clusters to see what grows faster than they do.
const FLEETS: &str = "100,300";

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

/// Seeds that failed once, and fresh ones or those that the environment asks for.
pub(crate) fn hostile_runs(workspace: &Workspace) -> Result<String, Failure> {
    let binary = build(workspace)?;
    let from = std::env::var(FROM).unwrap_or_else(|_| fresh().to_string());
    let run = |log, seeds: u64, more: &[&str]| {
        let advice = "replay the seed; tell its story again in a test, then mend what is wrong";
        let simulator = Logged::new(workspace, log, binary.clone());
        let output =
            simulator.args(["--seeds", &seeds.to_string(), "--from", &from]).args(more).run(advice)?;
        Ok(output.lines().last().unwrap_or_default().to_owned())
    };
    let pooled = run("sim", FRESH, &["--corpus"])?;
    let made = run("sim-made-keys", WITH_MADE_KEYS, &["--keys", "made"])?;
    Ok(format!("{pooled}; with made keys: {made}"))
}

/// Seeds that nobody has tried: those of this minute.
fn fresh() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since_1970.as_secs() / 60 * FRESH
}

/// Fleets that live for a year: renewed in time, at a cost that grows no faster than they do.
pub(crate) fn fleets(workspace: &Workspace) -> Result<String, Failure> {
    let told = fleets_of(workspace, FLEETS)?;
    let rows: Vec<&str> = told.lines().filter(|line| line.starts_with("| ")).collect();
    let first = rows.first().map(|row| row.trim_matches(['|', ' ']).replace(" | ", ", "));
    first.filter(|_| rows.len() == 3).ok_or_else(|| {
        let advice = "see what `cargo xtask sim -- --fleet 100` prints";
        Failure::new("a fleet's life ended without its three results", advice).found(vec![told.clone()])
    })
}

/// What the simulator says of fleets of these sizes, separated by commas.
pub(crate) fn fleets_of(workspace: &Workspace, sizes: &str) -> Result<String, Failure> {
    let binary = build(workspace)?;
    Logged::new(workspace, "fleets", binary)
        .args(["--fleet", sizes])
        .run("see what it says; `cargo xtask sim -- --fleet 100,1000` runs others")
}

/// What the simulator says of its speed over so many seeds.
pub(crate) fn speed_of(workspace: &Workspace, seeds: &str) -> Result<String, Failure> {
    let binary = build(workspace)?;
    Logged::new(workspace, "sim-speed", binary)
        .args(["--bench", "--from", "0", "--seeds", seeds])
        .run("replay the seed; tell its story again in a test, then mend what is wrong")
}

/// The simulator in its own profile: fast, and built in a moment.
fn build(workspace: &Workspace) -> Result<PathBuf, Failure> {
    Logged::new(workspace, "sim-build", cargo())
        .args(["build", "--package", "certmesh-sim", "--profile", "sim", "--locked", "--quiet"])
        .run("mend what does not compile")?;
    Ok(workspace.target().join("sim").join("certmesh-sim"))
}
