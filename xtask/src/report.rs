//! One line for each step, with its time; the failures again at the end.

use crate::failure::Failure;
use std::io::Write;
use std::time::{Duration, Instant};

/// What came of the steps so far.
#[derive(Default)]
pub(crate) struct Report {
    passed: usize,
    failed: Vec<&'static str>,
}

impl Report {
    /// Runs a step and prints its line, and what is wrong if it failed.
    pub(crate) fn step(&mut self, name: &'static str, run: impl FnOnce() -> Result<String, Failure>) {
        print!("{name:<12}");
        // The name has to be seen while the step runs; a lost flush loses nothing but that.
        let _ = std::io::stdout().flush();
        let start = Instant::now();
        let outcome = run();
        let time = seconds(start.elapsed());
        match outcome {
            Ok(note) => {
                println!("ok     {time}  {note}");
                self.passed += 1;
            }
            Err(failure) => {
                println!("FAILED {time}\n{failure}");
                self.failed.push(name);
            }
        }
    }

    /// Prints the sum; an error when a step failed.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        println!("steps: {} passed, {} failed", self.passed, self.failed.len());
        if self.failed.is_empty() {
            return Ok(());
        }
        let advice = format!("mend the above, then run `cargo xtask test {}`", self.failed.join(" "));
        Err(Failure::new(format!("{} of the steps: {}", self.failed.len(), self.failed.join(", ")), advice))
    }
}

fn seconds(time: Duration) -> String {
    format!("{:>6.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_fails_the_whole_and_is_named() {
        let mut report = Report::default();
        report.step("good", || Ok(String::new()));
        report.step("bad", || Err(Failure::new("trying", "try again")));
        let failure = report.finish().unwrap_err().to_string();
        assert!(
            failure.contains("1 of the steps: bad") && failure.contains("cargo xtask test bad"),
            "{failure}"
        );
    }

    #[test]
    fn without_a_failed_step_all_is_well() {
        let mut report = Report::default();
        report.step("good", || Ok("note".into()));
        assert!(report.finish().is_ok());
    }
}
