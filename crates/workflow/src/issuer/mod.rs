//! The issuer's decision: what the management cluster's side does about one intent.
//!
//! ```text
//!   intent ─▶ being deleted? ──yes──▶ retire: copy (the agent cleans up), then the intent
//!             │ no
//!           problem::trust: under what would it be signed now?
//!             ├─▶ propagate: finalizer on the intent, then the copy
//!             ├─▶ problem::Request::judge: sign, refuse, or wait
//!             └─▶ mirror: the agent's report, the issuer's own word on top
//! ```
//!
//! The intent is the only source of identity, subject, lifetime, key options, CA and rotation state. The remote cluster
//! contributes a public key, and words about itself.

mod effect;
mod mirror;
mod observed;
mod problem;
mod propagate;
mod retire;
mod unclaimed;

use certmesh_api::certificates::{CertificateRequest, CertificateRequestState, IssuedCertificate};
use certmesh_api::names::finalizers;
use certmesh_api::{ClusterName, ClusterNameError};
use certmesh_x509::{IntermediateParameters, PublicKey};
use jiff::Timestamp;
use kube::ResourceExt;

pub use effect::{AnswerRequest, Effect, Sign};
pub use observed::{Authority, Observed, Remote, Settings};
pub use unclaimed::answer_unclaimed;

use crate::examine::{CopyFacts, RequestFacts, Wanted};
use crate::issuance::{IssuanceDecision, IssuanceRecord};
use crate::need::{Digest, Need};
use crate::object::{Examined, annotation, name_of};
use crate::schedule::{self, AGENT_PATIENCE, TRANSITION_GRACE};
use crate::trust::Trust;
use mirror::Headline;
use problem::{Kind, Problem, Request};

/// What a pass of the issuer decides.
pub type Decision = crate::Decision<Effect>;

/// Decides what to do about one intent.
pub fn decide(now: Timestamp, observed: &Observed<'_>) -> Decision {
    if observed.intent.object.metadata.deletion_timestamp.is_some() {
        let retirement = retire::retire(now, observed);
        let mut decision =
            Decision { effects: retirement.effects, wake_at: retirement.wake_at, ..Decision::default() };
        if let Some(headline) = retirement.headline {
            conclude(now, observed.intent.object, None, Some(&headline), None, &mut decision);
        }
        return decision;
    }
    let trust = match &observed.intent.facts.wanted {
        Ok(wanted) => problem::trust(now, observed, wanted),
        Err(error) => Err(problem::invalid_spec(error)),
    };
    match observed.remote {
        Remote::Connected { agent_namespace, copy, request } => {
            let decision = Connected { now, observed, agent_namespace, copy, request, trust: &trust }.pass();
            within_the_budget_of_reports(now, observed, decision)
        }
        Remote::Unreachable { error } => {
            disconnected(now, observed, &trust, &cluster_unreachable(observed.cluster, error))
        }
        Remote::Refused { error } => {
            disconnected(now, observed, &trust, &cluster_refused(observed.cluster, error))
        }
        Remote::Unregistered => disconnected(now, observed, &trust, &cluster_unregistered(observed.cluster)),
    }
}

/// Whatever makes a connected cluster's intents look different comes from that cluster, as often as it likes: each time is
/// a write to the management cluster, which all share.
fn within_the_budget_of_reports(now: Timestamp, observed: &Observed<'_>, mut decision: Decision) -> Decision {
    let spent = observed.reports_exhausted_until.filter(|until| *until > now);
    if let Some(until) = spent.filter(|_| decision.status.is_some()) {
        decision.status = None;
        decision.events.clear();
        decision.wake(until);
    }
    decision
}

/// An intent in a namespace that cannot be a cluster's: `default` and `kube-*`. Nothing is done for it but to say so.
pub fn decide_misplaced(now: Timestamp, intent: &IssuedCertificate, error: &ClusterNameError) -> Decision {
    let mut decision = Decision::default();
    if intent.metadata.deletion_timestamp.is_none() {
        let message = format!(
            "the namespace of an intent is the cluster that it is for, but {error}; move the intent to a registered cluster's namespace"
        );
        let headline = Headline::stalled("InvalidNamespace", message);
        conclude(now, intent, None, Some(&headline), None, &mut decision);
    }
    decision
}

fn disconnected(
    now: Timestamp,
    observed: &Observed<'_>,
    trust: &Result<Trust<'_>, Problem>,
    headline: &Headline,
) -> Decision {
    let own = trust.as_ref().err().filter(|problem| problem.kind == Kind::Refuse).map(Headline::of);
    let mut decision = Decision::default();
    conclude(now, observed.intent.object, None, own.as_ref().or(Some(headline)), None, &mut decision);
    decision
}

fn cluster_unreachable(cluster: &ClusterName, error: &str) -> Headline {
    let message = format!("cluster {cluster} cannot be reached, trying again: {error}");
    Headline::waiting("ClusterUnreachable", message)
}

fn cluster_refused(cluster: &ClusterName, error: &str) -> Headline {
    Headline::stalled("ClusterRefused", format!("cluster {cluster} is not served: {error}"))
}

fn cluster_unregistered(cluster: &ClusterName) -> Headline {
    let message = format!(
        "cluster {cluster} is not registered: create a KubernetesCluster {cluster} and the Secret with its kubeconfig in the issuer's namespace, or move the intent to a registered cluster's namespace"
    );
    Headline::stalled("ClusterUnregistered", message)
}

/// Writes the intent's status if it says anything new.
fn conclude(
    now: Timestamp,
    intent: &IssuedCertificate,
    report: Option<&certmesh_api::certificates::IssuedCertificateStatus>,
    headline: Option<&Headline>,
    trust: Option<&Trust<'_>>,
    decision: &mut Decision,
) {
    let previous = intent.status.as_ref();
    let status = mirror::status(now, intent, report, headline, trust);
    if let Some(at) = status.as_ref().or(previous).and_then(|status| mirror::look_again(now, status)) {
        decision.wake(at);
    }
    if let Some(status) = status {
        decision.events.extend(mirror::events(previous, &status));
        decision.status = Some(status);
    }
}

/// A pass over a cluster that can be read and written.
struct Connected<'a, 'o> {
    now: Timestamp,
    observed: &'o Observed<'a>,
    agent_namespace: &'a str,
    copy: Option<Examined<'a, IssuedCertificate, CopyFacts>>,
    request: Option<Examined<'a, CertificateRequest, RequestFacts>>,
    trust: &'o Result<Trust<'a>, Problem>,
}

impl<'a> Connected<'a, '_> {
    fn pass(&self) -> Decision {
        let mut decision = Decision::default();
        let copy = self.copy.map(|copy| copy.object);
        if let Some(foreign) = copy.filter(|copy| !propagate::is_ours(self.observed, copy)) {
            let message = propagate::not_ours(&name_of(foreign), self.observed.cluster.as_str());
            let headline = Headline::stalled("CopyNotOurs", message);
            conclude(self.now, self.observed.intent.object, None, Some(&headline), None, &mut decision);
            return decision;
        }
        self.propagate(copy, &mut decision);
        let problem = self.answer(&mut decision);
        let report = mirror::report(self.observed.intent.object, copy.and_then(|copy| copy.status.as_ref()));
        let headline =
            self.headline(problem.as_ref()).or_else(|| self.silence(report.is_some(), &mut decision));
        let trust = self.trust.as_ref().ok();
        conclude(self.now, self.observed.intent.object, report, headline.as_ref(), trust, &mut decision);
        decision
    }

    /// The finalizer is on the intent before anything is in the remote cluster.
    fn propagate(&self, copy: Option<&IssuedCertificate>, decision: &mut Decision) {
        let intent = self.observed.intent.object;
        if !intent.finalizers().iter().any(|finalizer| finalizer == finalizers::INTENT) {
            let mut intent = intent.clone();
            intent.metadata.managed_fields = None;
            intent.finalizers_mut().push(finalizers::INTENT.to_owned());
            decision.effects.push(Effect::AddFinalizer(Box::new(intent)));
        }
        let trust = problem::announced(self.observed, self.trust);
        decision.effects.extend(propagate::propagate(self.observed, self.agent_namespace, copy, trust));
    }

    /// Answers the request, once. Returns what keeps it from being signed, or kept.
    fn answer(&self, decision: &mut Decision) -> Option<Problem> {
        let request = self.request.filter(|request| {
            request.facts.state != CertificateRequestState::Finished
                && request.object.metadata.deletion_timestamp.is_none()
        })?;
        let is_open = request.facts.state == CertificateRequestState::Pending;
        let need = self.need();
        let judge = Request {
            now: self.now,
            observed: self.observed,
            facts: request.facts,
            need: need.as_ref(),
            trust: self.trust,
        };
        match judge.judge() {
            Ok((key, trust, wanted)) => {
                let sign = is_open.then(|| self.sign(request, key, trust, wanted));
                decision.effects.extend(sign.map(|sign| Effect::Sign(Box::new(sign))));
                None
            }
            Err(problem) => {
                if is_open {
                    // A refusal is a line of the issuance log, which a hostile cluster must not fill.
                    let spent = judge.budget_is_spent().filter(|_| problem.kind == Kind::Refuse);
                    self.object(request, spent.as_ref().unwrap_or(&problem), decision);
                }
                Some(problem)
            }
        }
    }

    /// What a request for this intent has to be for, all but what it replaces.
    fn need(&self) -> Option<Need> {
        let intent = self.observed.intent.object;
        let wanted = self.observed.intent.facts.wanted.as_ref().ok()?;
        Some(Need {
            intent: name_of(intent),
            uid: Digest::of(intent.uid().unwrap_or_default().as_bytes()),
            spec: wanted.digest,
            trust: problem::announced(self.observed, self.trust)?,
            renew: self.observed.intent.facts.renew,
            replaces: None,
        })
    }

    fn sign(
        &self,
        request: Examined<'a, CertificateRequest, RequestFacts>,
        key: &PublicKey,
        trust: &Trust<'a>,
        wanted: &Wanted,
    ) -> Sign {
        Sign {
            request: request.object.clone(),
            parameters: IntermediateParameters {
                subject: wanted.subject.clone(),
                hosts: wanted.hosts.clone(),
                lifetime: wanted.lifetime,
            },
            key: key.clone(),
            authority: trust.signer().clone(),
            roots: trust.bundle(),
            record: self.record(request, IssuanceDecision::Signed, None),
            now: self.now,
        }
    }

    /// Refuses the request or says what it waits for.
    fn object(
        &self,
        request: Examined<'a, CertificateRequest, RequestFacts>,
        problem: &Problem,
        decision: &mut Decision,
    ) {
        let said_at = schedule::later(request.facts.created, TRANSITION_GRACE);
        match problem.kind {
            Kind::Refuse => {
                let answer = AnswerRequest {
                    request: effect::answered(
                        request.object,
                        CertificateRequestState::Failed,
                        &problem.message,
                    ),
                    record: Some(self.record(request, IssuanceDecision::Refused, Some(problem.reason))),
                };
                decision.effects.push(Effect::RefuseRequest(Box::new(answer)));
            }
            Kind::Pass { until } if self.now < said_at => {
                decision.wake(until.unwrap_or(said_at).min(said_at));
            }
            Kind::Pass { until } => {
                decision.effects.extend(effect::deferred(request, &problem.message));
                decision.wake_at = until.into_iter().chain(decision.wake_at).min();
            }
            Kind::Wait => decision.effects.extend(effect::deferred(request, &problem.message)),
        }
    }

    fn record(
        &self,
        request: Examined<'a, CertificateRequest, RequestFacts>,
        decision: IssuanceDecision,
        reason: Option<&'static str>,
    ) -> IssuanceRecord {
        let need = annotation(request.object, certmesh_api::names::annotations::NEED).unwrap_or_default();
        IssuanceRecord {
            time: self.now,
            cluster: self.observed.cluster.to_string(),
            object: crate::text::bounded(&name_of(request.object).to_string()),
            uid: crate::text::bounded(&request.object.uid().unwrap_or_default()),
            need: crate::text::bounded(need),
            decision,
            reason,
            key_fingerprint: request.facts.key.as_ref().ok().map(|key| key.fingerprint().to_string()),
            serial_number: None,
            certificate_fingerprint: None,
            issuer: None,
            lifetime_seconds: None,
        }
    }

    /// What the issuer itself has to say: why it cannot sign for this intent, or why it did not sign this request. What
    /// passes by itself is the request's to say.
    fn headline(&self, problem: Option<&Problem>) -> Option<Headline> {
        let own = self.trust.as_ref().err();
        own.or(problem.filter(|problem| !matches!(problem.kind, Kind::Pass { .. }))).map(Headline::of)
    }

    /// An agent that does not say anything at all.
    fn silence(&self, has_reported: bool, decision: &mut Decision) -> Option<Headline> {
        let copy = self.copy.filter(|_| !has_reported)?;
        let created = copy.object.metadata.creation_timestamp.as_ref()?.0;
        let patience = schedule::later(created, AGENT_PATIENCE);
        if self.now < patience {
            decision.wake(patience);
            return None;
        }
        let message = format!(
            "the agent of cluster {} has not reported on this certificate: see whether it runs in namespace {} there",
            self.observed.cluster, self.agent_namespace
        );
        Some(Headline::waiting("WaitingForAgent", message))
    }
}
