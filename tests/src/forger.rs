//! What an attacker makes who rules a remote cluster: requests and answers that are almost right.

use certmesh_api::certificates::{CertificateRequest, CertificateRequestState, CertificateRequestStatus};
use certmesh_x509::{
    Certificate, CertificateAuthority, Hosts, IntermediateParameters, KeyAlgorithm, LeafParameters,
    PrivateKey, PublicKey, SerialNumber, SigningRequest, SubjectName, TrustBundle,
};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use std::time::Duration;

/// Forges under a CA: its own, or one whose key it stole to show what an agent still notices.
pub struct Forger {
    /// The CA.
    pub authority: CertificateAuthority,
    /// Its key, as rcgen takes it.
    key: KeyPair,
    now: Timestamp,
}

impl Forger {
    /// Makes a root of its own.
    pub fn new(now: Timestamp) -> Self {
        let key = KeyPair::generate().expect("a key");
        let ours =
            PrivateKey::from_pem(key.serialize_pem().as_bytes()).expect("a key of a kind that we know");
        let lifetime = CertificateAuthority::DEFAULT_ROOT_LIFETIME;
        let authority = CertificateAuthority::self_signed_root(ours, "Mallory", lifetime, &serial(), now)
            .expect("a root");
        Self { authority, key, now }
    }

    /// An intermediate as the issuer would make it.
    pub fn intermediate(&self, key: &PublicKey, host: &str, lifetime: Duration) -> Certificate {
        let subject = SubjectName::intermediate("Istio", "istiod", "cluster-1").expect("a subject");
        let parameters = IntermediateParameters { subject, hosts: hosts(host), lifetime };
        self.authority.sign_intermediate(&parameters, key, &serial(), self.now).expect("an intermediate")
    }

    /// A workload's certificate.
    pub fn leaf(&self, key: &PublicKey, host: &str, lifetime: Duration) -> Certificate {
        let parameters = LeafParameters { hosts: hosts(host), lifetime };
        self.authority.sign_leaf(&parameters, key, &serial(), self.now).expect("a leaf")
    }

    /// An intermediate that may sign further CAs, for the key of a request.
    pub fn unlimited(&self, request: &CertificateRequest, host: &str, lifetime: Duration) -> Certificate {
        let csr = CertificateSigningRequestParams::from_pem(&csr_of(request)).expect("a request");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.subject_alt_names = vec![SanType::URI(host.try_into().expect("an ASCII host"))];
        params.use_authority_key_identifier_extension = true;
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        let now = Duration::from_secs(u64::try_from(self.now.as_second()).expect("a time after 1970"));
        params.not_before = epoch + now - Duration::from_secs(5 * 60);
        params.not_after = epoch + now + lifetime;
        let root = self.authority.certificate().to_pem();
        let issuer = Issuer::from_ca_cert_pem(&root, &self.key).expect("a CA");
        let certificate = params.signed_by(&csr.public_key, &issuer).expect("a certificate");
        Certificate::from_der(certificate.der()).expect("a certificate that we can read")
    }
}

/// A request for this key, in PEM, that claims a host and a subject.
pub fn csr(key: &PrivateKey, host: &str) -> String {
    let subject = SubjectName::intermediate("Mallory", "admin", "mallory").expect("a subject");
    SigningRequest::create(key, &subject, &hosts(host)).expect("a request")
}

/// The request in a CertificateRequest, in PEM.
pub fn csr_of(request: &CertificateRequest) -> String {
    let bytes = request.spec.certificate_signing_request.clone().unwrap_or_default().0;
    String::from_utf8(bytes).expect("PEM")
}

/// The key that a CertificateRequest is about.
pub fn key_of(request: &CertificateRequest) -> PublicKey {
    SigningRequest::from_pem(csr_of(request).as_bytes()).expect("a request").public_key().clone()
}

/// A status that answers a request.
pub fn answer(
    request: &CertificateRequest,
    certificate: &Certificate,
    above: &[Certificate],
    roots: &TrustBundle,
) -> CertificateRequestStatus {
    let chain = Certificate::write_chain(std::iter::once(certificate).chain(above));
    CertificateRequestStatus {
        observed_generation: request.metadata.generation.unwrap_or_default(),
        error: String::new(),
        state: CertificateRequestState::Finished,
        signed_certificate: Some(ByteString(certificate.to_pem().into_bytes())),
        signing_root_ca: Some(ByteString(roots.as_pem().to_vec())),
        cert_chain: Some(ByteString(chain.into_bytes())),
    }
}

/// A new P-256 key.
pub fn new_key() -> PrivateKey {
    PrivateKey::generate(KeyAlgorithm::EcdsaP256).expect("a key")
}

fn hosts(host: &str) -> Hosts {
    Hosts::parse(&[host]).expect("a host")
}

fn serial() -> SerialNumber {
    SerialNumber::random().expect("a serial number")
}
