//! What issuer and agents do as processes. Each story has a target namespace of its own; they run one after the other,
//! since one of them kills everybody.

use crate::mesh::{HOME, Mesh, is_ready, is_refused};
use certmesh_api::certificates::IssuedCertificate;
use certmesh_api::manifests::{Agent, RemoteIssuer};
use certmesh_api::names::annotations;
use certmesh_api::secrets::{self, CaCerts};
use certmesh_x509::{Certificate, PrivateKey, TrustBundle, verify_chain};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use libtest_mimic::{Arguments, Trial};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

type Story = for<'a> fn(&'a Mesh) -> BoxFuture<'a, ()>;

const STORIES: &[(&str, Story)] = &[
    ("two_clusters_get_certificates_under_one_root", |mesh| issued(mesh).boxed()),
    ("killed_at_any_moment_and_started_again_they_finish", |mesh| killed(mesh).boxed()),
    ("a_certificate_of_a_minute_renews_by_itself", |mesh| renewed(mesh).boxed()),
    ("a_secret_that_is_not_ours_is_left_until_handed_over", |mesh| foreign(mesh).boxed()),
    ("a_deleted_intent_leaves_the_certificate_in_place", |mesh| deleted(mesh).boxed()),
    ("an_account_may_do_no_more_than_it_needs", |mesh| rights(mesh).boxed()),
];

/// Tells the stories that the command line selects.
pub(crate) fn main(runtime: &Runtime, mesh: Mesh) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let mesh = Arc::new(mesh);
    let trials = STORIES.iter().map(|(name, story)| {
        let (mesh, runtime) = (Arc::clone(&mesh), runtime.handle().clone());
        Trial::test(*name, move || {
            runtime.block_on(story(&mesh));
            Ok(())
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// The certificate of an issued Secret whose four files belong together, and its roots.
fn whole(secret: &Secret) -> (Certificate, TrustBundle) {
    let files = CaCerts::from_secret(secret).expect("four files");
    let certificate = Certificate::from_pem(files.certificate).expect("a certificate");
    let key = PrivateKey::from_pem(files.key).expect("a key");
    assert_eq!(key.public_key(), certificate.public_key(), "key and certificate belong together");
    let roots = TrustBundle::from_pem(files.roots).expect("roots");
    verify_chain(&certificate, &[], &roots, jiff::Timestamp::now()).expect("a chain");
    (certificate, roots)
}

async fn issued(mesh: &Mesh) {
    let mut roots = Vec::new();
    for cluster in ["cluster-1", "cluster-2"] {
        mesh.ask(cluster, "issued", None).await;
    }
    for (index, cluster) in ["cluster-1", "cluster-2"].into_iter().enumerate() {
        mesh.until(cluster, "issued", is_ready).await;
        let secret = mesh.remotes[index].cacerts("issued").await.expect("the issued Secret");
        roots.push(whole(&secret).1.fingerprints().clone());
        assert!(mesh.is_clean(index, "issued").await, "request and pending key are gone");
    }
    assert_eq!(roots[0], roots[1]);
}

async fn killed(mesh: &Mesh) {
    mesh.ask("cluster-1", "killed", None).await;
    for moment in 0..12 {
        // Starting takes a process about 50 ms; a pass about 10.
        tokio::time::sleep(Duration::from_millis(40 + 23 * moment)).await;
        mesh.kill_processes();
        mesh.start_processes();
    }
    mesh.until("cluster-1", "killed", is_ready).await;
    whole(&mesh.remotes[0].cacerts("killed").await.expect("the issued Secret"));
    assert!(mesh.is_clean(0, "killed").await, "request and pending key are gone");
}

async fn renewed(mesh: &Mesh) {
    mesh.ask("cluster-2", "renewed", Some(60)).await;
    mesh.until("cluster-2", "renewed", is_ready).await;
    let (first, roots) = whole(&mesh.remotes[1].cacerts("renewed").await.expect("the issued Secret"));
    let is_another = |intent: Option<&IssuedCertificate>| {
        let summary =
            intent.and_then(|intent| intent.status.as_ref()).and_then(|status| status.certificate.as_ref());
        is_ready(intent) && summary.is_some_and(|one| one.not_after.0 > first.not_after())
    };
    mesh.until("cluster-2", "renewed", is_another).await;
    let (second, same_roots) = whole(&mesh.remotes[1].cacerts("renewed").await.expect("the issued Secret"));
    assert_ne!(first.fingerprint(), second.fingerprint());
    assert_eq!(roots.fingerprints(), same_roots.fingerprints());
}

async fn foreign(mesh: &Mesh) {
    let remote = &mesh.remotes[0];
    // Under the roots of the mesh, so that taking it over does not change whom anybody trusts.
    let issued = remote.cacerts("issued").await.expect("the first story's Secret");
    let by_hand = Secret {
        metadata: ObjectMeta { name: Some("cacerts".to_owned()), ..ObjectMeta::default() },
        data: issued.data.clone(),
        ..Secret::default()
    };
    let secrets = remote.api::<Secret>("foreign");
    let before =
        secrets.create(&PostParams::default(), &by_hand).await.expect("the administrator may create it");
    mesh.ask("cluster-1", "foreign", None).await;
    mesh.until("cluster-1", "foreign", |intent| is_refused(intent, "SecretNotOurs")).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(remote.cacerts("foreign").await.as_ref(), Some(&before), "not one byte of it changed");

    let patch = serde_json::json!({"metadata": {"annotations": {annotations::ADOPT: "true"}}});
    let intents = mesh.management.api::<IssuedCertificate>("cluster-1");
    intents
        .patch("foreign", &PatchParams::default(), &Patch::Merge(patch))
        .await
        .expect("it may be annotated");
    mesh.until("cluster-1", "foreign", is_ready).await;
    let after = remote.cacerts("foreign").await.expect("it is still there");
    assert_eq!(after.metadata.uid, before.metadata.uid, "changed, not replaced");
    whole(&after);
}

async fn deleted(mesh: &Mesh) {
    let remote = &mesh.remotes[1];
    mesh.ask("cluster-2", "deleted", None).await;
    mesh.until("cluster-2", "deleted", is_ready).await;
    let before = remote.cacerts("deleted").await.expect("the issued Secret");
    let intents = mesh.management.api::<IssuedCertificate>("cluster-2");
    intents.delete("deleted", &DeleteParams::default()).await.expect("the administrator may delete it");
    mesh.until("cluster-2", "deleted", |intent| intent.is_none()).await;
    let copies = remote.api::<IssuedCertificate>(HOME);
    assert!(copies.get_opt("deleted").await.expect("it may be read").is_none(), "the copy is gone");
    let after = remote.cacerts("deleted").await.expect("the certificate stays");
    assert_eq!(after.data, before.data);
    assert!(after.annotations().contains_key(annotations::UNMANAGED_SINCE));
}

async fn rights(mesh: &Mesh) {
    let remote = &mesh.remotes[0];
    let agent = remote.as_account(Agent::NAME).await;
    let issuer = remote.as_account(RemoteIssuer::NAME).await;
    assert!(secrets_in(&agent, "issued").get("cacerts").await.is_ok(), "its target");
    for (who, client) in [("agent", &agent), ("issuer", &issuer)] {
        let of_others = secrets_in(client, "kube-system").get("anything").await;
        assert!(is_denied(of_others), "{who} reads Secrets of others");
        assert!(
            is_denied(secrets_in(client, "issued").list(&ListParams::default()).await),
            "{who} lists Secrets"
        );
        let new = Secret {
            metadata: ObjectMeta { name: Some("new".to_owned()), ..ObjectMeta::default() },
            data: Some(BTreeMap::from([("k".to_owned(), ByteString(vec![1]))])),
            ..Secret::default()
        };
        assert!(
            is_denied(secrets_in(client, "default").create(&PostParams::default(), &new).await),
            "{who} writes"
        );
    }
    let key = secrets_in(&issuer, "issued").get("cacerts").await;
    assert!(is_denied(key), "the issuer never sees {}", secrets::CA_KEY);
}

fn secrets_in(client: &Client, namespace: &str) -> Api<Secret> {
    Api::namespaced(client.clone(), namespace)
}

fn is_denied<T>(answer: kube::Result<T>) -> bool {
    matches!(answer, Err(kube::Error::Api(status)) if status.code == 403)
}
