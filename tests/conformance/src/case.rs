//! The text of cases: read into steps, and written back with other recorded lines and otherwise unchanged.
//!
//! ```text
//!   === name-of-the-case            also the namespace `$ns`, which is made when a step uses it
//!   Prose, to the first empty line.
//!
//!   @directive                      how to ask; see [`Directives`]
//!   POST /api/v1/namespaces/$ns/secrets
//!   Content-Type: application/json  headers, if any
//!   {"metadata": {"name": "a"}}     the body; after an empty line if it begins with neither `{` nor `[`
//!   < 201                           recorded: status, headers, body
//!   < {"kind": "Secret", …}
//!   ~ name-of-a-difference          what the embedded server answers instead, if that is accepted
//!   ~ 415
//! ```
//!
//! In a request, `$rv`, `$old` and `$uid` are the last and the first seen version and the uid of the object at its path;
//! of a collection, `$more` is how its last list continues.
//!
//! Lines that begin with `#` are comments.

use crate::differences;
use std::fmt::Write as _;
use std::path::Path;
use thiserror::Error;

/// A file of cases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseFile {
    /// Lines before the first case.
    preamble: Vec<String>,
    /// The cases.
    pub cases: Vec<Case>,
}

/// A conversation with a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Its name, which can be a namespace's.
    pub name: String,
    prose: Vec<String>,
    /// What is said.
    pub steps: Vec<Step>,
}

/// A request and its recorded answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Comments, directives and the request, as written.
    source: Vec<String>,
    /// How to ask.
    pub directives: Directives,
    /// What to ask; none for `@read`, `@drain` and `@create`.
    pub request: Option<RequestText>,
    /// What a real server answered.
    pub recorded: Vec<String>,
    /// What the embedded one answers instead, by which accepted difference.
    pub accepted: Option<Accepted>,
}

/// An accepted different answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The id of the difference.
    pub difference: String,
    /// The answer.
    pub recorded: Vec<String>,
}

/// How to ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// `@until STATUS [POINTER=VALUE]`: ask until the answer is this, for at most half a minute.
    pub until: Option<Until>,
    /// `@for A B C`: ask once for each, with `$it` in its place; recorded are the statuses.
    pub each: Vec<String>,
    /// `@events N`: read this many events of a watch, then hang up.
    pub events: Option<usize>,
    /// `@open NAME`: start a watch and leave it open.
    pub open: Option<String>,
    /// `@read NAME N`: read this many events of an open watch.
    pub read: Option<(String, usize)>,
    /// `@drain NAME OBJECT`: read the events of an open watch up to the first of this object.
    pub drain: Option<(String, String)>,
    /// `@create FILE`: create every object of a file of manifests, named from the checkout's top.
    pub create: Option<String>,
    /// `@only POINTER…`: record these parts of the body; `*` stands for every element.
    pub only: Vec<String>,
}

/// When to stop asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Until {
    /// The status.
    pub status: u16,
    /// A JSON pointer and what is there: text as such, anything else as JSON, nothing at all as `absent`.
    pub value: Option<(String, String)>,
}

/// A request as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestText {
    /// GET, POST, …
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body, possibly empty.
    pub body: String,
}

/// A file of cases that cannot be read.
#[derive(Debug, Error)]
#[error("{file}, line {line}: {problem}")]
pub struct ParseError {
    file: String,
    line: usize,
    problem: String,
}

impl CaseFile {
    /// Reads the text of `file`.
    pub fn parse(file: &Path, text: &str) -> Result<Self, ParseError> {
        let mut parsed = Self { preamble: Vec::new(), cases: Vec::new() };
        let mut block: Vec<(usize, &str)> = Vec::new();
        let error =
            |(line, problem): (usize, String)| ParseError { file: file.display().to_string(), line, problem };
        for (index, line) in text.lines().enumerate() {
            if let Some(name) = line.strip_prefix("=== ") {
                parsed.take_block(&mut block).map_err(error)?;
                check_case_name(name).map_err(|problem| error((index + 1, problem)))?;
                parsed.cases.push(Case { name: name.to_owned(), prose: Vec::new(), steps: Vec::new() });
            } else if line.is_empty() && !inside_request(&block) {
                parsed.take_block(&mut block).map_err(error)?;
            } else {
                block.push((index + 1, line));
            }
        }
        parsed.take_block(&mut block).map_err(error)?;
        Ok(parsed)
    }

    /// The text again.
    pub fn print(&self) -> String {
        let mut out = String::new();
        for line in &self.preamble {
            push_line(&mut out, "", line);
        }
        for case in &self.cases {
            if !out.is_empty() {
                out.push('\n');
            }
            push_line(&mut out, "=== ", &case.name);
            for line in &case.prose {
                push_line(&mut out, "", line);
            }
            for step in &case.steps {
                out.push('\n');
                step.print(&mut out);
            }
        }
        out
    }

    /// Takes the lines up to an empty one: the preamble, a case's prose, or a step.
    fn take_block(&mut self, block: &mut Vec<(usize, &str)>) -> Result<(), (usize, String)> {
        let lines = std::mem::take(block);
        if lines.is_empty() {
            return Ok(());
        }
        let own = || lines.iter().map(|(_, line)| (*line).to_owned());
        match self.cases.last_mut() {
            None => self.preamble.extend(own()),
            Some(case) if case.steps.is_empty() && !starts_step(lines[0].1) => case.prose.extend(own()),
            Some(case) => case.steps.push(Step::parse(&lines)?),
        }
        Ok(())
    }
}

/// Whether an empty line belongs to the block: it stands between a request's head and a body that is not JSON.
fn inside_request(block: &[(usize, &str)]) -> bool {
    let is_answer = |line: &str| line.starts_with("< ") || line.starts_with("~ ");
    block.iter().any(|(_, line)| is_request(line)) && !block.iter().any(|(_, line)| is_answer(line))
        // The first recording has no answers yet: only a body that was announced as something else continues.
        && block.iter().any(|(_, line)| line.starts_with("Content-Type: ") && !line.contains("json"))
        && !block.iter().any(|(_, line)| line.is_empty())
}

fn starts_step(line: &str) -> bool {
    line.starts_with('#') || line.starts_with('@') || is_request(line)
}

fn is_request(line: &str) -> bool {
    let method = line.split(' ').next().unwrap_or_default();
    line.contains(" /") && ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"].contains(&method)
}

fn check_case_name(name: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > 63 || !name.chars().all(allowed) {
        return Err(format!("{name:?} cannot be a namespace: at most 63 of a-z, 0-9 and -"));
    }
    Ok(())
}

fn push_line(out: &mut String, prefix: &str, line: &str) {
    writeln!(out, "{prefix}{line}").expect("a String takes everything");
}

impl Case {
    /// A case made by a program, from the text of its steps.
    pub(crate) fn generated(name: String, steps: &[String]) -> Result<Self, String> {
        let step = |text: &String| {
            let lines: Vec<(usize, &str)> = text.lines().map(|line| (0, line)).collect();
            Step::parse(&lines).map_err(|(_, problem)| problem)
        };
        let steps = steps.iter().map(step).collect::<Result<_, _>>()?;
        Ok(Self { name, prose: Vec::new(), steps })
    }

    /// The case as it would stand in a file, with these answers.
    pub(crate) fn print_with(&self, answers: &[Vec<String>]) -> String {
        let mut case = self.clone();
        for (step, answer) in case.steps.iter_mut().zip(answers) {
            step.recorded.clone_from(answer);
        }
        CaseFile { preamble: Vec::new(), cases: vec![case] }.print()
    }
}

impl Step {
    fn parse(lines: &[(usize, &str)]) -> Result<Self, (usize, String)> {
        let mut step = Self::default();
        let mut head_ended = false;
        for (number, line) in lines {
            let fail = |problem: String| (*number, problem);
            if let Some(answer) = line.strip_prefix("< ") {
                step.recorded.push(answer.to_owned());
                continue;
            }
            if let Some(answer) = line.strip_prefix("~ ") {
                step.accept(answer).map_err(fail)?;
                continue;
            }
            if !step.recorded.is_empty() {
                return Err(fail(
                    "a request cannot go on after its answer; put an empty line between steps".to_owned(),
                ));
            }
            step.source.push((*line).to_owned());
            match &mut step.request {
                None if line.starts_with('#') => {}
                None if line.starts_with('@') => step.directives.parse(line).map_err(fail)?,
                None => step.request = Some(RequestText::parse_line(line).map_err(fail)?),
                Some(request) => request.continue_with(line, &mut head_ended).map_err(fail)?,
            }
        }
        let directives = &step.directives;
        let is_whole = directives.read.is_some() || directives.drain.is_some() || directives.create.is_some();
        if step.request.is_none() && !is_whole {
            return Err((lines[0].0, "a step needs a request, @read, @drain or @create".to_owned()));
        }
        Ok(step)
    }

    fn accept(&mut self, line: &str) -> Result<(), String> {
        if let Some(accepted) = &mut self.accepted {
            accepted.recorded.push(line.to_owned());
            return Ok(());
        }
        differences::find(line).ok_or_else(|| format!("there is no accepted difference {line:?}"))?;
        self.accepted = Some(Accepted { difference: line.to_owned(), recorded: Vec::new() });
        Ok(())
    }

    fn print(&self, out: &mut String) {
        for line in &self.source {
            push_line(out, "", line);
        }
        for line in &self.recorded {
            push_line(out, "< ", line);
        }
        if let Some(accepted) = &self.accepted {
            push_line(out, "~ ", &accepted.difference);
            for line in &accepted.recorded {
                push_line(out, "~ ", line);
            }
        }
    }

    /// What the step says, for people: its first line that is no comment.
    pub(crate) fn title(&self) -> &str {
        let title = self.request.as_ref().and_then(|_| self.source.iter().find(|line| is_request(line)));
        title.or(self.source.first()).map_or("", String::as_str)
    }

    /// The request as written, with everything that the test's author chose.
    pub(crate) fn source(&self) -> &[String] {
        &self.source
    }
}

impl Directives {
    fn parse(&mut self, line: &str) -> Result<(), String> {
        let mut words = line.split_whitespace();
        let name = words.next().unwrap_or_default();
        let arguments: Vec<&str> = words.collect();
        let number = |text: &str| text.parse::<usize>().map_err(|_| format!("{text:?} is no number"));
        match (name, arguments.as_slice()) {
            ("@until", [status]) => self.until = Some(Until { status: parse_status(status)?, value: None }),
            ("@until", [status, value]) => {
                let (pointer, wanted) = value.split_once('=').ok_or("@until STATUS POINTER=VALUE")?;
                let value = Some((pointer.to_owned(), wanted.to_owned()));
                self.until = Some(Until { status: parse_status(status)?, value });
            }
            ("@for", [_, ..]) => self.each = arguments.iter().map(|&word| word.to_owned()).collect(),
            ("@events", [count]) => self.events = Some(number(count)?),
            ("@open", [name]) => self.open = Some((*name).to_owned()),
            ("@read", [name, count]) => self.read = Some(((*name).to_owned(), number(count)?)),
            ("@drain", [name, object]) => self.drain = Some(((*name).to_owned(), (*object).to_owned())),
            ("@create", [file]) => self.create = Some((*file).to_owned()),
            ("@only", [_, ..]) => self.only = arguments.iter().map(|&word| word.to_owned()).collect(),
            _ => return Err(format!("{line:?} is no directive, or lacks arguments")),
        }
        Ok(())
    }
}

fn parse_status(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("{text:?} is no HTTP status"))
}

impl RequestText {
    fn parse_line(line: &str) -> Result<Self, String> {
        match line.split_once(' ') {
            Some((method, target)) if is_request(line) => {
                Ok(Self { method: method.to_owned(), target: target.to_owned(), ..Self::default() })
            }
            _ => Err(format!("{line:?} is no request: METHOD /path")),
        }
    }

    fn continue_with(&mut self, line: &str, head_ended: &mut bool) -> Result<(), String> {
        if !*head_ended {
            if line.is_empty() {
                *head_ended = true;
                return Ok(());
            }
            if !line.starts_with(['{', '[']) {
                let (name, value) =
                    line.split_once(": ").ok_or_else(|| format!("{line:?} is no header: NAME: VALUE"))?;
                self.headers.push((name.to_owned(), value.to_owned()));
                return Ok(());
            }
            *head_ended = true;
        }
        if !self.body.is_empty() {
            self.body.push('\n');
        }
        self.body.push_str(line);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
Prose about the file.

=== first
What it shows.
More of that.

# why
@until 200 /status/phase=Active
GET /api/v1/namespaces/$ns
< 200
< {\"kind\": \"Namespace\"}

PATCH /api/v1/namespaces/$ns
Content-Type: application/apply-patch+yaml

metadata:
  name: x
< 200

=== second

@read w 2
< {}

POST /api/v1/namespaces
{\"a\":
  1}
< 422
";

    fn parse(text: &str) -> Result<CaseFile, ParseError> {
        CaseFile::parse(Path::new("x.case"), text)
    }

    #[test]
    fn a_file_is_printed_as_it_was_read() {
        assert_eq!(parse(TEXT).unwrap().print(), TEXT);
    }

    #[test]
    fn requests_are_read_with_headers_and_body() {
        let file = parse(TEXT).unwrap();
        let [first, second] = &file.cases[..] else { panic!("two cases") };
        assert_eq!((first.prose.len(), first.steps.len(), second.steps.len()), (2, 2, 2));
        let until = first.steps[0].directives.until.as_ref().unwrap();
        assert_eq!((until.status, until.value.as_ref().unwrap().1.as_str()), (200, "Active"));
        let patch = first.steps[1].request.as_ref().unwrap();
        assert_eq!(patch.headers, [("Content-Type".to_owned(), "application/apply-patch+yaml".to_owned())]);
        assert_eq!(patch.body, "metadata:\n  name: x");
        assert_eq!(second.steps[0].directives.read, Some(("w".to_owned(), 2)));
        assert_eq!(second.steps[1].request.as_ref().unwrap().body, "{\"a\":\n  1}");
        assert_eq!(second.steps[1].recorded, ["422"]);
        assert_eq!(second.steps[1].title(), "POST /api/v1/namespaces");
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        let rows = [
            ("=== Not A Name\n", "line 1"),
            ("=== a\n\n@until x\nGET /\n", "line 3"),
            ("=== a\n\n@what\nGET /\n", "no directive"),
            ("=== a\n\nGET /x\n< 200\nmore\n", "cannot go on after its answer"),
            ("=== a\n\nGET /x\n< 200\n~ no-such-difference\n", "no accepted difference"),
            ("=== a\n\n# only a comment\n", "needs a request"),
            ("=== a\n\nGET /x\nheader\n", "no header"),
        ];
        for (text, expected) in rows {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }
}
