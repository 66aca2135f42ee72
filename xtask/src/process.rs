//! Runs a child process with its output in a log file, which can be followed while it runs and is shown when it fails.

use crate::failure::Failure;
use crate::workspace::{Workspace, cargo};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// How much of a failed command's output is shown; the log has the rest.
const SHOWN_LINES: usize = 80;

/// A command whose output goes to `target/xtask/<log>.log`.
pub(crate) struct Logged<'a> {
    workspace: &'a Workspace,
    command: Command,
    log: PathBuf,
}

impl<'a> Logged<'a> {
    /// `program` in the workspace's top folder.
    pub(crate) fn new(workspace: &'a Workspace, log: &str, program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.current_dir(workspace.root()).stdin(Stdio::null());
        for name in inherited_from_cargo() {
            command.env_remove(name);
        }
        Self { workspace, command, log: workspace.scratch().join(format!("{log}.log")) }
    }

    /// `cargo <arguments>`.
    pub(crate) fn cargo<S: AsRef<OsStr>>(
        workspace: &'a Workspace,
        log: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> Self {
        Self::new(workspace, log, cargo()).args(arguments)
    }

    /// Adds arguments.
    pub(crate) fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets the working directory.
    pub(crate) fn directory(mut self, path: &std::path::Path) -> Self {
        self.command.current_dir(path);
        self
    }

    /// Runs to the end and returns all output, standard error included; a failure shows its last lines and `advice`.
    pub(crate) fn run(mut self, advice: &str) -> Result<String, Failure> {
        let status = self.spawn()?;
        let output = std::fs::read(&self.log).map_err(|error| Failure::io("reading", &self.log, &error))?;
        let output = String::from_utf8_lossy(&output).into_owned();
        if status.success() {
            return Ok(output);
        }
        let log = self.workspace.relative(&self.log).display();
        let advice = format!("{advice} (whole output: {log})");
        Err(Failure::new(format!("`{}`: {status}", self.shown()), advice)
            .found(last_lines(&output, SHOWN_LINES)))
    }

    fn spawn(&mut self) -> Result<std::process::ExitStatus, Failure> {
        let log = self.open_log().map_err(|error| Failure::io("writing", &self.log, &error))?;
        let errors = log.try_clone().map_err(|error| Failure::io("writing", &self.log, &error))?;
        let shown = self.shown();
        self.command.stdout(log).stderr(errors).status().map_err(|error| {
            Failure::new(
                format!("starting `{shown}`: {error}"),
                "install the program and see that it is on PATH",
            )
        })
    }

    fn open_log(&self) -> std::io::Result<File> {
        std::fs::create_dir_all(self.workspace.scratch())?;
        File::create(&self.log)
    }

    fn shown(&self) -> String {
        let program = PathBuf::from(self.command.get_program());
        let name = program.file_name().unwrap_or(program.as_os_str());
        let words = std::iter::once(name).chain(self.command.get_args());
        words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
    }
}

/// What `cargo run` tells us about our own package. A child cargo would hand it on to build scripts, some of which
/// rebuild when it changes.
fn inherited_from_cargo() -> impl Iterator<Item = OsString> {
    std::env::vars_os().map(|(name, _)| name).filter(|name| {
        let name = name.to_string_lossy();
        name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name == "CARGO_CRATE_NAME"
    })
}

fn last_lines(text: &str, count: usize) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let left_out = lines.len().saturating_sub(count);
    let mark = (left_out > 0).then(|| format!("… {left_out} lines before"));
    mark.into_iter().chain(lines[left_out..].iter().map(|line| (*line).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_long_output_is_shown_and_the_rest_counted() {
        assert_eq!(last_lines("a\nb\nc", 2), ["… 1 lines before", "b", "c"]);
        assert_eq!(last_lines("a\nb", 2), ["a", "b"]);
        assert!(last_lines("", 2).is_empty());
    }
}
