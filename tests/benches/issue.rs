//! Issues certificates end to end on embedded clusters over HTTP/TLS, all at once, and prints table rows:
//! `| what | measured | goal |`.
//!
//! One process holds the API servers, the issuer and the agents, so what is measured is the work of all of them on
//! the cores that there are.

use certmesh_api::certificates::{IssuedCertificate, ObjectRef};
use certmesh_apiserver::Cluster;
use certmesh_controllers::Clock;
use certmesh_tests::{Fleet, Kind, Transport, intent, is_ready};
use futures::{StreamExt, stream};
use kube::api::{ListParams, PostParams, WatchEvent, WatchParams};
use kube::{Api, ResourceExt};
use std::collections::HashMap;
use std::time::{Duration, Instant};

const CERTIFICATES: u32 = 500;
const CLUSTERS: u32 = 2;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(measure());
}

async fn measure() {
    let per_cluster = CERTIFICATES / CLUSTERS;
    let targets: Vec<_> =
        (0..per_cluster).map(|n| ObjectRef::new("istio-system", format!("cacerts-{n}"))).collect();
    let fleet = Fleet::start(CLUSTERS as usize, &targets, Clock::system(), Transport::tls()).await;
    let running = fleet.run_all().await;
    let client = fleet.client(&fleet.management, Cluster::admin()).await;
    wait_for_clusters(&fleet).await;

    let watched = tokio::spawn(arrivals(Api::all(client.clone())));
    let began = Instant::now();
    let created: HashMap<String, Instant> = stream::iter(0..CERTIFICATES)
        .map(|number| {
            let (cluster, index) = (number % CLUSTERS + 1, number / CLUSTERS);
            let mut wanted = intent(&format!("cluster-{cluster}"), &format!("certificate-{index}"));
            wanted.spec.issued_certificate_secret = Some(targets[index as usize].clone());
            let api = namespaced::<IssuedCertificate>(&client, &format!("cluster-{cluster}"));
            async move {
                let at = Instant::now();
                api.create(&PostParams::default(), &wanted).await.expect("the intent is accepted");
                (key(&wanted), at)
            }
        })
        .buffer_unordered(16)
        .collect()
        .await;
    let arrived = watched.await.expect("the watch ends when all have arrived");
    let total = began.elapsed();

    let mut waits: Vec<Duration> = arrived.iter().map(|(key, at)| at.duration_since(created[key])).collect();
    waits.sort_unstable();
    let at = |percent: usize| waits[(waits.len() * percent / 100).min(waits.len() - 1)];
    // Writes that come after the last arrival (clean-up is before it) would be missed without a moment's wait.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let writes = fleet.writes().values().sum::<u32>();
    let rate = f64::from(CERTIFICATES) / total.as_secs_f64();
    println!(
        "| issue {CERTIFICATES} P-256 certificates at once over {CLUSTERS} clusters, HTTP/TLS | {rate:.0}/s | >= 150/s |"
    );
    println!(
        "| … wait of one, median / p99 | {:.2} s / {:.2} s | p99 < 4 s |",
        at(50).as_secs_f64(),
        at(99).as_secs_f64()
    );
    println!(
        "| … API writes per certificate, events aside | {:.2} | <= 10 |",
        f64::from(writes) / f64::from(CERTIFICATES)
    );
    for (what, count) in fleet.writes() {
        eprintln!("    {what}: {:.2} per certificate", f64::from(count) / f64::from(CERTIFICATES));
    }
    for controller in running {
        controller.stop().await;
    }
}

/// When each intent was first seen ready.
async fn arrivals(api: Api<IssuedCertificate>) -> HashMap<String, Instant> {
    let mut arrived = HashMap::new();
    let mut version =
        api.list(&ListParams::default()).await.expect("a list").metadata.resource_version.unwrap_or_default();
    while arrived.len() < CERTIFICATES as usize {
        let Ok(stream) = api.watch(&WatchParams::default(), &version).await else { continue };
        let mut stream = stream.boxed();
        while let Some(Ok(event)) = stream.next().await {
            if let WatchEvent::Added(intent) | WatchEvent::Modified(intent) = event {
                version = intent.resource_version().unwrap_or_default();
                if is_ready(Some(&intent)) {
                    arrived.entry(key(&intent)).or_insert_with(Instant::now);
                }
            }
            if arrived.len() == CERTIFICATES as usize {
                break;
            }
        }
    }
    arrived
}

/// Connecting is not what is measured.
async fn wait_for_clusters(fleet: &Fleet) {
    for number in 1..=CLUSTERS {
        let accepted = |cluster: Option<&certmesh_api::multicluster::KubernetesCluster>| {
            let status = cluster.and_then(|cluster| cluster.status.as_ref());
            status.is_some_and(|status| status.status.iter().any(|report| report.state == "ACCEPTED"))
        };
        fleet.wait(&fleet.management, certmesh_tests::HOME, &format!("cluster-{number}"), accepted).await;
    }
}

fn namespaced<K: Kind>(client: &kube::Client, namespace: &str) -> Api<K> {
    Api::namespaced(client.clone(), namespace)
}

fn key(intent: &IssuedCertificate) -> String {
    format!("{}/{}", intent.namespace().unwrap_or_default(), intent.name_any())
}
