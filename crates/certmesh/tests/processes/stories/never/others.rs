//! What is somebody else's: their objects, and their changes to ours.

use crate::mesh::{HOME, Kind, Member, Mesh, intent, metadata};
use certmesh_api::certificates::{CertificateRequest, IssuedCertificate, ObjectRef};
use certmesh_tests::forger::{csr, new_key};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

fn opaque(name: &str) -> Secret {
    let data = BTreeMap::from([("password".to_owned(), ByteString(b"secret".to_vec()))]);
    Secret { metadata: metadata(name), data: Some(data), ..Secret::default() }
}

async fn version<K: Kind>(member: &Member, namespace: &str, name: &str) -> Option<String> {
    member.get::<K>(namespace, name).await.expect("it is still there").resource_version()
}

pub(super) async fn objects(mesh: &Mesh) {
    let remote = &mesh.remotes[0];
    // Objects of others under every name that ours could have.
    for (namespace, name) in [(HOME, "taken-key"), ("theirs", "cacerts"), ("theirs", "neighbour")] {
        remote.create(namespace, &opaque(name)).await;
    }
    let config = ConfigMap { metadata: metadata("config"), ..ConfigMap::default() };
    remote.create("theirs", &config).await;
    let mut copy = intent("cluster-1", "taken-copy");
    copy.metadata.namespace = None;
    copy.labels_mut().insert("owner".to_owned(), "somebody".to_owned());
    remote.create(HOME, &copy).await;
    let mut request = CertificateRequest::new("taken-request", CertificateRequest::default().spec);
    let pem = csr(&new_key(), "example.com").into_bytes();
    request.spec.certificate_signing_request = Some(ByteString(pem));
    let request = remote.create(HOME, &request).await;
    let all = async || {
        [
            version::<Secret>(remote, HOME, "taken-key").await,
            version::<Secret>(remote, "theirs", "cacerts").await,
            version::<Secret>(remote, "theirs", "neighbour").await,
            version::<ConfigMap>(remote, "theirs", "config").await,
            version::<IssuedCertificate>(remote, HOME, "taken-copy").await,
        ]
    };
    let before = all().await;

    let names = ["taken-key", "taken-copy", "taken-request"];
    for name in names {
        let mut wanted = intent("cluster-1", name);
        wanted.spec.issued_certificate_secret = Some(ObjectRef::new("theirs", "cacerts"));
        mesh.management.create("cluster-1", &wanted).await;
    }
    mesh.says("cluster-1", "taken-copy", "CopyNotOurs").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    for name in names {
        mesh.management.delete::<IssuedCertificate>("cluster-1", name).await;
    }
    for name in names {
        mesh.until("cluster-1", name, |intent| intent.is_none()).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(all().await, before);
    // The issuer may say on a request why it waits; the request itself is its owner's.
    let after = remote.get::<CertificateRequest>(HOME, "taken-request").await.expect("it is still there");
    assert_eq!((after.uid(), &after.spec), (request.uid(), &request.spec));
    assert!(after.status.is_none_or(|status| status.signed_certificate.is_none()));
}

/// While a certificate is made and renewed, somebody else changes each object that there is, all the time: writes that
/// were decided on an older state must lose, or one of the changes would be lost.
pub(super) async fn changes(mesh: &Mesh) {
    let remote = &mesh.remotes[0];
    mesh.ask("cluster-1", "overtaken").await;
    mesh.ready("cluster-1", "overtaken").await;
    let (intents, copies, issued, ()) = tokio::join!(
        note_all_the_time(mesh.management.api::<IssuedCertificate>("cluster-1"), "overtaken"),
        note_all_the_time(remote.api::<IssuedCertificate>(HOME), "overtaken"),
        note_all_the_time(remote.api::<Secret>("overtaken"), "cacerts"),
        async {
            for nonce in ["1", "2", "3"] {
                mesh.renew(0, "overtaken", nonce).await;
            }
        },
    );
    let intent = mesh.ready("cluster-1", "overtaken").await;
    let copy = remote.get::<IssuedCertificate>(HOME, "overtaken").await.expect("a copy");
    let secret = mesh.issued(0, "overtaken").await;
    for (what, made, annotations) in [
        ("intent", intents, intent.annotations()),
        ("copy", copies, copy.annotations()),
        ("issued Secret", issued, secret.annotations()),
    ] {
        let kept = annotations.keys().filter(|key| key.starts_with(NOTE)).count();
        assert!(made > 20, "{what}: only {made} changes");
        assert_eq!(kept, made, "{what}: nobody's change was lost");
    }
}

const NOTE: &str = "example.com/overtaken-";

/// Adds annotations for some seconds; how many.
async fn note_all_the_time<K: Kind>(api: Api<K>, name: &str) -> usize {
    let (begin, mut number) = (Instant::now(), 0);
    while begin.elapsed() < Duration::from_secs(4) {
        let note = json!({"metadata": {"annotations": {format!("{NOTE}{number}"): "true"}}});
        let noted = api.patch(name, &PatchParams::default(), &Patch::Merge(note)).await;
        noted.expect("the administrator may annotate it");
        number += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    number
}
