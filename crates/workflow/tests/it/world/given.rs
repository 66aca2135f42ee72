//! The intent that most stories begin with, and the names around it.

use certmesh_api::certificates::{
    CommonCertOptions, IssuedCertificate, IssuedCertificateSpec, IssuedCertificateStatus, KeyAlgorithmName,
    ObjectRef, RootCertificateAuthority,
};

use super::{AGENT_NAMESPACE, HOST, ISSUER_NAMESPACE, pki};

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
