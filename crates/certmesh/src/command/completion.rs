//! `certmesh completion SHELL`: a script that completes commands and options.

use clap_complete::{Shell, generate};

use crate::{cli, exit::Exit, failure::Failure, output};

/// Print a script that lets a shell complete certmesh's commands and options
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  certmesh completion bash > /etc/bash_completion.d/certmesh")]
pub(crate) struct Options {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(options: &Options) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    generate(options.shell, &mut cli::command(false), "certmesh", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
