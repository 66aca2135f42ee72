//! A management cluster and a remote one as plain values, and the thinnest shell that can be: observe, decide, apply one
//! effect after the other, status last. Any write can be where the process dies.

pub mod pki;
mod shelf;

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write;
use std::rc::Rc;

use certmesh_api::ClusterName;
use certmesh_api::certificates::{
    CertificateRequest, CommonCertOptions, IssuedCertificate, IssuedCertificateSpec, IssuedCertificateState,
    IssuedCertificateStatus, KeyAlgorithmName, ObjectRef, RootCertificateAuthority,
};
use certmesh_api::names::well_known;
use certmesh_workflow::issuer::{Authority, Remote, Settings};
use certmesh_workflow::{Event, Examined, IssuanceRecord, agent, examine, issuer};
use certmesh_x509::{Certificate, CertificateAuthority, Fingerprint, PrivateKey};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::ResourceExt;

pub use shelf::{Refused, Shelf, name_of};

pub const AGENT_NAMESPACE: &str = "certmesh";
pub const ISSUER_NAMESPACE: &str = "certmesh";
pub const HOST: &str = "spiffe://cluster.local/ns/istio-system/sa/istiod";

pub fn start() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

pub fn seconds(count: i64) -> jiff::SignedDuration {
    jiff::SignedDuration::from_secs(count)
}

#[derive(Clone, Default)]
pub struct Cluster {
    pub certificates: Shelf<IssuedCertificate>,
    pub requests: Shelf<CertificateRequest>,
    pub secrets: Shelf<Secret>,
    pub config_maps: Shelf<ConfigMap>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    Up,
    Down,
    Gone,
}

/// Where the process dies: before or after this write.
#[derive(Clone, Copy, Debug)]
pub struct Crash {
    pub at: usize,
    pub after: bool,
}

/// The process died.
#[derive(Debug, PartialEq, Eq)]
pub struct Crashed;

#[derive(Clone)]
pub struct World {
    pub now: Timestamp,
    /// How far the agent's clock is ahead.
    pub agent_skew: i64,
    pub management: Cluster,
    pub remote: Cluster,
    pub cluster: ClusterName,
    pub settings: Settings,
    pub link: Link,
    pub exhausted_until: Option<Timestamp>,
    pub authority: CertificateAuthority,
    pub crash: Option<Crash>,
    /// Every write, in order: who and what.
    pub writes: Vec<String>,
    pub events: Vec<Event>,
    pub issuance: Vec<IssuanceRecord>,
    /// Everything that was printed of decisions.
    pub debug_output: String,
    /// Certificates in the order in which they were put in place.
    pub delivered: Vec<Fingerprint>,
    pub made_keys: Vec<PrivateKey>,
    /// Whether the issued Secret may go.
    pub may_lose_secret: bool,
    memo: RefCell<Memo>,
}

/// Facts by what they were read from, as a shell would keep them.
#[derive(Clone, Default)]
struct Memo {
    issued: Facts<examine::IssuedFacts>,
    keys: Facts<examine::PendingKeyFacts>,
    answers: Facts<examine::AnswerFacts>,
    requests: Facts<examine::RequestFacts>,
    authorities: Facts<examine::SigningCaFacts>,
}

#[derive(Clone)]
struct Facts<F>(HashMap<(String, String), Rc<F>>);

impl<F> Default for Facts<F> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<F> Facts<F> {
    fn of<K: ResourceExt>(&mut self, object: Option<&K>, examine: impl Fn(&K) -> F) -> Option<Rc<F>> {
        let object = object?;
        let key = (object.uid().unwrap_or_default(), object.resource_version().unwrap_or_default());
        Some(Rc::clone(self.0.entry(key).or_insert_with(|| Rc::new(examine(object)))))
    }
}

impl World {
    /// A CA, a registered cluster, no intent yet.
    pub fn empty() -> Self {
        let now = start();
        let authority = pki::root("root-a", now - seconds(60), 10 * pki::YEAR);
        let mut world = Self {
            now,
            agent_skew: 0,
            management: Cluster::default(),
            remote: Cluster::default(),
            cluster: "cluster-1".parse().unwrap(),
            settings: Settings {
                namespace: ISSUER_NAMESPACE.to_owned(),
                allows_foreign_ca_namespaces: false,
            },
            link: Link::Up,
            exhausted_until: None,
            authority: authority.clone(),
            crash: None,
            writes: Vec::new(),
            events: Vec::new(),
            issuance: Vec::new(),
            debug_output: String::new(),
            delivered: Vec::new(),
            made_keys: Vec::new(),
            may_lose_secret: false,
            memo: RefCell::default(),
        };
        world.put_ca("ca-a", &authority);
        world
    }

    /// The same with an intent for `istio-system/cacerts`.
    pub fn new() -> Self {
        let mut world = Self::empty();
        world.create_intent(&intent());
        world
    }

    /// The same with the certificate in place.
    pub fn finished() -> Self {
        let mut world = Self::new();
        world.settle();
        assert_eq!(world.state(), IssuedCertificateState::Finished);
        world
    }

    pub fn create_intent(&mut self, intent: &IssuedCertificate) {
        self.management.certificates.create(intent, self.now).unwrap();
    }

    pub fn put_ca(&mut self, name: &str, authority: &CertificateAuthority) {
        let name = ca_name(name);
        self.management.secrets.remove(&name);
        self.management.secrets.create(&pki::ca_secret(&name, authority), self.now).unwrap();
    }

    pub fn intent(&self) -> &IssuedCertificate {
        self.management.certificates.get(&intent_name()).expect("the intent exists")
    }

    pub fn copy(&self) -> &IssuedCertificate {
        self.remote.certificates.get(&copy_name()).expect("the copy exists")
    }

    pub fn request(&self) -> Option<&CertificateRequest> {
        self.remote.requests.get(&copy_name())
    }

    pub fn issued(&self) -> Option<&Secret> {
        self.remote.secrets.get(&target())
    }

    pub fn issued_certificate(&self) -> Certificate {
        let secret = self.issued().expect("the issued Secret exists");
        examine::issued(secret).content.expect("the issued Secret is whole").certificate().clone()
    }

    pub fn state(&self) -> IssuedCertificateState {
        self.intent().status.as_ref().map_or(IssuedCertificateState::Pending, |status| status.state)
    }

    pub fn agent_status(&self) -> IssuedCertificateStatus {
        self.copy().status.clone().unwrap_or_default()
    }

    pub fn edit_intent(&mut self, edit: impl FnOnce(&mut IssuedCertificate)) {
        self.management.certificates.edit(&intent_name(), edit);
    }

    pub fn annotate_intent(&mut self, key: &str, value: &str) {
        self.edit_intent(|intent| drop(intent.annotations_mut().insert(key.to_owned(), value.to_owned())));
    }

    pub fn delete_intent(&mut self) {
        let version = certmesh_workflow::ObjectVersion::of(self.intent());
        self.management.certificates.delete(&version, self.now).unwrap();
    }

    /// Passes of both parties until neither has anything to do. They take turns; a lost race is a pass.
    pub fn settle(&mut self) {
        self.try_settle().unwrap();
    }

    pub fn try_settle(&mut self) -> Result<Option<Timestamp>, Crashed> {
        for _ in 0..60 {
            let (issuer, issuer_wakes) = self.issuer_pass()?;
            let (agent, agent_wakes) = self.agent_pass()?;
            if !issuer && !agent {
                return Ok([issuer_wakes, agent_wakes].into_iter().flatten().min());
            }
        }
        panic!("the two keep writing:\n{}", self.writes.join("\n"));
    }

    /// Settles, and again at every wake-up, until this time.
    pub fn run_until(&mut self, end: Timestamp) {
        for _ in 0..200 {
            let wakes = self.try_settle().unwrap();
            match wakes {
                Some(at) if at <= end => self.now = self.now.max(at),
                _ => {
                    self.now = end;
                    self.settle();
                    return;
                }
            }
        }
        panic!("too many wake-ups:\n{}", self.writes.join("\n"));
    }

    /// Runs for this long.
    pub fn run_for(&mut self, count: i64) {
        self.run_until(self.now + seconds(count));
    }

    pub fn agent_now(&self) -> Timestamp {
        self.now + seconds(self.agent_skew)
    }

    /// What the agent would decide now.
    pub fn agent_decision(&self) -> Option<agent::Decision> {
        self.remote.certificates.get(&copy_name()).map(|copy| self.decide_for(copy))
    }

    pub fn decide_for(&self, copy: &IssuedCertificate) -> agent::Decision {
        self.observed_by_agent(copy, |observed| agent::decide(self.agent_now(), observed))
    }

    /// What the agent sees of a copy.
    pub fn observed_by_agent<R>(
        &self,
        copy: &IssuedCertificate,
        with: impl FnOnce(&agent::Observed<'_>) -> R,
    ) -> R {
        let facts = examine::copy(copy);
        let remote = &self.remote;
        let issued = copy.spec.issued_certificate_secret.as_ref().and_then(|name| remote.secrets.get(name));
        let key = remote.secrets.get(&name_of(copy));
        let request = remote.requests.get(&name_of(copy));
        let mut memo = self.memo.borrow_mut();
        let issued_facts = memo.issued.of(issued, examine::issued);
        let key_facts = memo.keys.of(key, examine::pending_key);
        let request_facts = memo.answers.of(request, examine::answer);
        let rival = agent::rival(copy, remote.certificates.iter(), issued_facts.as_deref());
        let live: Vec<_> = remote
            .config_maps
            .iter()
            .filter(|map| map.name_any() == well_known::ISTIO_CA_ROOT_CERT)
            .filter_map(examine::live_roots)
            .collect();
        let pin = remote.config_maps.get(&ObjectRef::new(AGENT_NAMESPACE, well_known::TRUST_ANCHORS));
        let anchors = pin.map(examine::trust_anchors);
        let observed = agent::Observed {
            agent_namespace: AGENT_NAMESPACE,
            copy: Examined { object: copy, facts: &facts },
            rival: rival.as_ref(),
            issued: examined(issued, issued_facts.as_deref()),
            key: examined(key, key_facts.as_deref()),
            request: examined(request, request_facts.as_deref()),
            live_roots: &live,
            trust_anchors: anchors.as_ref(),
        };
        with(&observed)
    }

    /// What the issuer would decide now.
    pub fn issuer_decision(&self) -> Option<issuer::Decision> {
        self.observed_by_issuer(|observed| issuer::decide(self.now, observed))
    }

    /// What the issuer sees of the intent, if it exists.
    pub fn observed_by_issuer<R>(&self, with: impl FnOnce(&issuer::Observed<'_>) -> R) -> Option<R> {
        let intent = self.management.certificates.get(&intent_name())?;
        let facts = examine::intent(intent);
        let needed: Vec<ObjectRef> = facts
            .wanted
            .as_ref()
            .map(|wanted| wanted.authorities.needed().cloned().collect())
            .unwrap_or_default();
        let mut memo = self.memo.borrow_mut();
        let mut ca = |at: usize| {
            let secret = needed.get(at).and_then(|name| self.management.secrets.get(name));
            memo.authorities.of(secret, examine::signing_ca)
        };
        let (signer, other) = (ca(0), ca(1));
        let copy = self.remote.certificates.get(&copy_name());
        let copy_facts = copy.map(examine::copy);
        let request = self.request();
        let request_facts = memo.requests.of(request, examine::request);
        let remote = match self.link {
            Link::Up => Remote::Connected {
                agent_namespace: AGENT_NAMESPACE,
                copy: examined(copy, copy_facts.as_ref()),
                request: examined(request, request_facts.as_deref()),
            },
            Link::Down => Remote::Unreachable { error: "connection refused" },
            Link::Gone => Remote::Unregistered,
        };
        let observed = issuer::Observed {
            settings: &self.settings,
            cluster: &self.cluster,
            intent: Examined { object: intent, facts: &facts },
            remote,
            signer: signer.as_deref().map_or(Authority::Missing, Authority::Found),
            other: other.as_deref().map_or(Authority::Missing, Authority::Found),
            exhausted_until: self.exhausted_until,
        };
        Some(with(&observed))
    }

    /// One pass of the agent over every copy. Whether it did anything, and when to look again.
    pub fn agent_pass(&mut self) -> Result<(bool, Option<Timestamp>), Crashed> {
        let copies: Vec<_> = self.remote.certificates.iter().cloned().collect();
        let (mut busy, mut wake_at) = (false, None);
        for mut copy in copies {
            let decision = self.decide_for(&copy);
            self.note(&format!("{decision:?}"), &decision.events);
            busy |= !decision.is_empty();
            wake_at =
                wake_at.into_iter().chain(decision.wake_at.map(|at| at - seconds(self.agent_skew))).min();
            let mut made = None;
            for effect in &decision.effects {
                if self.applied(format!("agent {}", kind(effect)), |world| {
                    world.apply_agent(effect, &mut made)
                })? {
                    return Ok((true, wake_at));
                }
            }
            if let Some(status) = decision.status {
                copy.status = Some(status);
                let lost = self.applied("agent CopyStatus".to_owned(), |world| {
                    world.remote.certificates.replace_status(&copy).map(drop)
                })?;
                if lost {
                    return Ok((true, wake_at));
                }
            }
        }
        Ok((busy, wake_at))
    }

    fn apply_agent(&mut self, effect: &agent::Effect, made: &mut Option<PrivateKey>) -> Result<(), Refused> {
        let now = self.now;
        match effect {
            agent::Effect::CreateKey(create) => {
                let key = PrivateKey::generate(create.algorithm).unwrap();
                self.made_keys.push(key.clone());
                let secret = create.secret(&key);
                let _ = writeln!(self.debug_output, "{secret:?}");
                self.remote.secrets.create(secret.expose(), now)?;
                *made = Some(key);
            }
            agent::Effect::CreateRequest(create) => {
                let key = match &create.key {
                    agent::RequestKey::JustMade => made.as_ref().expect("the key was made in this pass"),
                    agent::RequestKey::Stored(key) => key,
                };
                self.remote.requests.create(&create.request(key).unwrap(), now)?;
            }
            agent::Effect::StoreIssued(store) => {
                let secret = store.secret.expose();
                match store.write {
                    agent::Write::Create => self.remote.secrets.create(secret, now)?,
                    agent::Write::Update => self.remote.secrets.replace(secret)?,
                };
                let certificate = self.issued_certificate().fingerprint();
                self.delivered.push(certificate);
            }
            agent::Effect::DeleteRequest(version) => self.remote.requests.delete(version, now)?,
            agent::Effect::DeleteKey(version) | agent::Effect::DeleteIssued(version) => {
                self.remote.secrets.delete(version, now)?;
            }
            agent::Effect::MarkUnmanaged(update) | agent::Effect::MarkManaged(update) => {
                drop(self.remote.secrets.replace(update.secret.expose())?);
            }
            agent::Effect::ReleaseCopy(release) => drop(self.remote.certificates.replace(&release.copy)?),
        }
        Ok(())
    }

    /// One pass of the issuer.
    pub fn issuer_pass(&mut self) -> Result<(bool, Option<Timestamp>), Crashed> {
        let Some(decision) = self.issuer_decision() else { return Ok((false, None)) };
        self.note(&format!("{decision:?}"), &decision.events);
        let busy = !decision.is_empty();
        let mut intent = self.intent().clone();
        for effect in &decision.effects {
            let lost = self.applied(format!("issuer {}", kind(effect)), |world| {
                world.apply_issuer(effect, &mut intent)
            })?;
            if lost {
                return Ok((true, decision.wake_at));
            }
        }
        if let Some(status) = decision.status {
            intent.status = Some(status);
            self.applied("issuer IntentStatus".to_owned(), |world| {
                world.management.certificates.replace_status(&intent).map(drop)
            })?;
        }
        Ok((busy, decision.wake_at))
    }

    fn apply_issuer(
        &mut self,
        effect: &issuer::Effect,
        intent: &mut IssuedCertificate,
    ) -> Result<(), Refused> {
        let now = self.now;
        match effect {
            issuer::Effect::AddFinalizer(changed) | issuer::Effect::ReleaseIntent(changed) => {
                *intent = self.management.certificates.replace(changed)?;
            }
            issuer::Effect::CreateCopy(copy) => drop(self.remote.certificates.create(copy, now)?),
            issuer::Effect::UpdateCopy(copy) => drop(self.remote.certificates.replace(copy)?),
            issuer::Effect::DeleteCopy(version) => self.remote.certificates.delete(version, now)?,
            issuer::Effect::DeleteRequest(version) => self.remote.requests.delete(version, now)?,
            issuer::Effect::Sign(sign) => {
                let answer = sign.sign(&pki::serial()).unwrap();
                self.answer(&answer)?;
            }
            issuer::Effect::RefuseRequest(answer) | issuer::Effect::DeferRequest(answer) => {
                self.answer(answer)?;
            }
        }
        Ok(())
    }

    fn answer(&mut self, answer: &issuer::AnswerRequest) -> Result<(), Refused> {
        self.issuance.extend(answer.record.clone());
        self.remote.requests.replace_status(&answer.request).map(drop)
    }

    /// Whether the write was refused: then the pass is over.
    fn applied(
        &mut self,
        what: String,
        write: impl FnOnce(&mut Self) -> Result<(), Refused>,
    ) -> Result<bool, Crashed> {
        let dies = self.crash.filter(|crash| crash.at == self.writes.len());
        if dies.is_some_and(|crash| !crash.after) {
            self.crash = None;
            return Err(Crashed);
        }
        let before = self.issued().and_then(ResourceExt::resource_version);
        self.writes.push(what);
        let result = write(self);
        self.check_secret(before.as_deref());
        if dies.is_some() {
            self.crash = None;
            return Err(Crashed);
        }
        Ok(result.is_err())
    }

    /// What must hold at every moment of every story: what we write is whole, and it is never gone before its time.
    fn check_secret(&self, before: Option<&str>) {
        let Some(secret) = self.issued() else {
            let is_fine = before.is_none() || self.may_lose_secret;
            assert!(is_fine, "the issued Secret is gone after {:?}", self.writes.last());
            return;
        };
        if before != secret.metadata.resource_version.as_deref() {
            let facts =
                self.memo.borrow_mut().issued.of(Some(secret), examine::issued).expect("there is one");
            let is_note = self.writes.last().is_some_and(|write| write.contains("Mark"));
            assert!(is_note || facts.content.is_ok(), "{:?} after {:?}", facts.content, self.writes.last());
        }
    }

    fn note(&mut self, decision: &str, events: &[Event]) {
        self.debug_output.push_str(decision);
        self.debug_output.push('\n');
        self.events.extend_from_slice(events);
    }

    /// Issuer and agent take turns until the request is there and the issuer has not seen it.
    pub fn with_open_request() -> Self {
        let mut world = Self::new();
        world.issuer_pass().unwrap();
        world.agent_pass().unwrap();
        assert!(world.request().is_some());
        world
    }

    /// The agent alone, until it has nothing to do.
    pub fn settle_agent(&mut self) {
        for _ in 0..20 {
            if !self.agent_pass().unwrap().0 {
                return;
            }
        }
        panic!(
            "the agent keeps writing:
{}",
            self.writes.join(
                "
"
            )
        );
    }

    /// The issuer alone, until it has nothing to do.
    pub fn settle_issuer(&mut self) {
        for _ in 0..20 {
            if !self.issuer_pass().unwrap().0 {
                return;
            }
        }
        panic!(
            "the issuer keeps writing:
{}",
            self.writes.join(
                "
"
            )
        );
    }

    pub fn status(&self) -> IssuedCertificateStatus {
        self.intent().status.clone().unwrap_or_default()
    }
}

fn examined<'a, K, F>(object: Option<&'a K>, facts: Option<&'a F>) -> Option<Examined<'a, K, F>> {
    Some(Examined { object: object?, facts: facts? })
}

/// The variant's name.
pub fn kind(effect: &impl std::fmt::Debug) -> String {
    let text = format!("{effect:?}");
    text.split(['(', ' ', '{']).next().unwrap_or_default().to_owned()
}

pub fn intent_name() -> ObjectRef {
    ObjectRef::new("cluster-1", "istio")
}

pub fn copy_name() -> ObjectRef {
    ObjectRef::new(AGENT_NAMESPACE, "istio")
}

pub fn target() -> ObjectRef {
    ObjectRef::new("istio-system", "cacerts")
}

pub fn ca_name(name: &str) -> ObjectRef {
    ObjectRef::new(ISSUER_NAMESPACE, name)
}

pub fn ca_ref(name: &str) -> RootCertificateAuthority {
    RootCertificateAuthority { signing_certificate_secret: Some(ca_name(name)) }
}

pub fn spec() -> IssuedCertificateSpec {
    IssuedCertificateSpec {
        hosts: vec![HOST.to_owned()],
        issued_certificate_secret: Some(target()),
        cert_options: Some(CommonCertOptions {
            key_algorithm: Some(KeyAlgorithmName::EcdsaP256),
            ttl_days: 90,
            ..CommonCertOptions::default()
        }),
        gloo_mesh_ca: Some(ca_ref("ca-a")),
        ..IssuedCertificateSpec::default()
    }
}

pub fn intent() -> IssuedCertificate {
    IssuedCertificate { metadata: pki::metadata(&intent_name()), spec: spec(), status: None }
}

/// The reason of the condition of this type, if it is True.
pub fn reason<'a>(status: &'a IssuedCertificateStatus, kind: &str) -> Option<&'a str> {
    let is_true = |condition: &&k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| {
        condition.type_ == kind && condition.status == "True"
    };
    status.conditions.iter().find(is_true).map(|condition| condition.reason.as_str())
}
