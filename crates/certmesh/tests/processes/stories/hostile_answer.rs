//! Whoever has stolen the issuer's token for a remote cluster writes answers of their own: the agent stores none that is
//! not exactly the certificate that it asked for. That it gives up on a request whose answers stay unusable (after five
//! minutes) and asks anew is told in one process, on a virtual clock.

use super::{Disturbs, Story, cacerts};
use crate::mesh::{HOME, Mesh, Versions, intent, whole};
use certmesh_api::certificates::{CertificateRequest, CertificateRequestStatus, IssuedCertificate};
use certmesh_api::manifests::RemoteIssuer;
use certmesh_api::names::annotations;
use certmesh_tests::forger::Forger;
use certmesh_tests::forgeries::{FORGERIES, Scene};
use certmesh_tests::wrong_input::ca;
use certmesh_tests::{reason, signing_secret};
use futures::FutureExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt as _};

pub(super) const STORIES: &[Story] = &[Story {
    name: "no_forged_answer_is_ever_stored",
    disturbs: Disturbs::Cluster(1),
    targets: || cacerts(&["forged"]),
    tell: |mesh| forged(mesh).boxed(),
}];

async fn forged(mesh: &Mesh) {
    let remote = &mesh.remotes[1];
    let now = jiff::Timestamp::now();
    let mut wanted = intent("cluster-2", "forged");
    let scene =
        Scene { right: Forger::new(now), mallory: Forger::new(now), host: wanted.spec.hosts[0].clone() };
    mesh.management.create(HOME, &signing_secret("stolen-ca", &scene.right.authority)).await;
    wanted.spec.gloo_mesh_ca = Some(ca(HOME, "stolen-ca"));
    let issued = Versions::from_now(remote.api::<Secret>("forged")).await;
    let thief = remote.as_account(RemoteIssuer::NAME).await;

    // The agent asks while the issuer has no time to answer.
    mesh.kill("cluster-2");
    mesh.management.create("cluster-2", &wanted).await;
    announced(mesh, "forged").await;
    mesh.pause_issuer();
    mesh.start_program("cluster-2");
    for (what, reason, forgery) in FORGERIES {
        let is_there = |request: Option<&CertificateRequest>| request.is_some();
        let request = mesh.wait(remote, HOME, "forged", is_there).await.expect("a request");
        answer_as(&thief, scene.forge(&request, forgery)).await;
        let says = |copy: Option<&IssuedCertificate>| copy.is_some_and(|copy| is_waiting(copy, reason));
        mesh.wait(remote, HOME, "forged", says).await;
        assert!(remote.cacerts("forged").await.is_none(), "{what}");
    }
    // Made to look unanswered, it is answered by the issuer.
    answer_as(&thief, CertificateRequestStatus::default()).await;
    mesh.go_on();
    mesh.ready("cluster-2", "forged").await;
    let versions = issued.of("cacerts").await;
    assert!(!versions.is_empty());
    let records = mesh.records("cluster-2", "forged");
    for version in versions {
        let certificate = whole(version.object()).0.fingerprint().to_string();
        let is_ours = records.iter().any(|record| record["certificateFingerprint"] == certificate.as_str());
        assert!(is_ours, "{certificate} is none of the issuer's: {records:?}");
    }
}

/// Waits until the copy says under which CA the issuer would sign.
pub(super) async fn announced(mesh: &Mesh, name: &str) {
    let is_announced = |copy: Option<&IssuedCertificate>| {
        copy.is_some_and(|copy| copy.annotations().contains_key(annotations::TRUST_FINGERPRINT))
    };
    mesh.wait(&mesh.remotes[1], HOME, name, is_announced).await;
}

fn is_waiting(copy: &IssuedCertificate, wanted: &str) -> bool {
    reason(copy) == wanted && copy.status.as_ref().is_some_and(|status| !status.error.is_empty())
}

/// The issuer's account may update answers.
async fn answer_as(thief: &Client, status: CertificateRequestStatus) {
    let requests = Api::<CertificateRequest>::namespaced(thief.clone(), HOME);
    loop {
        let mut request = requests.get("forged").await.expect("a request");
        request.status = Some(status.clone());
        match requests.replace_status("forged", &PostParams::default(), &request).await {
            Ok(_) => return,
            Err(kube::Error::Api(error)) if error.code == 409 => {}
            Err(error) => panic!("the issuer's account may answer: {error}"),
        }
    }
}
