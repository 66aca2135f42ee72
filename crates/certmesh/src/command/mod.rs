//! The commands, one module each.

pub(crate) mod completion;
pub(crate) mod inspect;

use crate::{
    cli::{Cli, Command},
    exit::Exit,
    failure::Failure,
    logging,
};

/// Runs the command that was asked for.
pub(crate) fn run(cli: Cli) -> Result<Exit, Failure> {
    logging::start(&cli.log, default_log_level(&cli.command))?;
    match cli.command {
        Command::Inspect(options) => inspect::run(&options),
        Command::Completion(options) => completion::run(&options),
    }
}

/// Controllers tell what they do; commands for people speak for themselves.
fn default_log_level(command: &Command) -> &'static str {
    match command {
        Command::Inspect(_) | Command::Completion(_) => "warn",
    }
}
