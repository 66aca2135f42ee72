//! Keys and authorities that are the same in every run and every process.
//!
//! Key *n* of the pool is the P-256 key whose scalar is SHA-256 of its number: no run waits for entropy, and a run that is
//! repeated makes the same keys in the same order. The certificates of the authorities are files, made once. ECDSA itself
//! is the product's and draws its own nonce, so signatures differ between two repetitions of a run; nothing that is decided
//! or printed depends on their bytes.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use certmesh_api::certificates::{KeyAlgorithmName, ObjectRef};
use certmesh_api::names::annotations;
use certmesh_api::secrets::{CA_CERT, CA_KEY, CERT_CHAIN, ROOT_CERT};
use certmesh_controllers::KeyMaker;
use certmesh_x509::{Certificate, Fingerprint, PrivateKey};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Numbers of the authorities' keys begin here.
const AUTHORITIES: u64 = 1_000_000_000;

/// Key `number` of the pool.
pub(crate) fn key(number: u64) -> PrivateKey {
    thread_local! {
        static POOL: RefCell<HashMap<u64, PrivateKey>> = RefCell::default();
    }
    POOL.with_borrow_mut(|pool| {
        pool.entry(number)
            .or_insert_with(|| PrivateKey::from_pem(key_pem(number).as_bytes()).expect("a P-256 key"))
            .clone()
    })
}

/// Where agents have their private keys from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum KeySource {
    /// The pool, whatever an intent asks for: a key costs nothing.
    Pool,
    /// They are made as in production, of the kind that the intent asks for, and intents ask for different ones.
    Made,
}

impl KeySource {
    /// What an agent makes its keys with; `taken` counts those of the pool.
    pub(crate) fn maker(self, taken: Arc<AtomicU64>) -> KeyMaker {
        match self {
            Self::Pool => KeyMaker::given(move |_| Ok(key(taken.fetch_add(1, Ordering::Relaxed)))),
            Self::Made => KeyMaker::given(PrivateKey::generate),
        }
    }

    /// What an intent asks for: key and, for RSA, bits. A new RSA-2048 key takes as long as a third of a run.
    pub(crate) fn wanted(self, number: u64) -> (KeyAlgorithmName, u32) {
        match (self, number % 4) {
            (Self::Made, 1) => (KeyAlgorithmName::EcdsaP384, 0),
            (Self::Made, 2) => (KeyAlgorithmName::Rsa, 2048),
            _ => (KeyAlgorithmName::EcdsaP256, 0),
        }
    }
}

/// SEC1 of a P-256 key (RFC 5915), without the public half.
fn key_pem(number: u64) -> String {
    let scalar = Fingerprint::of(format!("certmesh simulation key {number}").as_bytes());
    let mut der = vec![0x30, 0x31, 0x02, 0x01, 0x01, 0x04, 0x20];
    der.extend_from_slice(scalar.as_bytes());
    der.extend_from_slice(&[0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]);
    let text = STANDARD.encode(der);
    let (first, rest) = text.split_at(64);
    format!("-----BEGIN EC PRIVATE KEY-----\n{first}\n{rest}\n-----END EC PRIVATE KEY-----\n")
}

/// The authorities of the simulated world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Authority {
    /// A root.
    RootA,
    /// Another root.
    RootB,
    /// A third one, which nobody asked for.
    RootC,
    /// An intermediate below the first root.
    IntermediateA,
}

impl Authority {
    fn number(self) -> u64 {
        AUTHORITIES + self as u64
    }

    fn certificate_pem(self) -> &'static str {
        match self {
            Self::RootA => include_str!("authorities/root-a.pem"),
            Self::RootB => include_str!("authorities/root-b.pem"),
            Self::RootC => include_str!("authorities/root-c.pem"),
            Self::IntermediateA => include_str!("authorities/intermediate-a.pem"),
        }
    }

    fn root(self) -> Self {
        match self {
            Self::IntermediateA => Self::RootA,
            root => root,
        }
    }

    /// Its root's certificate, PEM.
    pub(crate) fn root_pem(self) -> &'static str {
        self.root().certificate_pem()
    }

    /// Its certificate.
    pub(crate) fn certificate(self) -> Certificate {
        static ALL: LazyLock<BTreeMap<Authority, Certificate>> = LazyLock::new(|| {
            [Authority::RootA, Authority::RootB, Authority::RootC, Authority::IntermediateA]
                .map(|authority| {
                    let pem = authority.certificate_pem().as_bytes();
                    (authority, Certificate::from_pem(pem).expect("a certificate of ours"))
                })
                .into()
        });
        ALL[&self].clone()
    }

    /// A Secret that holds it whole.
    pub(crate) fn secret(self, name: &ObjectRef) -> Secret {
        let certificate = self.certificate_pem().as_bytes().to_vec();
        let files = [
            (CA_CERT, certificate.clone()),
            (CA_KEY, key(self.number()).to_pem().as_bytes().to_vec()),
            (CERT_CHAIN, certificate),
            (ROOT_CERT, self.root_pem().as_bytes().to_vec()),
        ];
        let notes = BTreeMap::from([(annotations::ALLOW_CLUSTERS.to_owned(), "*".to_owned())]);
        Secret {
            metadata: ObjectMeta { annotations: Some(notes), ..metadata(name) },
            data: Some(files.map(|(key, bytes)| (key.to_owned(), ByteString(bytes))).into()),
            ..Secret::default()
        }
    }
}

/// Namespace and name.
pub(crate) fn metadata(name: &ObjectRef) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.name.clone()),
        namespace: (!name.namespace.is_empty()).then(|| name.namespace.clone()),
        ..ObjectMeta::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use certmesh_workflow::examine;
    use jiff::Timestamp;

    #[test]
    fn a_key_has_a_number_and_is_always_the_same() {
        assert_eq!(key(7).public_key(), key(7).public_key());
        assert_ne!(key(7).public_key(), key(8).public_key());
    }

    #[test]
    fn the_authorities_are_whole() {
        let at: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        for authority in [Authority::RootA, Authority::RootB, Authority::RootC, Authority::IntermediateA] {
            let facts = examine::signing_ca(&authority.secret(&ObjectRef::new("certmesh", "ca")));
            let found = facts.authority.unwrap();
            assert!(found.path().is_valid_at(at), "{authority:?}");
            assert_eq!(*found.certificate(), authority.certificate());
        }
    }
}
