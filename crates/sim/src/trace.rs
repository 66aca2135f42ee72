//! What a run did, for people. Only of a run that is looked at: writing lines costs more than the run.

use std::collections::HashMap;

use crate::clock::START;

/// Lines, if anybody wants them.
#[derive(Default)]
pub(crate) struct Trace {
    wanted: bool,
    pub(crate) lines: Vec<String>,
    aliases: HashMap<String, usize>,
}

impl Trace {
    /// One that is written, or not.
    pub(crate) fn new(wanted: bool) -> Self {
        Self { wanted, ..Self::default() }
    }

    /// Adds a line.
    pub(crate) fn line(&mut self, step: u64, micros: i64, line: impl FnOnce() -> String) {
        if self.wanted {
            let micros = micros - START * 1_000_000;
            let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000 / 1000);
            let line = self.masked(&line());
            self.lines.push(format!("{step:>5} {seconds:>8}.{rest:03}s  {line}"));
        }
    }

    /// Fingerprints and keys of certificates depend on signatures, which differ from run to run: each gets a number, in
    /// the order in which they come.
    fn masked(&mut self, line: &str) -> String {
        const SHORTEST: usize = 32;
        let mut masked = String::with_capacity(line.len());
        let mut rest = line;
        while !rest.is_empty() {
            let end = rest.find(|found: char| !found.is_ascii_hexdigit()).unwrap_or(rest.len());
            if end >= SHORTEST {
                let next = self.aliases.len() + 1;
                let number = *self.aliases.entry(rest[..end].to_owned()).or_insert(next);
                masked.push('#');
                masked.push_str(&number.to_string());
            } else {
                masked.push_str(&rest[..end]);
            }
            let after = rest[end..].chars().next().map_or(end, |other| end + other.len_utf8());
            masked.push_str(&rest[end..after]);
            rest = &rest[after..];
        }
        masked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_numbered_in_the_order_in_which_they_come() {
        let mut trace = Trace::new(true);
        let (a, b) = ("ab".repeat(32), "cd".repeat(32));
        trace.line(1, START * 1_000_000, || format!("from {a} to {b}, face"));
        trace.line(2, START * 1_000_000 + 1_500_000, || format!("{b}é"));
        assert_eq!(trace.lines, ["    1        0.000s  from #1 to #2, face", "    2        1.500s  #2é"]);
    }
}
