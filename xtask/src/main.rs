//! Developer commands, in Rust instead of shell scripts: `cargo xtask test` is all that a contributor and CI run.
//!
//! ```text
//!  cargo xtask test ──▶ steps/      one file a step: a name, what it proves, fn(&Workspace) -> Result<Note, Failure>
//!                  ──▶ tools/      what the steps need and a clean checkout lacks: cargo-deny, kubectl, Go and what it builds
//!  cargo xtask generate ──▶ generated.rs   deploy/ from the types of the `api` crate
//!  cargo xtask protobuf ──▶ protobuf/      the API server's table of messages, from the Go types of a Kubernetes release
//!  cargo xtask rig      ──▶ rig.rs         real API servers to try things on
//!  cargo xtask bench    ──▶ benches/       one file a bench
//!  cargo xtask sim      ──▶ sim/           hostile runs of issuer and agents, and the defects that they have to catch
//! ```

mod benches;
mod failure;
mod files;
mod generated;
mod process;
mod protobuf;
mod report;
mod rig;
mod sim;
mod steps;
mod tools;
mod workspace;

use clap::{Parser, Subcommand};
use failure::Failure;
use std::process::ExitCode;
use workspace::Workspace;

/// Developer commands of this workspace.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Set up what is missing, then run every check and test.
    Test(steps::Selection),
    /// Write the files under deploy/ that are made from code.
    Generate {
        /// Write nothing; fail when a file is not current.
        #[arg(long)]
        check: bool,
    },
    /// Write the table by which the embedded API server reads protobuf, from the Go types of rig/go.mod.
    Protobuf {
        /// Write nothing; fail when the table is not current.
        #[arg(long)]
        check: bool,
    },
    /// Check licenses, bans and sources of all dependencies.
    Deny {
        /// Check for security advisories too. Needs github.com, where the advisory database is.
        #[arg(long)]
        advisories: bool,
    },
    /// Real Kubernetes API servers: build them, start some.
    #[command(subcommand)]
    Rig(rig::RigCommand),
    /// Measure, and print a table.
    Bench(benches::Selection),
    /// Run issuer and agents in a simulated world that is against them: `cargo xtask sim -- --help`.
    Sim(sim::Arguments),
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    let workspace = Workspace::locate()?;
    match command {
        Command::Test(selection) => steps::run(&workspace, &selection),
        Command::Generate { check: true } => generated::check(&workspace).map(|note| println!("{note}")),
        Command::Generate { check: false } => generated::write(&workspace).map(|note| println!("{note}")),
        Command::Protobuf { check } => protobuf::run(&workspace, check).map(|note| println!("{note}")),
        Command::Deny { advisories } => {
            steps::deny::run_with(&workspace, advisories).map(|note| println!("{note}"))
        }
        Command::Rig(command) => rig::run(&workspace, &command),
        Command::Sim(arguments) => sim::run(&workspace, &arguments),
        Command::Bench(selection) => benches::run(&workspace, &selection),
    }
}
