//! What can be wrong, one small check each. A check looks at everything that was read and says what it found.
//!
//! Severities are about consequences: *critical* breaks connections, signing or a reload now or soon; a *warning* will
//! break something later or hides a mistake; *info* explains what may surprise.

mod certificates;
mod files;
mod trust;

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::Serialize;

use super::contents::Contents;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Severity {
    /// Nothing to do.
    Info,
    /// Look at it when there is time.
    Warning,
    /// Look at it now.
    Critical,
}

/// Something a check found. `code` is stable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Finding {
    pub(super) severity: Severity,
    /// CamelCase name of what is wrong.
    pub(super) code: &'static str,
    /// Where: a file, or the Secret itself.
    pub(super) place: String,
    /// What is wrong, and what follows from it.
    pub(super) message: String,
    /// What to do; empty when nothing is to be done.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) fix: &'static str,
}

/// What the checks look at.
pub(super) struct Examined<'a> {
    pub(super) contents: &'a Contents,
    pub(super) now: Timestamp,
}

type Check = fn(&Examined<'_>) -> Vec<Finding>;

/// Every check, in the order in which their findings are shown within one severity.
const CHECKS: [&[Check]; 3] = [files::CHECKS, certificates::CHECKS, trust::CHECKS];

/// All findings, the worst first.
pub(super) fn run(contents: &Contents, now: Timestamp) -> Vec<Finding> {
    let examined = Examined { contents, now };
    let mut findings: Vec<Finding> =
        CHECKS.into_iter().flatten().flat_map(|check| check(&examined)).collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

fn critical(code: &'static str, place: &str, message: String, fix: &'static str) -> Finding {
    Finding { severity: Severity::Critical, code, place: place.to_owned(), message, fix }
}

fn warning(code: &'static str, place: &str, message: String, fix: &'static str) -> Finding {
    Finding { severity: Severity::Warning, code, place: place.to_owned(), message, fix }
}

fn info(code: &'static str, place: &str, message: String) -> Finding {
    Finding { severity: Severity::Info, code, place: place.to_owned(), message, fix: "" }
}
