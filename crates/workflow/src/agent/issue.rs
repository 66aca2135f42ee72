//! A new certificate is needed: key → request → answer → issued Secret → delete request → delete key.
//!
//! Each step is decided from what is there, so a pass that was cut off anywhere is taken up by the next one. Whatever is
//! there for another need goes first.

use certmesh_x509::PrivateKey;
use jiff::Timestamp;

use super::answer::{Judgement, Waiting, judge};
use super::effect::{CreateKey, CreateRequest, Effect, RequestKey};
use super::report::{Report, Stage};
use super::{Ending, Observed, Outcome, Stored, reason, store};
use crate::examine::{AnswerFacts, InPlace, Origin, SignedAnswer, Wanted};
use crate::need::{Need, NeedReason};
use crate::object::ObjectVersion;
use crate::schedule::{self, TRANSITION_GRACE};

/// One need, and everything that is known about it.
pub(super) struct Issue<'a> {
    pub(super) now: Timestamp,
    pub(super) observed: &'a Observed<'a>,
    pub(super) origin: &'a Origin,
    pub(super) wanted: &'a Wanted,
    pub(super) need: Need,
    pub(super) why: NeedReason,
}

impl<'a> Issue<'a> {
    pub(super) fn pass(&self) -> Outcome {
        if let Some(blocked) = self.name_is_taken() {
            return Outcome::report(blocked).recheck(self.now);
        }
        if self.is_waiting_for_a_deletion() {
            return Outcome::silent().recheck(self.now);
        }
        match (self.pending_key(), self.open_request()) {
            (None, _) => self.begin(),
            (Some(key), None) => self.ask(key, self.failures_so_far(), None),
            (Some(key), Some(answered)) if !is_about(answered, key) => {
                self.ask(key, answered.request.attempt, None)
            }
            (Some(key), Some(answered)) => self.answered(key, answered),
        }
    }

    /// Another's object has the name that ours needs.
    fn name_is_taken(&self) -> Option<Report> {
        let name = self.observed.name();
        let is_another = |made_by: &Option<String>| made_by.as_deref() != Some(self.observed.agent_namespace);
        let kind = if self.observed.key.is_some_and(|key| is_another(&key.facts.made_by)) {
            "Secret"
        } else if self.observed.request.is_some_and(|request| is_another(&request.facts.request.made_by)) {
            "CertificateRequest"
        } else {
            return None;
        };
        let message = format!(
            "{kind} {name} is not this agent's, but the agent needs that name while a request is open: delete or rename it, or rename the IssuedCertificate"
        );
        Some(Report::new(Stage::Failed, "NameTaken", message))
    }

    /// Somebody's finalizer keeps a key or request that is deleted already; its name is free only after.
    fn is_waiting_for_a_deletion(&self) -> bool {
        let key = self.observed.key.map(|key| &key.object.metadata);
        let request = self.observed.request.map(|request| &request.object.metadata);
        [key, request].into_iter().flatten().any(|metadata| metadata.deletion_timestamp.is_some())
    }

    /// The key of this need.
    fn pending_key(&self) -> Option<&'a PrivateKey> {
        let facts = self.observed.key.filter(|key| key.facts.need.as_ref() == Some(&self.need))?.facts;
        facts.key.as_ref().ok().filter(|key| key.algorithm() == self.wanted.algorithm)
    }

    /// The request of this need.
    fn open_request(&self) -> Option<&'a AnswerFacts> {
        let request = self.observed.request?;
        (request.facts.request.need.as_ref() == Some(&self.need)).then_some(request.facts)
    }

    /// Nothing usable is there: a new key and a request for it.
    fn begin(&self) -> Outcome {
        let mut effects = self.deletion_of_request();
        effects.extend(self.observed.key.map(|key| Effect::DeleteKey(ObjectVersion::of(key.object))));
        effects.push(Effect::CreateKey(CreateKey {
            name: self.observed.name(),
            algorithm: self.wanted.algorithm,
            need: self.need.clone(),
            reason: self.why,
            agent_namespace: self.observed.agent_namespace.to_owned(),
        }));
        effects.push(self.create_request(RequestKey::JustMade, 0));
        Outcome { effects, ..self.asked(0, None) }
    }

    /// The key is there: a request for it, in the place of whatever has that name.
    fn ask(&self, key: &PrivateKey, attempt: u32, last_error: Option<&str>) -> Outcome {
        let mut effects = self.deletion_of_request();
        effects.push(self.create_request(RequestKey::Stored(key.clone()), attempt));
        Outcome { effects, ..self.asked(attempt, last_error) }
    }

    fn deletion_of_request(&self) -> Vec<Effect> {
        let request = self.observed.request.map(|request| ObjectVersion::of(request.object));
        request.map(Effect::DeleteRequest).into_iter().collect()
    }

    fn create_request(&self, key: RequestKey, attempt: u32) -> Effect {
        Effect::CreateRequest(CreateRequest {
            name: self.observed.name(),
            key,
            need: self.need.clone(),
            attempt,
            reason: self.why,
            subject: self.wanted.subject.clone(),
            hosts: self.wanted.hosts.clone(),
            agent_namespace: self.observed.agent_namespace.to_owned(),
        })
    }

    /// A request without an answer. That is said only when it lasts, or when something worse was said before.
    fn asked(&self, attempts: u32, last_error: Option<&str>) -> Outcome {
        let message = match last_error {
            None => format!("{}: a certificate was requested, its signature is awaited", self.why),
            Some(error) => format!("{}: asked again after attempt {attempts} failed: {error}", self.why),
        };
        let report = Report {
            attempts,
            ..Report::new(Stage::Requested { is_error: false }, self.why.as_str(), message)
        };
        let corrects =
            self.observed.copy.object.status.as_ref().is_some_and(|status| !status.error.is_empty());
        let looks_again = schedule::later(self.now, TRANSITION_GRACE);
        let ending = if corrects { Ending::Report(report) } else { Ending::Silent };
        Outcome { effects: Vec::new(), ending, wake_at: Some(looks_again) }
    }

    /// Attempts at this need that failed, when only the status knows: the request was deleted by hand.
    fn failures_so_far(&self) -> u32 {
        self.observed.copy.object.status.as_ref().map_or(0, |status| status.attempts)
    }

    fn answered(&self, key: &'a PrivateKey, answered: &'a AnswerFacts) -> Outcome {
        match judge(self.now, self.observed, self.wanted, key.public_key(), answered) {
            Judgement::Use(signed) => self.store(key, signed, answered.request.attempt),
            Judgement::Wait(waiting) => self.waits(&waiting, answered),
            Judgement::Fail { reason, message } => self.fails(key, answered, reason, message),
        }
    }

    fn waits(&self, waiting: &Waiting, answered: &AnswerFacts) -> Outcome {
        let is_error = !waiting.message.is_empty();
        let message = if is_error {
            waiting.message.clone()
        } else {
            format!("{}: a certificate was requested, its signature is awaited", self.why)
        };
        let report = Report {
            is_skew: waiting.is_skew,
            attempts: answered.request.attempt,
            ..Report::new(Stage::Requested { is_error }, waiting.reason, message)
        };
        let said_at = schedule::later(answered.request.created, TRANSITION_GRACE);
        if !is_error && self.now < said_at {
            return Outcome { wake_at: Some(said_at), ..Outcome::silent() };
        }
        Outcome { wake_at: waiting.until, ..Outcome::report(report) }
    }

    /// Reports a failure, and tries again when it is time. Which attempt failed is on the request, so that a pass that was
    /// cut off before its status was written counts nothing twice and forgets nothing.
    fn fails(
        &self,
        key: &PrivateKey,
        answered: &AnswerFacts,
        reason: &'static str,
        message: String,
    ) -> Outcome {
        let attempts = answered.request.attempt.saturating_add(1);
        let status = self.observed.copy.object.status.as_ref();
        let recorded = status
            .filter(|status| status.attempts == attempts)
            .and_then(|status| status.next_attempt_at.as_ref())
            .map(|time| time.0)
            .filter(|due| schedule::is_within_back_off(self.now, *due));
        if recorded.is_some_and(|due| due <= self.now) {
            return self.ask(key, attempts, Some(&message));
        }
        let due = recorded.unwrap_or_else(|| schedule::retry_at(self.now, attempts, &self.origin.intent));
        let report =
            Report { attempts, next_attempt_at: Some(due), ..Report::new(Stage::Failed, reason, message) };
        Outcome { wake_at: Some(due), ..Outcome::report(report) }
    }

    fn store(&self, key: &PrivateKey, signed: &SignedAnswer, attempt: u32) -> Outcome {
        if let Some(guarded) = store::guard(self.observed, self.origin, signed) {
            let report =
                Report { attempts: attempt, ..Report::new(Stage::Failed, guarded.reason, guarded.message) };
            return Outcome::report(report).recheck(self.now);
        }
        let write = store::store(self.observed, self.origin, &self.need, self.why, key, signed);
        let effects = vec![Effect::StoreIssued(write)];
        let in_place =
            InPlace { path: signed.path.clone(), roots: signed.roots.clone(), trust: signed.trust };
        let stored = Stored { in_place, trust: self.need.trust };
        Outcome { effects, ending: Ending::Stored(Box::new(stored)), wake_at: None }
    }
}

/// Whether a request is about this key: a key that was lost and made anew has a request of the same need.
fn is_about(answered: &AnswerFacts, key: &PrivateKey) -> bool {
    answered.request.key.as_ref().is_ok_and(|requested| requested == key.public_key())
}

/// The need of a copy.
pub(super) fn need(
    observed: &Observed<'_>,
    origin: &Origin,
    wanted: &Wanted,
    trust: certmesh_x509::Fingerprint,
) -> Need {
    Need {
        intent: origin.intent.clone(),
        uid: crate::need::Digest::of(origin.uid.as_bytes()),
        spec: wanted.digest,
        trust,
        renew: observed.copy.facts.intent.renew,
        replaces: reason::replaced(observed).map(certmesh_x509::Certificate::fingerprint),
    }
}
