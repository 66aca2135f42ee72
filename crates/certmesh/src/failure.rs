//! Failures as people read them: what was tried, why it failed, what to do next.
//!
//! ```text
//!   × reading certificates from root.pem
//!   ╰─▶ the file has no CERTIFICATE block
//!   help: give a PEM file, …
//! ```

use std::{error::Error, fmt};

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, ThemeStyles};

use crate::exit::Exit;

/// Narrow enough for a terminal beside an editor.
const WIDTH: usize = 100;

/// A command that could not do what it was asked.
#[derive(Debug)]
pub struct Failure {
    what: String,
    why: Option<Reason>,
    advice: Option<String>,
    exit: Exit,
}

impl Failure {
    /// What was tried, on what: "reading kubeconfig /x", "applying IssuedCertificate cluster-1/istio".
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), why: None, advice: None, exit: Exit::Failed }
    }

    /// Why it failed.
    #[must_use]
    pub fn because(self, why: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { why: Some(Reason::new(&*why.into())), ..self }
    }

    /// What to do next.
    #[must_use]
    pub fn advise(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }

    /// The arguments themselves were wrong (exit code 2).
    #[must_use]
    pub fn is_usage(self) -> Self {
        Self { exit: Exit::Usage, ..self }
    }

    /// The process' exit code.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// Prints the failure to stderr.
    pub(crate) fn report(&self) {
        use std::io::Write as _;
        let mut text = String::new();
        let theme = GraphicalTheme { styles: ThemeStyles::ansi(), ..GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme).with_width(WIDTH).with_break_words(false);
        // Writing to a String does not fail, and stderr is the last place to complain to. Colours are stripped there
        // when it is no terminal or NO_COLOR is set.
        if handler.render_report(&mut text, self).is_ok() {
            let _ = anstream::stderr().write_all(text.as_bytes());
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.why.as_ref().map(|why| why as &(dyn Error + 'static))
    }
}

impl Diagnostic for Failure {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.advice.as_ref().map(|advice| Box::new(advice) as Box<dyn fmt::Display>)
    }
}

/// An error and what caused it, each said once: many errors repeat their cause in their own message.
#[derive(Debug)]
struct Reason {
    message: String,
    cause: Option<Box<Reason>>,
}

impl Reason {
    fn new(error: &(dyn Error + 'static)) -> Self {
        let message = error.to_string();
        let mut cause = error.source();
        while let Some(repeated) = cause.filter(|cause| message.contains(&cause.to_string())) {
            cause = repeated.source();
        }
        Self { message, cause: cause.map(|cause| Box::new(Self::new(cause))) }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Reason {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Layer>>,
    }

    fn layers(texts: &[&'static str]) -> Option<Box<Layer>> {
        let (text, rest) = texts.split_first()?;
        Some(Box::new(Layer { text, source: layers(rest) }))
    }

    #[test]
    fn each_cause_is_said_once() {
        let error = layers(&["cannot read a: denied", "denied", "errno 13"]).unwrap();
        let failure = Failure::new("starting").because(error);
        let mut said = vec![failure.to_string()];
        let mut next = failure.source();
        while let Some(reason) = next {
            said.push(reason.to_string());
            next = reason.source();
        }
        assert_eq!(said, ["starting", "cannot read a: denied", "errno 13"]);
    }
}
