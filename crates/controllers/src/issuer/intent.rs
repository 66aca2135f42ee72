//! One pass of the issuer for one intent: observe, decide, apply, status last.

use super::remote::Remote;
use super::signing::SigningCa;
use super::{Shared, registry};
use crate::driver::{Pass, Reconciler, Written};
use crate::error::PassError;
use crate::memo::Memo;
use crate::metrics::{ClusterLabels, DecisionLabels};
use certmesh_api::certificates::{CertificateRequest, IssuedCertificate, IssuedCertificateStatus, ObjectRef};
use certmesh_api::multicluster::KubernetesCluster;
use certmesh_api::{ClusterName, ClusterNameError};
use certmesh_workflow::examine::{self, CopyFacts, IntentFacts, RequestFacts};
use certmesh_workflow::issuer::{self, AnswerRequest, Decision, Effect, Observed};
use certmesh_workflow::{Event, Examined, IssuanceDecision, Severity};
use jiff::Timestamp;
use kube::ResourceExt;
use std::sync::Arc;

const INTENTS: &str = "intents";
const COPIES: &str = "copies";
const REQUESTS: &str = "requests";

/// Runs the issuer's passes for one cluster's intents, or for those of clusters that are not connected.
pub(super) struct IntentReconciler {
    shared: Arc<Shared>,
    remote: Option<Remote>,
    intent_facts: Memo<IntentFacts>,
    copy_facts: Memo<CopyFacts>,
    request_facts: Memo<RequestFacts>,
}

/// What a pass reads.
struct Seen {
    intent: Arc<IssuedCertificate>,
    intent_facts: Arc<IntentFacts>,
    copy: Option<(Arc<IssuedCertificate>, Arc<CopyFacts>)>,
    request: Option<(Arc<CertificateRequest>, Arc<RequestFacts>)>,
    signer: SigningCa,
    other: SigningCa,
    problem: Option<Problem>,
    exhausted_until: Option<Timestamp>,
    reports_exhausted_until: Option<Timestamp>,
}

/// Why a remote cluster cannot be read.
enum Problem {
    Unregistered,
    /// Nothing is known yet; that takes a moment, or fails, and then there is more to say.
    Connecting,
    Refused(String),
    Unreachable(String),
}

impl Reconciler for IntentReconciler {
    type Key = ObjectRef;

    async fn pass(&self, key: &ObjectRef) -> Result<Pass, PassError> {
        let cluster = match key.namespace.parse::<ClusterName>() {
            Ok(cluster) => cluster,
            Err(error) => return self.misplaced(key, &error).await,
        };
        let Some(intent) = self.shared.intents.get(Some(&key.namespace), &key.name) else {
            return self.without_intent(&cluster, key).await;
        };
        let seen = self.observe(key, intent).await;
        let Some(decision) = self.decide(&cluster, &seen) else { return Ok(Pass::default()) };
        let wake_at = decision.wake_at;
        let written = self.apply(&cluster, &seen, decision).await?;
        Ok(Pass { wake_at, written })
    }

    fn shows(&self, key: &ObjectRef, written: &Written) -> bool {
        let here = (Some(key.namespace.as_str()), key.name.as_str());
        let there = (Some(self.shared.agent_namespace.as_str()), key.name.as_str());
        match (written, &self.remote) {
            (Written::Version { cache: INTENTS, resource_version }, _) => {
                self.shared.intents.shows_version(here.0, here.1, resource_version)
            }
            (Written::Version { cache: COPIES, resource_version }, Some(remote)) => {
                remote.copies.shows_version(there.0, there.1, resource_version)
            }
            (Written::Version { resource_version, .. }, Some(remote)) => {
                remote.certificate_requests.shows_version(there.0, there.1, resource_version)
            }
            (Written::Deleted { cache: COPIES, uid }, Some(remote)) => {
                remote.copies.shows_deletion(there.0, there.1, uid)
            }
            (Written::Deleted { uid, .. }, Some(remote)) => {
                remote.certificate_requests.shows_deletion(there.0, there.1, uid)
            }
            (_, None) => true,
        }
    }
}

impl IntentReconciler {
    /// For a cluster that is connected.
    pub(super) fn connected(shared: Arc<Shared>, remote: Remote) -> Self {
        Self::new(shared, Some(remote))
    }

    /// For clusters that are not.
    pub(super) fn unconnected(shared: Arc<Shared>) -> Self {
        Self::new(shared, None)
    }

    fn new(shared: Arc<Shared>, remote: Option<Remote>) -> Self {
        Self {
            shared,
            remote,
            intent_facts: Memo::default(),
            copy_facts: Memo::default(),
            request_facts: Memo::default(),
        }
    }

    /// An intent where no cluster can be.
    async fn misplaced(&self, key: &ObjectRef, error: &ClusterNameError) -> Result<Pass, PassError> {
        let Some(intent) = self.shared.intents.get(Some(&key.namespace), &key.name) else {
            return Ok(Pass::default());
        };
        let decision = issuer::decide_misplaced(self.shared.clock.now(), &intent, error);
        let written = self.say(&intent, decision.status, &decision.events).await?;
        Ok(Pass { wake_at: None, written: written.into_iter().collect() })
    }

    /// A copy or request whose intent is unknown is reported and never deleted: a restored management cluster must not
    /// wipe its fleet.
    async fn without_intent(&self, cluster: &ClusterName, key: &ObjectRef) -> Result<Pass, PassError> {
        self.intent_facts.forget(key);
        let Some(remote) = &self.remote else { return Ok(Pass::default()) };
        let namespace = Some(self.shared.agent_namespace.as_str());
        let request = remote.certificate_requests.get(namespace, &key.name);
        if request.is_none() && remote.copies.get(namespace, &key.name).is_none() {
            return Ok(Pass::default());
        }
        // The cache may lag behind an intent that was made a moment ago.
        if self.shared.requests.get::<IssuedCertificate>(&key.namespace, &key.name).await?.is_some() {
            return Ok(Pass::default());
        }
        tracing::warn!(
            %cluster,
            name = key.name,
            "the cluster has a copy or request whose intent does not exist here: left alone; create the intent again, \
             or delete the copy in the cluster"
        );
        let Some(request) = request else { return Ok(Pass::default()) };
        let facts = self.request_facts.facts(&*request, examine::request);
        let examined = Examined { object: &*request, facts: &*facts };
        match issuer::answer_unclaimed(cluster, examined) {
            Some(Effect::DeferRequest(answer)) => {
                let written = vec![self.answer(cluster, remote, *answer).await?];
                Ok(Pass { wake_at: None, written })
            }
            _ => Ok(Pass::default()),
        }
    }

    async fn observe(&self, key: &ObjectRef, intent: Arc<IssuedCertificate>) -> Seen {
        let shared = &self.shared;
        let now = shared.clock.now();
        let intent_facts = self.intent_facts.facts(&*intent, examine::intent);
        let (mut signer, mut other) = (SigningCa::Missing, SigningCa::Missing);
        if let Ok(wanted) = &intent_facts.wanted {
            let mut needed = wanted.authorities.needed();
            if let Some(secret) = needed.next() {
                signer = shared.signing_ca(secret).await;
            }
            if let Some(secret) = needed.next() {
                other = shared.signing_ca(secret).await;
            }
        }
        let namespace = Some(shared.agent_namespace.as_str());
        let remote = self.remote.as_ref();
        let copy = remote.and_then(|remote| remote.copies.get(namespace, &key.name));
        let request = remote.and_then(|remote| remote.certificate_requests.get(namespace, &key.name));
        Seen {
            copy: copy.map(|copy| {
                let facts = self.copy_facts.facts(&*copy, examine::copy);
                (copy, facts)
            }),
            request: request.map(|request| {
                let facts = self.request_facts.facts(&*request, examine::request);
                (request, facts)
            }),
            problem: self.problem(&key.namespace),
            exhausted_until: remote.and_then(|remote| remote.answers_exhausted_until(now)),
            reports_exhausted_until: remote.and_then(|remote| remote.reports_exhausted_until(now)),
            intent,
            intent_facts,
            signer,
            other,
        }
    }

    /// Why the remote cluster cannot be read, if it cannot.
    fn problem(&self, cluster: &str) -> Option<Problem> {
        let Some(remote) = &self.remote else {
            let registered = self.shared.clusters.get(Some(&self.shared.settings.namespace), cluster);
            return Some(registered.map_or(Problem::Unregistered, |cluster| not_connected(&cluster)));
        };
        let problem = remote.copies.problem().or_else(|| remote.certificate_requests.problem());
        let synced = remote.copies.is_synced() && remote.certificate_requests.is_synced();
        let labels = ClusterLabels { cluster: cluster.to_owned() };
        let connected = i64::from(problem.is_none() && synced);
        self.shared.metrics.cluster_connected.get_or_create(&labels).set(connected);
        problem.map(Problem::Unreachable).or_else(|| (!synced).then_some(Problem::Connecting))
    }

    /// Nothing while the cluster is being connected to.
    fn decide(&self, cluster: &ClusterName, seen: &Seen) -> Option<Decision> {
        let remote = match &seen.problem {
            Some(Problem::Connecting) => return None,
            Some(Problem::Unregistered) => issuer::Remote::Unregistered,
            Some(Problem::Refused(error)) => issuer::Remote::Refused { error },
            Some(Problem::Unreachable(error)) => issuer::Remote::Unreachable { error },
            None => issuer::Remote::Connected {
                agent_namespace: &self.shared.agent_namespace,
                copy: seen
                    .copy
                    .as_ref()
                    .map(|(object, facts)| Examined { object: &**object, facts: &**facts }),
                request: seen
                    .request
                    .as_ref()
                    .map(|(object, facts)| Examined { object: &**object, facts: &**facts }),
            },
        };
        let observed = Observed {
            settings: &self.shared.settings,
            cluster,
            intent: Examined { object: &*seen.intent, facts: &*seen.intent_facts },
            remote,
            signer: seen.signer.as_authority(),
            other: seen.other.as_authority(),
            exhausted_until: seen.exhausted_until,
            reports_exhausted_until: seen.reports_exhausted_until,
        };
        Some(issuer::decide(self.shared.clock.now(), &observed))
    }

    async fn apply(
        &self,
        cluster: &ClusterName,
        seen: &Seen,
        decision: Decision,
    ) -> Result<Vec<Written>, PassError> {
        let mut written = Vec::new();
        let mut intent = Arc::clone(&seen.intent);
        if decision.effects.iter().any(|effect| matches!(effect, Effect::ReleaseIntent(_))) {
            self.check_copy_is_the_one_seen(seen).await?;
        }
        for effect in decision.effects {
            tracing::info!(%cluster, intent = intent.name_any(), effect = name_of(&effect), "applying");
            match effect {
                Effect::AddFinalizer(changed) | Effect::ReleaseIntent(changed) => {
                    intent = Arc::new(self.shared.requests.update(&*changed).await?);
                    written.push(version(INTENTS, &*intent));
                }
                effect => written.extend(self.apply_remote(cluster, seen, effect).await?),
            }
        }
        written.extend(self.say(&intent, decision.status, &decision.events).await?);
        Ok(written)
    }

    /// Writes the intent's status, then publishes what changed.
    async fn say(
        &self,
        intent: &IssuedCertificate,
        status: Option<IssuedCertificateStatus>,
        events: &[Event],
    ) -> Result<Option<Written>, PassError> {
        let mut written = None;
        if let Some(status) = status {
            if let Some(remote) = &self.remote {
                remote.spend_report(self.shared.clock.now());
            }
            written = Some(version(INTENTS, &self.write_status(intent, status).await?));
        }
        for event in events {
            let warning = event.severity == Severity::Warning;
            self.shared.events.publish(intent, warning, &event.reason, &event.message).await;
        }
        Ok(written)
    }

    async fn apply_remote(
        &self,
        cluster: &ClusterName,
        seen: &Seen,
        effect: Effect,
    ) -> Result<Option<Written>, PassError> {
        // Decided only for a cluster that is connected.
        let Some(remote) = &self.remote else { return Ok(None) };
        let requests = &remote.requests;
        let written = match effect {
            Effect::AddFinalizer(_) | Effect::ReleaseIntent(_) => return Ok(None),
            Effect::CreateCopy(copy) => {
                self.check_unchanged(&seen.intent).await?;
                version(COPIES, &requests.create(&*copy).await?)
            }
            Effect::UpdateCopy(copy) => version(COPIES, &requests.update(&*copy).await?),
            Effect::DeleteCopy(copy) => {
                let (name, version) = (&copy.name, Some(copy.resource_version.as_str()));
                requests.delete::<IssuedCertificate>(&name.namespace, &name.name, &copy.uid, version).await?;
                Written::Deleted { cache: COPIES, uid: copy.uid }
            }
            Effect::DeleteRequest(request) => {
                let name = &request.name;
                requests
                    .delete::<CertificateRequest>(&name.namespace, &name.name, &request.uid, None)
                    .await?;
                Written::Deleted { cache: REQUESTS, uid: request.uid }
            }
            Effect::Sign(sign) => {
                self.check_unchanged(&seen.intent).await?;
                let answer = self.shared.signatures.sign(sign).await?;
                self.observe_signature(seen);
                self.answer(cluster, remote, *answer).await?
            }
            Effect::RefuseRequest(answer) | Effect::DeferRequest(answer) => {
                self.answer(cluster, remote, *answer).await?
            }
        };
        Ok(Some(written))
    }

    /// An intent is let go when its copy is gone, which a cache that lags cannot tell: a copy that was made a moment ago
    /// would be left behind with nobody to clean up after it.
    async fn check_copy_is_the_one_seen(&self, seen: &Seen) -> Result<(), PassError> {
        let Some(remote) = self.remote.as_ref() else { return Ok(()) };
        let (namespace, name) = (self.shared.agent_namespace.as_str(), seen.intent.name_any());
        let live = remote.requests.get::<IssuedCertificate>(namespace, &name).await?;
        let seen = seen.copy.as_ref().and_then(|(copy, _)| copy.uid());
        match live.and_then(|copy| copy.uid()) {
            Some(uid) if Some(&uid) != seen.as_ref() => {
                Err(PassError::Changed { object: format!("IssuedCertificate {namespace}/{name}") })
            }
            _ => Ok(()),
        }
    }

    /// Nothing is signed for an intent that changed since it was decided on, and no copy is made of one that is gone: its
    /// finalizer is what sees to it that copies are cleaned up.
    async fn check_unchanged(&self, intent: &IssuedCertificate) -> Result<(), PassError> {
        let (namespace, name) = (intent.namespace().unwrap_or_default(), intent.name_any());
        let live = self.shared.requests.get::<IssuedCertificate>(&namespace, &name).await?;
        match live {
            Some(live)
                if live.metadata.generation == intent.metadata.generation
                    && live.metadata.uid == intent.metadata.uid
                    && live.metadata.deletion_timestamp == intent.metadata.deletion_timestamp
                    && live.metadata.annotations == intent.metadata.annotations =>
            {
                Ok(())
            }
            _ => Err(PassError::Changed { object: format!("IssuedCertificate {namespace}/{name}") }),
        }
    }

    /// Logs a decision on a request, then writes it.
    async fn answer(
        &self,
        cluster: &ClusterName,
        remote: &Remote,
        answer: AnswerRequest,
    ) -> Result<Written, PassError> {
        if let Some(record) = &answer.record {
            remote.spend_answer(self.shared.clock.now());
            self.shared.issuance_log.write(record)?;
            let decision = match record.decision {
                IssuanceDecision::Signed => "signed",
                IssuanceDecision::Refused => "refused",
            };
            let labels = DecisionLabels { cluster: cluster.to_string(), decision };
            self.shared.metrics.decisions.get_or_create(&labels).inc();
        }
        Ok(version(REQUESTS, &remote.requests.update_status(&answer.request).await?))
    }

    fn observe_signature(&self, seen: &Seen) {
        if let Some((_, facts)) = &seen.request {
            let waited = self.shared.clock.now().duration_since(facts.created);
            self.shared.metrics.signed_after.observe(waited.as_secs_f64());
        }
    }

    async fn write_status(
        &self,
        intent: &IssuedCertificate,
        status: IssuedCertificateStatus,
    ) -> Result<IssuedCertificate, PassError> {
        self.shared.metrics.transition(intent.status.as_ref(), &status);
        let mut changed = intent.clone();
        changed.status = Some(status);
        self.shared.requests.update_status(&changed).await
    }
}

/// What the registration of a cluster that is not connected says about it.
fn not_connected(cluster: &KubernetesCluster) -> Problem {
    match registry::report(cluster) {
        Some(report) if report.state == registry::INVALID => Problem::Refused(report.message.clone()),
        Some(report) if !report.message.is_empty() => Problem::Unreachable(report.message.clone()),
        Some(_) | None => Problem::Connecting,
    }
}

fn version(cache: &'static str, object: &impl ResourceExt) -> Written {
    Written::Version { cache, resource_version: object.resource_version().unwrap_or_default() }
}

fn name_of(effect: &Effect) -> &'static str {
    match effect {
        Effect::AddFinalizer(_) => "AddFinalizer",
        Effect::ReleaseIntent(_) => "ReleaseIntent",
        Effect::CreateCopy(_) => "CreateCopy",
        Effect::UpdateCopy(_) => "UpdateCopy",
        Effect::DeleteCopy(_) => "DeleteCopy",
        Effect::Sign(_) => "Sign",
        Effect::RefuseRequest(_) => "RefuseRequest",
        Effect::DeferRequest(_) => "DeferRequest",
        Effect::DeleteRequest(_) => "DeleteRequest",
    }
}
