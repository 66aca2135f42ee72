//! What our accounts may not do.

use super::{Disturbs, Story, cacerts};
use crate::mesh::{Mesh, metadata};
use certmesh_api::manifests::{Agent, RemoteIssuer};
use certmesh_api::secrets;
use futures::FutureExt as _;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};
use std::collections::BTreeMap;

pub(super) const STORIES: &[Story] = &[Story {
    name: "an_account_may_do_no_more_than_it_needs",
    disturbs: Disturbs::Nobody,
    targets: || cacerts(&["rights"]),
    tell: |mesh| rights(mesh).boxed(),
}];

async fn rights(mesh: &Mesh) {
    mesh.ask("cluster-1", "rights").await;
    mesh.ready("cluster-1", "rights").await;
    let remote = &mesh.remotes[0];
    let agent = remote.as_account(Agent::NAME).await;
    let issuer = remote.as_account(RemoteIssuer::NAME).await;
    assert!(secrets_in(&agent, "rights").get("cacerts").await.is_ok(), "its target");
    for (who, client) in [("agent", &agent), ("issuer", &issuer)] {
        let of_others = secrets_in(client, "kube-system").get("anything").await;
        assert!(is_denied(of_others), "{who} reads Secrets of others");
        let all = secrets_in(client, "rights").list(&ListParams::default()).await;
        assert!(is_denied(all), "{who} lists Secrets");
        let data = BTreeMap::from([("k".to_owned(), ByteString(vec![1]))]);
        let new = Secret { metadata: metadata("new"), data: Some(data), ..Secret::default() };
        let made = secrets_in(client, "default").create(&PostParams::default(), &new).await;
        assert!(is_denied(made), "{who} writes");
    }
    let key = secrets_in(&issuer, "rights").get("cacerts").await;
    assert!(is_denied(key), "the issuer never sees {}", secrets::CA_KEY);
}

fn secrets_in(client: &Client, namespace: &str) -> Api<Secret> {
    Api::namespaced(client.clone(), namespace)
}

fn is_denied<T>(answer: kube::Result<T>) -> bool {
    matches!(answer, Err(kube::Error::Api(status)) if status.code == 403)
}
