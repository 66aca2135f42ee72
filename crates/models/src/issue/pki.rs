//! Keys and signatures of a small pool, so that the same thing done twice is the same state.
//!
//! ECDSA draws its own nonce: two signatures over the same bytes differ. So each is made once and remembered by what it is
//! over, and of keys and serial numbers the first is taken that nothing in a state mentions any more. Whoever looks at a state
//! cannot tell it from one that was never used.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use certmesh_api::ClusterName;
use certmesh_api::certificates::{CertificateRequest, ObjectRef};
use certmesh_workflow::agent::CreateRequest;
use certmesh_workflow::examine::{AllowedClusters, SigningCaFacts};
use certmesh_workflow::issuer::Sign;
use certmesh_x509::{
    Certificate, CertificateAuthority, Fingerprint, KeyAlgorithm, PrivateKey, PublicKey, SerialNumber,
};
use k8s_openapi::ByteString;

use super::objects::{Object, ca_name};
use super::time::{Moment, START};

/// Keys of a cluster's agent. The last of them is an intruder's.
pub(super) const POOL: usize = 8;
/// The number of the intruder's key.
pub(super) const INTRUDER: usize = POOL - 1;
/// A root, and another to rotate to.
const AUTHORITIES: usize = 2;
/// The clusters there may be.
pub(super) const CLUSTERS: usize = 2;
const CA_LIFETIME: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Keys and serial numbers that something mentions, a bit each. Those of one cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Names {
    pub(super) keys: u8,
    pub(super) serials: u8,
}

impl Names {
    pub(super) fn and(self, other: Self) -> Self {
        Self { keys: self.keys | other.keys, serials: self.serials | other.serials }
    }

    /// The first key that is not among them.
    pub(super) fn new_key(self) -> u8 {
        first_free(self.keys | 1 << INTRUDER)
    }

    /// The first serial number that is not among them.
    pub(super) fn new_serial(self) -> u8 {
        first_free(self.serials)
    }
}

fn first_free(taken: u8) -> u8 {
    let free = taken.trailing_ones();
    assert!(free < u8::BITS, "a state mentions the whole pool: it has to be larger");
    u8::try_from(free).unwrap_or(u8::MAX)
}

struct Pki {
    keys: Vec<Vec<PrivateKey>>,
    numbers: HashMap<Fingerprint, u8>,
    authorities: Vec<SigningCaFacts>,
}

static PKI: LazyLock<Pki> = LazyLock::new(|| {
    let new = || PrivateKey::generate(KeyAlgorithm::EcdsaP256).expect("the library makes P-256 keys");
    let keys: Vec<Vec<PrivateKey>> = (0..CLUSTERS).map(|_| (0..POOL).map(|_| new()).collect()).collect();
    let numbers = keys.iter().flat_map(|keys| keys.iter().zip(0..));
    let numbers = numbers.map(|(key, number)| (key.public_key().fingerprint(), number)).collect();
    Pki { keys, numbers, authorities: (0..AUTHORITIES).map(new_authority).collect() }
});

fn new_authority(number: usize) -> SigningCaFacts {
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).expect("the library makes P-256 keys");
    let serial = SerialNumber::from_bytes([1; 16]);
    let authority = CertificateAuthority::self_signed_root(key, "certmesh", CA_LIFETIME, &serial, START)
        .expect("a root around a new key");
    SigningCaFacts {
        name: ca_name(number),
        allowed: AllowedClusters::All,
        trust: Some(authority.trust_fingerprint()),
        authority: Ok(authority),
    }
}

/// The CA in this Secret.
pub(super) fn authority(name: &ObjectRef) -> Option<&'static SigningCaFacts> {
    PKI.authorities.iter().find(|authority| authority.name == *name)
}

/// A key of this cluster's pool.
pub(super) fn key(cluster: usize, number: u8) -> &'static PrivateKey {
    &PKI.keys[cluster][usize::from(number)]
}

/// The name of the cluster with this number.
pub(super) fn cluster_name(cluster: usize) -> &'static ClusterName {
    static NAMES: LazyLock<Vec<ClusterName>> = LazyLock::new(|| {
        let name = |number: usize| format!("cluster-{}", number + 1).parse().expect("a DNS label");
        (0..CLUSTERS).map(name).collect()
    });
    &NAMES[cluster]
}

/// What mentions this key.
pub(super) fn names_of_key(key: &PublicKey) -> Names {
    let number = PKI.numbers.get(&key.fingerprint());
    number.map_or_else(Names::default, |number| Names { keys: 1 << number, serials: 0 })
}

/// What mentions the certificate with this fingerprint.
pub(super) fn names_of_certificate(fingerprint: &Fingerprint) -> Names {
    locked(&CERTIFICATES).get(fingerprint).copied().unwrap_or_default()
}

static CERTIFICATES: LazyLock<Mutex<HashMap<Fingerprint, Names>>> = LazyLock::new(Mutex::default);
static REQUESTS: LazyLock<Mutex<HashMap<String, ByteString>>> = LazyLock::new(Mutex::default);
static ANSWERS: LazyLock<Mutex<HashMap<String, Answered>>> = LazyLock::new(Mutex::default);

fn locked<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The request for this key. What it is signed over follows from the key and the spec that the need names.
pub(super) fn request(create: &CreateRequest, key: &PrivateKey) -> CertificateRequest {
    let mut request = create.request(key).expect("a key of the pool signs");
    let over = format!("{} {}", key.public_key().fingerprint(), create.need.spec);
    if let Some(csr) = request.spec.certificate_signing_request.take() {
        let once = locked(&REQUESTS).entry(over).or_insert(csr).clone();
        request.spec.certificate_signing_request = Some(once);
    }
    request
}

/// A signature that is to be made, and what it is over.
pub(super) struct Signing {
    sign: Sign,
    cluster: usize,
    pub(super) over: String,
}

/// A signed request, and the certificate in it.
#[derive(Clone)]
pub(super) struct Answered {
    pub(super) request: CertificateRequest,
    pub(super) certificate: Certificate,
}

impl Signing {
    pub(super) fn new(sign: Sign, request: Object, cluster: usize, now: Moment) -> Self {
        let over = format!("{request:?} {now:?} {sign:?}");
        Self { sign, cluster, over }
    }

    /// The answer with this serial number.
    pub(super) fn answer(&self, serial: u8) -> Answered {
        let mut answers = locked(&ANSWERS);
        let answer = answers.entry(format!("{serial} {}", self.over)).or_insert_with(|| self.signed(serial));
        answer.clone()
    }

    fn signed(&self, serial: u8) -> Answered {
        let mut bytes = [0; 16];
        bytes[0] = 1;
        bytes[15] = u8::try_from(self.cluster * POOL).unwrap_or(u8::MAX) + serial;
        let serial_number = SerialNumber::from_bytes(bytes);
        let request = self.sign.sign(&serial_number).expect("the CA of the model signs").request;
        let certificate = request.status.as_ref().and_then(|status| status.signed_certificate.as_ref());
        let certificate = certificate.and_then(|pem| Certificate::from_pem(&pem.0).ok());
        let certificate = certificate.expect("the CA of the model signs all that it is asked for");
        let names = names_of_key(certificate.public_key()).and(Names { keys: 0, serials: 1 << serial });
        locked(&CERTIFICATES).insert(certificate.fingerprint(), names);
        Answered { request, certificate }
    }
}
