//! Writes are what an API server has fewest of: they are counted from its side, by who watches all objects that a
//! certificate is about. Hours in which nothing is written are told in one process, on a virtual clock, as is what the
//! metric counts.

use super::{Disturbs, Story, cacerts};
use crate::mesh::{HOME, Mesh, Versions};
use certmesh_api::certificates::{CertificateRequest, IssuedCertificate};
use certmesh_api::multicluster::KubernetesCluster;
use futures::FutureExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::ListParams;
use std::collections::BTreeMap;
use std::time::Duration;

/// API writes for one certificate, events aside: what was promised.
const MOST: usize = 10;
/// A status that says nothing new may come until then.
const REST: Duration = Duration::from_secs(6);

pub(super) const STORIES: &[Story] = &[
    Story {
        name: "a_certificate_costs_ten_writes_at_most",
        disturbs: Disturbs::Nobody,
        targets: || cacerts(&["counted"]),
        tell: |mesh| counted(mesh).boxed(),
    },
    Story {
        name: "quiet_times_are_quiet_and_a_restart_writes_nothing",
        disturbs: Disturbs::Everybody,
        targets: || cacerts(&["quiet"]),
        tell: |mesh| quiet(mesh).boxed(),
    },
];

/// Watchers of everything that belongs to one intent.
struct Counter {
    intents: Versions<IssuedCertificate>,
    copies: Versions<IssuedCertificate>,
    requests: Versions<CertificateRequest>,
    keys: Versions<Secret>,
    issued: Versions<Secret>,
}

impl Counter {
    async fn start(mesh: &Mesh) -> Self {
        let remote = &mesh.remotes[0];
        Self {
            intents: Versions::from_now(mesh.management.api("cluster-1")).await,
            copies: Versions::from_now(remote.api(HOME)).await,
            requests: Versions::from_now(remote.api(HOME)).await,
            keys: Versions::from_now(remote.api(HOME)).await,
            issued: Versions::from_now(remote.api("counted")).await,
        }
    }

    /// Writes so far, by what was written.
    async fn writes(&self) -> BTreeMap<&'static str, usize> {
        BTreeMap::from([
            ("intent", self.intents.of("counted").await.len()),
            ("copy", self.copies.of("counted").await.len()),
            ("request", self.requests.of("counted").await.len()),
            ("pending key", self.keys.of("counted").await.len()),
            ("issued Secret", self.issued.of("cacerts").await.len()),
        ])
    }
}

async fn counted(mesh: &Mesh) {
    let counter = Counter::start(mesh).await;
    mesh.ask("cluster-1", "counted").await;
    mesh.ready("cluster-1", "counted").await;
    tokio::time::sleep(REST).await;
    let first = counter.writes().await;
    // One was ours.
    let ours = first.values().sum::<usize>() - 1;
    assert!((5..=MOST).contains(&ours), "{ours} writes for the first certificate: {first:?}");

    mesh.renew(0, "counted", "please").await;
    tokio::time::sleep(REST).await;
    let both = counter.writes().await;
    let ours = both.values().sum::<usize>() - first.values().sum::<usize>() - 1;
    assert!((5..=MOST).contains(&ours), "{ours} writes for a renewal: {first:?}, then {both:?}");
}

/// The resourceVersion of everything of ours.
async fn versions(mesh: &Mesh) -> BTreeMap<String, Option<String>> {
    let mut versions = BTreeMap::new();
    let all = ListParams::default();
    for (place, member, namespaces) in [
        ("management", &mesh.management, &[HOME, "cluster-1", "cluster-2"][..]),
        ("cluster-1", &mesh.remotes[0], &[HOME, "quiet"]),
        ("cluster-2", &mesh.remotes[1], &[HOME, "issued"]),
    ] {
        for namespace in namespaces {
            let mut add = |kind: &str, name: String, version| {
                versions.insert(format!("{place}: {kind} {namespace}/{name}"), version);
            };
            for one in member.api::<IssuedCertificate>(namespace).list(&all).await.expect("a list") {
                add("IssuedCertificate", one.name_any(), one.resource_version());
            }
            for one in member.api::<Secret>(namespace).list(&all).await.expect("a list") {
                add("Secret", one.name_any(), one.resource_version());
            }
        }
        if place == "management" {
            for one in member.api::<KubernetesCluster>(HOME).list(&all).await.expect("a list") {
                let what = format!("KubernetesCluster {HOME}/{}", one.name_any());
                versions.insert(what, one.resource_version());
            }
        } else {
            for one in member.api::<CertificateRequest>(HOME).list(&all).await.expect("a list") {
                let what = format!("{place}: CertificateRequest {HOME}/{}", one.name_any());
                versions.insert(what, one.resource_version());
            }
        }
    }
    // It renews by itself, which is another story.
    versions.retain(|what, _| !what.ends_with("/renewed"));
    versions
}

async fn quiet(mesh: &Mesh) {
    mesh.ask("cluster-1", "quiet").await;
    mesh.ready("cluster-1", "quiet").await;
    tokio::time::sleep(REST).await;
    let before = versions(mesh).await;
    assert!(before.len() > 5, "{before:?}");
    tokio::time::sleep(REST).await;
    assert_eq!(versions(mesh).await, before, "quiet times");
    mesh.restart_all();
    tokio::time::sleep(REST).await;
    assert_eq!(versions(mesh).await, before, "after a restart");
    // They are there, and work.
    mesh.renew(0, "quiet", "please").await;
}
