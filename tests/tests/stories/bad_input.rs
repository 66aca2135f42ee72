//! Intents and signing CAs that are wrong: each is refused where people look, with what to do about it; nothing is made
//! or overwritten for it; corrected, it becomes a certificate without a restart.

use certmesh_api::certificates::{IssuedCertificate, ObjectRef};
use certmesh_apiserver::Cluster;
use certmesh_tests::forger::Forger;
use certmesh_tests::wrong_input::{BAD_CAS, BAD_SPECS, ca, refused_by_the_schema};
use certmesh_tests::{
    Fleet, HOME, HOUR, Inventory, ROOT_CA, condition, ensure_namespace, intent, signing_secret, stop,
};
use k8s_openapi::api::core::v1::Secret;
use kube::Resource;
use kube::api::{Api, PostParams};
use serde_json::json;
use std::time::Duration;

/// What exists in a remote cluster for an intent that is good: a request, a key, a Secret.
const MADE_FOR_AN_INTENT: [&str; 3] = ["secrets certmesh/", "secrets istio-system/", "certificaterequests"];

fn targets(names: &[&str]) -> Vec<ObjectRef> {
    names.iter().map(|name| ObjectRef::new("istio-system", *name)).collect()
}

/// An intent of this name, for a Secret of its own.
fn named(name: &str) -> IssuedCertificate {
    let mut wanted = intent("cluster-1", name);
    wanted.spec.issued_certificate_secret = Some(ObjectRef::new("istio-system", name));
    wanted
}

#[tokio::test(start_paused = true)]
async fn an_intent_that_is_wrong_is_refused_and_once_corrected_it_is_served() {
    let names = BAD_SPECS.map(|(name, ..)| name);
    let fleet = Fleet::with_targets(1, &targets(&names)).await;
    let before = Inventory::of(&fleet.remotes[0]).only(&MADE_FOR_AN_INTENT);
    let running = fleet.run_all().await;
    for (name, spoil, ..) in BAD_SPECS {
        let mut wrong = named(name);
        spoil(&mut wrong.spec);
        fleet.create(&fleet.management, &wrong).await;
    }
    for (name, _, todo, value) in BAD_SPECS {
        let reason = if name == "vault" { "AgentCaUnsupported" } else { "InvalidSpec" };
        fleet.refused("cluster-1", name, reason, todo).await;
        let intent = fleet.get::<IssuedCertificate>(&fleet.management, "cluster-1", name).await.unwrap();
        let error = intent.status.unwrap().error;
        assert!(error.contains(value), "{name}: {error:?} names {value:?}");
        assert!(!error.contains('\u{1b}'), "{name}: {error:?}");
    }
    tokio::time::sleep(HOUR).await;
    let after = Inventory::of(&fleet.remotes[0]).only(&MADE_FOR_AN_INTENT);
    assert!(before.changes(&after).is_empty(), "nothing was made: {:?}", before.changes(&after));
    for name in names {
        fleet.replace(&fleet.management, named(name)).await;
    }
    for name in names {
        fleet.ready("cluster-1", name).await;
    }
    assert_eq!(fleet.issuance_log.records().len(), names.len());
    stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn what_the_schema_can_tell_the_api_server_refuses() {
    let fleet = Fleet::new(1).await;
    let client = fleet.management.client(Cluster::admin());
    let api = Api::<kube::api::DynamicObject>::namespaced_with(
        client,
        "cluster-1",
        &kube::core::ApiResource::erase::<IssuedCertificate>(&()),
    );
    for (what, spec) in refused_by_the_schema() {
        let object = json!({
            "apiVersion": "certificates.mesh.gloo.solo.io/v1", "kind": "IssuedCertificate",
            "metadata": {"name": "wrong"}, "spec": spec,
        });
        let object = serde_json::from_value(object).unwrap();
        match api.create(&PostParams::default(), &object).await {
            Err(kube::Error::Api(status)) => {
                assert_eq!((status.code, status.reason.as_str()), (422, "Invalid"), "{what}: {status:?}");
                assert!(status.message.contains("spec"), "{what}: {}", status.message);
            }
            other => panic!("{what}: {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_signing_ca_that_is_wrong_signs_nothing_and_once_corrected_it_does() {
    let names = BAD_CAS.map(|(name, ..)| name);
    let fleet = Fleet::with_targets(1, &targets(&names)).await;
    let before = Inventory::of(&fleet.remotes[0]).only(&MADE_FOR_AN_INTENT);
    let running = fleet.run_all().await;
    let good = fleet.new_root(certmesh_x509::KeyAlgorithm::EcdsaP256);
    for (name, spoil, ..) in BAD_CAS {
        let mut secret = signing_secret(name, &good);
        spoil(fleet.clock.now(), &mut secret);
        fleet.create(&fleet.management, &secret).await;
        let mut wanted = named(name);
        wanted.spec.gloo_mesh_ca = Some(ca(HOME, name));
        fleet.create(&fleet.management, &wanted).await;
    }
    for (name, _, reason, todo) in BAD_CAS {
        fleet.refused("cluster-1", name, reason, todo).await;
        let intent = fleet.get::<IssuedCertificate>(&fleet.management, "cluster-1", name).await.unwrap();
        let error = intent.status.unwrap().error;
        assert!(error.contains(&format!("certmesh/{name}")), "{name}: {error:?} names the Secret");
        assert!(error.contains(": "), "{name}: {error:?} says what to do");
    }
    tokio::time::sleep(HOUR).await;
    let after = Inventory::of(&fleet.remotes[0]).only(&MADE_FOR_AN_INTENT);
    assert!(before.changes(&after).is_empty(), "nothing was made: {:?}", before.changes(&after));
    assert!(fleet.issuance_log.records().is_empty());
    for name in names {
        fleet.replace(&fleet.management, signing_secret(name, &good)).await;
    }
    for name in names {
        fleet.ready("cluster-1", name).await;
    }
    stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_ca_that_is_missing_is_waited_for() {
    let fleet = Fleet::new(1).await;
    let running = fleet.run_all().await;
    let mut wanted = intent("cluster-1", "istiod");
    wanted.spec.gloo_mesh_ca = Some(ca(HOME, "later"));
    fleet.create(&fleet.management, &wanted).await;
    let waiting = fleet.says("cluster-1", "istiod", "CaMissing").await.status.unwrap();
    assert!(waiting.error.ends_with("create it, or name another one in the spec"), "{}", waiting.error);
    assert!(condition(&waiting, "Reconciling").is_some(), "it may come by itself: {:?}", waiting.conditions);
    assert!(condition(&waiting, "Stalled").is_none());
    let events = fleet.events(&fleet.management, "cluster-1", "istiod").await;
    assert!(events.iter().any(|event| event.reason.as_deref() == Some("CaMissing")));
    tokio::time::sleep(HOUR * 6).await;
    fleet.create_root_ca("later", certmesh_x509::KeyAlgorithm::EcdsaP256).await;
    let begin = tokio::time::Instant::now();
    fleet.ready("cluster-1", "istiod").await;
    assert!(begin.elapsed() < Duration::from_secs(3), "at once: {:?}", begin.elapsed());
    stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_ca_outside_of_the_issuers_namespace_is_not_even_read() {
    let fleet = Fleet::new(1).await;
    ensure_namespace(&fleet.management, "elsewhere", None).await;
    let mut elsewhere = fleet.get::<Secret>(&fleet.management, HOME, ROOT_CA).await.unwrap();
    *elsewhere.meta_mut() = signing_secret(ROOT_CA, &Forger::new(fleet.clock.now()).authority).metadata;
    elsewhere.metadata.namespace = Some("elsewhere".to_owned());
    fleet.create(&fleet.management, &elsewhere).await;
    let running = fleet.run_all().await;
    let mut wanted = intent("cluster-1", "istiod");
    wanted.spec.gloo_mesh_ca = Some(ca("elsewhere", ROOT_CA));
    fleet.create(&fleet.management, &wanted).await;
    let todo = "move it there, or start the issuer with --allow-any-ca-namespace";
    fleet.refused("cluster-1", "istiod", "CaNotAllowed", todo).await;
    let named_right = json!({"spec": {"glooMeshCa": {"signingCertificateSecret": {"namespace": HOME}}}});
    fleet.patch::<IssuedCertificate>(&fleet.management, "cluster-1", "istiod", named_right).await;
    fleet.ready("cluster-1", "istiod").await;
    stop(running).await;
}
