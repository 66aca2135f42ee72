//! The report for people.

use std::{collections::HashMap, fmt::Write as _};

use jiff::{SignedDuration, Timestamp};

use super::{
    contents::Role,
    lint::{Finding, Severity},
    report::{CertificateReport, ChainReport, FileReport, ItemReport, Report},
};
use crate::{output::visible, style};

/// Renders the report. Everything that comes from the target is escaped: it may be hostile to a terminal.
pub(super) fn render(report: &Report) -> String {
    let mut page = Page::default();
    page.head(report);
    for file in &report.files {
        page.file(file, report);
    }
    if let Some(chain) = &report.chain {
        page.chain(chain, report.now);
    }
    page.findings(&report.findings);
    page.text
}

#[derive(Default)]
struct Page {
    text: String,
    /// Where a certificate was shown first, by fingerprint.
    shown: HashMap<String, String>,
}

impl Page {
    fn heading(&mut self, text: &str) {
        let (on, off) = (style::HEADING.render(), style::HEADING.render_reset());
        self.line(&format!("{on}{text}{off}"));
    }

    fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn field(&mut self, name: &str, value: &str) {
        // Writing to a String does not fail.
        let _ = writeln!(self.text, "    {name:<10}{value}");
    }

    fn head(&mut self, report: &Report) {
        self.heading(&visible(&report.source));
        if let Some(secret) = &report.secret {
            self.line(&format!("  Secret of type {}: {}", visible(&secret.type_), role(report.role)));
            if let Some(intent) = &secret.issued_for {
                self.line(&format!("  issued for {}", visible(intent)));
            }
        }
    }

    fn file(&mut self, file: &FileReport, report: &Report) {
        if report.secret.is_some() {
            self.line("");
            self.heading(&visible(&file.name));
        }
        if file.items.is_empty() {
            self.line("  nothing");
        }
        for item in &file.items {
            self.item(item, &file.name, report.now);
        }
    }

    fn item(&mut self, item: &ItemReport, file: &str, now: Timestamp) {
        match item {
            ItemReport::Certificate(certificate) => self.certificate(certificate, file, now),
            ItemReport::Request { subject, names, key_algorithm, public_key_fingerprint } => {
                self.line(&format!("  signing request for an {key_algorithm} key, signed by it"));
                self.field("asks for", &visible(subject));
                self.names(names);
                self.field("key", public_key_fingerprint);
            }
            ItemReport::PrivateKey { algorithm, public_key_fingerprint, belongs_to_certificate } => {
                let belongs = match belongs_to_certificate {
                    Some(true) => ", the certificate's",
                    Some(false) => ", NOT the certificate's",
                    None => "",
                };
                self.line(&format!("  private key {algorithm}{belongs} (never shown)"));
                self.field("public", public_key_fingerprint);
            }
            ItemReport::Other { label } => self.line(&format!("  {} (not looked into)", visible(label))),
            ItemReport::Unreadable { reason } => self.line(&format!("  unreadable: {}", visible(reason))),
            ItemReport::Opaque => self.line("  not PEM (not looked into)"),
        }
    }

    fn certificate(&mut self, certificate: &CertificateReport, file: &str, now: Timestamp) {
        let subject = match certificate.subject.as_str() {
            "" => "(empty subject)".to_owned(),
            subject => visible(subject),
        };
        self.line(&format!("  certificate {subject}"));
        if let Some(earlier) = self.shown.get(&certificate.fingerprint) {
            let text =
                if earlier == file { "again".to_owned() } else { format!("as in {}", visible(earlier)) };
            self.field("same", &text);
            return;
        }
        self.shown.insert(certificate.fingerprint.clone(), file.to_owned());
        if certificate.is_self_signed {
            self.field("issuer", "itself");
        } else {
            self.field("issuer", &visible(&certificate.issuer));
        }
        let (from, to) = (certificate.not_before, certificate.not_after);
        self.field("valid", &format!("{from} to {to} ({})", time_left(to, now)));
        self.field(
            "key",
            &format!("{}, signed with {}", certificate.key_algorithm, certificate.signature_algorithm),
        );
        self.field("CA", &certificate_authority(certificate));
        let usages = [certificate.key_usages.join(", "), certificate.extended_key_usages.join(", ")];
        let usages: Vec<&str> = usages.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
        if !usages.is_empty() {
            self.field("usage", &usages.join("; "));
        }
        self.names(&certificate.names);
        self.field("serial", &certificate.serial_number);
        self.field("SHA-256", &certificate.fingerprint);
    }

    fn names(&mut self, names: &[String]) {
        for (index, name) in names.iter().enumerate() {
            self.field(if index == 0 { "names" } else { "" }, &visible(name));
        }
    }

    fn chain(&mut self, chain: &ChainReport, now: Timestamp) {
        self.line("");
        self.heading("chain");
        match (&chain.error, chain.not_after) {
            (Some(error), _) => {
                self.line(&format!("  {} {}", painted(style::CRITICAL, "does not verify:"), visible(error)));
            }
            (None, until) => {
                let until = until.map(|until| format!(", until {until} ({})", time_left(until, now)));
                self.line(&format!("  {}{}", painted(style::GOOD, "verifies"), until.unwrap_or_default()));
                for (depth, subject) in chain.path.iter().enumerate() {
                    let subject = if subject.is_empty() { "(empty subject)" } else { subject };
                    self.line(&format!("    {}{}", "  ".repeat(depth), visible(subject)));
                }
            }
        }
    }

    fn findings(&mut self, findings: &[Finding]) {
        self.line("");
        if findings.is_empty() {
            self.line(&format!("{} nothing wrong was found", painted(style::GOOD, "ok")));
            return;
        }
        self.heading("findings");
        for finding in findings {
            let severity = match finding.severity {
                Severity::Critical => painted(style::CRITICAL, "critical"),
                Severity::Warning => painted(style::WARNING, "warning "),
                Severity::Info => painted(style::FAINT, "info    "),
            };
            self.line(&format!("  {severity}  {} in {}", finding.code, visible(&finding.place)));
            self.line(&format!("            {}", visible(&finding.message)));
            if !finding.fix.is_empty() {
                self.line(&format!("            fix: {}", finding.fix));
            }
        }
    }
}

fn painted(style: anstyle::Style, text: &str) -> String {
    format!("{}{text}{}", style.render(), style.render_reset())
}

fn role(role: Role) -> &'static str {
    match role {
        Role::IssuedCertificate => "an intermediate CA for a cluster",
        Role::SigningCa => "a CA to sign with",
        Role::TlsSecret => "a workload's certificate",
        Role::PendingKey => "a key that waits for its certificate",
        Role::OtherSecret => "nothing that certmesh reads",
        Role::PemFile => "a PEM file",
    }
}

fn certificate_authority(certificate: &CertificateReport) -> String {
    match (certificate.is_ca, certificate.path_length) {
        (false, _) => "no".to_owned(),
        (true, None) => "yes".to_owned(),
        (true, Some(length)) => format!("yes, pathLen {length}"),
    }
}

/// "365 days left", "expired 2 hours ago".
fn time_left(until: Timestamp, now: Timestamp) -> String {
    let left = until.duration_since(now);
    if left.is_negative() {
        format!("expired {} ago", rounded(left.abs()))
    } else {
        format!("{} left", rounded(left))
    }
}

fn rounded(duration: SignedDuration) -> String {
    let (days, hours, minutes) = (duration.as_hours() / 24, duration.as_hours(), duration.as_mins());
    match (days, hours, minutes) {
        (2.., ..) => format!("{days} days"),
        (_, 2.., _) => format!("{hours} hours"),
        (_, _, 2..) => format!("{minutes} minutes"),
        _ => format!("{} seconds", duration.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_the_unit_that_people_would_use() {
        for (seconds, expected) in [
            (90, "90 seconds left"),
            (7_000, "116 minutes left"),
            (36_000, "10 hours left"),
            (864_000, "10 days left"),
            (-7_300, "expired 2 hours ago"),
        ] {
            let until = Timestamp::from_second(10_000_000 + seconds).unwrap();
            assert_eq!(time_left(until, Timestamp::from_second(10_000_000).unwrap()), expected);
        }
    }
}
