//! The command line's grammar. Each command's own options are in its module under [`crate::command`].

use std::{ffi::OsString, path::Path};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::{
    command::{agent, completion, demo, dev, inspect, install, issuer},
    logging::LogOptions,
};

/// Certificates for service meshes over many Kubernetes clusters.
///
/// An issuer in the management cluster signs; an agent in each remote cluster makes the keys, which never leave it. They
/// meet in Kubernetes objects only.
#[derive(Debug, Parser)]
#[command(name = "certmesh", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) log: LogOptions,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 warning, 4 critical.\n\n\
                          Example:\n  certmesh demo --once --key ecdsa-p256";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(demo::Options),
    Dev(dev::Options),
    Issuer(issuer::Options),
    Agent(agent::Options),
    Inspect(inspect::Options),
    Install(install::Options),
    Completion(completion::Options),
}

/// The name of the binary when kubectl finds it as a plugin.
const PLUGIN: &str = "kubectl-certmesh";

/// Reads the arguments; the first is the program's name.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let is_plugin = arguments.first().is_some_and(|name| is_plugin(Path::new(name)));
    let matches = command(is_plugin).try_get_matches_from(arguments)?;
    Cli::from_arg_matches(&matches)
}

/// The grammar, speaking of itself as it was called.
pub(crate) fn command(is_plugin: bool) -> clap::Command {
    let command = Cli::command();
    if is_plugin { command.bin_name("kubectl certmesh") } else { command }
}

fn is_plugin(program: &Path) -> bool {
    program.file_stem().is_some_and(|stem| stem == PLUGIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_sound() {
        command(false).debug_assert();
        command(true).debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        for subcommand in command(false).get_subcommands() {
            let help = subcommand.clone().render_long_help().to_string();
            assert!(help.contains("Example"), "{} --help has no example", subcommand.get_name());
        }
    }

    #[test]
    fn a_plugin_is_recognised_by_its_name() {
        for (path, expected) in [
            ("kubectl-certmesh", true),
            ("/usr/local/bin/kubectl-certmesh", true),
            ("certmesh", false),
            ("/usr/bin/kubectl", false),
        ] {
            assert_eq!(is_plugin(Path::new(path)), expected, "{path}");
        }
    }
}
