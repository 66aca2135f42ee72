//! Sees every write, keeps what invariants need to know of the past, and asks all of them.

use std::collections::{BTreeMap, BTreeSet};

use certmesh_api::certificates::{CertificateRequest, IssuedCertificate, ObjectRef};
use certmesh_api::secrets::{self, CA_CERT};
use certmesh_apiserver::store::StoredObject;
use certmesh_controllers::ApiVerb;
use certmesh_x509::{Certificate, Fingerprint};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::ResourceExt;
use serde_json::Value;

use crate::cluster::Kind;
use crate::invariants;
use crate::process::Actor;
use crate::watch::parsed;

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// The name of the invariant's function.
    pub(crate) invariant: &'static str,
    /// What happened.
    pub(crate) message: String,
}

/// An object as its type.
#[derive(Clone, Debug)]
pub(crate) enum Object {
    Certificate(Box<IssuedCertificate>),
    Request(Box<CertificateRequest>),
    Secret(Box<Secret>),
    ConfigMap(Box<ConfigMap>),
}

impl Object {
    pub(crate) fn read(kind: Kind, object: &StoredObject) -> Self {
        match kind {
            Kind::IssuedCertificate => Self::Certificate(Box::new(parsed(object))),
            Kind::CertificateRequest => Self::Request(Box::new(parsed(object))),
            Kind::Secret => Self::Secret(Box::new(parsed(object))),
            Kind::ConfigMap => Self::ConfigMap(Box::new(parsed(object))),
        }
    }

    pub(crate) fn version(&self) -> Option<String> {
        match self {
            Self::Certificate(object) => object.resource_version(),
            Self::Request(object) => object.resource_version(),
            Self::Secret(object) => object.resource_version(),
            Self::ConfigMap(object) => object.resource_version(),
        }
    }

    pub(crate) fn certificate(&self) -> Option<&IssuedCertificate> {
        if let Self::Certificate(object) = self { Some(object) } else { None }
    }

    pub(crate) fn request(&self) -> Option<&CertificateRequest> {
        if let Self::Request(object) = self { Some(object) } else { None }
    }

    pub(crate) fn secret(&self) -> Option<&Secret> {
        if let Self::Secret(object) = self { Some(object) } else { None }
    }
}

/// One write that an API server took, or refused.
pub(crate) struct Write {
    /// The step in which it happened.
    pub(crate) step: u64,
    /// By the clock of who wrote.
    pub(crate) clock: Timestamp,
    pub(crate) actor: Actor,
    /// The step at which the pass began that it belongs to.
    pub(crate) since: u64,
    /// 0 is the management cluster.
    pub(crate) site: usize,
    pub(crate) kind: Kind,
    pub(crate) name: ObjectRef,
    pub(crate) verb: ApiVerb,
    /// The object before it.
    pub(crate) before: Option<Object>,
    /// The object after it.
    pub(crate) after: Option<Object>,
    /// Whether the server took it.
    pub(crate) taken: bool,
}

impl Write {
    /// Whether one of ours wrote.
    pub(crate) fn is_ours(&self) -> bool {
        matches!(self.actor, Actor::Issuer(_) | Actor::Agent(_))
    }

    pub(crate) fn is_by_agent(&self) -> bool {
        matches!(self.actor, Actor::Agent(_))
    }

    pub(crate) fn is_by_issuer(&self) -> bool {
        matches!(self.actor, Actor::Issuer(_))
    }

    /// What was sent, if anything was.
    pub(crate) fn body(&self) -> Option<&Value> {
        match &self.verb {
            ApiVerb::Create(body) | ApiVerb::Update(body) | ApiVerb::UpdateStatus(body) => Some(body),
            ApiVerb::Get | ApiVerb::Delete { .. } => None,
        }
    }

    pub(crate) fn is_delete(&self) -> bool {
        matches!(self.verb, ApiVerb::Delete { .. })
    }

    fn secrets(&self) -> (Option<&Secret>, Option<&Secret>) {
        (self.before.as_ref().and_then(Object::secret), self.after.as_ref().and_then(Object::secret))
    }

    /// A certificate that an agent puts in place: the Secret before and after.
    pub(crate) fn delivery(&self) -> Option<(Option<&Secret>, &Secret)> {
        let (before, after) = self.secrets();
        let after = after.filter(|_| self.taken && self.is_by_agent() && !self.is_delete())?;
        let certificate = |secret: &Secret| secrets::data(secret, CA_CERT).map(<[u8]>::to_vec);
        let new = certificate(after)?;
        (before.and_then(certificate) != Some(new)).then_some((before, after))
    }
}

/// A version of an intent.
pub(crate) struct IntentVersion {
    pub(crate) step: u64,
    /// Nothing: it was gone from then on.
    pub(crate) intent: Option<IssuedCertificate>,
}

/// What a Secret holds from some step on.
pub(crate) struct Holding {
    pub(crate) step: u64,
    pub(crate) certificate: Option<Fingerprint>,
}

/// A copy: the intent that it says it is of, and who made it when.
pub(crate) struct CopyMade {
    pub(crate) of: String,
    pub(crate) by: Actor,
    pub(crate) step: u64,
}

/// Names of objects in all clusters.
pub(crate) type Place = (usize, ObjectRef);

/// What has happened so far.
#[derive(Default)]
pub(crate) struct History {
    /// Versions of intents, by name.
    pub(crate) intents: BTreeMap<ObjectRef, Vec<IntentVersion>>,
    /// What Secrets of remote clusters held.
    pub(crate) held: BTreeMap<Place, Vec<Holding>>,
    /// Content of Secrets as an agent wrote them last.
    pub(crate) left_by_agent: BTreeMap<Place, Value>,
    /// Needs that a certificate was put in place for.
    pub(crate) delivered: BTreeSet<(usize, ObjectRef, String)>,
    /// Serial numbers, and the certificate each is in.
    pub(crate) serials: BTreeMap<String, Fingerprint>,
    /// Requests that were answered with a certificate: by uid and generation.
    pub(crate) answered: BTreeSet<(usize, String, i64)>,
    /// Signing requests whose signature is not by their key.
    pub(crate) forged: BTreeSet<Vec<u8>>,
    /// uids of intents that reports on copies were about, whoever wrote them.
    pub(crate) reported: BTreeSet<(usize, String)>,
    /// The last request that was created: its need, the step at which the pass began that did, and when that was.
    pub(crate) asked: BTreeMap<Place, (String, u64, Timestamp)>,
    /// The last step at which anybody but its agent touched what an agent goes by: copies, requests, Secrets.
    pub(crate) touched: BTreeMap<usize, u64>,
    /// The last step at which somebody was told of a copy as it no longer was.
    pub(crate) told_late: BTreeMap<usize, u64>,
    /// The last step at which the clock of a process was set.
    pub(crate) clock_set: BTreeMap<Actor, u64>,
    /// Signatures in the issuance log.
    pub(crate) signatures: u64,
    /// Certificates that were stored as answers.
    pub(crate) answers: u64,
    /// Answers that may not have been stored: refused, lost, or never sent.
    pub(crate) lost_answers: u64,
    /// Writes of ours that a server took.
    pub(crate) writes: u64,
    /// Pending keys that are there.
    pub(crate) pending: BTreeSet<Place>,
    /// Requests of agents that are there.
    pub(crate) requests: BTreeSet<Place>,
    /// Copies that were made of intents that went between the last look at them and the write, or by one leader while another
    /// one let the intent go: no API server can make one depend on the other. `certmesh cluster prune` is for these.
    pub(crate) overtaken: BTreeSet<Place>,
    /// Copies that are there.
    pub(crate) copies: BTreeMap<Place, CopyMade>,
}

/// Sees every write.
#[derive(Default)]
pub(crate) struct Witness {
    pub(crate) history: History,
    pub(crate) violations: Vec<Violation>,
}

impl Witness {
    /// Asks all invariants about a write, then remembers it.
    pub(crate) fn see(&mut self, write: &Write) {
        for invariant in invariants::OF_WRITES {
            self.ask(invariant.name, (invariant.holds)(write, &self.history));
        }
        self.history.remember(write);
    }

    /// A line of the issuance log.
    pub(crate) fn see_log(&mut self, line: &str) {
        self.ask("private_key_stays_in_its_cluster", invariants::keys::text_holds_no_key(line));
        if line.contains("\"decision\":\"signed\"") {
            self.history.signatures += 1;
        }
    }

    /// Notes the answer of an invariant.
    pub(crate) fn ask(&mut self, invariant: &'static str, answer: Result<(), String>) {
        if let Err(message) = answer {
            self.violations.push(Violation { invariant, message });
        }
    }
}

impl History {
    /// The versions of an intent that there were from a step on.
    pub(crate) fn intents_since(
        &self,
        name: &ObjectRef,
        step: u64,
    ) -> impl Iterator<Item = &IssuedCertificate> {
        let versions = self.intents.get(name).map(Vec::as_slice).unwrap_or_default();
        let first = versions.partition_point(|version| version.step < step).saturating_sub(1);
        versions[first..].iter().filter_map(|version| version.intent.as_ref())
    }

    /// Whether a Secret held this certificate at some time since a step.
    pub(crate) fn held_since(&self, place: &Place, step: u64, certificate: &str) -> bool {
        let holdings = self.held.get(place).map(Vec::as_slice).unwrap_or_default();
        let first = holdings.partition_point(|holding| holding.step < step).saturating_sub(1);
        holdings[first..]
            .iter()
            .filter_map(|holding| holding.certificate)
            .any(|held| held.to_string() == certificate)
    }

    fn remember(&mut self, write: &Write) {
        if !write.taken {
            let answers =
                write.is_by_issuer() && write.kind == Kind::CertificateRequest && write.body().is_some();
            self.lost_answers += u64::from(answers);
            return;
        }
        self.writes += u64::from(write.is_ours());
        self.count(write);
        match write.kind {
            Kind::IssuedCertificate if write.site == 0 => self.remember_intent(write),
            Kind::IssuedCertificate => self.remember_copy(write),
            Kind::CertificateRequest => self.remember_request(write),
            Kind::Secret if write.site > 0 => self.remember_secret(write),
            Kind::Secret | Kind::ConfigMap => {}
        }
    }

    fn remember_intent(&mut self, write: &Write) {
        if let Some(place) = self.copy_made_meanwhile(write) {
            self.overtaken.insert(place);
        }
        let intent = write.after.as_ref().and_then(Object::certificate).cloned();
        self.intents.entry(write.name.clone()).or_default().push(IntentVersion { step: write.step, intent });
    }

    fn remember_copy(&mut self, write: &Write) {
        if write.is_by_issuer() && write.before.is_none() {
            let intent = ObjectRef::new(format!("cluster-{}", write.site), write.name.name.clone());
            let versions = self.intents.get(&intent).map(Vec::as_slice).unwrap_or_default();
            let is_gone = versions.last().is_none_or(|version| version.intent.is_none());
            if is_gone && self.intents_since(&intent, write.since).next().is_some() {
                self.overtaken.insert((write.site, write.name.clone()));
            }
        }
        if !write.is_by_agent() {
            self.touched.insert(write.site, write.step);
        }
        let copy = write.after.as_ref().and_then(Object::certificate);
        let observed = copy.and_then(|copy| copy.status.as_ref()?.observed.as_ref());
        if let Some(observed) = observed {
            self.reported.insert((write.site, observed.intent_uid.clone()));
        }
    }

    fn remember_request(&mut self, write: &Write) {
        let place = (write.site, write.name.clone());
        if !write.is_ours() {
            self.touched.insert(write.site, write.step);
        }
        let Some(request) = write.after.as_ref().and_then(Object::request) else { return };
        if write.is_by_agent() && matches!(write.verb, ApiVerb::Create(_)) {
            let need = invariants::need_of(request).to_owned();
            self.asked.insert(place, (need, write.since, write.clock));
        }
        if invariants::signing::is_signed_by(write) {
            self.answers += 1;
            let generation = request.metadata.generation.unwrap_or_default();
            self.answered.insert((write.site, request.uid().unwrap_or_default(), generation));
            if let Some(certificate) = invariants::signing::answer_of(request) {
                self.serials.insert(certificate.serial_number().to_string(), certificate.fingerprint());
            }
        } else if write.is_by_issuer() {
            // Another answer than a certificate.
        } else if let Some(uid) = request.uid() {
            // Somebody else may have taken the answer away.
            self.answered.retain(|(site, answered, _)| (*site, answered) != (write.site, &uid));
        }
    }

    fn remember_secret(&mut self, write: &Write) {
        let place = (write.site, write.name.clone());
        let (_, after) = write.secrets();
        let pem = after.and_then(|secret| secrets::data(secret, CA_CERT));
        let certificate =
            pem.and_then(|pem| Certificate::from_pem(pem).ok()).map(|found| found.fingerprint());
        self.held.entry(place.clone()).or_default().push(Holding { step: write.step, certificate });
        if !write.is_by_agent() {
            self.touched.insert(write.site, write.step);
            return;
        }
        if let Some((_, secret)) = write.delivery() {
            let need = invariants::need_of(secret).to_owned();
            self.delivered.insert((write.site, write.name.clone(), need));
        } else if write.secrets().0.map(content).as_ref() != self.left_by_agent.get(&place) {
            // A note on a Secret that somebody else has changed makes its content no more the agent's.
            return;
        }
        match after {
            Some(secret) => self.left_by_agent.insert(place, content(secret)),
            None => self.left_by_agent.remove(&place),
        };
    }
}

/// What makes a Secret what it is: all but its version.
pub(crate) fn content(secret: &Secret) -> Value {
    let mut secret = secret.clone();
    secret.metadata.resource_version = None;
    secret.metadata.managed_fields = None;
    crate::cluster::to_value(&secret)
}
