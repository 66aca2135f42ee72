//! A management cluster and a remote one as plain values, and the thinnest shell that can be: observe, decide, apply one
//! effect after the other, status last. Any write can be where the process dies.

mod given;
mod memo;
mod passes;
pub mod pki;
mod shelf;

use std::cell::RefCell;

use certmesh_api::ClusterName;
use certmesh_api::certificates::{
    CertificateRequest, IssuedCertificate, IssuedCertificateState, IssuedCertificateStatus, ObjectRef,
};
use certmesh_api::names::well_known;
use certmesh_workflow::issuer::{Authority, Remote, Settings};
use certmesh_workflow::{Event, Examined, IssuanceRecord, agent, examine, issuer};
use certmesh_x509::{Certificate, CertificateAuthority, Fingerprint, PrivateKey};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::ResourceExt;

pub use given::{ca_name, ca_ref, copy_name, intent, intent_name, reason, spec, target};
use memo::Memo;
pub use shelf::{Refused, Shelf, Stored, name_of};

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
    Refused,
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
    pub reports_exhausted_until: Option<Timestamp>,
    /// Reading CA Secrets fails with this.
    pub ca_error: Option<&'static str>,
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
            reports_exhausted_until: None,
            ca_error: None,
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
            unreadable: None,
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
            Link::Refused => Remote::Refused { error: "its kubeconfig has exec: use a token" },
            Link::Gone => Remote::Unregistered,
        };
        let observed = issuer::Observed {
            settings: &self.settings,
            cluster: &self.cluster,
            intent: Examined { object: intent, facts: &facts },
            remote,
            signer: self.authority_of(signer.as_deref()),
            other: self.authority_of(other.as_deref()),
            exhausted_until: self.exhausted_until,
            reports_exhausted_until: self.reports_exhausted_until,
        };
        Some(with(&observed))
    }

    fn authority_of<'a>(&self, facts: Option<&'a examine::SigningCaFacts>) -> Authority<'a> {
        match self.ca_error {
            Some(error) => Authority::Unreadable { error },
            None => facts.map_or(Authority::Missing, Authority::Found),
        }
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
