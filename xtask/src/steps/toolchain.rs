//! What has to be installed by hand is there, or the reader learns how to install it before anything else fails.

use crate::failure::Failure;
use crate::workspace::{Workspace, cargo};
use std::ffi::OsString;
use std::process::{Command, Stdio};

pub(super) fn run(_: &Workspace) -> Result<String, Failure> {
    let missing: Vec<&str> =
        required().iter().filter(|tool| !tool.answers()).map(|tool| tool.remedy).collect();
    if missing.is_empty() {
        return Ok(String::new());
    }
    Err(Failure::new(
        "looking for the tools that the checks run",
        "install what is missing, then run this again",
    )
    .found(missing))
}

/// A program that must answer, and what to do when it does not.
struct Tool {
    program: OsString,
    arguments: &'static [&'static str],
    remedy: &'static str,
}

impl Tool {
    fn answers(&self) -> bool {
        let mut command = Command::new(&self.program);
        command.args(self.arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }
}

fn required() -> [Tool; 4] {
    [
        Tool {
            program: cargo(),
            arguments: &["fmt", "--version"],
            remedy: "rustfmt: `rustup component add rustfmt`, or your system's package (Debian: `apt-get install rustfmt`)",
        },
        Tool {
            program: cargo(),
            arguments: &["clippy", "--version"],
            remedy: "clippy: `rustup component add clippy`, or your system's package (Debian: `apt-get install rust-clippy`)",
        },
        Tool {
            program: "openssl".into(),
            arguments: &["version"],
            remedy: "openssl, one of the judges of our certificates (Debian: `apt-get install openssl`)",
        },
        Tool {
            program: "bash".into(),
            arguments: &["--version"],
            remedy: "bash, which runs the documentation's commands",
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_or_fails_does_not_answer() {
        let tool = |program: &str, arguments| Tool { program: program.into(), arguments, remedy: "" };
        assert!(tool("bash", &["-c", "exit 0"]).answers());
        assert!(!tool("bash", &["-c", "exit 1"]).answers());
        assert!(!tool("certmesh-no-such-program", &[]).answers());
    }
}
