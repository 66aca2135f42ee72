//! A Secret that the agent may not read is neither missing nor ours: no key is made for it, the intent says what right
//! is missing, and once it is granted the certificate arrives by itself.

use certmesh_api::certificates::{IssuedCertificate, ObjectRef};
use certmesh_api::manifests::Agent;
use certmesh_tests::{Fleet, HOME, intent, is_ready, reason};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::Role;
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn a_target_outside_the_agents_rights_is_named_and_heals() {
    let fleet = Fleet::new(1).await;
    let running = fleet.run_all().await;
    let mut wanted = intent("cluster-1", "istiod");
    wanted.spec.issued_certificate_secret = Some(ObjectRef::new("istio-system", "cacerts-canary"));
    fleet.create(&fleet.management, &wanted).await;

    let unreadable = |intent: Option<&IssuedCertificate>| {
        intent.is_some_and(|intent| reason(intent) == "SecretUnreadable")
    };
    let refused = fleet.wait(&fleet.management, "cluster-1", "istiod", unreadable).await.unwrap();
    let error = refused.status.unwrap().error;
    assert!(error.contains("istio-system/cacerts-canary") && error.contains("Role"), "{error}");
    assert!(fleet.get::<Secret>(&fleet.remotes[0], HOME, "istiod").await.is_none(), "no key is made");

    let role: Role =
        fleet.get(&fleet.remotes[0], "istio-system", Agent::NAME).await.expect("the agent's Role");
    let mut rules = role.rules.unwrap();
    for rule in &mut rules {
        for names in rule.resource_names.iter_mut().filter(|names| names.contains(&"cacerts".to_owned())) {
            names.push("cacerts-canary".to_owned());
        }
    }
    fleet.patch::<Role>(&fleet.remotes[0], "istio-system", Agent::NAME, json!({ "rules": rules })).await;
    fleet.wait(&fleet.management, "cluster-1", "istiod", is_ready).await;
    for controller in running {
        controller.stop().await;
    }
}
