//! All tests of the workspace, doc tests included, in one build.

use crate::failure::Failure;
use crate::process::Logged;
use crate::tools;
use crate::workspace::Workspace;

/// The crates whose tests need no server.
const PURE_CRATES: &[&str] = &["certmesh-x509", "certmesh-api", "certmesh-workflow"];

pub(super) fn run(workspace: &Workspace) -> Result<String, Failure> {
    let kubectl = tools::kubectl::locate_or_install(workspace)?;
    // Always the whole workspace: with `--package`, cargo would build dependencies again with other features.
    let output = Logged::cargo(workspace, "tests", ["test", "--workspace", "--locked", "--no-fail-fast"])
        .env("KUBECTL", kubectl)
        .run("run the failed test alone: `cargo test -p CRATE NAME`; a kubectl story needs KUBECTL set")?;
    Totals::read(&output).note()
}

pub(super) fn run_pure(workspace: &Workspace) -> Result<String, Failure> {
    let packages = PURE_CRATES.iter().flat_map(|name| ["--package", name]);
    let arguments = ["test", "--locked", "--no-fail-fast"].into_iter().chain(packages);
    let output = Logged::cargo(workspace, "tests", arguments)
        .run("run the failed test alone: `cargo test -p CRATE NAME`")?;
    Totals::read(&output).note()
}

/// What cargo's `test result:` lines add up to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    passed: usize,
    failed: usize,
    ignored: usize,
}

impl Totals {
    pub(super) fn read(output: &str) -> Self {
        let mut totals = Self::default();
        for part in
            output.lines().filter(|line| line.starts_with("test result:")).flat_map(|line| line.split(';'))
        {
            let mut words = part.split_whitespace().rev();
            let (what, count) = (words.next(), words.next().and_then(|word| word.parse::<usize>().ok()));
            match (what, count) {
                (Some("passed"), Some(count)) => totals.passed += count,
                (Some("failed"), Some(count)) => totals.failed += count,
                (Some("ignored"), Some(count)) => totals.ignored += count,
                _ => {}
            }
        }
        totals
    }

    /// A skipped test proves nothing, and no test at all proves less.
    pub(super) fn note(&self) -> Result<String, Failure> {
        let counts = format!("{} passed, {} failed", self.passed, self.failed);
        match self {
            Self { passed: 0, .. } => {
                Err(Failure::new("no test ran", "see what `cargo test --workspace` does"))
            }
            Self { ignored: 0, .. } => Ok(counts),
            _ => Err(Failure::new(
                format!("{counts}, {} ignored", self.ignored),
                "run the ignored tests or remove them",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
running 2 tests
test a ... ok
test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s
";

    #[test]
    fn results_of_all_binaries_add_up() {
        assert_eq!(Totals::read(OUTPUT), Totals { passed: 5, failed: 0, ignored: 1 });
    }

    #[test]
    fn skipped_tests_and_no_tests_are_failures() {
        assert!(Totals::read(OUTPUT).note().is_err());
        assert!(Totals::read("").note().is_err());
        assert_eq!(Totals { passed: 5, ..Totals::default() }.note().unwrap(), "5 passed, 0 failed");
    }
}
