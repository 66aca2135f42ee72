//! The agent's decision: what the remote cluster's side does about one copy.
//!
//! ```text
//!   copy ─▶ being deleted? ──yes──▶ retire: request, key, note on the Secret, finalizer
//!             │ no
//!           spec good, Secret ours to claim? ──no──▶ report: a person has to act
//!             │ yes
//!           reason::verdict: is a new certificate needed?
//!             │ no ─▶ clean up, report FINISHED, sleep until the next deadline
//!             │ yes
//!           issue: key ─▶ request ─▶ answer::judge ─▶ store::guard ─▶ issued Secret ─▶ clean up
//! ```
//!
//! `state` is an output: it follows from the objects and is never read back. Only `attempts` and `nextAttemptAt` are.

mod answer;
mod claim;
mod effect;
mod issue;
mod observed;
mod reason;
pub(crate) mod report;
mod retire;
mod store;

use certmesh_api::certificates::ObjectRef;
use certmesh_x509::Fingerprint;
use jiff::Timestamp;

pub use claim::rival;
pub use effect::{
    CreateKey, CreateRequest, Effect, ReleaseCopy, RequestKey, StoreIssued, UpdateIssued, Write,
};
pub use observed::Observed;

use crate::decision::{Event, Severity};
use crate::examine::{InPlace, Obstacle, Origin, Wanted};
use crate::need::NeedReason;
use crate::schedule::{self, AuthorityEnd, RECHECK};
use issue::Issue;
use reason::Verdict;
use report::{Report, Stage, Standing};

/// Seconds after which a Secret that could not be read is looked at again.
const UNREADABLE_RETRY: i64 = 60;

/// What a pass of the agent decides.
pub type Decision = crate::Decision<Effect>;

/// Decides what to do about one copy.
///
/// Left alone: what is nobody's copy, and what names no Secret (the sidecar agent's).
pub fn decide(now: Timestamp, observed: &Observed<'_>) -> Decision {
    if observed.copy.object.metadata.deletion_timestamp.is_some() {
        return retire::retire(now, observed);
    }
    match (&observed.copy.facts.origin, &observed.copy.object.spec.issued_certificate_secret) {
        (Some(origin), Some(target)) => conclude(now, observed, origin, pass(now, observed, origin, target)),
        (None, _) | (_, None) => Decision::default(),
    }
}

/// What a pass comes to, before it is put into words.
struct Outcome {
    effects: Vec<Effect>,
    ending: Ending,
    wake_at: Option<Timestamp>,
}

enum Ending {
    /// Nothing worth a write: the status stays as it is.
    Silent,
    /// This is to be said.
    Report(Report),
    /// The certificate that the copy asks for is in place.
    InPlace,
    /// The effects put it in place.
    Stored(Box<Stored>),
}

struct Stored {
    in_place: InPlace,
    trust: Fingerprint,
}

impl Outcome {
    fn silent() -> Self {
        Self { effects: Vec::new(), ending: Ending::Silent, wake_at: None }
    }

    fn report(report: Report) -> Self {
        Self { ending: Ending::Report(report), ..Self::silent() }
    }

    /// Something that is not watched has to change first.
    fn recheck(self, now: Timestamp) -> Self {
        Self { wake_at: Some(schedule::later(now, RECHECK)), ..self }
    }
}

fn pass(now: Timestamp, observed: &Observed<'_>, origin: &Origin, target: &ObjectRef) -> Outcome {
    let wanted = match &observed.copy.facts.intent.wanted {
        Ok(wanted) => wanted,
        Err(problem) => return stalled(problem.reason(), format!("{problem}; change the intent")),
    };
    if let Some(rival) = observed.rival {
        return stalled("SecretClaimed", claimed(target, rival)).recheck(now);
    }
    if let Some(error) = observed.unreadable {
        return unreadable(now, target, error);
    }
    match reason::verdict(now, observed, origin, wanted) {
        Verdict::Settled => Outcome { effects: settle(observed), ending: Ending::InPlace, wake_at: None },
        Verdict::Needed(why) => needed(now, observed, origin, wanted, why),
        Verdict::Braked { reason, until } => braked(observed, reason, until),
        Verdict::NotOurs => stalled("SecretNotOurs", not_ours(observed, target)),
        Verdict::CannotAdopt(obstacle) => {
            stalled("CannotAdopt", cannot_write(target, obstacle, "taken over"))
        }
        Verdict::CannotStore(obstacle) => stalled("CannotStore", cannot_write(target, obstacle, "renewed")),
    }
}

fn stalled(reason: &'static str, message: String) -> Outcome {
    Outcome::report(Report::new(Stage::Failed, reason, message))
}

/// A Secret that cannot be seen is neither missing nor ours: nothing is made for it. Rights change without a sign of
/// it, so it is looked at again.
fn unreadable(now: Timestamp, target: &ObjectRef, error: &str) -> Outcome {
    let message = format!(
        "Secret {target} cannot be read: {}; give the agent's account a Role that lets it get, create, update and watch that Secret",
        crate::text::bounded(error)
    );
    Outcome { wake_at: Some(schedule::later(now, UNREADABLE_RETRY)), ..stalled("SecretUnreadable", message) }
}

fn claimed(target: &ObjectRef, rival: &ObjectRef) -> String {
    format!(
        "Secret {target} belongs to IssuedCertificate {rival}, which names it too: name another Secret in one of the two intents"
    )
}

fn not_ours(observed: &Observed<'_>, target: &ObjectRef) -> String {
    let owner = observed.issued.and_then(|issued| issued.facts.issued_for.as_ref());
    let owner = owner.map_or_else(
        || "was not written by this agent".to_owned(),
        |owner| format!("was issued for {}", crate::text::bounded(&owner.to_string())),
    );
    format!(
        "Secret {target} {owner}, so it is left as it is: name another Secret, or let the agent take it over with the annotation certmesh.dev/adopt: \"true\" on the intent"
    )
}

fn cannot_write(target: &ObjectRef, obstacle: Obstacle, verb: &str) -> String {
    format!("Secret {target} cannot be {verb}: {obstacle}")
}

/// The certificate is in place: what a request left behind goes.
fn settle(observed: &Observed<'_>) -> Vec<Effect> {
    retire::reclaim(observed).into_iter().chain(retire::leftovers(observed)).collect()
}

fn needed(
    now: Timestamp,
    observed: &Observed<'_>,
    origin: &Origin,
    wanted: &Wanted,
    why: NeedReason,
) -> Outcome {
    let Some(trust) = observed.copy.facts.trust else {
        let message = format!(
            "{why}: the issuer has not said yet under which CA it would sign; its reason is in the status of IssuedCertificate {} in the management cluster",
            origin.intent
        );
        return Outcome::report(Report::new(Stage::Pending { is_error: true }, "TrustUnknown", message));
    };
    let need = issue::need(observed, origin, wanted, trust);
    let mut outcome = Issue { now, observed, origin, wanted, need, why }.pass();
    if matches!(outcome.ending, Ending::Stored(_)) {
        outcome.effects.extend(retire::leftovers(observed));
    }
    outcome
}

fn braked(observed: &Observed<'_>, why: NeedReason, until: Timestamp) -> Outcome {
    let message = format!(
        "{why}: the certificate in place was issued a short while ago, a new one is requested at {until}; annotate the intent with a new certmesh.dev/renew to have it now"
    );
    let report = Report::new(Stage::Pending { is_error: false }, why.as_str(), message);
    Outcome { effects: retire::leftovers(observed), wake_at: Some(until), ..Outcome::report(report) }
}

/// Puts an outcome into words.
fn conclude(now: Timestamp, observed: &Observed<'_>, origin: &Origin, outcome: Outcome) -> Decision {
    let Outcome { effects, ending, wake_at } = outcome;
    let mut decision = Decision { effects, wake_at, ..Decision::default() };
    let before = report::standing(observed, origin);
    match &ending {
        Ending::Silent => {}
        Ending::Report(report) => tell(now, observed, origin, report, before, &mut decision),
        Ending::InPlace => {
            if let Some(standing) = before {
                finish(now, observed, origin, Standing { is_current: true, ..standing }, &mut decision);
            }
        }
        Ending::Stored(stored) => {
            let Stored { in_place, trust } = &**stored;
            let standing = Standing { in_place, trust: *trust, is_current: true };
            let report = finish(now, observed, origin, standing, &mut decision);
            announce(observed, &report, &mut decision.events);
        }
    }
    decision
}

/// Writes the status if it says anything new.
fn tell(
    now: Timestamp,
    observed: &Observed<'_>,
    origin: &Origin,
    report: &Report,
    standing: Option<Standing<'_>>,
    decision: &mut Decision,
) {
    let status = report::status(schedule::whole(now), observed, origin, report, standing);
    let previous = observed.copy.object.status.as_ref();
    if previous != Some(&status) {
        decision.events.extend(report::events(previous, report, &status));
        decision.status = Some(status);
    }
}

/// The certificate is in place: says so, and sleeps until the next deadline.
fn finish(
    now: Timestamp,
    observed: &Observed<'_>,
    origin: &Origin,
    standing: Standing<'_>,
    decision: &mut Decision,
) -> Report {
    let report = report::in_place(now, observed, standing.in_place);
    tell(now, observed, origin, &report, Some(standing), decision);
    match report::renew_at(observed, origin, standing.in_place) {
        Some(renew_at) => decision.wake(renew_at),
        None => wake_before_the_end_of_the_authority(now, standing.in_place, decision),
    }
    report
}

fn wake_before_the_end_of_the_authority(now: Timestamp, in_place: &InPlace, decision: &mut Decision) {
    let Some(authority) = in_place.first_ending_authority() else { return };
    match schedule::authority_end(now, authority) {
        AuthorityEnd::Far { warn_at } => decision.wake(warn_at),
        AuthorityEnd::Near { critical_at } => decision.wake(critical_at),
        AuthorityEnd::Critical => decision.wake(schedule::later(authority.not_after(), 1)),
        AuthorityEnd::Over => {}
    }
}

/// A new certificate is an event, even when the headline is the same as before.
fn announce(observed: &Observed<'_>, report: &Report, events: &mut Vec<Event>) {
    if !events.iter().any(|event| event.reason == report.reason) {
        events.push(Event {
            severity: Severity::Normal,
            reason: report.reason.to_owned(),
            message: report.message.clone(),
        });
    }
    if let Some(directive) = &observed.copy.object.spec.pod_bounce_directive {
        events.push(Event {
            severity: Severity::Warning,
            reason: "RestartPods".to_owned(),
            message: report::restart(directive),
        });
    }
}
