//! One pass of the agent for one copy: observe, decide, apply, status last.

use super::targets::Targets;
use crate::cache::Cache;
use crate::clock::Clock;
use crate::driver::{Pass, Reconciler, Written};
use crate::error::PassError;
use crate::events::Events;
use crate::keys::KeyMaker;
use crate::memo::Memo;
use crate::metrics::Metrics;
use crate::requests::Requests;
use certmesh_api::certificates::{
    CertificateRequest, CertificateRequestState, IssuedCertificate, IssuedCertificateStatus, ObjectRef,
};
use certmesh_api::names::well_known;
use certmesh_workflow::agent::{self, Decision, Effect, Observed, RequestKey, StoreIssued, Write};
use certmesh_workflow::examine::{self, AnswerFacts, CopyFacts, IssuedFacts, LiveRoots, TrustAnchors};
use certmesh_workflow::{Examined, Severity};
use certmesh_x509::PrivateKey;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::ResourceExt;
use std::sync::Arc;

const COPIES: &str = "copies";

/// Runs the agent's passes; the key is a copy's name.
pub(super) struct AgentReconciler {
    pub(super) namespace: String,
    /// Where copies and requests live.
    pub(super) requests: Requests,
    /// Where Secrets live.
    pub(super) local: Requests,
    pub(super) events: Events,
    pub(super) clock: Clock,
    pub(super) keys: KeyMaker,
    pub(super) metrics: Metrics,
    pub(super) copies: Cache<IssuedCertificate>,
    pub(super) targets: Targets,
    pub(super) copy_facts: Memo<CopyFacts>,
    pub(super) issued_facts: Memo<IssuedFacts>,
    pub(super) answer_facts: Memo<AnswerFacts>,
}

/// What a pass reads live: a private key must never be made on a stale view.
struct Live {
    issued: Option<Secret>,
    unreadable: Option<String>,
    key: Option<Secret>,
    request: Option<CertificateRequest>,
    roots: Vec<LiveRoots>,
    anchors: Option<TrustAnchors>,
}

impl Reconciler for AgentReconciler {
    type Key = String;

    async fn pass(&self, name: &String) -> Result<Pass, PassError> {
        let Some(copy) = self.copies.get(Some(&self.namespace), name) else {
            self.forget(name);
            return Ok(Pass::default());
        };
        let copy_facts = self.copy_facts.facts(&*copy, examine::copy);
        let target = copy_facts.intent.target.as_ref();
        if let Some(target) = target {
            self.targets.watch(target);
        }
        let live = self.read(name, target).await?;
        let decision = self.decide(&copy, &copy_facts, &live);
        let wake_at = decision.wake_at;
        let written = self.apply(&copy, &live, decision).await?;
        Ok(Pass { wake_at, written })
    }

    fn shows(&self, name: &String, written: &Written) -> bool {
        match written {
            Written::Version { resource_version, .. } => {
                self.copies.shows_version(Some(&self.namespace), name, resource_version)
            }
            Written::Deleted { uid, .. } => self.copies.shows_deletion(Some(&self.namespace), name, uid),
        }
    }
}

impl AgentReconciler {
    fn forget(&self, name: &str) {
        let name = ObjectRef::new(&self.namespace, name);
        self.copy_facts.forget(&name);
        self.answer_facts.forget(&name);
        let copies = self.copies.all();
        let wanted = |target: &ObjectRef| {
            copies.iter().any(|copy| copy.spec.issued_certificate_secret.as_ref() == Some(target))
        };
        self.targets.keep(wanted);
    }

    async fn read(&self, name: &str, target: Option<&ObjectRef>) -> Result<Live, PassError> {
        let ((issued, unreadable), key, request) = tokio::try_join!(
            self.read_issued(target),
            self.local.get::<Secret>(&self.namespace, name),
            self.requests.get::<CertificateRequest>(&self.namespace, name),
        )?;
        let (mut roots, mut anchors) = (Vec::new(), None);
        // Both matter only when there is a certificate to put in place.
        if let Some(target) = target.filter(|_| request.as_ref().is_some_and(is_answered)) {
            let (in_use, pinned) = tokio::try_join!(
                self.local.get::<ConfigMap>(&target.namespace, well_known::ISTIO_CA_ROOT_CERT),
                self.local.get::<ConfigMap>(&self.namespace, well_known::TRUST_ANCHORS),
            )?;
            roots.extend(in_use.as_ref().and_then(examine::live_roots));
            anchors = pinned.as_ref().map(examine::trust_anchors);
        }
        Ok(Live { issued, unreadable, key, request, roots, anchors })
    }

    /// The issued Secret, or why the API server would not let the agent read it.
    async fn read_issued(
        &self,
        target: Option<&ObjectRef>,
    ) -> Result<(Option<Secret>, Option<String>), PassError> {
        let named = |target: &&ObjectRef| !target.name.is_empty() && !target.namespace.is_empty();
        let Some(target) = target.filter(named) else { return Ok((None, None)) };
        match self.local.get::<Secret>(&target.namespace, &target.name).await {
            Ok(issued) => Ok((issued, None)),
            Err(error) if error.is_forbidden() => Ok((None, Some(error.to_string()))),
            Err(error) => Err(error),
        }
    }

    fn decide(&self, copy: &IssuedCertificate, copy_facts: &CopyFacts, live: &Live) -> Decision {
        let issued_facts =
            live.issued.as_ref().map(|secret| self.issued_facts.facts(secret, examine::issued));
        let answer_facts =
            live.request.as_ref().map(|request| self.answer_facts.facts(request, examine::answer));
        let key_facts = live.key.as_ref().map(examine::pending_key);
        let copies = self.copies.all();
        let rival = agent::rival(copy, copies.iter().map(Arc::as_ref), issued_facts.as_deref());
        let observed = Observed {
            agent_namespace: &self.namespace,
            copy: Examined { object: copy, facts: copy_facts },
            rival: rival.as_ref(),
            issued: pair(live.issued.as_ref(), issued_facts.as_deref()),
            unreadable: live.unreadable.as_deref(),
            key: pair(live.key.as_ref(), key_facts.as_ref()),
            request: pair(live.request.as_ref(), answer_facts.as_deref()),
            live_roots: &live.roots,
            trust_anchors: live.anchors.as_ref(),
        };
        agent::decide(self.clock.now(), &observed)
    }

    async fn apply(
        &self,
        copy: &IssuedCertificate,
        live: &Live,
        decision: Decision,
    ) -> Result<Vec<Written>, PassError> {
        let mut made = None;
        let mut updated = None;
        for effect in &decision.effects {
            tracing::info!(copy = copy.name_any(), effect = name_of(effect), "applying");
            if let Effect::StoreIssued(store) = effect {
                self.store(store, live.request.as_ref()).await?;
            } else if let Some(copy) = self.write(effect, &mut made).await? {
                updated = Some(copy);
            }
        }
        let current = updated.as_ref().unwrap_or(copy);
        let mut written = updated.as_ref().map(version).into_iter().collect::<Vec<_>>();
        if let Some(status) = decision.status {
            let stored = self.write_status(current, status).await?;
            written = vec![version(&stored)];
        }
        for event in &decision.events {
            let warning = event.severity == Severity::Warning;
            self.events.publish(copy, warning, &event.reason, &event.message).await;
        }
        Ok(written)
    }

    /// Applies one effect. The copy, if the effect updated it.
    async fn write(
        &self,
        effect: &Effect,
        made: &mut Option<PrivateKey>,
    ) -> Result<Option<IssuedCertificate>, PassError> {
        match effect {
            Effect::CreateKey(create) => {
                let key = self.keys.generate(create.algorithm).await?;
                self.local.create(create.secret(&key).expose()).await?;
                *made = Some(key);
            }
            Effect::CreateRequest(create) => {
                let key = match &create.key {
                    RequestKey::Stored(key) => Some(key),
                    RequestKey::JustMade => made.as_ref(),
                };
                // A decision that asks for the key of the same pass has made it before; nothing to ask for otherwise.
                if let Some(key) = key {
                    let request = create.request(key).map_err(|source| PassError::Crypto {
                        attempted: format!("making the signing request {}", create.name),
                        source: source.into(),
                    })?;
                    self.requests.create(&request).await?;
                }
            }
            Effect::StoreIssued(store) => self.store(store, None).await?,
            Effect::DeleteRequest(request) => {
                let name = &request.name;
                self.requests
                    .delete::<CertificateRequest>(&name.namespace, &name.name, &request.uid, None)
                    .await?;
            }
            Effect::DeleteKey(key) => {
                self.local.delete::<Secret>(&key.name.namespace, &key.name.name, &key.uid, None).await?;
            }
            Effect::MarkUnmanaged(update) | Effect::MarkManaged(update) => {
                self.local.update(update.secret.expose()).await?;
            }
            Effect::DeleteIssued(secret) => {
                let (name, version) = (&secret.name, Some(secret.resource_version.as_str()));
                self.local.delete::<Secret>(&name.namespace, &name.name, &secret.uid, version).await?;
            }
            Effect::ReleaseCopy(release) => return self.requests.update(&*release.copy).await.map(Some),
        }
        Ok(None)
    }

    async fn store(
        &self,
        store: &StoreIssued,
        request: Option<&CertificateRequest>,
    ) -> Result<(), PassError> {
        match store.write {
            Write::Create => self.local.create(store.secret.expose()).await?,
            Write::Update => self.local.update(store.secret.expose()).await?,
        };
        if let Some(created) = request.and_then(ResourceExt::creation_timestamp) {
            self.metrics.stored_after.observe(self.clock.now().duration_since(created.0).as_secs_f64());
        }
        Ok(())
    }

    async fn write_status(
        &self,
        copy: &IssuedCertificate,
        status: IssuedCertificateStatus,
    ) -> Result<IssuedCertificate, PassError> {
        self.metrics.transition(copy.status.as_ref(), &status);
        let mut changed = copy.clone();
        changed.status = Some(status);
        self.requests.update_status(&changed).await
    }
}

fn is_answered(request: &CertificateRequest) -> bool {
    request.status.as_ref().is_some_and(|status| status.state == CertificateRequestState::Finished)
}

fn pair<'a, K, F>(object: Option<&'a K>, facts: Option<&'a F>) -> Option<Examined<'a, K, F>> {
    Some(Examined { object: object?, facts: facts? })
}

fn version(copy: &IssuedCertificate) -> Written {
    Written::Version { cache: COPIES, resource_version: copy.resource_version().unwrap_or_default() }
}

fn name_of(effect: &Effect) -> &'static str {
    match effect {
        Effect::CreateKey(_) => "CreateKey",
        Effect::CreateRequest(_) => "CreateRequest",
        Effect::StoreIssued(_) => "StoreIssued",
        Effect::DeleteRequest(_) => "DeleteRequest",
        Effect::DeleteKey(_) => "DeleteKey",
        Effect::MarkUnmanaged(_) => "MarkUnmanaged",
        Effect::MarkManaged(_) => "MarkManaged",
        Effect::DeleteIssued(_) => "DeleteIssued",
        Effect::ReleaseCopy(_) => "ReleaseCopy",
    }
}
