//! Intents and signing CAs that are wrong: each is refused where people look, with what to do about it; nothing is made
//! or overwritten for it; corrected, it becomes a certificate without a restart.

use super::{Disturbs, Story, cacerts};
use crate::mesh::{HOME, Mesh, intent, new_root};
use certmesh_api::certificates::{CertificateRequest, IssuedCertificate, ObjectRef};
use certmesh_tests::wrong_input::{BAD_CAS, BAD_SPECS, ca, refused_by_the_schema};
use certmesh_tests::{condition, signing_secret};
use futures::FutureExt as _;
use futures::future::join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DynamicObject, PostParams};
use kube::core::ApiResource;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) const STORIES: &[Story] = &[
    Story {
        name: "an_intent_that_is_wrong_is_refused_and_once_corrected_it_is_served",
        disturbs: Disturbs::Nobody,
        targets: || BAD_SPECS.iter().map(|(name, ..)| ObjectRef::new("bad-input", *name)).collect(),
        tell: |mesh| bad_specs(mesh).boxed(),
    },
    Story {
        name: "what_the_schema_can_tell_the_api_server_refuses",
        disturbs: Disturbs::Nobody,
        targets: Vec::new,
        tell: |mesh| schema(mesh).boxed(),
    },
    Story {
        name: "a_signing_ca_that_is_wrong_signs_nothing_and_once_corrected_it_does",
        disturbs: Disturbs::Nobody,
        targets: || BAD_CAS.iter().map(|(name, ..)| ObjectRef::new("bad-input", *name)).collect(),
        tell: |mesh| bad_cas(mesh).boxed(),
    },
    Story {
        name: "a_ca_that_is_missing_is_waited_for",
        disturbs: Disturbs::Nobody,
        targets: || cacerts(&["ca-comes-later"]),
        tell: |mesh| missing_ca(mesh).boxed(),
    },
    Story {
        name: "a_ca_outside_of_the_issuers_namespace_is_not_even_read",
        disturbs: Disturbs::Nobody,
        targets: || cacerts(&["ca-elsewhere"]),
        tell: |mesh| ca_elsewhere(mesh).boxed(),
    },
];

/// An intent of this name, for a Secret of its own.
fn named(name: &str) -> IssuedCertificate {
    let mut wanted = intent("cluster-1", name);
    wanted.spec.issued_certificate_secret = Some(ObjectRef::new("bad-input", name));
    wanted
}

/// There is neither a request, nor a pending key, nor an issued Secret for the intent.
async fn nothing_was_made(mesh: &Mesh, name: &str) {
    let remote = &mesh.remotes[0];
    assert!(remote.get::<CertificateRequest>(HOME, name).await.is_none(), "{name}: a request");
    assert!(remote.get::<Secret>(HOME, name).await.is_none(), "{name}: a pending key");
    assert!(remote.get::<Secret>("bad-input", name).await.is_none(), "{name}: an issued Secret");
    assert!(mesh.records("cluster-1", name).is_empty(), "{name}: a line in the issuance log");
}

async fn bad_specs(mesh: &Mesh) {
    for (name, spoil, ..) in BAD_SPECS {
        let mut wrong = named(name);
        spoil(&mut wrong.spec);
        mesh.management.create("cluster-1", &wrong).await;
    }
    for (name, _, todo, value) in BAD_SPECS {
        let reason = if name == "vault" { "AgentCaUnsupported" } else { "InvalidSpec" };
        let error = mesh.refused("cluster-1", name, reason, todo).await;
        assert!(error.contains(value), "{name}: {error:?} names {value:?}");
        assert!(!error.contains('\u{1b}'), "{name}: {error:?}");
        nothing_was_made(mesh, name).await;
    }
    for (name, ..) in BAD_SPECS {
        mesh.management.replace("cluster-1", named(name)).await;
    }
    for (name, ..) in BAD_SPECS {
        mesh.ready("cluster-1", name).await;
        assert_eq!(mesh.records("cluster-1", name).len(), 1, "{name}");
    }
}

async fn schema(mesh: &Mesh) {
    let resource = ApiResource::erase::<IssuedCertificate>(&());
    let api = Api::<DynamicObject>::namespaced_with(mesh.management.admin.clone(), "cluster-1", &resource);
    for (what, spec) in refused_by_the_schema() {
        let object = json!({
            "apiVersion": "certificates.mesh.gloo.solo.io/v1", "kind": "IssuedCertificate",
            "metadata": {"name": "wrong"}, "spec": spec,
        });
        let object = serde_json::from_value(object).expect("an object");
        match api.create(&PostParams::default(), &object).await {
            Err(kube::Error::Api(status)) => {
                assert_eq!((status.code, status.reason.as_str()), (422, "Invalid"), "{what}: {status:?}");
                assert!(status.message.contains("spec"), "{what}: {}", status.message);
            }
            other => panic!("{what}: {other:?}"),
        }
    }
}

async fn bad_cas(mesh: &Mesh) {
    let good = new_root();
    for (name, spoil, ..) in BAD_CAS {
        let mut secret = signing_secret(name, &good);
        spoil(jiff::Timestamp::now(), &mut secret);
        mesh.management.create(HOME, &secret).await;
        let mut wanted = named(name);
        wanted.spec.gloo_mesh_ca = Some(ca(HOME, name));
        mesh.management.create("cluster-1", &wanted).await;
    }
    for (name, _, reason, todo) in BAD_CAS {
        let error = mesh.refused("cluster-1", name, reason, todo).await;
        assert!(error.contains(&format!("certmesh/{name}")), "{name}: {error:?} names the Secret");
        assert!(error.contains(": "), "{name}: {error:?} says what to do");
        nothing_was_made(mesh, name).await;
    }
    join_all(BAD_CAS.map(|(name, ..)| mesh.management.replace(HOME, signing_secret(name, &good)))).await;
    for (name, ..) in BAD_CAS {
        mesh.ready("cluster-1", name).await;
    }
}

async fn missing_ca(mesh: &Mesh) {
    let mut wanted = intent("cluster-1", "ca-comes-later");
    wanted.spec.gloo_mesh_ca = Some(ca(HOME, "later"));
    mesh.management.create("cluster-1", &wanted).await;
    let waiting = mesh.says("cluster-1", "ca-comes-later", "CaMissing").await.status.expect("a status");
    assert!(waiting.error.ends_with("create it, or name another one in the spec"), "{}", waiting.error);
    assert!(condition(&waiting, "Reconciling").is_some(), "it may come by itself: {:?}", waiting.conditions);
    assert!(condition(&waiting, "Stalled").is_none());
    mesh.told("cluster-1", "ca-comes-later", "Normal", "CaMissing").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    mesh.management.create(HOME, &signing_secret("later", &new_root())).await;
    mesh.ready("cluster-1", "ca-comes-later").await;
}

async fn ca_elsewhere(mesh: &Mesh) {
    mesh.management.ensure_namespace("elsewhere", BTreeMap::new()).await;
    let mut elsewhere = signing_secret("other-ca", &new_root());
    elsewhere.metadata.namespace = None;
    mesh.management.create("elsewhere", &elsewhere).await;
    mesh.management.create(HOME, &signing_secret("other-ca", &new_root())).await;
    let mut wanted = intent("cluster-1", "ca-elsewhere");
    wanted.spec.gloo_mesh_ca = Some(ca("elsewhere", "other-ca"));
    mesh.management.create("cluster-1", &wanted).await;
    let todo = "move it there, or start the issuer with --allow-any-ca-namespace";
    mesh.refused("cluster-1", "ca-elsewhere", "CaNotAllowed", todo).await;
    let named_right = json!({"spec": {"glooMeshCa": {"signingCertificateSecret": {"namespace": HOME}}}});
    mesh.management.patch::<IssuedCertificate>("cluster-1", "ca-elsewhere", named_right).await;
    mesh.ready("cluster-1", "ca-elsewhere").await;
}
