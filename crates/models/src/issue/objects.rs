//! Kubernetes objects, each content once: a state holds which one, and what examining it found is found once.
//!
//! uid and resourceVersion are the same in all of them: whether something is still what it was is in the state, as a
//! relation (`Seen`), so that it is no matter how often it has changed. An intent's uid alone counts,
//! since much is made of it.

use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{LazyLock, Mutex, PoisonError};

use certmesh_api::certificates::{
    CertificateRequest, CommonCertOptions, IssuedCertificate, IssuedCertificateSpec, IssuedCertificateStatus,
    KeyAlgorithmName, ObjectRef, RootCertificateAuthority,
};
use certmesh_workflow::Examined;
use certmesh_workflow::examine::{
    self, AnswerFacts, CopyFacts, IntentFacts, IssuedFacts, PendingKeyFacts, RequestFacts,
};
use certmesh_workflow::need::Need;
use certmesh_x509::{Certificate, PrivateKey};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::pki::{self, Names};

/// Namespace of issuer and agents.
pub(super) const NAMESPACE: &str = "certmesh";
/// Every object's resourceVersion.
pub(super) const VERSION: &str = "seen";
/// Every object's uid, but an intent's.
pub(super) const UID: &str = "uid";

/// The objects of one certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// In the management cluster.
    Intent,
    /// The intent's, in the remote cluster; so are all others.
    Copy,
    /// The CertificateRequest.
    Request,
    /// The Secret with the pending key.
    Key,
    /// The issued Secret.
    Issued,
}

impl Kind {
    pub(super) const ALL: [Self; 5] = [Self::Intent, Self::Copy, Self::Request, Self::Key, Self::Issued];
}

/// A content. Two are equal when they are the same.
#[derive(Clone, Copy)]
pub(super) struct Object(&'static Entry);

struct Entry {
    number: usize,
    value: Value,
    parsed: Parsed,
    names: Names,
    holds_a_key: bool,
}

enum Parsed {
    Intent(Box<(IssuedCertificate, IntentFacts)>),
    Copy(Box<(IssuedCertificate, CopyFacts)>),
    Request(Box<(CertificateRequest, RequestFacts, AnswerFacts)>),
    Key(Box<(Secret, PendingKeyFacts)>),
    Issued(Box<(Secret, IssuedFacts)>),
}

static ALL: LazyLock<Mutex<HashMap<(Kind, String), Object>>> = LazyLock::new(Mutex::default);

impl Object {
    /// The content with this JSON. Contents are kept as long as the process lives.
    pub(super) fn of(kind: Kind, value: Value) -> Self {
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        let number = all.len() + 1;
        *all.entry((kind, value.to_string())).or_insert_with(|| {
            let parsed = Parsed::new(kind, &value);
            let names = parsed.names();
            let holds_a_key = holds_a_key(&value);
            Self(Box::leak(Box::new(Entry { number, value, parsed, names, holds_a_key })))
        })
    }

    pub(super) fn value(self) -> &'static Value {
        &self.0.value
    }

    /// Keys and serial numbers that it mentions.
    pub(super) fn names(self) -> Names {
        self.0.names
    }

    /// Whether a private key is in it.
    pub(super) fn holds_a_key(self) -> bool {
        self.0.holds_a_key
    }

    pub(super) fn intent(self) -> Examined<'static, IssuedCertificate, IntentFacts> {
        match &self.0.parsed {
            Parsed::Intent(it) => Examined { object: &it.0, facts: &it.1 },
            _ => unreachable!("an intent is stored where intents are"),
        }
    }

    pub(super) fn copy(self) -> Examined<'static, IssuedCertificate, CopyFacts> {
        match &self.0.parsed {
            Parsed::Copy(it) => Examined { object: &it.0, facts: &it.1 },
            _ => unreachable!("a copy is stored where copies are"),
        }
    }

    /// A request as the issuer sees it.
    pub(super) fn request(self) -> Examined<'static, CertificateRequest, RequestFacts> {
        match &self.0.parsed {
            Parsed::Request(it) => Examined { object: &it.0, facts: &it.1 },
            _ => unreachable!("a request is stored where requests are"),
        }
    }

    /// A request as its agent sees it.
    pub(super) fn answered(self) -> Examined<'static, CertificateRequest, AnswerFacts> {
        match &self.0.parsed {
            Parsed::Request(it) => Examined { object: &it.0, facts: &it.2 },
            _ => unreachable!("a request is stored where requests are"),
        }
    }

    pub(super) fn key(self) -> Examined<'static, Secret, PendingKeyFacts> {
        match &self.0.parsed {
            Parsed::Key(it) => Examined { object: &it.0, facts: &it.1 },
            _ => unreachable!("a pending key is stored where pending keys are"),
        }
    }

    pub(super) fn issued(self) -> Examined<'static, Secret, IssuedFacts> {
        match &self.0.parsed {
            Parsed::Issued(it) => Examined { object: &it.0, facts: &it.1 },
            _ => unreachable!("an issued Secret is stored where issued Secrets are"),
        }
    }

    /// The status of an intent or a copy.
    pub(super) fn status(self) -> Option<&'static IssuedCertificateStatus> {
        match &self.0.parsed {
            Parsed::Intent(it) => it.0.status.as_ref(),
            Parsed::Copy(it) => it.0.status.as_ref(),
            _ => None,
        }
    }

    /// The need that is written on it.
    pub(super) fn need(self) -> Option<&'static Need> {
        self.0.parsed.need()
    }
}

impl Parsed {
    fn new(kind: Kind, value: &Value) -> Self {
        match kind {
            Kind::Intent => {
                let object = parsed(value);
                let facts = examine::intent(&object);
                Self::Intent(Box::new((object, facts)))
            }
            Kind::Copy => {
                let object = parsed(value);
                let facts = examine::copy(&object);
                Self::Copy(Box::new((object, facts)))
            }
            Kind::Request => {
                let object = parsed(value);
                let (request, answer) = (examine::request(&object), examine::answer(&object));
                Self::Request(Box::new((object, request, answer)))
            }
            Kind::Key => {
                let object = parsed(value);
                let facts = examine::pending_key(&object);
                Self::Key(Box::new((object, facts)))
            }
            Kind::Issued => {
                let object = parsed(value);
                let facts = examine::issued(&object);
                Self::Issued(Box::new((object, facts)))
            }
        }
    }

    fn need(&self) -> Option<&Need> {
        match self {
            Self::Intent(_) | Self::Copy(_) => None,
            Self::Request(it) => it.1.need.as_ref(),
            Self::Key(it) => it.1.need.as_ref(),
            Self::Issued(it) => it.1.need.as_ref(),
        }
    }

    fn names(&self) -> Names {
        let of_status = |status: &Option<IssuedCertificateStatus>| {
            let summary = status.as_ref().and_then(|status| status.certificate.as_ref());
            summary.and_then(|summary| summary.fingerprint.parse().ok())
        };
        let (key, certificate) = match self {
            Self::Intent(it) => (None, of_status(&it.0.status)),
            Self::Copy(it) => (None, of_status(&it.0.status)),
            Self::Request(it) => {
                // Whatever the answer is worth, the certificate in it is not to be made again.
                let signed = it.0.status.as_ref().and_then(|status| status.signed_certificate.as_ref());
                let signed = signed.and_then(|pem| Certificate::from_pem(&pem.0).ok());
                (it.1.key.as_ref().ok(), signed.map(|certificate| certificate.fingerprint()))
            }
            Self::Key(it) => (it.1.key.as_ref().ok().map(PrivateKey::public_key), None),
            Self::Issued(it) => (None, it.1.certificate.as_ref().map(Certificate::fingerprint)),
        };
        let replaced = self.need().and_then(|need| need.replaces);
        let certificates = certificate.iter().chain(&replaced).map(pki::names_of_certificate);
        certificates.chain(key.map(pki::names_of_key)).fold(Names::default(), Names::and)
    }
}

fn parsed<K: DeserializeOwned>(value: &Value) -> K {
    serde_json::from_value(value.clone()).expect("what was serialized can be read")
}

/// A product's object as JSON.
pub(super) fn json(object: &impl Serialize) -> Value {
    serde_json::to_value(object).expect("an object of Kubernetes is JSON")
}

/// How a P-256 key begins: as PEM, that in base64, and SEC1 in base64.
fn holds_a_key(value: &Value) -> bool {
    let text = value.to_string();
    ["-----BEGIN EC PRIVATE", "LS0tLS1CRUdJTiBFQyBQUklW", "MHcCAQEEI"].iter().any(|mark| text.contains(mark))
}

impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.0.number == other.0.number
    }
}

impl Eq for Object {}

impl Hash for Object {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.number.hash(state);
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0.number)
    }
}

/// The Secret of the CA with this number.
pub(super) fn ca_name(number: usize) -> ObjectRef {
    ObjectRef::new(NAMESPACE, format!("ca-{number}"))
}

/// That CA, as a spec names it.
pub(super) fn ca(number: usize) -> RootCertificateAuthority {
    RootCertificateAuthority { signing_certificate_secret: Some(ca_name(number)) }
}

/// Namespace and name of a cluster's intent.
pub(super) fn intent_name(cluster: usize) -> ObjectRef {
    ObjectRef::new(pki::cluster_name(cluster).as_str(), "istio")
}

/// Hosts that a cluster's intent may ask for.
pub(super) fn host(cluster: usize, number: u8) -> String {
    let cluster = pki::cluster_name(cluster);
    format!("spiffe://{cluster}.example/ns/istio-system/sa/istiod-{number}")
}

/// An intent as a person writes it.
pub(super) fn new_intent(cluster: usize) -> IssuedCertificate {
    let name = intent_name(cluster);
    let options = CommonCertOptions {
        key_algorithm: Some(KeyAlgorithmName::EcdsaP256),
        ttl_days: 90,
        ..CommonCertOptions::default()
    };
    IssuedCertificate {
        metadata: ObjectMeta {
            name: Some(name.name),
            namespace: Some(name.namespace),
            ..ObjectMeta::default()
        },
        spec: IssuedCertificateSpec {
            hosts: vec![host(cluster, 0)],
            issued_certificate_secret: Some(ObjectRef::new("istio-system", "cacerts")),
            cert_options: Some(options),
            gloo_mesh_ca: Some(ca(0)),
            ..IssuedCertificateSpec::default()
        },
        status: None,
    }
}
