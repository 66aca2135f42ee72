//! The command line: what a person types, and what they read.
//!
//! ```text
//!   arguments ─▶ cli (clap) ─▶ command::<name> ─▶ stdout: data        exit: 0 done, 1 failed, 2 wrong usage,
//!                                    │            stderr: logs,             3 warning, 4 critical
//!                                    ▼                    failures
//!                        shutdown: SIGINT/SIGTERM ─▶ stop token ─▶ at most five seconds
//! ```
//!
//! One module for each command in [`command`]; around them what they share: how failures are told ([`failure`]), where
//! data goes ([`output`]), how a cluster is reached ([`kube_access`]).

mod cli;
mod command;
mod exit;
mod failure;
pub mod fleet;
mod kube_access;
mod logging;
pub mod mesh;
mod output;
mod shutdown;
mod style;

use std::{ffi::OsString, process::ExitCode};

pub use exit::Exit;
pub use failure::Failure;

/// Runs the command line and returns how it went. Prints data to stdout, logs and failures to stderr.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match cli::parse(arguments) {
        Ok(cli) => match command::run(cli) {
            Ok(exit) => exit.into(),
            Err(failure) => {
                failure.report();
                failure.exit().into()
            }
        },
        Err(error) => {
            // Nothing more can be done when even this cannot be printed.
            let _ = error.print();
            if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() }
        }
    }
}
