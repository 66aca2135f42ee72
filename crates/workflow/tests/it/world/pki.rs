//! Certificates and Secrets for tests. P-256, because it is fast.

use std::collections::BTreeMap;
use std::time::Duration;

use certmesh_api::certificates::ObjectRef;
use certmesh_api::names::annotations;
use certmesh_x509::{
    Certificate, CertificateAuthority, Hosts, IntermediateParameters, KeyAlgorithm, LeafParameters,
    PrivateKey, PublicKey, SerialNumber, SubjectName,
};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

pub const DAY: u64 = 24 * 60 * 60;
pub const YEAR: u64 = 365 * DAY;

pub fn key() -> PrivateKey {
    PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap()
}

pub fn serial() -> SerialNumber {
    SerialNumber::random().unwrap()
}

pub fn root(name: &str, made: Timestamp, seconds: u64) -> CertificateAuthority {
    CertificateAuthority::self_signed_root(key(), name, Duration::from_secs(seconds), &serial(), made)
        .unwrap()
}

/// The Secret of a CA that is its own root. Any cluster may be signed for.
pub fn ca_secret(name: &ObjectRef, authority: &CertificateAuthority) -> Secret {
    let certificate = authority.certificate().to_pem();
    let key = authority.key().to_pem().to_string();
    let mut secret = secret(
        name,
        &[
            ("ca-cert.pem", &certificate),
            ("ca-key.pem", &key),
            ("cert-chain.pem", &certificate),
            ("root-cert.pem", &certificate),
        ],
    );
    secret.metadata.annotations =
        Some(BTreeMap::from([(annotations::ALLOW_CLUSTERS.to_owned(), "*".to_owned())]));
    secret
}

pub fn secret(name: &ObjectRef, files: &[(&str, &str)]) -> Secret {
    let data = files.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())));
    Secret { metadata: metadata(name), data: Some(data.collect()), ..Secret::default() }
}

pub fn config_map(name: &ObjectRef, files: &[(&str, &str)]) -> ConfigMap {
    let data = files.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    ConfigMap { metadata: metadata(name), data: Some(data.collect()), ..ConfigMap::default() }
}

pub fn metadata(name: &ObjectRef) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.name.clone()),
        namespace: Some(name.namespace.clone()),
        ..ObjectMeta::default()
    }
}

/// An intermediate as an issuer signs it.
pub fn intermediate_for(
    authority: &CertificateAuthority,
    key: &PublicKey,
    hosts: &[&str],
    seconds: u64,
    now: Timestamp,
) -> Certificate {
    let parameters = IntermediateParameters {
        subject: SubjectName::intermediate("Istio", "istio", "cluster-1").unwrap(),
        hosts: Hosts::parse(hosts).unwrap(),
        lifetime: Duration::from_secs(seconds),
    };
    authority.sign_intermediate(&parameters, key, &serial(), now).unwrap()
}

pub fn leaf(authority: &CertificateAuthority, key: &PublicKey, host: &str, now: Timestamp) -> Certificate {
    let parameters =
        LeafParameters { hosts: Hosts::parse(&[host]).unwrap(), lifetime: Duration::from_secs(DAY) };
    authority.sign_leaf(&parameters, key, &serial(), now).unwrap()
}
