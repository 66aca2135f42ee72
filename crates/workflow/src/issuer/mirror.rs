//! The status on the intent: the agent's word, made harmless, with what the issuer itself knows on top.
//!
//! ```text
//!   copy.status ──observed.intentUid is ours?──▶ translated, bounded, escaped ──┐
//!                         │ no                                                  ├─▶ + headline of the issuer, if any ─▶ status
//!                         └──▶ the intent's status as it is ────────────────────┘   + trust, recorded by the issuer
//! ```

use certmesh_api::certificates::{
    CertificateSummary, IssuedCertificate, IssuedCertificateState, IssuedCertificateStatus, ObjectRef,
    ObservedIntent, RecordedTrust, RootCertificateAuthority,
};
use certmesh_api::conditions::{self, READY, RECONCILING, STALLED};
use certmesh_x509::Fingerprint;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;

use super::problem::{Kind, Problem};
use crate::agent::report::{CA_EXPIRING, CLOCK_SKEW};
use crate::decision::{Event, Severity};
use crate::schedule::{self, SKEW_PATIENCE};
use crate::text::{self, bounded};
use crate::trust::Trust;

/// The reason of a certificate that is over while its agent is silent.
const EXPIRED: &str = "CertificateExpired";

/// The conditions that an agent reports.
const REPORTED: [&str; 5] = [READY, RECONCILING, STALLED, CLOCK_SKEW, CA_EXPIRING];

/// What the issuer has to say itself. It comes before the agent's word.
pub(super) struct Headline {
    needs_a_person: bool,
    reason: &'static str,
    message: String,
}

impl Headline {
    /// It may pass by itself.
    pub(super) fn waiting(reason: &'static str, message: String) -> Self {
        Self { needs_a_person: false, reason, message }
    }

    /// A person has to act.
    pub(super) fn stalled(reason: &'static str, message: String) -> Self {
        Self { needs_a_person: true, reason, message }
    }

    pub(super) fn of(problem: &Problem) -> Self {
        Self {
            needs_a_person: problem.kind == Kind::Refuse,
            reason: problem.reason,
            message: problem.message.clone(),
        }
    }
}

/// The agent's report on this intent. One about another intent of the same name says nothing.
pub(super) fn report<'a>(
    intent: &IssuedCertificate,
    status: Option<&'a IssuedCertificateStatus>,
) -> Option<&'a IssuedCertificateStatus> {
    let uid = intent.uid()?;
    status.filter(|status| status.observed.as_ref().is_some_and(|observed| observed.intent_uid == uid))
}

/// The status that the intent should have, and when it has to be looked at again. Nothing when there is nothing to say.
pub(super) fn status(
    now: Timestamp,
    intent: &IssuedCertificate,
    report: Option<&IssuedCertificateStatus>,
    headline: Option<&Headline>,
    trust: Option<&Trust<'_>>,
) -> Option<IssuedCertificateStatus> {
    let generation = intent.metadata.generation.unwrap_or_default();
    let previous = intent.status.clone().unwrap_or_default();
    let mut status = match report {
        Some(report) => translated(report, intent),
        None => previous.clone(),
    };
    status.trust = recorded(&status, trust).or_else(|| previous.trust.clone());
    let expired = expired(now, &status);
    if let Some(headline) = headline.or(expired.as_ref()) {
        let still_ready = is_ready(&status) && expired.is_none();
        overrule(&mut status, headline, still_ready, &previous.conditions, generation, schedule::whole(now));
    }
    (status != previous).then_some(status)
}

/// When to look again though nobody calls: the certificate in place stops being good, whoever is left to say so. One that
/// was said to be over may be good after all, if it was our clock that was ahead and has been set right.
pub(super) fn look_again(now: Timestamp, status: &IssuedCertificateStatus) -> Option<Timestamp> {
    if is_said_to_be_over(status) {
        return Some(schedule::later(now, SKEW_PATIENCE));
    }
    let end = status.certificate.as_ref().filter(|_| is_ready(status))?.not_after.0;
    Some(schedule::later(end, 1))
}

fn is_said_to_be_over(status: &IssuedCertificateStatus) -> bool {
    status.conditions.iter().any(|condition| condition.type_ == STALLED && condition.reason == EXPIRED)
}

fn is_ready(status: &IssuedCertificateStatus) -> bool {
    status.conditions.iter().any(|condition| condition.type_ == READY && condition.status == "True")
}

/// An agent that is gone cannot say that its certificate has expired.
fn expired(now: Timestamp, status: &IssuedCertificateStatus) -> Option<Headline> {
    let end = status.certificate.as_ref().filter(|_| is_ready(status))?.not_after.0;
    (now > end).then(|| {
        let message = format!(
            "the certificate expired at {end} and its agent has not reported since: see whether it runs"
        );
        Headline::stalled(EXPIRED, message)
    })
}

fn overrule(
    status: &mut IssuedCertificateStatus,
    headline: &Headline,
    still_ready: bool,
    previous: &[Condition],
    generation: i64,
    now: Timestamp,
) {
    let (reason, message) = (headline.reason, bounded(&headline.message));
    status.error.clone_from(&message);
    status.observed_generation = generation;
    if headline.needs_a_person {
        status.state = IssuedCertificateState::Failed;
    }
    let headline = if headline.needs_a_person {
        conditions::Headline::Stalled { reason, message, still_ready }
    } else {
        conditions::Headline::Reconciling { reason, message, still_ready }
    };
    let rest = status
        .conditions
        .drain(..)
        .filter(|condition| ![READY, RECONCILING, STALLED].contains(&condition.type_.as_str()));
    let rest: Vec<Condition> = rest.collect();
    status.conditions = headline.conditions(previous, generation, now);
    status.conditions.extend(rest);
}

/// The trust that an intent's certificate was issued under is recorded when the agent says that it is in place. What is
/// recorded is what the issuer knows; the remote cluster only says which.
fn recorded(status: &IssuedCertificateStatus, trust: Option<&Trust<'_>>) -> Option<RecordedTrust> {
    let trust = trust.filter(|_| status.state == IssuedCertificateState::Finished)?;
    let fingerprint = trust.fingerprint().to_string();
    let in_place = &status.observed.as_ref()?.trust_fingerprint;
    (*in_place == fingerprint).then(|| RecordedTrust {
        fingerprint,
        roots: trust.root_set().iter().map(Fingerprint::to_string).collect(),
    })
}

/// The agent's word about the copy, as a word about the intent.
fn translated(report: &IssuedCertificateStatus, intent: &IssuedCertificate) -> IssuedCertificateStatus {
    let latest = intent.metadata.generation.unwrap_or_default();
    let seen = report.observed.as_ref();
    let generation = seen.map_or(0, |seen| seen.intent_generation).clamp(0, latest);
    IssuedCertificateStatus {
        observed_generation: generation,
        error: bounded(&report.error),
        state: report.state,
        applied_gloo_mesh_ca: report.applied_gloo_mesh_ca.as_ref().map(|ca| RootCertificateAuthority {
            signing_certificate_secret: ca.signing_certificate_secret.as_ref().map(reference),
        }),
        applied_agent_ca: None,
        observed_rotation_state: report.observed_rotation_state,
        conditions: reported_conditions(&report.conditions, generation),
        certificate: report.certificate.as_ref().map(summary),
        observed: seen.map(|seen| ObservedIntent {
            intent_uid: intent.uid().unwrap_or_default(),
            intent_generation: generation,
            trust_fingerprint: fingerprint(&seen.trust_fingerprint).unwrap_or_default(),
        }),
        attempts: report.attempts,
        next_attempt_at: report.next_attempt_at.clone(),
        trust: None,
    }
}

fn reported_conditions(reported: &[Condition], generation: i64) -> Vec<Condition> {
    let first = |kind: &&str| reported.iter().find(|condition| condition.type_ == **kind);
    REPORTED
        .iter()
        .filter_map(first)
        .filter(|condition| ["True", "False", "Unknown"].contains(&condition.status.as_str()))
        .map(|condition| Condition {
            type_: condition.type_.clone(),
            status: condition.status.clone(),
            reason: if is_reason(&condition.reason) {
                condition.reason.clone()
            } else {
                "Unknown".to_owned()
            },
            message: bounded(&condition.message),
            observed_generation: (generation > 0).then_some(generation),
            last_transition_time: condition.last_transition_time.clone(),
        })
        .collect()
}

/// The API server's rule for reasons, without the punctuation that nobody uses.
fn is_reason(reason: &str) -> bool {
    reason.len() <= 128
        && reason.starts_with(|first: char| first.is_ascii_alphabetic())
        && reason.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn summary(reported: &CertificateSummary) -> CertificateSummary {
    CertificateSummary {
        serial_number: bounded(&reported.serial_number),
        fingerprint: fingerprint(&reported.fingerprint).unwrap_or_default(),
        not_before: reported.not_before.clone(),
        not_after: reported.not_after.clone(),
        renew_at: reported.renew_at.clone(),
        issuer: bounded(&reported.issuer),
        roots: reported.roots.iter().take(text::MOST).filter_map(|root| fingerprint(root)).collect(),
    }
}

fn reference(reported: &ObjectRef) -> ObjectRef {
    ObjectRef::new(bounded(&reported.namespace), bounded(&reported.name))
}

fn fingerprint(text: &str) -> Option<String> {
    text.parse::<Fingerprint>().ok().map(|fingerprint| fingerprint.to_string())
}

/// What is worth an event on the intent: a headline with another reason.
pub(super) fn events(
    previous: Option<&IssuedCertificateStatus>,
    status: &IssuedCertificateStatus,
) -> Vec<Event> {
    let before = previous.and_then(|status| headline_condition(&status.conditions));
    let Some(after) = headline_condition(&status.conditions) else { return Vec::new() };
    if before.is_some_and(|before| (&before.type_, &before.reason) == (&after.type_, &after.reason)) {
        return Vec::new();
    }
    let severity = if after.type_ == STALLED { Severity::Warning } else { Severity::Normal };
    vec![Event { severity, reason: after.reason.clone(), message: after.message.clone() }]
}

fn headline_condition(conditions: &[Condition]) -> Option<&Condition> {
    [STALLED, RECONCILING, READY]
        .into_iter()
        .find_map(|kind| conditions.iter().find(|condition| condition.type_ == kind))
}
