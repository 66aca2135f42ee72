//! What the agent says about a certificate: the status on the copy, and the events beside it.

use certmesh_api::certificates::{
    CertificateSummary, IssuedCertificateState, IssuedCertificateStatus, ObjectRef, ObservedIntent,
    RootCertificateAuthority,
};
use certmesh_api::conditions::{self, Headline};
use certmesh_x509::Fingerprint;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::{Observed, reason};
use crate::decision::{Event, Severity};
use crate::examine::{InPlace, Origin};
use crate::schedule::{self, AuthorityEnd};
use crate::text;

/// Condition that holds while a certificate's beginning lies in the local clock's future.
pub(crate) const CLOCK_SKEW: &str = "ClockSkew";
/// Condition that holds while a certificate ends with its CA, and the CA is near its end.
pub(crate) const CA_EXPIRING: &str = "CAExpiring";

/// How far the workflow is, and why.
pub(super) struct Report {
    pub(super) stage: Stage,
    /// CamelCase.
    pub(super) reason: &'static str,
    /// For people; ends with the next action. Never with the time of the pass in it, or every pass would write it again.
    pub(super) message: String,
    pub(super) is_skew: bool,
    pub(super) attempts: u32,
    pub(super) next_attempt_at: Option<Timestamp>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The certificate is in place.
    Finished,
    /// A new one is needed; there is no request for it.
    Pending { is_error: bool },
    /// It was asked for.
    Requested { is_error: bool },
    /// Nothing happens until a person acts, or the next attempt is due.
    Failed,
}

impl Report {
    pub(super) fn new(stage: Stage, reason: &'static str, message: String) -> Self {
        Self { stage, reason, message, is_skew: false, attempts: 0, next_attempt_at: None }
    }

    fn state(&self) -> IssuedCertificateState {
        match self.stage {
            Stage::Finished => IssuedCertificateState::Finished,
            Stage::Pending { .. } => IssuedCertificateState::Pending,
            Stage::Requested { .. } => IssuedCertificateState::Requested,
            Stage::Failed => IssuedCertificateState::Failed,
        }
    }

    fn is_error(&self) -> bool {
        matches!(
            self.stage,
            Stage::Pending { is_error: true } | Stage::Requested { is_error: true } | Stage::Failed
        )
    }

    fn headline(&self, still_ready: bool) -> Headline {
        let (reason, message) = (self.reason, text::bounded(&self.message));
        match self.stage {
            Stage::Finished => Headline::Ready { reason, message },
            Stage::Failed => Headline::Stalled { reason, message, still_ready },
            Stage::Pending { .. } | Stage::Requested { .. } => {
                Headline::Reconciling { reason, message, still_ready }
            }
        }
    }
}

/// The certificate in place, as a report tells of it.
#[derive(Clone, Copy)]
pub(super) struct Standing<'a> {
    pub(super) in_place: &'a InPlace,
    /// The trust it was issued under.
    pub(super) trust: Fingerprint,
    /// Whether it is what the copy asks for now.
    pub(super) is_current: bool,
}

/// The certificate in our Secret, if it is whole.
pub(super) fn standing<'a>(observed: &Observed<'a>, origin: &Origin) -> Option<Standing<'a>> {
    let facts = observed.issued.filter(|_| reason::is_ours(observed, origin))?.facts;
    let (in_place, recorded) = (facts.content.as_ref().ok()?, facts.need.as_ref()?);
    Some(Standing { in_place, trust: recorded.trust, is_current: false })
}

/// A certificate that the copy asks for is in place.
pub(super) fn in_place(now: Timestamp, observed: &Observed<'_>, in_place: &InPlace) -> Report {
    let end = in_place.path.not_after();
    if now > end {
        let message = format!(
            "the certificate expired with its CA at {end}, and renewing it would gain nothing: put a new CA in a new Secret and rotate to it"
        );
        return Report::new(Stage::Failed, "CertificateExpired", message);
    }
    let certificate = in_place.certificate();
    let mut message =
        format!("certificate {} is in place until {}", certificate.serial_number(), certificate.not_after());
    if let Some(directive) = &observed.copy.object.spec.pod_bounce_directive {
        message = format!("{message}; {}", restart(directive));
    }
    Report::new(Stage::Finished, "Issued", message)
}

/// What remains for a person to do, as long as pods are not restarted by us.
pub(super) fn restart(directive: &ObjectRef) -> String {
    format!(
        "this version does not restart pods: restart those of PodBounceDirective {directive} by hand, so that they use the new certificate"
    )
}

/// The status that says so.
pub(super) fn status(
    now: Timestamp,
    observed: &Observed<'_>,
    origin: &Origin,
    report: &Report,
    standing: Option<Standing<'_>>,
) -> IssuedCertificateStatus {
    let copy = observed.copy.object;
    let previous = copy.status.clone().unwrap_or_default();
    let generation = copy.metadata.generation.unwrap_or_default();
    let is_current = standing.is_some_and(|standing| standing.is_current);
    let still_ready = standing.is_some_and(|standing| standing.in_place.path.is_valid_at(now));
    let mut conditions = report.headline(still_ready).conditions(&previous.conditions, generation, now);
    let more = [clock_skew(report), standing.and_then(|standing| ca_expiring(now, standing.in_place))];
    conditions.extend(more.into_iter().flatten().map(|(kind, reason, message)| {
        conditions::condition(&previous.conditions, kind, true, reason, &message, generation, now)
    }));
    IssuedCertificateStatus {
        observed_generation: generation,
        error: if report.is_error() { text::bounded(&report.message) } else { String::new() },
        state: report.state(),
        applied_gloo_mesh_ca: if is_current { signer(observed) } else { previous.applied_gloo_mesh_ca },
        applied_agent_ca: None,
        observed_rotation_state: if is_current {
            copy.spec.rotation_state
        } else {
            previous.observed_rotation_state
        },
        conditions,
        certificate: standing.map(|standing| summary(observed, origin, standing.in_place)),
        observed: Some(ObservedIntent {
            intent_uid: origin.uid.clone(),
            intent_generation: origin.generation,
            trust_fingerprint: standing.map(|standing| standing.trust.to_string()).unwrap_or_default(),
        }),
        attempts: report.attempts,
        next_attempt_at: report.next_attempt_at.map(Time),
        trust: None,
    }
}

fn signer(observed: &Observed<'_>) -> Option<RootCertificateAuthority> {
    let wanted = observed.copy.facts.intent.wanted.as_ref().ok()?;
    Some(RootCertificateAuthority { signing_certificate_secret: Some(wanted.authorities.signer().clone()) })
}

fn summary(observed: &Observed<'_>, origin: &Origin, in_place: &InPlace) -> CertificateSummary {
    let certificate = in_place.certificate();
    CertificateSummary {
        serial_number: certificate.serial_number().to_string(),
        fingerprint: certificate.fingerprint().to_string(),
        not_before: Time(certificate.not_before()),
        not_after: Time(certificate.not_after()),
        renew_at: renew_at(observed, origin, in_place).map(Time),
        issuer: certificate.issuer().to_string(),
        roots: in_place.roots.fingerprints().iter().map(ToString::to_string).collect(),
    }
}

/// When it will be renewed. Never, when it ends with its CA.
pub(super) fn renew_at(observed: &Observed<'_>, origin: &Origin, in_place: &InPlace) -> Option<Timestamp> {
    let wanted = observed.copy.facts.intent.wanted.as_ref().ok()?;
    (!reason::ends_with_its_authority(in_place))
        .then(|| schedule::renew_at(in_place.certificate(), wanted.renewal_ratio, &origin.intent))
}

/// Type, reason and message of a condition besides the headline.
type More = (&'static str, &'static str, String);

fn clock_skew(report: &Report) -> Option<More> {
    report.is_skew.then(|| (CLOCK_SKEW, "NotYetValid", report.message.clone()))
}

fn ca_expiring(now: Timestamp, in_place: &InPlace) -> Option<More> {
    let authority =
        in_place.first_ending_authority().filter(|_| reason::ends_with_its_authority(in_place))?;
    let reason = match schedule::authority_end(now, authority) {
        AuthorityEnd::Far { .. } => return None,
        AuthorityEnd::Near { .. } => "Warning",
        AuthorityEnd::Critical => "Critical",
        AuthorityEnd::Over => "Expired",
    };
    let message = format!(
        "the certificate ends when its CA {} does, at {}, so that renewing it would gain nothing: put a new CA in a new Secret and rotate to it before then",
        authority.subject(),
        authority.not_after()
    );
    Some((CA_EXPIRING, reason, message))
}

/// What is worth an event: a headline with another reason, and a CA that came nearer to its end.
pub(super) fn events(
    previous: Option<&IssuedCertificateStatus>,
    report: &Report,
    status: &IssuedCertificateStatus,
) -> Vec<Event> {
    let mut events = Vec::new();
    let before = previous.map(|status| (status.state, headline_reason(&status.conditions)));
    if before != Some((status.state, Some(report.reason))) {
        let severity = if report.stage == Stage::Failed { Severity::Warning } else { Severity::Normal };
        events.push(Event {
            severity,
            reason: report.reason.to_owned(),
            message: text::bounded(&report.message),
        });
    }
    let reason_of =
        |conditions: &[Condition]| find(conditions, CA_EXPIRING).map(|condition| condition.reason.clone());
    let reason = reason_of(&status.conditions);
    if reason.is_some() && reason != previous.and_then(|status| reason_of(&status.conditions)) {
        let message = find(&status.conditions, CA_EXPIRING).map(|condition| condition.message.clone());
        events.push(Event {
            severity: Severity::Warning,
            reason: CA_EXPIRING.to_owned(),
            message: message.unwrap_or_default(),
        });
    }
    events
}

fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == kind)
}

/// The reason of the headline that was reported before.
fn headline_reason(conditions: &[Condition]) -> Option<&str> {
    [conditions::STALLED, conditions::RECONCILING, conditions::READY]
        .into_iter()
        .find_map(|kind| find(conditions, kind))
        .map(|condition| condition.reason.as_str())
}
