//! Keys, dates and certificates that the tests share.

use std::{sync::LazyLock, time::Duration};

use certmesh_x509::{
    Certificate, CertificateAuthority, Hosts, IntermediateParameters, KeyAlgorithm, LeafParameters,
    PrivateKey, SerialNumber, SubjectName,
};
use jiff::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};

pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The moment at which everything happens.
pub(crate) fn now() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

pub(crate) fn days_from_now(days: i64) -> Timestamp {
    now() + jiff::SignedDuration::from_hours(24 * days)
}

/// Two keys of each kind, made once: RSA generation takes a second or more.
pub(crate) fn key(algorithm: KeyAlgorithm, index: usize) -> PrivateKey {
    type Keys = [LazyLock<PrivateKey>; 2];
    static RSA_2048: Keys = [
        LazyLock::new(|| generate(KeyAlgorithm::Rsa2048)),
        LazyLock::new(|| generate(KeyAlgorithm::Rsa2048)),
    ];
    static RSA_3072: Keys = [
        LazyLock::new(|| generate(KeyAlgorithm::Rsa3072)),
        LazyLock::new(|| generate(KeyAlgorithm::Rsa3072)),
    ];
    static RSA_4096: Keys = [
        LazyLock::new(|| generate(KeyAlgorithm::Rsa4096)),
        LazyLock::new(|| generate(KeyAlgorithm::Rsa4096)),
    ];
    static P256: Keys = [
        LazyLock::new(|| generate(KeyAlgorithm::EcdsaP256)),
        LazyLock::new(|| generate(KeyAlgorithm::EcdsaP256)),
    ];
    static P384: Keys = [
        LazyLock::new(|| generate(KeyAlgorithm::EcdsaP384)),
        LazyLock::new(|| generate(KeyAlgorithm::EcdsaP384)),
    ];
    let keys = match algorithm {
        KeyAlgorithm::Rsa2048 => &RSA_2048,
        KeyAlgorithm::Rsa3072 => &RSA_3072,
        KeyAlgorithm::Rsa4096 => &RSA_4096,
        KeyAlgorithm::EcdsaP256 => &P256,
        KeyAlgorithm::EcdsaP384 => &P384,
    };
    keys[index].clone()
}

fn generate(algorithm: KeyAlgorithm) -> PrivateKey {
    PrivateKey::generate(algorithm).unwrap()
}

pub(crate) fn new_key() -> PrivateKey {
    generate(KeyAlgorithm::EcdsaP256)
}

pub(crate) fn serial(number: u8) -> SerialNumber {
    SerialNumber::from_bytes([number; 16])
}

pub(crate) fn hosts() -> Hosts {
    Hosts::parse(&["spiffe://cluster.local/ns/istio-system/sa/istiod", "istiod.istio-system.svc", "10.0.0.1"])
        .unwrap()
}

pub(crate) fn intermediate_parameters() -> IntermediateParameters {
    IntermediateParameters {
        subject: SubjectName::intermediate("Example", "istio", "cluster-1").unwrap(),
        hosts: hosts(),
        lifetime: IntermediateParameters::DEFAULT_LIFETIME,
    }
}

pub(crate) fn leaf_parameters() -> LeafParameters {
    LeafParameters { hosts: hosts(), lifetime: DAY }
}

/// A root of ours with a P-256 key.
pub(crate) fn root() -> CertificateAuthority {
    root_with(new_key())
}

pub(crate) fn root_with(key: PrivateKey) -> CertificateAuthority {
    let lifetime = CertificateAuthority::DEFAULT_ROOT_LIFETIME;
    CertificateAuthority::self_signed_root(key, "Example", lifetime, &serial(1), now()).unwrap()
}

/// What rcgen is to make: valid for 2026, with the extensions of a CA that limits nothing.
pub(crate) fn ca_params(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// A workload's certificate for a SPIFFE ID.
pub(crate) fn leaf_params(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.subject_alt_names = vec![SanType::URI("spiffe://cluster.local/ns/a/sa/b".try_into().unwrap())];
    params
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2027, 1, 1);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    params
}

/// Signs as if the issuer had these parameters, true or not.
pub(crate) fn sign(
    params: &CertificateParams,
    key: &KeyPair,
    issuer: &CertificateParams,
    issuer_key: &KeyPair,
) -> Certificate {
    let certificate = params.signed_by(key, &Issuer::from_params(issuer, issuer_key)).unwrap();
    Certificate::from_der(certificate.der()).unwrap()
}

pub(crate) fn self_sign(params: &CertificateParams, key: &KeyPair) -> Certificate {
    Certificate::from_der(params.self_signed(key).unwrap().der()).unwrap()
}

/// rcgen's key as ours.
pub(crate) fn private_key(key: &KeyPair) -> PrivateKey {
    PrivateKey::from_pem(key.serialize_pem().as_bytes()).unwrap()
}

/// The same certificate with the last byte of its signature changed.
pub(crate) fn with_broken_signature(certificate: &Certificate) -> Certificate {
    let mut der = certificate.as_der().to_vec();
    *der.last_mut().unwrap() ^= 1;
    Certificate::from_der(&der).unwrap()
}
