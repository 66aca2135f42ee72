//! The commands, one module each.

pub(crate) mod agent;
pub(crate) mod completion;
mod controller;
pub(crate) mod demo;
pub(crate) mod dev;
pub(crate) mod inspect;
pub(crate) mod install;
pub(crate) mod issuer;

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
        Command::Demo(options) => demo::run(&options),
        Command::Dev(options) => dev::run(&options),
        Command::Issuer(options) => issuer::run(&options),
        Command::Agent(options) => agent::run(&options),
        Command::Install(options) => install::run(&options),
        Command::Inspect(options) => inspect::run(&options),
        Command::Completion(options) => completion::run(&options),
    }
}

/// Controllers tell what they do; commands for people speak for themselves.
fn default_log_level(command: &Command) -> &'static str {
    match command {
        Command::Demo(_) => "error",
        Command::Dev(_) | Command::Issuer(_) | Command::Agent(_) => "info",
        Command::Inspect(_) | Command::Install(_) | Command::Completion(_) => "warn",
    }
}
