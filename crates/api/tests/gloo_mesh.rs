//! Objects that Gloo Mesh 1.1–1.3 wrote are read and written back unchanged.
//!
//! The files in `gloo_mesh/` are written by hand in the spelling of those versions; nothing in them comes from our types.

#![allow(clippy::unwrap_used)] // clippy knows only the test functions themselves as tests

use certmesh_api::certificates::{
    CertificateAuthorityRef, CertificateRequest, CertificateRequestState, CertificateRotationState,
    IssuedCertificate, IssuedCertificateSpec, IssuedCertificateState, ObjectRef, PodBounceDirective,
};
use certmesh_api::multicluster::KubernetesCluster;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::path::Path;

/// The documents of a file as plain JSON.
fn documents(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gloo_mesh").join(file);
    serde_saphyr::from_multiple(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn object<K: DeserializeOwned>(file: &str, index: usize) -> K {
    serde_json::from_value(documents(file).swap_remove(index)).unwrap()
}

/// Text and not values is compared, so that 1 and 1.0 or 0.1 and 0.10000000149011612 differ; keys are sorted first.
fn canonical(mut value: Value) -> String {
    value.sort_all_objects();
    serde_json::to_string_pretty(&value).unwrap()
}

fn round_trip<K: DeserializeOwned + Serialize>(value: Value) -> Value {
    serde_json::to_value(serde_json::from_value::<K>(value).unwrap()).unwrap()
}

fn round_trip_as_its_kind(value: Value) -> Value {
    match value["kind"].as_str().unwrap() {
        "IssuedCertificate" => round_trip::<IssuedCertificate>(value),
        "CertificateRequest" => round_trip::<CertificateRequest>(value),
        "PodBounceDirective" => round_trip::<PodBounceDirective>(value),
        "KubernetesCluster" => round_trip::<KubernetesCluster>(value),
        other => panic!("no type for kind {other}"),
    }
}

#[test]
fn every_document_is_written_back_as_it_was_read() {
    let files = [
        ("issued_certificate_deprecated_fields.yaml", 1),
        ("issued_certificate_rotating.yaml", 1),
        ("issued_certificate_vault.yaml", 2),
        ("issued_certificate_minimal.yaml", 2),
        ("certificate_request.yaml", 3),
        ("pod_bounce_directive.yaml", 1),
        ("kubernetes_cluster.yaml", 2),
    ];
    for (file, count) in files {
        let documents = documents(file);
        assert_eq!(documents.len(), count, "{file}");
        for document in documents {
            let written = round_trip_as_its_kind(document.clone());
            assert_eq!(canonical(written), canonical(document), "{file}");
        }
    }
}

#[test]
fn deprecated_fields_mean_what_their_successors_mean() {
    let secret = ObjectRef::new("gloo-mesh", "virtual-mesh.gloo-mesh");
    let old: IssuedCertificate = object("issued_certificate_deprecated_fields.yaml", 0);
    assert_eq!(old.spec.organization(), "Istio");
    assert_eq!(old.spec.certificate_authority(), Ok(CertificateAuthorityRef::GlooMesh(&secret)));
    assert_eq!(old.spec.rotation_state, CertificateRotationState::NotRotating);
    assert_eq!(old.status.unwrap().state, IssuedCertificateState::Finished);

    let new: IssuedCertificate = object("issued_certificate_rotating.yaml", 0);
    assert_eq!(new.spec.organization(), "my-org");
    assert_eq!(new.spec.certificate_authority(), Ok(CertificateAuthorityRef::GlooMesh(&secret)));
    assert_eq!(new.spec.rotation_state, CertificateRotationState::PropagatingNewIntermediate);
}

#[test]
fn absent_means_zero() {
    let request: CertificateRequest = object("certificate_request.yaml", 0);
    assert_eq!(request.status.unwrap_or_default().state, CertificateRequestState::Pending);
    let minimal: IssuedCertificate = object("issued_certificate_minimal.yaml", 1);
    assert_eq!(minimal.spec, IssuedCertificateSpec::default());
    let status = minimal.status.unwrap();
    assert_eq!((status.state, status.observed_generation), (IssuedCertificateState::Pending, 0));
}

#[test]
fn zero_is_not_written_and_explicit_zeros_are_read() {
    let explicit = json!({
        "apiVersion": "certificates.mesh.gloo.solo.io/v1",
        "kind": "IssuedCertificate",
        "metadata": { "name": "a" },
        "spec": {
            "hosts": [], "org": "", "rotationState": "NOT_ROTATING",
            "certOptions": { "ttlDays": 0, "rsaKeySizeBytes": 0, "orgName": "", "secretRotationGracePeriodRatio": 0.0 },
        },
        "status": { "state": "PENDING", "error": "", "observedGeneration": 0, "observedRotationState": "NOT_ROTATING" },
    });
    let written = round_trip::<IssuedCertificate>(explicit);
    assert_eq!(written["spec"], json!({ "certOptions": {} }));
    assert_eq!(written["status"], json!({}));
}

#[test]
fn unknown_fields_are_tolerated_at_every_level() {
    let mut document = documents("issued_certificate_rotating.yaml").swap_remove(0);
    let known = canonical(document.clone());
    for path in ["/spec", "/spec/certOptions", "/spec/glooMeshCa/signingCertificateSecret", "/status"] {
        let fields = document.pointer_mut(path).unwrap().as_object_mut().unwrap();
        fields.insert("fieldOfALaterVersion".to_owned(), json!({ "a": [1] }));
    }
    assert_eq!(canonical(round_trip::<IssuedCertificate>(document)), known);
}

#[test]
fn enums_are_their_protobuf_names() {
    let states = ["PENDING", "REQUESTED", "ISSUED", "FINISHED", "FAILED"];
    assert_eq!(
        states,
        names([
            IssuedCertificateState::Pending,
            IssuedCertificateState::Requested,
            IssuedCertificateState::Issued,
            IssuedCertificateState::Finished,
            IssuedCertificateState::Failed,
        ])
    );
    let states = ["PENDING", "FINISHED", "FAILED"];
    assert_eq!(
        states,
        names([
            CertificateRequestState::Pending,
            CertificateRequestState::Finished,
            CertificateRequestState::Failed,
        ])
    );
    let states = [
        "NOT_ROTATING",
        "PREVIOUS_CA",
        "ADDING_NEW_ROOT",
        "PROPAGATING_NEW_INTERMEDIATE",
        "DELETING_OLD_ROOT",
        "VERIFYING",
        "VERIFIED",
        "ROLLING_BACK",
        "FINISHED",
        "FAILED",
    ];
    assert_eq!(
        states,
        names([
            CertificateRotationState::NotRotating,
            CertificateRotationState::PreviousCa,
            CertificateRotationState::AddingNewRoot,
            CertificateRotationState::PropagatingNewIntermediate,
            CertificateRotationState::DeletingOldRoot,
            CertificateRotationState::Verifying,
            CertificateRotationState::Verified,
            CertificateRotationState::RollingBack,
            CertificateRotationState::Finished,
            CertificateRotationState::Failed,
        ])
    );
}

fn names<const N: usize>(values: [impl Serialize; N]) -> [String; N] {
    values.map(|value| serde_json::to_value(value).unwrap().as_str().unwrap().to_owned())
}

#[test]
fn bytes_are_base64_of_the_pem_text() {
    let request: CertificateRequest = object("certificate_request.yaml", 1);
    let pem = |bytes: &Option<k8s_openapi::ByteString>| String::from_utf8(bytes.clone().unwrap().0).unwrap();
    let csr = pem(&request.spec.certificate_signing_request);
    assert!(
        csr.starts_with("-----BEGIN CERTIFICATE REQUEST-----\n")
            && csr.ends_with("-----END CERTIFICATE REQUEST-----\n")
    );
    let root = pem(&request.status.unwrap().signing_root_ca);
    assert!(root.starts_with("-----BEGIN CERTIFICATE-----\n"), "{root}");
}
