//! The objects that stories begin with, and what an intent says.

use crate::fleet::{HOME, ROOT_CA};
use certmesh_api::certificates::{
    CommonCertOptions, IssuedCertificate, IssuedCertificateSpec, KeyAlgorithmName, ObjectRef,
    RootCertificateAuthority,
};
use certmesh_api::names::annotations;
use certmesh_api::secrets;
use certmesh_x509::CertificateAuthority;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;

/// An intent for `cluster` with a P-256 key, target `istio-system/cacerts` and the fleet's root CA.
pub fn intent(cluster: &str, name: &str) -> IssuedCertificate {
    let spec = IssuedCertificateSpec {
        hosts: vec![format!("spiffe://{cluster}.example/ns/istio-system/sa/istiod")],
        issued_certificate_secret: Some(ObjectRef::new("istio-system", "cacerts")),
        cert_options: Some(CommonCertOptions {
            key_algorithm: Some(KeyAlgorithmName::EcdsaP256),
            ..CommonCertOptions::default()
        }),
        gloo_mesh_ca: Some(RootCertificateAuthority {
            signing_certificate_secret: Some(ObjectRef::new(HOME, ROOT_CA)),
        }),
        ..IssuedCertificateSpec::default()
    };
    let mut intent = IssuedCertificate::new(name, spec);
    intent.metadata.namespace = Some(cluster.to_owned());
    intent
}

/// The Secret of a signing CA that may sign for all clusters.
pub fn signing_secret(name: &str, authority: &CertificateAuthority) -> Secret {
    let pem = authority.certificate().to_pem().into_bytes();
    let key = authority.key().to_pem().as_bytes().to_vec();
    let files = [
        (secrets::CA_CERT, pem.clone()),
        (secrets::CA_KEY, key),
        (secrets::CERT_CHAIN, pem),
        (secrets::ROOT_CERT, authority.roots().as_pem().to_vec()),
    ];
    let mut secret = Secret {
        metadata: metadata(HOME, name),
        data: Some(files.into_iter().map(|(key, value)| (key.to_owned(), ByteString(value))).collect()),
        ..Secret::default()
    };
    secret.annotations_mut().insert(annotations::ALLOW_CLUSTERS.to_owned(), "*".to_owned());
    secret
}

/// Whether the certificate of an intent or copy is in place and nothing is left to do.
pub fn is_ready(certificate: Option<&IssuedCertificate>) -> bool {
    certificate.is_some_and(|certificate| {
        let status = certificate.status.as_ref();
        status.is_some_and(|status| {
            status.observed_generation == certificate.metadata.generation.unwrap_or_default()
                && status
                    .conditions
                    .iter()
                    .any(|condition| condition.type_ == "Ready" && condition.status == "True")
        })
    })
}

/// The reason of the `Ready` condition.
pub fn reason(certificate: &IssuedCertificate) -> &str {
    let conditions =
        certificate.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    conditions
        .iter()
        .find(|condition| condition.type_ == "Ready")
        .map_or("", |condition| condition.reason.as_str())
}

pub(crate) fn metadata(namespace: &str, name: &str) -> ObjectMeta {
    ObjectMeta { namespace: Some(namespace.to_owned()), name: Some(name.to_owned()), ..ObjectMeta::default() }
}
