//! What a step says when it fails: what was tried and came out wrong, what was found, and what to do next.

use std::fmt;

/// A failed step.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    found: Vec<String>,
    advice: String,
}

impl Failure {
    /// `what` was attempted and how it failed; `advice` tells the reader what to do.
    pub(crate) fn new(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what: what.into(), found: Vec::new(), advice: advice.into() }
    }

    /// Adds what was found, one line each.
    pub(crate) fn found(mut self, lines: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.found.extend(lines.into_iter().map(Into::into));
        self
    }

    /// An operation on a file that failed.
    pub(crate) fn io(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::new(
            format!("{doing} {}: {error}", path.display()),
            "check that the path exists and is writable",
        )
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  failed: {}", self.what)?;
        for line in &self.found {
            writeln!(f, "    {line}")?;
        }
        write!(f, "  to do:  {}", self.advice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_tells_what_found_and_what_to_do_in_this_order() {
        let text = Failure::new("checking x", "do y").found(["a", "b"]).to_string();
        assert_eq!(text, "  failed: checking x\n    a\n    b\n  to do:  do y");
    }
}
