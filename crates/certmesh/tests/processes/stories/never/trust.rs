//! Whose word counts: the intent's and its CA's, and for the roots in use a person's.

use crate::mesh::{HOME, Mesh, Versions, intent, new_root, whole};
use certmesh_api::certificates::{CertificateRequest, IssuedCertificate};
use certmesh_api::names::annotations;
use certmesh_api::secrets;
use certmesh_tests::edits::EVIL;
use certmesh_tests::forger::{csr, new_key};
use certmesh_tests::signing_secret;
use certmesh_tests::wrong_input::ca;
use certmesh_x509::{Certificate, Hosts};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

pub(super) async fn from_the_remote_side(mesh: &Mesh) {
    let remote = &mesh.remotes[1];
    let requests = Versions::from_now(remote.api::<CertificateRequest>(HOME)).await;
    let issued = Versions::from_now(remote.api::<Secret>("meddled")).await;
    let wanted = intent("cluster-2", "meddled");
    mesh.management.create("cluster-2", &wanted).await;
    meddle(remote.api(HOME), remote.api(HOME)).await;
    mesh.ready("cluster-2", "meddled").await;

    let mut certificates: Vec<Certificate> =
        issued.of("cacerts").await.iter().map(|version| whole(version.object()).0).collect();
    for request in requests.of("meddled").await {
        let answer = request.object().status.as_ref().and_then(|status| status.signed_certificate.as_ref());
        certificates.extend(answer.map(|pem| Certificate::from_pem(&pem.0).expect("a certificate")));
    }
    let hosts = Hosts::parse(&wanted.spec.hosts).expect("hosts");
    assert!(!certificates.is_empty());
    for certificate in certificates {
        let subject = certificate.subject().to_string();
        assert!(certificate.identifies_exactly(&hosts), "{subject}");
        assert!(subject.contains("CN=cluster-2/meddled"), "{subject}");
        assert_eq!(certificate.issuer(), mesh.root.certificate().subject());
        assert_eq!((certificate.is_ca(), certificate.path_length()), (true, Some(0)));
        let lifetime = certificate.not_after().as_second() - certificate.not_before().as_second();
        assert_eq!(lifetime, 365 * 24 * 3600 + 300);
    }
}

/// Other hosts, another lifetime and another CA on the copy, another CSR in the request, as fast as that goes. Whatever
/// is not there, or not in time, is no matter.
async fn meddle(copies: Api<IssuedCertificate>, requests: Api<CertificateRequest>) {
    let spec = json!({"spec": {
        "hosts": [EVIL],
        "certOptions": {"ttlDays": 36500, "orgName": "Mallory"},
        "glooMeshCa": {"signingCertificateSecret": {"name": "other-ca"}},
    }});
    let csr = ByteString(csr(&new_key(), EVIL).into_bytes());
    let swap = json!({"spec": {"certificateSigningRequest": csr}});
    let (begin, mut edits) = (Instant::now(), 0);
    while begin.elapsed() < Duration::from_secs(3) {
        let parameters = PatchParams::default();
        edits += u32::from(copies.patch("meddled", &parameters, &Patch::Merge(&spec)).await.is_ok());
        edits += u32::from(requests.patch("meddled", &parameters, &Patch::Merge(&swap)).await.is_ok());
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    assert!(edits > 10, "only {edits} edits were in time");
}

pub(super) async fn replaced(mesh: &Mesh) {
    mesh.management.create(HOME, &signing_secret("forgotten-ca", &new_root())).await;
    let mut wanted = intent("cluster-1", "forgetful");
    wanted.spec.gloo_mesh_ca = Some(ca(HOME, "forgotten-ca"));
    mesh.management.create("cluster-1", &wanted).await;
    mesh.ready("cluster-1", "forgetful").await;
    let before = mesh.issued(0, "forgetful").await;
    let other = new_root();
    // The CA's content is replaced, and even the issuer's memory of what it signed under is wiped.
    mesh.management.replace(HOME, signing_secret("forgotten-ca", &other)).await;
    mesh.says("cluster-1", "forgetful", "RootReplaced").await;
    let forget = json!({"status": {"trust": Value::Null}});
    mesh.management.patch_status::<IssuedCertificate>("cluster-1", "forgetful", forget).await;
    // The agent stands in the way, by what it has in place.
    let says = mesh.says("cluster-1", "forgetful", "WouldReplaceLiveRoot").await;
    let error = says.status.expect("a status").error;
    assert!(error.ends_with("the annotation certmesh.dev/replace-root: \"true\" on the intent"), "{error}");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(mesh.issued(0, "forgetful").await.data, before.data);
    // A person's word.
    mesh.annotate("cluster-1", "forgetful", annotations::REPLACE_ROOT, "true").await;
    mesh.renewed("cluster-1", "forgetful", &before).await;
    let replaced = mesh.issued(0, "forgetful").await;
    assert_eq!(secrets::data(&replaced, secrets::ROOT_CERT), Some(other.roots().as_pem()));
}
