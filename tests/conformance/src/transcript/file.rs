//! A transcript as it is written down.
//!
//! ```text
//!   # What this is about.
//!
//!   $ kubectl get widget missing
//!   ! Error from server (NotFound): widgets.example.com "missing" not found
//!   ? 1
//! ```
//!
//! Lines of stderr begin with `!`, an exit code other than 0 with `?`; what stdout has is indented by two spaces. `&` at the
//! end of a command leaves it running once it has said something (`& # says nothing` does not wait for that), and `$ fg`
//! shows what it has printed by then.

/// Commands and what they print.
#[derive(Debug)]
pub(super) struct Transcript {
    /// The lines before the first command.
    title: Vec<String>,
    pub(super) steps: Vec<Step>,
}

/// One command.
#[derive(Debug)]
pub(super) struct Step {
    /// Lines that say what it is about.
    comment: Vec<String>,
    pub(super) command: String,
    pub(super) recorded: Vec<String>,
}

impl Transcript {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut transcript = Self { title: Vec::new(), steps: Vec::new() };
        let mut comment = Vec::new();
        for line in text.lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                let comment = std::mem::take(&mut comment);
                let command = command.trim_end().to_owned();
                transcript.steps.push(Step { comment, command, recorded: Vec::new() });
            } else if line.starts_with('#') {
                let into = if transcript.steps.is_empty() { &mut transcript.title } else { &mut comment };
                into.push(line.to_owned());
            } else if let Some(step) = transcript.steps.last_mut() {
                step.recorded.push(line.trim_end().to_owned());
            } else if !line.trim().is_empty() {
                return Err(format!("{line:?} stands before the first command"));
            }
        }
        for step in &mut transcript.steps {
            while step.recorded.last().is_some_and(String::is_empty) {
                step.recorded.pop();
            }
        }
        if transcript.steps.is_empty() { Err("no command".to_owned()) } else { Ok(transcript) }
    }

    pub(super) fn print(&self) -> String {
        let mut lines = self.title.clone();
        for step in &self.steps {
            lines.push(String::new());
            lines.extend(step.comment.iter().cloned());
            lines.push(format!("$ {}", step.command));
            lines.extend(step.recorded.iter().cloned());
        }
        lines.join("\n") + "\n"
    }
}

/// What a command printed, as lines of a transcript.
pub(super) fn recorded(stdout: &str, stderr: &str, exit_code: Option<i32>) -> Vec<String> {
    let mut lines: Vec<String> =
        stdout.lines().map(|line| format!("  {line}").trim_end().to_owned()).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines.extend(stderr.lines().map(|line| format!("! {line}").trim_end().to_owned()));
    lines.extend(exit_code.filter(|code| *code != 0).map(|code| format!("? {code}")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# About.\n\n$ kubectl a\n  one\n\n  two\n! three\n? 1\n\n# Then.\n$ kubectl b\n";

    #[test]
    fn what_is_read_is_printed() {
        let transcript = Transcript::parse(TEXT).unwrap();
        assert_eq!(transcript.steps[0].recorded, ["  one", "", "  two", "! three", "? 1"]);
        assert_eq!(transcript.print(), TEXT);
        assert_eq!(recorded("one\n\ntwo\n", "three\n", Some(1)), transcript.steps[0].recorded);
    }

    #[test]
    fn text_before_the_first_command_and_no_command_are_refused() {
        assert!(Transcript::parse("output\n$ kubectl a\n").is_err());
        assert!(Transcript::parse("# nothing\n").is_err());
    }
}
